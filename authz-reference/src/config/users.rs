//! `[users]`: who may log in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;

use super::{certificate::CertificateConfig, http::HttpConfig, jwt::JwtConfig};

/// Who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// The users file.
    pub file: PathBuf,
    /// `[users.http]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// `[users.jwt]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
    /// `[users.certificate]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateConfig>,
}

impl UsersConfig {
    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        if let Some(http) = &self.http {
            http.check(tree)?;
        }
        if let Some(jwt) = &self.jwt {
            jwt.check(tree)?;
        }
        if let Some(certificate) = &self.certificate {
            certificate.check(tree)?;
        }
        Ok(())
    }

    pub(super) fn relative_to(self, folder: &Path) -> Self {
        Self {
            file: folder.join(self.file),
            http: self.http.map(|http| http.relative_to(folder)),
            jwt: self.jwt.map(|jwt| jwt.relative_to(folder)),
            certificate: self.certificate,
        }
    }
}

impl Default for UsersConfig {
    fn default() -> Self {
        Self {
            file: "users.toml".into(),
            http: None,
            jwt: None,
            certificate: None,
        }
    }
}
