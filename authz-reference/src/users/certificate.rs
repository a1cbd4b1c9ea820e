//! Users whom their client certificate names. For the configuration see [`crate::config::certificate`].
//!
//! Only a certificate that the data plane has verified counts, and what it says is believed as far as its authority
//! is: name only authorities to the listener that make certificates for users, or narrow the names down with
//! `uri_prefix`, `dns_suffix`, `allow` and `listeners`. A certificate that names nobody is for another source; one
//! that names several users, or one that may not log in so, is refused.

use tidegate_proto::v1::TlsInfo;

use super::{
    Account,
    source::{Found, Login, SourceError, UserSource, Verified},
};
use crate::{
    config::certificate::{CertificateConfig, NameFrom},
    deadline::Deadline,
    identity::UserName,
    policy::Refusal,
};

mod pattern;
mod subject;
#[cfg(test)]
mod tests;

/// What the configuration calls it, and its rule.
const NAME: &str = "certificate";

/// Knows who a certificate is.
#[derive(Debug)]
pub struct Certificates(CertificateConfig);

impl Certificates {
    /// There is nothing to open.
    #[must_use]
    pub fn new(config: &CertificateConfig) -> Self {
        Self(config.clone())
    }

    fn judge(&self, login: &Login<'_>) -> Found {
        let config = &self.0;
        let listeners = &config.listeners;
        let here = listeners.is_empty() || listeners.iter().any(|name| name == login.listener);
        let Some(tls) = login.tls.filter(|tls| tls.peer_verified && here) else {
            return Found::NotMine;
        };
        let named = config.from.iter().map(|&from| self.names(tls, from));
        let Some(names) = named.into_iter().find(|names| !names.is_empty()) else {
            return Found::NotMine;
        };
        let [name] = names.as_slice() else {
            return Found::Refused(Refusal::Credential("certificate-ambiguous"));
        };
        let Ok(name) = UserName::new(name) else {
            return Found::Refused(Refusal::UserName);
        };
        let allowed = |pattern: &String| pattern::matches(pattern, name.as_str());
        if !config.allow.iter().any(allowed) {
            return Found::Refused(Refusal::Credential("certificate-not-allowed"));
        }
        let other = |username| username != name.as_str();
        if config.require_same_username && login.username.is_some_and(other) {
            return Found::Refused(Refusal::Credential("certificate-username"));
        }
        Found::Verified(Verified {
            name,
            account: Account {
                roles: config.roles.clone(),
                ..Account::default()
            },
            expires_at: None,
            rule: NAME,
        })
    }

    /// Whom one part of the certificate names, each once.
    fn names(&self, tls: &TlsInfo, from: NameFrom) -> Vec<String> {
        let config = &self.0;
        let mut names: Vec<String> = match from {
            NameFrom::Uri => {
                let rest = |uri: &String| uri.strip_prefix(&config.uri_prefix).map(str::to_owned);
                tls.peer_uri_sans.iter().filter_map(rest).collect()
            }
            NameFrom::Dns => {
                let rest = |name: &String| name.strip_suffix(&config.dns_suffix).map(str::to_owned);
                tls.peer_dns_sans.iter().filter_map(rest).collect()
            }
            NameFrom::CommonName => subject::common_names(&tls.peer_subject),
        };
        names.sort();
        names.dedup();
        names
    }
}

#[tonic::async_trait]
impl UserSource for Certificates {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn find(&self, login: &Login<'_>, _: Deadline) -> Result<Found, SourceError> {
        Ok(self.judge(login))
    }
}
