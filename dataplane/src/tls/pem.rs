//! Files in PEM: certificates, keys, authorities, lists of revoked certificates.
//!
//! Each error names the file and what was expected in it, and nothing of its content.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use thiserror::Error;
use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
};

/// A file that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {expected} in {}: {reason}", path.display())]
pub(crate) struct PemError {
    path: PathBuf,
    expected: &'static str,
    reason: String,
}

impl PemError {
    pub(crate) fn new(path: &Path, expected: &'static str, reason: impl Display) -> Self {
        Self {
            path: path.to_owned(),
            expected,
            reason: reason.to_string(),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a private key was expected in it.
    pub(crate) fn is_about_a_key(&self) -> bool {
        self.expected.contains(" key ")
    }
}

/// The certificates in a file, in its order; at least one.
///
/// # Errors
///
/// A file that can't be read, or holds no certificate.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    all(path, "certificates in PEM")
}

/// The first private key in a file: PKCS #8, PKCS #1 or SEC 1.
///
/// # Errors
///
/// A file that can't be read, or holds no private key.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| PemError::new(path, "a private key in PEM", error))
}

/// The authorities in a file; at least one.
///
/// # Errors
///
/// As [`certificates`], and a certificate that can't be read.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| PemError::new(path, "a certificate", error))?;
    }
    Ok(roots)
}

/// The lists of revoked certificates in a file; at least one.
///
/// # Errors
///
/// A file that can't be read, or holds no list.
pub(crate) fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    all(path, "certificate revocation lists in PEM")
}

fn all<T: PemObject>(path: &Path, expected: &'static str) -> Result<Vec<T>, PemError> {
    let found = T::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| PemError::new(path, expected, error))?;
    if found.is_empty() {
        return Err(PemError::new(path, expected, "there is none"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_and_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        std::fs::write(&path, "").unwrap();
        let said = |error: PemError| error.to_string().replace(&path.display().to_string(), "F");
        assert_eq!(
            said(certificates(&path).unwrap_err()),
            "expected certificates in PEM in F: there is none"
        );
        assert_eq!(
            said(roots(&path).unwrap_err()),
            "expected certificates in PEM in F: there is none"
        );
        assert_eq!(
            said(revocation_lists(&path).unwrap_err()),
            "expected certificate revocation lists in PEM in F: there is none"
        );
        assert!(
            said(private_key(&path).unwrap_err())
                .starts_with("expected a private key in PEM in F: ")
        );
        let absent = folder.path().join("absent.pem");
        assert!(certificates(&absent).is_err());
    }
}
