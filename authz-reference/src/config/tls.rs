//! `[tls]`: the certificate of the gRPC server, and whose certificates it wants to see.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;

use super::invalid;

/// TLS of the gRPC server. Without `cert` and `key` there is none. The files are read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate and those that lead to an authority, in this order, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Authorities in PEM. With it, only who shows a certificate of theirs may call (mutual TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whose certificates may call: one of these must be among the DNS names or URIs of the certificate, exactly.
    /// Empty: whoever `client_ca` vouches for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client_names: Vec<String>,
}

impl TlsConfig {
    /// The files, in the order of the keys.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert, &self.key, &self.client_ca]
            .into_iter()
            .flatten()
    }

    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        let path = |path: &Option<PathBuf>| {
            path.as_ref()
                .map_or_else(String::new, |path| path.display().to_string())
        };
        if self.cert.is_some() != self.key.is_some() {
            let (key, found) = match &self.cert {
                Some(_) => ("tls.cert", path(&self.cert)),
                None => ("tls.key", path(&self.key)),
            };
            return Err(invalid(
                tree,
                key,
                &found,
                "`tls.cert` and `tls.key`, or neither",
            ));
        }
        if self.client_ca.is_some() && self.cert.is_none() {
            let found = path(&self.client_ca);
            return Err(invalid(
                tree,
                "tls.client_ca",
                &found,
                "`tls.cert` beside it",
            ));
        }
        if let Some(name) = self.client_names.first()
            && self.client_ca.is_none()
        {
            return Err(invalid(
                tree,
                "tls.client_names",
                name,
                "`tls.client_ca` beside it",
            ));
        }
        Ok(())
    }

    pub(super) fn relative_to(self, folder: &Path) -> Self {
        let join = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        Self {
            cert: join(self.cert),
            key: join(self.key),
            client_ca: join(self.client_ca),
            client_names: self.client_names,
        }
    }
}
