//! From files to what rustls works with.

use std::{path::Path, sync::Arc};

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
        stamp::{Look, Watched},
    },
};

use super::{super::facts, by_name::ByName};

/// The files of a listener's TLS. Each part counts as it was last good: a tenant's broken certificate keeps neither
/// another's nor the list of revoked ones from being renewed.
#[derive(Debug)]
pub(super) struct Parts {
    provider: Arc<CryptoProvider>,
    verifier: (Watched, Option<Arc<dyn ClientCertVerifier>>),
    /// In the order of the configuration.
    certificates: Vec<(Watched, Bearer)>,
}

/// A certificate with its key.
#[derive(Debug)]
struct Bearer {
    key: Arc<CertifiedKey>,
    /// The DNS names that find it.
    names: Vec<String>,
    /// When it expires, in Unix time. `None`: it can't be read.
    not_after: Option<u64>,
}

impl Parts {
    /// Reads all files.
    ///
    /// # Errors
    ///
    /// One that can't be used.
    pub(super) fn read(settings: &ListenerTls) -> Result<Self, PemError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let watched = Watched::new(
            settings
                .client_ca
                .iter()
                .chain(&settings.client_crl)
                .cloned(),
        );
        let verifier = (watched, verifier(settings, &provider)?);
        let certificates = settings.certificates.iter().map(|certificate| {
            let watched = Watched::new([certificate.cert.clone(), certificate.key.clone()]);
            Ok((watched, bearer(certificate, &provider)?))
        });
        Ok(Self {
            certificates: certificates.collect::<Result<_, _>>()?,
            verifier,
            provider,
        })
    }

    /// Reads again what has changed: whether something new counts, and what can't be used.
    pub(super) fn look(&mut self, settings: &ListenerTls) -> (bool, Vec<PemError>) {
        let mut is_new = false;
        let mut failures = Vec::new();
        let (watched, current) = &mut self.verifier;
        take(
            watched.look(|| verifier(settings, &self.provider)),
            current,
            &mut is_new,
            &mut failures,
        );
        for ((watched, current), certificate) in
            self.certificates.iter_mut().zip(&settings.certificates)
        {
            take(
                watched.look(|| bearer(certificate, &self.provider)),
                current,
                &mut is_new,
                &mut failures,
            );
        }
        (is_new, failures)
    }

    /// When each certificate expires, in Unix time. `None`: it can't be read.
    pub(super) fn not_after(&self) -> Vec<Option<u64>> {
        let bearers = self.certificates.iter();
        bearers.map(|(_, bearer)| bearer.not_after).collect()
    }

    /// What rustls works with. `alpn` is the protocol if the settings name none.
    ///
    /// # Errors
    ///
    /// No certificate at all, or no ticket keys.
    pub(super) fn config(
        &self,
        settings: &ListenerTls,
        alpn: &[u8],
    ) -> Result<ServerConfig, PemError> {
        let first = settings.certificates.first();
        let cert = first.map_or(Path::new(""), |certificate| &certificate.cert);
        let unusable = |error: &dyn std::fmt::Display| PemError::new(cert, "a certificate", error);
        let versions = match settings.min_version {
            TlsVersion::V12 => &[&TLS13, &TLS12][..],
            TlsVersion::V13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)
            .map_err(|error| unusable(&error))?;
        let builder = match &self.verifier.1 {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut by_name = ByName::default();
        for (_, bearer) in &self.certificates {
            by_name.add(&bearer.key, &bearer.names);
        }
        if by_name.is_empty() {
            return Err(unusable(&"there is none"));
        }
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
        Ok(config)
    }
}

fn take<T>(
    look: Look<T, PemError>,
    current: &mut T,
    is_new: &mut bool,
    failures: &mut Vec<PemError>,
) {
    match look {
        Look::Unchanged => {}
        Look::New(new) => {
            *current = new;
            *is_new = true;
        }
        Look::Failed(error) => failures.push(error),
    }
}

fn bearer(certificate: &Certificate, provider: &CryptoProvider) -> Result<Bearer, PemError> {
    let key = Arc::new(certified_key(certificate, provider)?);
    let not_after = expiry::not_after(&key.cert);
    expiry::tell("listeners[].tls.certificates", &certificate.cert, not_after);
    let names = match key.cert.first().map(facts::names) {
        Some(Ok(names)) => names.dns,
        // One that is found by no name.
        Some(Err(_)) | None => Vec::new(),
    };
    Ok(Bearer {
        key,
        names,
        not_after,
    })
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
        // A list whose time is over says nothing of those who were revoked since: nobody gets in by it.
        let lists = pem::revocation_lists(path)?;
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if asked == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    let path = settings.client_crl.as_ref().unwrap_or(ca);
    let unusable = |error| PemError::new(path, "usable authorities and lists", error);
    builder.build().map(Some).map_err(unusable)
}
