//! TLS towards the service: whom to believe, and who we are.

use std::sync::Arc;

use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};

pub use crate::tls::client::{TlsError, TlsFiles};
use crate::{
    metrics::{TlsMetrics, TlsSide},
    tls::client::{self, Keys, Reloading},
};

const KEYS: Keys = Keys {
    side: TlsSide::Authz,
    section: "authz.tls",
    ca: "authz.tls.ca",
    cert: "authz.tls.cert",
    key: "authz.tls.key",
    server_name: "authz.tls.server_name",
};

/// What a connection over TLS needs. Clones look at the files together.
#[derive(Debug, Clone)]
pub struct Tls {
    settings: Reloading,
    pub(super) server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files. Connections to come are made with what they hold then.
    ///
    /// # Errors
    ///
    /// A file that can't be read or holds something else, a key that isn't the certificate's, a system
    /// without root certificates.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Self::counted(files, &TlsMetrics::default())
    }

    /// As [`load`](Self::load), and counts there how the files are read again.
    pub(crate) fn counted(files: &TlsFiles, metrics: &TlsMetrics) -> Result<Self, TlsError> {
        let name = files.server_name.as_deref();
        Ok(Self {
            settings: Reloading::load(KEYS, files.clone(), b"h2", metrics)?,
            server_name: name
                .map(|name| client::server_name(KEYS, name))
                .transpose()?,
        })
    }

    /// The settings, of the files as they are now.
    pub(super) async fn config(&self) -> Arc<ClientConfig> {
        self.settings.config().await
    }

    /// When the certificate that we show expires, in Unix time. `None`: we show none.
    pub(crate) fn not_after(&self) -> Option<u64> {
        self.settings.not_after()
    }
}
