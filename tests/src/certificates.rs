//! Certificates that are made for one test.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// An authority, and a folder with what it issues. Clients find the gate at [`Authority::GATE`].
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// The name of the gate.
    pub const GATE: &str = "gate.example";

    /// The common name of the device that the certificate in `device.crt` is for.
    pub const DEVICE: &str = "device-4711";

    /// Makes an authority with a certificate for the gate, valid for its name and for 127.0.0.1, and one
    /// for a device.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it does a lot")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let authority = Self {
            issuer,
            folder: TempDir::new().expect("a temporary folder"),
        };
        fs::write(authority.ca(), authority.issuer.pem()).expect("a file");
        authority.renew();
        let uri = format!("spiffe://example/{}", Self::DEVICE);
        let uri = SanType::URI(uri.try_into().expect("ASCII"));
        authority.issue("device", &[Self::DEVICE], vec![uri]);
        authority
    }

    /// Makes a new certificate for the gate, in the place of the old one.
    pub fn renew(&self) {
        self.issue("gate", &[Self::GATE, "127.0.0.1"], Vec::new());
    }

    fn issue(&self, file: &str, names: &[&str], more: Vec<SanType>) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        params.subject_alt_names.extend(more);
        params.distinguished_name.push(DnType::CommonName, file);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        // Each by a move, as who renews certificates does it.
        for (to, text) in [
            (self.path(&format!("{file}.key")), key.serialize_pem()),
            (self.path(&format!("{file}.crt")), certificate.pem()),
        ] {
            let new = to.with_extension("new");
            fs::write(&new, text).expect("a file");
            fs::rename(new, to).expect("a file that can be moved");
        }
    }

    /// The file of a name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// The certificate in a file, as it travels.
    #[must_use]
    pub fn der(&self, name: &str) -> Vec<u8> {
        chain(self.path(name))[0].to_vec()
    }

    /// A client that believes this authority, shows the certificate of the device if `mutual`, and offers
    /// these protocols.
    #[must_use]
    pub fn client(&self, mutual: bool, alpn: &[&str]) -> Arc<ClientConfig> {
        Self::config(self, mutual.then_some(self), alpn)
    }

    /// A client that believes the authority behind a gate, and shows the certificate of this one's device.
    #[must_use]
    pub fn stranger_to(&self, gates: &Self) -> Arc<ClientConfig> {
        Self::config(gates, Some(self), &[])
    }

    fn config(believed: &Self, shown: Option<&Self>, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(believed.ca()) {
            roots.add(certificate).expect("an authority");
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let key = authority.path("device.key");
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                let chain = chain(authority.path("device.crt"));
                builder.with_client_auth_cert(chain, key).expect("its key")
            }
        };
        config.alpn_protocols = alpn.iter().map(|word| word.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A client that believes the authority in a file, shows nothing, and offers these protocols.
///
/// # Panics
/// If there is no authority in it.
#[must_use]
pub fn client_of(authority: PathBuf, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(authority) {
        roots.add(certificate).expect("an authority");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|word| word.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn chain(path: PathBuf) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .expect("certificates")
}
