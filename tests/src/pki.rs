//! Certificates that are made for one test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// An authority, with a folder for its files. All are PEM.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    issued: AtomicU32,
}

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// An authority that nobody knows yet.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be taken for each other, and the signature be wrong.
        let name = format!("authority {:016x}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a temporary file");
        Self {
            issuer,
            folder,
            issued: AtomicU32::new(0),
        }
    }

    /// The file with its own certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a name, or an address.
    #[must_use]
    pub fn issue(&self, name: &str) -> Identity {
        self.sign(&params(name))
    }

    /// The same, of times gone by.
    #[must_use]
    pub fn issue_expired(&self, name: &str) -> Identity {
        let mut params = params(name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.sign(&params)
    }

    /// The same, good for so many days from now on.
    ///
    /// # Panics
    /// If the clock is before 1970.
    #[must_use]
    pub fn issue_for_days(&self, name: &str, days: u64) -> Identity {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let until = now.expect("a clock") + Duration::from_secs(days * 24 * 3600);
        let mut params = params(name);
        params.not_after = date_time_ymd(1970, 1, 1) + until;
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate of this authority");
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let write = |kind: &str, text: &str| {
            let path = self.folder.path().join(format!("{number}.{kind}.pem"));
            fs::write(&path, text).expect("a temporary file");
            path
        };
        Identity {
            cert: write("cert", &certificate.pem()),
            key: write("key", &key.serialize_pem()),
        }
    }
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).expect("a name or an address")
}

/// Puts one file in the place of another in one step, as whoever renews certificates should.
///
/// # Panics
/// If there is no room for it.
pub fn replace(target: &Path, source: &Path) {
    let beside = target.with_extension("new");
    fs::copy(source, &beside).expect("a copy beside the target");
    fs::rename(&beside, target).expect("a file in the place of another");
}
