//! Files in PEM. Each error names the file and what was expected in it, and nothing of its content.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use thiserror::Error;
use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A file that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {expected} in {}: {reason}", path.display())]
pub struct PemError {
    path: PathBuf,
    expected: &'static str,
    reason: String,
}

impl PemError {
    pub(super) fn new(path: &Path, expected: &'static str, reason: impl Display) -> Self {
        Self {
            path: path.to_owned(),
            expected,
            reason: reason.to_string(),
        }
    }
}

/// The certificates in a file, in its order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let wrong = |reason: &dyn Display| PemError::new(path, "certificates in PEM", reason);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(&error))?
        .collect();
    let found = found.map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&"there is none"));
    }
    Ok(found)
}

/// The first private key in a file: PKCS #8, PKCS #1 or SEC 1.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| PemError::new(path, "a private key in PEM", error))
}

/// The authorities in a file; at least one.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| PemError::new(path, "a certificate of an authority", error))?;
    }
    Ok(roots)
}
