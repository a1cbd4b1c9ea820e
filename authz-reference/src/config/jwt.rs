//! `[users.jwt]`: users who bring a signed token.
//!
//! | key below `users.jwt` | default | meaning |
//! |---|---|---|
//! | `jwks_url` or `jwks_file` | | the issuer's public keys (RFC 7517) |
//! | `secret_file` | none | the secret of HS256, HS384 and HS512: at least 32 bytes; a line end after it does not count. Whoever has it can make tokens |
//! | `algorithms` | all that are asymmetric; `["HS256"]` with only a `secret_file` | the signatures to believe: `RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA`, and with a secret `HS256 HS384 HS512`. Never `none` |
//! | `issuers` | `[]` | a token needs one of these as `iss`; empty: not looked at |
//! | `audiences` | `[]` | a token needs one of these as `aud`; empty: a token that names *any* audience is meant for somebody else, and refused (RFC 7519, 4.1.3) |
//! | `require_exp` | `true` | refuse tokens that never end |
//! | `leeway` | `30s` | how wrong a clock may be, for `exp` and `nbf` |
//! | `name_claim` | `sub` | the user name |
//! | `roles_claim` | none | roles: an array of texts, or one text with blanks between |
//! | `publish_claim`, `subscribe_claim` | none | arrays of topic filters to grant |
//! | `grants_claim` | none | an array of grants, as in the users file (`{"topic": "a/#", "publish": true}`) |
//! | `superuser_claim` | none | `true` makes a superuser |
//! | `require_same_username` | `false` | with the token as password, the user name must be absent or the token's |
//! | `refresh` | `10m` | how often the keys are read again |
//! | `min_refresh` | `10s` | and at most how often, for a key that is not known |
//! | `max_stale` | `24h` | how long keys are believed that could not be read again; then nobody can say |
//! | `timeout`, `tls.…` | `5s` | of `jwks_url`, as for [`users.http`](super::http) |
//!
//! The name of a claim may be a path: `realm_access.roles` is `roles` in `realm_access`, if no claim has the whole
//! name.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tidegate_settings::{self as settings, text::duration};

use super::{
    http::{ClientTls, check_timeout, check_url},
    invalid,
};

/// The most by which clocks may be said to differ.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtConfig {
    /// Where the keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// The file with the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// The file with the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The signatures to believe; empty: the default.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Good `iss`.
    pub issuers: Vec<String>,
    /// Good `aud`.
    pub audiences: Vec<String>,
    /// Whether a token needs an `exp`.
    pub require_exp: bool,
    /// How wrong a clock may be.
    #[serde(with = "duration")]
    pub leeway: Duration,
    /// The user name.
    pub name_claim: String,
    /// The roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles_claim: Option<String>,
    /// Filters to publish to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_claim: Option<String>,
    /// Filters to subscribe to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe_claim: Option<String>,
    /// Whole grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants_claim: Option<String>,
    /// Superusers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superuser_claim: Option<String>,
    /// Whether a user name beside the token has to be the token's.
    pub require_same_username: bool,
    /// How often the keys are read again.
    #[serde(with = "duration")]
    pub refresh: Duration,
    /// And at most how often.
    #[serde(with = "duration")]
    pub min_refresh: Duration,
    /// How long keys are believed that could not be read again.
    #[serde(with = "duration")]
    pub max_stale: Duration,
    /// For reading the keys from `jwks_url`.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// `[users.jwt.tls]`
    pub tls: ClientTls,
}

/// An algorithm of RFC 7518 or RFC 8037. There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the registry's")]
pub enum SignatureAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl SignatureAlgorithm {
    /// Those whose verifiers cannot sign.
    pub const ASYMMETRIC: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// Whether it takes a shared secret.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        !Self::ASYMMETRIC.contains(&self)
    }
}

impl JwtConfig {
    /// The signatures to believe.
    #[must_use]
    pub fn algorithms(&self) -> Vec<SignatureAlgorithm> {
        let keys = self.jwks_url.is_some() || self.jwks_file.is_some();
        match self.algorithms.as_slice() {
            [] if keys => SignatureAlgorithm::ASYMMETRIC.to_vec(),
            [] => vec![SignatureAlgorithm::HS256],
            listed => listed.to_vec(),
        }
    }

    /// What no type can say.
    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        match (&self.jwks_url, &self.jwks_file, &self.secret_file) {
            (None, None, None) => {
                let expected = "one of jwks_url, jwks_file and secret_file";
                return Err(invalid(tree, "users.jwt", "none", expected));
            }
            (Some(_), Some(file), _) => {
                let found = file.display().to_string();
                let expected = "nothing beside jwks_url";
                return Err(invalid(tree, "users.jwt.jwks_file", &found, expected));
            }
            _ => {}
        }
        if let Some(url) = &self.jwks_url {
            check_url(tree, "users.jwt.jwks_url", url)?;
        }
        let keys = self.jwks_url.is_some() || self.jwks_file.is_some();
        for algorithm in &self.algorithms {
            let expected = match algorithm.is_symmetric() {
                true if self.secret_file.is_none() => "no HS… without users.jwt.secret_file",
                false if !keys => "HS256, HS384 or HS512: there is only a secret_file",
                _ => continue,
            };
            let found = format!("{algorithm:?}");
            return Err(invalid(tree, "users.jwt.algorithms", &found, expected));
        }
        if self.name_claim.is_empty() {
            let expected = "the claim that has the user name";
            return Err(invalid(tree, "users.jwt.name_claim", "", expected));
        }
        if self.leeway > MAX_LEEWAY {
            let found = format!("{:?}", self.leeway);
            let expected = "what clocks may differ by: at most 5m";
            return Err(invalid(tree, "users.jwt.leeway", &found, expected));
        }
        check_timeout(tree, "users.jwt.timeout", self.timeout)?;
        check_timeout(tree, "users.jwt.refresh", self.refresh)?;
        check_timeout(tree, "users.jwt.min_refresh", self.min_refresh)?;
        self.tls.check(tree, "users.jwt.tls")
    }

    pub(super) fn relative_to(self, folder: &Path) -> Self {
        let join = |file: Option<PathBuf>| file.map(|file| folder.join(file));
        Self {
            jwks_file: join(self.jwks_file),
            secret_file: join(self.secret_file),
            tls: self.tls.relative_to(folder),
            ..self
        }
    }
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            jwks_url: None,
            jwks_file: None,
            secret_file: None,
            algorithms: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            require_exp: true,
            leeway: Duration::from_secs(30),
            name_claim: "sub".to_owned(),
            roles_claim: None,
            publish_claim: None,
            subscribe_claim: None,
            grants_claim: None,
            superuser_claim: None,
            require_same_username: false,
            refresh: Duration::from_secs(600),
            min_refresh: Duration::from_secs(10),
            max_stale: Duration::from_secs(24 * 3_600),
            timeout: Duration::from_secs(5),
            tls: ClientTls::default(),
        }
    }
}
