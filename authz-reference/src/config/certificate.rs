//! `[users.certificate]`: users whom their client certificate names.
//!
//! The data plane verifies certificates; one that it has not verified counts for nothing here.
//!
//! | key below `users.certificate` | default | meaning |
//! |---|---|---|
//! | `from` | `["common-name"]` | where the name is: `uri` and `dns` (subject alternative names), `common-name`. The first of these that names somebody counts |
//! | `uri_prefix` | | needed for `uri`: what is cut off, such as `spiffe://example.org/user/`; other URIs name nobody |
//! | `dns_suffix` | none | what is cut off, such as `.devices.example.org`; other DNS names then name nobody |
//! | `allow` | `["*"]` | the names that may log in so; `*` stands for any text |
//! | `listeners` | `[]` | the data plane's listeners it works on; empty: all |
//! | `require_same_username` | `true` | the user name of CONNECT must be absent or the certificate's. Otherwise it is not looked at |
//! | `roles` | `[]` | what they all have |

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;

use super::invalid;
use crate::access::RoleName;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateConfig {
    /// Where the name is.
    pub from: Vec<NameFrom>,
    /// What is cut off a URI.
    pub uri_prefix: String,
    /// What is cut off a DNS name.
    pub dns_suffix: String,
    /// The names that may log in so.
    pub allow: Vec<String>,
    /// The listeners it works on.
    pub listeners: Vec<String>,
    /// Whether a user name beside it has to be the certificate's.
    pub require_same_username: bool,
    /// What they all have.
    pub roles: Vec<RoleName>,
}

/// Where in a certificate the name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameFrom {
    /// A subject alternative name that is a URI.
    Uri,
    /// A subject alternative name that is a DNS name.
    Dns,
    /// The common name of the subject.
    CommonName,
}

impl CertificateConfig {
    /// What no type can say.
    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        let missing = [
            (
                self.from.is_empty(),
                "users.certificate.from",
                "at least one of uri, dns and common-name",
            ),
            (
                self.from.contains(&NameFrom::Uri) && self.uri_prefix.is_empty(),
                "users.certificate.uri_prefix",
                "what is cut off, such as spiffe://example.org/user/",
            ),
            (
                self.allow.is_empty(),
                "users.certificate.allow",
                "at least one pattern, such as \"*\"",
            ),
        ];
        for (wrong, key, expected) in missing {
            if wrong {
                return Err(invalid(tree, key, "", expected));
            }
        }
        Ok(())
    }
}

impl Default for CertificateConfig {
    fn default() -> Self {
        Self {
            from: vec![NameFrom::CommonName],
            uri_prefix: String::new(),
            dns_suffix: String::new(),
            allow: vec!["*".to_owned()],
            listeners: Vec::new(),
            require_same_username: true,
            roles: Vec::new(),
        }
    }
}
