//! Which certificate a client gets: by the name that it asks for.

use std::{collections::HashMap, sync::Arc};

use tokio_rustls::rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Certificates, by the names that they bear.
#[derive(Debug)]
pub(super) struct ByName {
    /// For those who ask for no name, or for one that no certificate bears.
    first: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what stands behind `*.`.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn new(first: Arc<CertifiedKey>) -> Self {
        Self {
            first,
            exact: HashMap::new(),
            wildcards: HashMap::new(),
        }
    }

    /// Adds a name. Of two certificates for one name, the first counts.
    pub(super) fn add(&mut self, name: &str, key: &Arc<CertifiedKey>) {
        let name = name.to_ascii_lowercase();
        let (map, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcards, parent.to_owned()),
            None => (&mut self.exact, name),
        };
        map.entry(name).or_insert_with(|| Arc::clone(key));
    }

    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return &self.first;
        };
        // A wildcard stands for one label (RFC 6125, 6.4.3).
        let parent = || name.split_once('.').map(|(_, parent)| parent);
        self.exact
            .get(&name)
            .or_else(|| self.wildcards.get(parent()?))
            .unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.find(hello.server_name())))
    }
}
