//! TLS as the side that connects: whom to believe, and who we are.

mod reloading;

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};

#[cfg(test)]
pub(crate) use self::reloading::LOOK_EVERY;
pub(crate) use self::reloading::Reloading;

use super::{expiry, pem};
use crate::metrics::TlsSide;

/// Settings of TLS towards a server. All files are PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities to believe. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate and those that lead to an authority, in this order, for mutual TLS.
    pub cert: Option<PathBuf>,
    /// The private key of our certificate.
    pub key: Option<PathBuf>,
    /// The name that the server's certificate must bear, and that is sent as SNI. `None`: the host that
    /// is connected to.
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

/// The keys of the configuration that settings come from, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    /// Who is at the other side.
    pub(crate) side: TlsSide,
    pub(crate) section: &'static str,
    pub(crate) ca: &'static str,
    pub(crate) cert: &'static str,
    pub(crate) key: &'static str,
    pub(crate) server_name: &'static str,
}

/// What the files say.
#[derive(Debug)]
struct Loaded {
    config: Arc<ClientConfig>,
    /// When our own certificate expires, in Unix time.
    not_after: Option<u64>,
}

/// Reads the files.
///
/// # Errors
///
/// A file that can't be read or holds something else, a key that isn't the certificate's, a system
/// without root certificates.
fn load(keys: Keys, files: &TlsFiles, alpn: &[u8]) -> Result<Loaded, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(keys.section, error))?
        .with_root_certificates(roots(keys, files.ca.as_deref())?);
    let mut not_after = None;
    let mut config = match (&files.cert, &files.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = pem::certificates(cert).map_err(|error| refuse(keys.cert, error))?;
            let private = pem::private_key(key).map_err(|error| refuse(keys.key, error))?;
            not_after = expiry::not_after(&chain);
            expiry::tell(keys.cert, cert, not_after);
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| {
                    let (cert, key) = (keys.cert, key.display());
                    refuse(
                        keys.key,
                        format_args!("expected the key of {cert}, found {key}: {error}"),
                    )
                })?
        }
        (Some(_), None) => return Err(refuse(keys.key, "expected one beside cert")),
        (None, Some(_)) => return Err(refuse(keys.cert, "expected one beside key")),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Loaded {
        config: Arc::new(config),
        not_after,
    })
}

/// The name that a server's certificate has to bear.
///
/// # Errors
///
/// Neither a DNS name nor an IP address.
pub(crate) fn server_name(keys: Keys, text: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        refuse(
            keys.server_name,
            format_args!("expected a DNS name or an IP address, found {text:?}"),
        )
    })
}

fn roots(keys: Keys, ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    if let Some(path) = ca {
        return pem::roots(path).map_err(|error| refuse(keys.ca, error));
    }
    let mut roots = RootCertStore::empty();
    // A system may hold some that cannot be read; those that can are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let reason = "expected a file: the system has no root certificates";
        return Err(refuse(keys.ca, reason));
    }
    Ok(roots)
}

fn refuse(key: &'static str, reason: impl Display) -> TlsError {
    TlsError {
        key,
        reason: reason.to_string(),
    }
}
