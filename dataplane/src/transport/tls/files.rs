//! From files to what rustls works with.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::{
    config::{Certificate, ClientCertificates, ListenerTls, TlsVersion},
    tls::{
        expiry,
        pem::{self, PemError},
    },
};

use super::{super::facts, by_name::ByName};

/// What tells whether files have changed, without reading them. A link counts as what it leads to, so that
/// files that are swapped by moving a link (as in Kubernetes) count as changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State(Vec<Option<FileState>>);

/// Device, inode, size, and time of the last change in seconds and nanoseconds.
type FileState = (u64, u64, u64, i64, i64);

impl State {
    pub(super) fn of(settings: &ListenerTls) -> Self {
        let certificates = settings.certificates.iter();
        let paths = certificates
            .flat_map(|certificate| [&certificate.cert, &certificate.key])
            .chain(&settings.client_ca)
            .chain(&settings.client_crl);
        Self(paths.map(state).collect())
    }
}

fn state(path: &PathBuf) -> Option<FileState> {
    let data = fs::metadata(path).ok()?;
    Some((
        data.dev(),
        data.ino(),
        data.size(),
        data.mtime(),
        data.mtime_nsec(),
    ))
}

/// What the files say.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// When each certificate expires, in Unix time. `None`: it can't be read.
    pub(super) not_after: Vec<Option<u64>>,
}

/// Reads all files. `alpn` is the protocol if the settings name none.
pub(super) fn read(settings: &ListenerTls, alpn: &[u8]) -> Result<Loaded, PemError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let first = settings.certificates.first();
    let cert = first.map_or(Path::new(""), |certificate| &certificate.cert);
    let unusable = |error: &dyn std::fmt::Display| PemError::new(cert, "a certificate", error);
    let versions = match settings.min_version {
        TlsVersion::V12 => &[&TLS13, &TLS12][..],
        TlsVersion::V13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| unusable(&error))?;
    let builder = match verifier(settings, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (by_name, not_after) = by_name(settings, &provider)?;
    let mut config = builder.with_cert_resolver(Arc::new(by_name));
    config.alpn_protocols = match &settings.alpn {
        Some(protocols) => protocols
            .iter()
            .map(|word| word.clone().into_bytes())
            .collect(),
        None => vec![alpn.to_vec()],
    };
    if settings.client_certificates == ClientCertificates::None {
        // Tickets keep the state with the clients, and reconnects cheap.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| unusable(&error))?;
        config.send_tls13_tickets = 1;
    } else {
        // A session that is resumed does not show its certificate again: it may have expired, or been revoked.
        config.send_tls13_tickets = 0;
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // A CONNECT that is sent twice would be asked about twice.
    config.max_early_data_size = 0;
    Ok(Loaded {
        config: Arc::new(config),
        not_after,
    })
}

/// The certificates, and when they expire.
fn by_name(
    settings: &ListenerTls,
    provider: &CryptoProvider,
) -> Result<(ByName, Vec<Option<u64>>), PemError> {
    let mut by_name: Option<ByName> = None;
    let mut not_after = Vec::new();
    for certificate in &settings.certificates {
        let key = Arc::new(certified_key(certificate, provider)?);
        let end = expiry::not_after(&key.cert);
        expiry::tell("listeners[].tls.certificates", &certificate.cert, end);
        not_after.push(end);
        let names = match key.cert.first().map(facts::names) {
            Some(Ok(names)) => names.dns,
            // One that only the first can be: it is found by no name.
            Some(Err(_)) | None => Vec::new(),
        };
        let by_name = by_name.get_or_insert_with(|| ByName::new(Arc::clone(&key)));
        for name in names {
            by_name.add(&name, &key);
        }
    }
    let by_name = by_name
        .ok_or_else(|| PemError::new(Path::new(""), "at least one certificate", "there is none"))?;
    Ok((by_name, not_after))
}

fn certified_key(
    certificate: &Certificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, PemError> {
    let chain = pem::certificates(&certificate.cert)?;
    let key = pem::private_key(&certificate.key)?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| PemError::new(&certificate.key, "the key of the certificate", error))
}

fn verifier(
    settings: &ListenerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, PemError> {
    let asked = settings.client_certificates;
    if asked == ClientCertificates::None {
        return Ok(None);
    }
    let Some(ca) = &settings.client_ca else {
        let path = Path::new("listeners[].tls.client_ca");
        return Err(PemError::new(path, "certificates in PEM", "there is none"));
    };
    let roots = Arc::new(pem::roots(ca)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    if let Some(path) = &settings.client_crl {
        builder = builder.with_crls(pem::revocation_lists(path)?);
    }
    if asked == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    let path = settings.client_crl.as_ref().unwrap_or(ca);
    let unusable = |error| PemError::new(path, "usable authorities and lists", error);
    builder.build().map(Some).map_err(unusable)
}
