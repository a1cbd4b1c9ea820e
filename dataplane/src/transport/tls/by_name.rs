//! Which certificate a client gets: by the name that it asks for.

use std::{collections::HashMap, sync::Arc};

use tokio_rustls::rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Certificates for the same name, in the order of the configuration: an old client may know one kind of key only.
type Keys = Vec<Arc<CertifiedKey>>;

/// Certificates, by the names that they bear.
#[derive(Debug, Default)]
pub(super) struct ByName {
    /// For those who ask for no name, or for one that no certificate bears: all, the first first.
    all: Keys,
    exact: HashMap<String, Keys>,
    /// By what stands behind `*.`.
    wildcards: HashMap<String, Keys>,
}

impl ByName {
    /// Adds a certificate with its names. Of two for one name, the first counts with which the client can do.
    pub(super) fn add(&mut self, key: &Arc<CertifiedKey>, names: &[String]) {
        self.all.push(Arc::clone(key));
        for name in names {
            let name = name.to_ascii_lowercase();
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcards, parent.to_owned()),
                None => (&mut self.exact, name),
            };
            map.entry(name).or_default().push(Arc::clone(key));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn find(&self, name: Option<&str>) -> &Keys {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return &self.all;
        };
        // A wildcard stands for one label (RFC 6125, 6.4.3).
        let parent = || name.split_once('.').map(|(_, parent)| parent);
        self.exact
            .get(&name)
            .or_else(|| self.wildcards.get(parent()?))
            .unwrap_or(&self.all)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.find(hello.server_name());
        let fits = |key: &&Arc<CertifiedKey>| can_use(key, hello.signature_schemes());
        // With none that fits, the handshake fails by the first, and says why.
        keys.iter().find(fits).or(keys.first()).cloned()
    }
}

fn can_use(key: &CertifiedKey, offered: &[SignatureScheme]) -> bool {
    key.key.choose_scheme(offered).is_some()
}
