//! Why a gate does not start.

use std::{io, net::SocketAddr};

use thiserror::Error;

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
    /// A socket that the manager has opened is of no use.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A value that should have been refused with the configuration.
    #[error("{key} is not usable: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
