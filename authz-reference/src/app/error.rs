//! Why the service did not start.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{
    config::Address, server::tls::PemError, session_state::KeyError, users::open::OpenError,
};

/// Why the service did not start or did not go on.
#[derive(Debug, Error)]
pub enum AppError {
    /// A user base cannot be used as it is configured.
    #[error(transparent)]
    Users(#[from] OpenError),
    /// The session key file cannot be read.
    #[error("session.key_file: cannot read {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no usable session key.
    #[error("session.key_file: {0}")]
    Key(#[from] KeyError),
    /// A file of `[tls]` cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] PemError),
    /// The system gave no randomness.
    #[error("no randomness for decision ids: {0}")]
    Random(#[from] getrandom::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// Reflection does not understand the contract.
    #[error("cannot set up reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl AppError {
    /// Whether the operator has to change the configuration or the files it names.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Users(_) | Self::KeyFile { .. } | Self::Key(KeyError::TooShort(_)) | Self::Tls(_)
        )
    }

    pub(super) fn bind(address: &Address) -> impl Fn(io::Error) -> Self + use<> {
        let address = address.clone();
        move |source| Self::Bind {
            address: address.clone(),
            source,
        }
    }
}
