//! The command line.

use std::str::FromStr;

/// Starts a broker, tidegate-authz with the users alice and bob, and tidegate, says what to try,
/// and shows the decisions as they fall. Ctrl-C ends it all.
#[derive(Debug, clap::Parser)]
#[command(name = "quickstart", version)]
pub(crate) struct Options {
    /// Port of 127.0.0.1 that clients connect to; 0 takes a free one.
    #[arg(long, default_value_t = 1883)]
    pub(crate) port: u16,

    /// Broker behind the gate: `embedded`, `mosquitto` (starts the one on the PATH), or the URL of
    /// one that runs, such as mqtt://127.0.0.1:1884.
    #[arg(long, default_value = "embedded", value_name = "BROKER")]
    pub(crate) broker: BrokerChoice,

    /// Let a small built-in client try what is allowed and what is not.
    #[arg(long)]
    pub(crate) demo: bool,

    /// End after the demo, with exit code 0 if all went as it should.
    #[arg(long, requires = "demo")]
    pub(crate) exit: bool,
}

/// Which broker is behind the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BrokerChoice {
    /// The one in this executable. It needs nothing installed.
    Embedded,
    /// Mosquitto, started for the occasion.
    Mosquitto,
    /// One that runs already.
    Running(String),
}

impl FromStr for BrokerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "mosquitto" => Ok(Self::Mosquitto),
            url if url.starts_with("mqtt://") => Ok(Self::Running(url.to_owned())),
            _ => Err("expected `embedded`, `mosquitto`, or mqtt://host:port".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn without_arguments_it_needs_nothing_installed() {
        let options = Options::parse_from(["quickstart"]);
        assert_eq!(options.port, 1883);
        assert_eq!(options.broker, BrokerChoice::Embedded);
        assert!(!options.demo);
    }

    #[test]
    fn a_broker_is_a_word_or_a_url() {
        let url = "mqtt://10.0.0.1:1883";
        assert_eq!(url.parse(), Ok(BrokerChoice::Running(url.to_owned())));
        assert_eq!("mosquitto".parse(), Ok(BrokerChoice::Mosquitto));
        assert!("localhost:1883".parse::<BrokerChoice>().is_err());
    }

    #[test]
    fn exit_goes_with_demo_only() {
        assert!(Options::try_parse_from(["quickstart", "--exit"]).is_err());
        assert!(Options::try_parse_from(["quickstart", "--demo", "--exit"]).is_ok());
    }
}
