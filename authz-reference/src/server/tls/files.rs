//! From files to what rustls works with.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use tokio_rustls::rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use x509_cert::{Certificate, der::Decode as _};

use super::{
    names::OnlyNamed,
    pem::{self, PemError},
};
use crate::config::TlsConfig;

/// HTTP/2, without which there is no gRPC.
const ALPN: &[u8] = b"h2";

/// What tells whether files have changed, without reading them. A link counts as what it leads to, so that files that
/// are swapped by moving a link (as in Kubernetes) count as changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State(Vec<Option<FileState>>);

/// Device, inode, size, and time of the last change in seconds and nanoseconds.
type FileState = (u64, u64, u64, i64, i64);

impl State {
    pub(super) fn of(settings: &TlsConfig) -> Self {
        Self(settings.files().map(state).collect())
    }
}

fn state(path: &PathBuf) -> Option<FileState> {
    let data = fs::metadata(path).ok()?;
    let time = (data.mtime(), data.mtime_nsec());
    Some((data.dev(), data.ino(), data.size(), time.0, time.1))
}

/// Reads all files; also until when the certificate is valid. `None`: there is to be no TLS.
pub(super) fn read(settings: &TlsConfig) -> Result<Option<(ServerConfig, SystemTime)>, PemError> {
    let (Some(cert), Some(key)) = (&settings.cert, &settings.key) else {
        return Ok(None);
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = pem::certificates(cert)?;
    let expires =
        expires(&chain).ok_or_else(|| PemError::new(cert, "a certificate", "it cannot be read"))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| PemError::new(cert, "a certificate", error))?;
    let builder = match &settings.client_ca {
        Some(ca) => builder.with_client_cert_verifier(verifier(ca, settings, &provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, pem::private_key(key)?)
        .map_err(|error| PemError::new(key, "the key of the certificate", error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A session that is resumed does not show its certificate again: it may have expired. Data planes connect rarely.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Some((config, expires)))
}

fn verifier(
    ca: &Path,
    settings: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, PemError> {
    let roots = Arc::new(pem::roots(ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| PemError::new(ca, "usable authorities", error))?;
    Ok(match settings.client_names.as_slice() {
        [] => verifier,
        names => Arc::new(OnlyNamed::new(verifier, names)),
    })
}

fn expires(chain: &[tokio_rustls::rustls::pki_types::CertificateDer<'_>]) -> Option<SystemTime> {
    let leaf = Certificate::from_der(chain.first()?).ok()?;
    Some(leaf.tbs_certificate().validity().not_after.to_system_time())
}
