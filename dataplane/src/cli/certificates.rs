//! `certificates`: what TLS needs in the first minute, for trying out.
//!
//! An authority is made, signs, and is forgotten: its key is never written, so nobody can sign by it later.
//!
//! ```text
//! DIR/ca.crt                               the authority, for clients
//! DIR/gate/ca.crt, server.crt, server.key  for listeners
//! DIR/gate/client.crt, client.key          for `authz.tls`, with --service only
//! DIR/authz/ca.crt, server.crt, server.key for `tls` of the service, with --service only
//! ```

#[cfg(test)]
mod tests;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use thiserror::Error;

use crate::tls::{expiry, pem};

/// The DNS name in the certificate that the gate shows to the service (`tls.client_names` there).
const GATE: &str = "tidegate";

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Clocks of machines that begin together may differ.
const BEFORE: Duration = Duration::from_secs(3600);

/// Where, for whom, and for how long.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder. What it holds is never overwritten: if all is there, nothing is done.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A name or address by which clients reach the gate; may be repeated.
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    names: Vec<String>,
    /// A name or address by which the gate reaches the authorization service; may be repeated. Makes what mutual
    /// TLS between the two needs.
    #[arg(long = "service", value_name = "NAME")]
    services: Vec<String>,
    /// How long they are good.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=825))]
    days: u32,
}

/// Why there are no certificates.
#[derive(Debug, Error)]
enum CertificatesError {
    #[error(
        "{} is there, and {} is not: nothing is overwritten, remove the former or choose another folder",
        there.display(), missing.display()
    )]
    Partial { there: PathBuf, missing: PathBuf },
    #[error("{} has expired: remove the folder's files to get new ones", .0.display())]
    Expired(PathBuf),
    #[error(transparent)]
    Unreadable(#[from] pem::PemError),
    #[error("cannot write {}: {reason}", path.display())]
    Write { path: PathBuf, reason: io::Error },
    #[error("cannot make a certificate for {names}: {reason}")]
    Make { names: String, reason: rcgen::Error },
}

/// A file to be.
struct File {
    path: PathBuf,
    text: String,
    is_secret: bool,
}

/// What is in the folder now.
enum Present {
    Nothing,
    /// All that is wanted, and nothing of it has expired.
    All,
}

/// Makes them, unless they are there.
pub(super) fn make(arguments: &Arguments) -> ExitCode {
    match ensure(arguments) {
        Ok(told) => super::print(&told),
        Err(error) => {
            eprintln!("tidegate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ensure(arguments: &Arguments) -> Result<String, CertificatesError> {
    let dir = arguments.dir.display();
    if let Present::All = present(arguments)? {
        return Ok(format!("{dir} has certificates already; they stay\n"));
    }
    for file in files(arguments)? {
        write(&file).map_err(|reason| CertificatesError::Write {
            path: file.path,
            reason,
        })?;
    }
    Ok(format!(
        "made certificates in {dir}, good for {} days, for trying out: no authority that anybody knows stands behind them\n",
        arguments.days
    ))
}

/// The files that there have to be, by the folder's own paths.
fn wanted(arguments: &Arguments) -> Vec<PathBuf> {
    let mut wanted = vec![
        "ca.crt",
        "gate/ca.crt",
        "gate/server.crt",
        "gate/server.key",
    ];
    if !arguments.services.is_empty() {
        wanted.extend(["gate/client.crt", "gate/client.key"]);
        wanted.extend(["authz/ca.crt", "authz/server.crt", "authz/server.key"]);
    }
    let wanted = wanted.into_iter();
    wanted.map(|name| arguments.dir.join(name)).collect()
}

/// A part of them counts as an error: certificates of two authorities would not fit together.
fn present(arguments: &Arguments) -> Result<Present, CertificatesError> {
    // A link to nowhere is there, too.
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let (there, missing): (Vec<_>, Vec<_>) = wanted(arguments).into_iter().partition(is_there);
    match (there.first(), missing.first()) {
        (None, _) => Ok(Present::Nothing),
        (Some(there), Some(missing)) => Err(CertificatesError::Partial {
            there: there.clone(),
            missing: missing.clone(),
        }),
        (Some(_), None) => {
            let is_certificate =
                |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "crt");
            there
                .iter()
                .filter(is_certificate)
                .try_for_each(|path| refuse_expired(path))?;
            Ok(Present::All)
        }
    }
}

fn refuse_expired(path: &Path) -> Result<(), CertificatesError> {
    let not_after = expiry::not_after(&pem::certificates(path)?);
    let not_after = Duration::from_secs(not_after.unwrap_or_default());
    if now() < not_after {
        Ok(())
    } else {
        Err(CertificatesError::Expired(path.to_owned()))
    }
}

fn files(arguments: &Arguments) -> Result<Vec<File>, CertificatesError> {
    let authority = Authority::new(arguments.days)?;
    let mut files = vec![
        File::open(arguments.dir.join("ca.crt"), authority.pem()),
        File::open(arguments.dir.join("gate/ca.crt"), authority.pem()),
    ];
    let mut issue = |file: &str, names: &[String], purpose| {
        let made = authority.issue(file, names, purpose).map_err(|reason| {
            let names = names.join(", ");
            CertificatesError::Make { names, reason }
        });
        let (certificate, key) = made?;
        let path = |kind| arguments.dir.join(format!("{file}.{kind}"));
        files.push(File::secret(path("key"), key));
        files.push(File::open(path("crt"), certificate));
        Ok::<(), CertificatesError>(())
    };
    let (server, client) = (
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    );
    issue("gate/server", &arguments.names, server.clone())?;
    if !arguments.services.is_empty() {
        issue("gate/client", &[GATE.to_owned()], client)?;
        issue("authz/server", &arguments.services, server)?;
        let ca = arguments.dir.join("authz/ca.crt");
        files.push(File::open(ca, authority.pem()));
    }
    Ok(files)
}

/// Never over what is there.
fn write(file: &File) -> io::Result<()> {
    if let Some(folder) = file.path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mode = if file.is_secret { 0o600 } else { 0o644 };
    let mut options = OpenOptions::new();
    let mut open = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&file.path)?;
    open.write_all(file.text.as_bytes())
}

impl File {
    fn open(path: PathBuf, text: String) -> Self {
        let is_secret = false;
        Self {
            path,
            text,
            is_secret,
        }
    }

    fn secret(path: PathBuf, text: String) -> Self {
        let is_secret = true;
        Self {
            path,
            text,
            is_secret,
        }
    }
}

/// Somebody who signs for as long as this program runs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    days: u32,
}

impl Authority {
    fn new(days: u32) -> Result<Self, CertificatesError> {
        // Two of one name would be taken for each other.
        let name = format!("Tidegate for trying out {:08x}", fastrand::u32(..));
        let make = || {
            let mut params = params(&[], &name, days)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        match make() {
            Ok(issuer) => Ok(Self { issuer, days }),
            Err(reason) => Err(CertificatesError::Make {
                names: name,
                reason,
            }),
        }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names, and its key, both in PEM.
    fn issue(
        &self,
        name: &str,
        names: &[String],
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<(String, String), rcgen::Error> {
        let mut params = params(names, name, self.days)?;
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn params(
    names: &[String],
    common_name: &str,
    days: u32,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now().saturating_sub(BEFORE);
    params.not_after = epoch + now() + A_DAY * days;
    Ok(params)
}

/// Since 1970. A clock before that counts as 1970.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}
