//! Certificates that are made for one run.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use tempfile::TempDir;

/// The kind of its key, which is most of what a handshake costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ECDSA with the curve P-256.
    EcdsaP256,
    /// RSA with 2,048 bits.
    Rsa2048,
}

/// A certificate that signs itself, in files as programs want them.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy has it.
    pub(crate) both: PathBuf,
    _folder: TempDir,
}

impl Certificate {
    /// Its only name.
    pub(crate) const NAME: &str = "gate.example";

    pub(crate) fn make(kind: Kind) -> anyhow::Result<Self> {
        let key = match kind {
            Kind::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Kind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let key = key.context("no key")?;
        let params = CertificateParams::new([Self::NAME.to_owned()])?;
        let cert = params.self_signed(&key).context("no certificate")?.pem();
        let key = key.serialize_pem();
        let folder = tempfile::tempdir()?;
        let write = |name, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).map(|()| path)
        };
        Ok(Self {
            cert: write("cert.pem", &cert)?,
            key: write("key.pem", &key)?,
            both: write("both.pem", &format!("{cert}{key}"))?,
            _folder: folder,
        })
    }
}
