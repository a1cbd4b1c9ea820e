//! Why a gate does not start.

use std::{io, net::SocketAddr};

use thiserror::Error;
use tidegate_settings::{Origin, Tree};

use crate::{config::AdminAddress, systemd::SocketError};

/// Why a gate could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error("listener {name:?} cannot bind {address}")]
    Bind {
        /// Name of the listener.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address of probes and metrics could not be bound.
    #[error("probes.bind: cannot bind {address}")]
    Probes {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address of the administrator's listener could not be bound.
    #[error("admin.bind: cannot bind {address}")]
    Admin {
        /// The address.
        address: AdminAddress,
        /// What the system said.
        source: io::Error,
    },
    /// The manager has opened the administrator's listener where others reach it.
    #[error(
        "the socket \"admin\" that was handed over is at {address}, where others than this user of this machine \
         reach it: expected 127.0.0.1, [::1] or a Unix socket for its owner alone (SocketMode=0600), or \
         `admin.acknowledge_exposed`: it asks nobody who they are"
    )]
    AdminExposed {
        /// Where it is.
        address: String,
    },
    /// A socket that the manager has opened is of no use.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A value that can't be used, most often because of the file that it names.
    #[error("`{key}`: {reason}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The same, and where the value stands.
    #[error(transparent)]
    Placed(#[from] tidegate_settings::Error),
}

impl StartError {
    /// A value that can't be used.
    pub(super) fn value(key: impl Into<String>, reason: impl Into<String>) -> Self {
        let (key, reason) = (key.into(), reason.into());
        Self::Value { key, reason }
    }

    /// Tells where the value stands, if it is about one.
    pub(crate) fn placed(self, tree: &Tree) -> Self {
        match self {
            Self::Value { key, reason } => Self::Placed(tidegate_settings::Error::Refused {
                origin: tree.place_of(&key).cloned().unwrap_or(Origin::Default),
                key,
                message: reason,
            }),
            other => other,
        }
    }
}
