//! Which of those that an authority vouches for may come in.

use std::{collections::HashSet, sync::Arc};

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// Lets in only certificates that bear one of some names.
#[derive(Debug)]
pub(super) struct OnlyNamed {
    verifier: Arc<dyn ClientCertVerifier>,
    names: HashSet<String>,
}

impl OnlyNamed {
    pub(super) fn new(verifier: Arc<dyn ClientCertVerifier>, names: &[String]) -> Self {
        Self {
            verifier,
            names: names.iter().cloned().collect(),
        }
    }

    fn names_one_of_them(&self, certificate: &CertificateDer<'_>) -> bool {
        alternative_names(certificate)
            .is_some_and(|names| names.iter().any(|name| self.names.contains(name)))
    }
}

/// The DNS names and URIs of a certificate; `None` if it can't be read.
fn alternative_names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let found = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>()
        .ok()?;
    let names = found.map_or_else(Vec::new, |(_, SubjectAltName(names))| names);
    let name = |name: GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    };
    Some(names.into_iter().filter_map(name).collect())
}

impl ClientCertVerifier for OnlyNamed {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .verifier
            .verify_client_cert(end_entity, intermediates, now)?;
        if self.names_one_of_them(end_entity) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
