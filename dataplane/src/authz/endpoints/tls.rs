//! TLS towards the service: whom to believe, and who we are.

use std::{path::Path, path::PathBuf, sync::Arc};

use thiserror::Error;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

use crate::tls::pem;

/// Settings of TLS towards the service. All files are PEM and are read once, at start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities to believe. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate and those that lead to an authority, in this order, for mutual TLS.
    pub cert: Option<PathBuf>,
    /// The private key of our certificate.
    pub key: Option<PathBuf>,
    /// The name that the service's certificate must bear, and that is sent as SNI. `None`: the host of
    /// the endpoint.
    pub server_name: Option<String>,
}

/// Something that TLS cannot be done with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {reason}")]
pub struct TlsError {
    /// The key of the configuration.
    pub key: &'static str,
    /// What is wrong, with the path if it is a file.
    pub reason: String,
}

/// What a connection over TLS needs.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file that can't be read or holds something else, a key that isn't the certificate's, a system
    /// without root certificates.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse("authz.tls", error))?
            .with_root_certificates(roots(files.ca.as_deref())?);
        let mut config = match (&files.cert, &files.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                .map_err(|error| {
                    let key = key.display();
                    refuse(
                        "authz.tls.key",
                        format_args!("expected the key of authz.tls.cert, found {key}: {error}"),
                    )
                })?,
            (Some(_), None) => return Err(refuse("authz.tls.key", "expected one beside cert")),
            (None, Some(_)) => return Err(refuse("authz.tls.cert", "expected one beside key")),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            server_name: files.server_name.as_deref().map(server_name).transpose()?,
        })
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        refuse(
            "authz.tls.server_name",
            format_args!("expected a DNS name or an IP address, found {text:?}"),
        )
    })
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    const KEY: &str = "authz.tls.ca";
    if let Some(path) = ca {
        return pem::roots(path).map_err(|error| refuse(KEY, error));
    }
    let mut roots = RootCertStore::empty();
    // A system may hold some that cannot be read; those that can are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let reason = "expected a file: the system has no root certificates";
        return Err(refuse(KEY, reason));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    pem::certificates(path).map_err(|error| refuse("authz.tls.cert", error))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    pem::private_key(path).map_err(|error| refuse("authz.tls.key", error))
}

fn refuse(key: &'static str, reason: impl std::fmt::Display) -> TlsError {
    TlsError {
        key,
        reason: reason.to_string(),
    }
}
