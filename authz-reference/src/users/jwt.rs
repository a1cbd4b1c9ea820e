//! Users who bring a JSON Web Token as user name or password. For the configuration see [`crate::config::jwt`].
//!
//! 1. `token` says what looks like one at all: anything else is for another source.
//! 2. `keys` has the issuer's keys, and fetches them again for a key id that it does not know. Without keys nobody
//!    can say whose a token is: that is a failure. A key that the issuer does not have is a denial. While the issuer may
//!    not be asked again, the token's `iat` decides: keys that were seen after it would have been enough.
//! 3. The algorithm must be one of those configured *and* fit the key, so a public key is never taken for a secret.
//! 4. `claims` reads who it is, if the token is for us and in time. The session ends when it does.

use std::{path::Path, sync::Arc, time::SystemTime};

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;
use zeroize::Zeroizing;

use self::keys::{KeySet, Keys, NotEnough};
use super::{
    http::OpenError,
    source::{Found, Login, SourceError, UserSource, Verified},
    token::{self, Place},
};
use crate::{
    config::jwt::{JwtConfig, SignatureAlgorithm},
    deadline::Deadline,
    policy::Refusal,
};

mod claims;
#[cfg(test)]
mod issuer;
mod keys;
#[cfg(test)]
mod tests;

/// What the configuration calls it, and its rule.
const NAME: &str = "jwt";

/// The shortest secret, in bytes (RFC 7518, 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Verifies tokens.
#[derive(Debug)]
pub struct Tokens {
    config: JwtConfig,
    algorithms: Vec<SignatureAlgorithm>,
    /// The keys of the issuer.
    keys: Option<Keys>,
    secret: Option<Secret>,
}

/// A shared secret.
struct Secret(DecodingKey);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

impl Tokens {
    /// Reads the files of the configuration, and begins to fetch the keys. To be called within a Tokio runtime.
    ///
    /// # Errors
    /// If a file can't be used. Keys at a URL may come later.
    pub fn open(config: &JwtConfig) -> Result<Self, OpenError> {
        // For each process once; whoever was first has chosen the same.
        crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
        let secret = config
            .secret_file
            .as_deref()
            .map(Secret::read)
            .transpose()?;
        Ok(Self {
            algorithms: config.algorithms(),
            keys: Keys::open(config)?,
            secret,
            config: config.clone(),
        })
    }

    /// Whose token it is. The inner error is a denial.
    async fn verify(
        &self,
        token: &str,
        deadline: Deadline,
    ) -> Result<Result<Verified, Refusal>, SourceError> {
        let refused = |rule| Ok(Err(Refusal::Credential(rule)));
        if token.len() > token::MAX_TOKEN_BYTES {
            return refused(token::TOO_LARGE);
        }
        let [header, claims, signature] = token::parts(token);
        let Some(fields) = token::object(header) else {
            return refused("token-header");
        };
        // What is critical and not understood must not be ignored (RFC 7515, 4.1.11).
        if fields.contains_key("crit") {
            return refused("token-header");
        }
        let named = fields
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let known = |algorithm: &&SignatureAlgorithm| format!("{algorithm:?}") == named;
        let Some(&algorithm) = self.algorithms.iter().find(known) else {
            return refused("token-algorithm");
        };
        let key_id = match fields.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.as_str()),
            Some(_) => return refused("token-header"),
        };
        let signed = Signed {
            message: &token.as_bytes()[..header.len() + 1 + claims.len()],
            claims,
            signature,
            algorithm,
            key_id,
        };
        if let Err(rule) = self.check_signature(&signed, deadline).await? {
            return refused(rule);
        }
        let Some(claims) = token::object(claims) else {
            return refused(claims::MALFORMED);
        };
        Ok(claims::read(&claims, &self.config, SystemTime::now()))
    }

    async fn check_signature(
        &self,
        signed: &Signed<'_>,
        deadline: Deadline,
    ) -> Result<Result<(), &'static str>, SourceError> {
        if signed.algorithm.is_symmetric() {
            let verified = self
                .secret
                .as_ref()
                .is_some_and(|secret| signed.is_by(&secret.0));
            return Ok(verified.then_some(()).ok_or("token-signature"));
        }
        let Some(keys) = &self.keys else {
            return Ok(Err("token-algorithm"));
        };
        let found = deadline
            .bound(keys.current(|set| signed.finds_key(set)))
            .await
            .ok_or_else(|| unavailable("the keys did not come in time".to_owned()))?;
        match found {
            Ok(set) => Ok(signed.check(&set)),
            Err(not_enough) => self.judge_by_age(signed, not_enough),
        }
    }

    /// What becomes of a token whose key is not among those known, when there is no telling whether there are new ones.
    fn judge_by_age(
        &self,
        signed: &Signed<'_>,
        NotEnough { last, problem }: NotEnough,
    ) -> Result<Result<(), &'static str>, SourceError> {
        if let Some((set, seen)) = last {
            let issued = signed.issued();
            let is_older = issued
                .and_then(|issued| issued.checked_add(self.config.leeway))
                .is_some_and(|issued| issued <= seen);
            // One that says nothing of itself is not worth waiting for, unless nobody can be asked at all.
            let is_nameless = issued.is_none() && signed.key_id.is_none() && problem.is_none();
            if is_older || is_nameless {
                return Ok(signed.check(&set));
            }
        }
        Err(match problem {
            Some(problem) => unavailable(problem),
            None => SourceError::NotYet {
                source_name: NAME,
                problem: "an unknown key, and the issuer was asked a moment ago",
            },
        })
    }
}

fn unavailable(problem: String) -> SourceError {
    SourceError::Unavailable {
        source_name: NAME,
        problem,
    }
}

#[tonic::async_trait]
impl UserSource for Tokens {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn find(&self, login: &Login<'_>, deadline: Deadline) -> Result<Found, SourceError> {
        let Some((token, place)) = token::of(login) else {
            return Ok(Found::NotMine);
        };
        let verified = match self.verify(token, deadline).await? {
            Ok(verified) => verified,
            Err(refusal) => return Ok(Found::Refused(refusal)),
        };
        let other = |name| name != verified.name.as_str();
        if self.config.require_same_username
            && place == Place::Password
            && login.username.is_some_and(other)
        {
            return Ok(Found::Refused(Refusal::Credential("token-username")));
        }
        Ok(Found::Verified(verified))
    }
}

/// What of a token concerns its signature.
struct Signed<'a> {
    message: &'a [u8],
    /// Encoded, and not to be believed.
    claims: &'a str,
    signature: &'a str,
    algorithm: SignatureAlgorithm,
    key_id: Option<&'a str>,
}

impl Signed<'_> {
    /// Whether there is no need for newer keys. A token without a key id says only by its signature whose it is.
    fn finds_key(&self, set: &KeySet) -> bool {
        match self.key_id {
            Some(_) => self.candidates(set).next().is_some(),
            None => self.check(set).is_ok(),
        }
    }

    fn check(&self, set: &KeySet) -> Result<(), &'static str> {
        let mut candidates = self.candidates(set).peekable();
        if candidates.peek().is_none() {
            return Err("token-key-unknown");
        }
        if candidates.any(|key| self.is_by(key)) {
            Ok(())
        } else {
            Err("token-signature")
        }
    }

    /// When somebody says that it was made.
    fn issued(&self) -> Option<SystemTime> {
        claims::issued(&token::object(self.claims)?)
    }

    fn candidates<'k>(&self, set: &'k KeySet) -> impl Iterator<Item = &'k DecodingKey> {
        set.candidates(self.key_id, self.algorithm)
    }

    fn is_by(&self, key: &DecodingKey) -> bool {
        let algorithm = Algorithm::from(self.algorithm);
        crypto::verify(self.signature, self.message, key, algorithm).unwrap_or(false)
    }
}

impl Secret {
    fn read(file: &Path) -> Result<Self, OpenError> {
        let wrong = |found: &dyn std::fmt::Display| {
            let (least, file) = (MIN_SECRET_BYTES, file.display());
            let problem =
                format!("expected at least {least} bytes of secret, found {file}: {found}");
            OpenError::new("users.jwt.secret_file", problem)
        };
        let secret = Zeroizing::new(std::fs::read(file).map_err(|error| wrong(&error))?);
        let secret = secret.trim_ascii_end();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(wrong(&format!("{} bytes", secret.len())));
        }
        Ok(Self(DecodingKey::from_secret(secret)))
    }
}

impl From<SignatureAlgorithm> for Algorithm {
    fn from(algorithm: SignatureAlgorithm) -> Self {
        use SignatureAlgorithm as A;
        match algorithm {
            A::HS256 => Self::HS256,
            A::HS384 => Self::HS384,
            A::HS512 => Self::HS512,
            A::RS256 => Self::RS256,
            A::RS384 => Self::RS384,
            A::RS512 => Self::RS512,
            A::PS256 => Self::PS256,
            A::PS384 => Self::PS384,
            A::PS512 => Self::PS512,
            A::ES256 => Self::ES256,
            A::ES384 => Self::ES384,
            A::EdDSA => Self::EdDSA,
        }
    }
}

/// The keys of a process; see [`Keys`].
type Current = Arc<KeySet>;
