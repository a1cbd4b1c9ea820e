//! What a certificate says, in the words of the contract.

use sha2::{Digest as _, Sha256};
use tidegate_proto::v1;
use tokio_rustls::rustls::{ProtocolVersion, ServerConnection, pki_types::CertificateDer};
use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// What is known of a client after the handshake of TLS.
///
/// # Errors
///
/// `verified` is the client's certificate, and it can't be read: who can't be named is not let in.
pub(super) fn of(connection: &ServerConnection, forward: bool) -> Result<v1::TlsInfo, Unreadable> {
    let mut facts = v1::TlsInfo {
        sni: connection.server_name().unwrap_or_default().to_owned(),
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "",
        }
        .to_owned(),
        ..v1::TlsInfo::default()
    };
    // rustls keeps a certificate only if its verifier has accepted it.
    if let Some([leaf, ..]) = connection.peer_certificates() {
        let names = names(leaf)?;
        facts.peer_verified = true;
        facts.peer_sha256 = Sha256::digest(leaf).to_vec().into();
        facts.peer_subject = names.subject;
        facts.peer_dns_sans = names.dns;
        facts.peer_uri_sans = names.uris;
        if forward {
            facts.peer_certificate_der = leaf.to_vec().into();
        }
    }
    Ok(facts)
}

/// A certificate that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a certificate that can't be read")]
pub(super) struct Unreadable;

/// The names that a certificate bears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// RFC 4514.
    pub(super) subject: String,
    pub(super) dns: Vec<String>,
    pub(super) uris: Vec<String>,
}

/// Reads the names that a certificate bears.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Result<Names, Unreadable> {
    let certificate = Certificate::from_der(certificate).map_err(|_| Unreadable)?;
    let certificate = certificate.tbs_certificate();
    let mut names = Names {
        subject: certificate.subject().to_string(),
        ..Names::default()
    };
    let alternatives = certificate.get_extension::<SubjectAltName>();
    let alternatives = alternatives.map_err(|_| Unreadable)?;
    let alternatives = alternatives.map_or_else(Vec::new, |(_, SubjectAltName(names))| names);
    for name in alternatives {
        match name {
            GeneralName::DnsName(name) => names.dns.push(name.to_string()),
            GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
            _ => {}
        }
    }
    Ok(names)
}
