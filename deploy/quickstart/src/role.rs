//! What this executable can be when it starts itself again.

use crate::{broker, leash, mosquitto, report};
use std::{
    ffi::{OsStr, OsString},
    io, iter,
    process::ExitCode,
};

/// One of the programs in this executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The embedded broker.
    Broker,
    /// Mosquitto, and somebody who ends it in time.
    Mosquitto,
    /// `tidegate-authz run …`
    Authz,
    /// Any other verb of `tidegate-authz`: it ends by itself, and its input is its own.
    AuthzTool,
    /// `tidegate run …`
    Gate,
}

impl Role {
    const ALL: [Self; 5] = [
        Self::Broker,
        Self::Mosquitto,
        Self::Authz,
        Self::AuthzTool,
        Self::Gate,
    ];

    /// The first argument that asks for this role. It is for the quick start itself, not for people.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Broker => "play:broker",
            Self::Mosquitto => "play:mosquitto",
            Self::Authz => "play:tidegate-authz",
            Self::AuthzTool => "play:tidegate-authz-tool",
            Self::Gate => "play:tidegate",
        }
    }

    /// The role that this first argument asks for.
    pub(crate) fn from_verb(argument: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|role| argument == role.verb())
    }

    /// How the program is called in front of people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Mosquitto => "mosquitto",
            Self::Authz | Self::AuthzTool => "tidegate-authz",
            Self::Gate => "tidegate",
        }
    }

    /// Is that program until it ends.
    pub(crate) fn play(self, arguments: impl Iterator<Item = OsString>) -> ExitCode {
        let command_line = iter::once(OsString::from(self.name())).chain(arguments);
        match self {
            Self::Broker => {
                leash::terminate_when_released();
                serve(broker::run())
            }
            Self::Mosquitto => serve(mosquitto::run()),
            Self::Authz => {
                leash::terminate_when_released();
                tidegate_authz::cli(command_line)
            }
            Self::AuthzTool => tidegate_authz::cli(command_line),
            Self::Gate => {
                leash::terminate_when_released();
                tidegate::cli(command_line)
            }
        }
    }
}

fn serve(program: impl Future<Output = io::Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(program)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_verb_of_its_own() {
        for role in Role::ALL {
            assert_eq!(Role::from_verb(OsStr::new(role.verb())), Some(role));
        }
        assert_eq!(Role::from_verb(OsStr::new("--port")), None);
    }
}
