//! TLS towards the service: whom to believe, and who we are.

use std::sync::Arc;

use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};

use crate::tls::client::{self, Keys};
pub use crate::tls::client::{TlsError, TlsFiles};

const KEYS: Keys = Keys {
    section: "authz.tls",
    ca: "authz.tls.ca",
    cert: "authz.tls.cert",
    key: "authz.tls.key",
    server_name: "authz.tls.server_name",
};

/// What a connection over TLS needs.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files, once.
    ///
    /// # Errors
    ///
    /// A file that can't be read or holds something else, a key that isn't the certificate's, a system
    /// without root certificates.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let name = files.server_name.as_deref();
        Ok(Self {
            config: Arc::new(client::load(KEYS, files, b"h2")?),
            server_name: name
                .map(|name| client::server_name(KEYS, name))
                .transpose()?,
        })
    }
}
