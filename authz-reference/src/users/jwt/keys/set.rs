//! A JSON Web Key Set (RFC 7517), of which only public keys for signatures are taken.

use std::fmt;

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use crate::config::jwt::SignatureAlgorithm as Algorithm;

/// The most keys that are taken; the rest is not looked at. So many may be tried for a token that does not say by which
/// it is signed, too: with fewer, whether a good one is taken would depend on the order of the keys.
const MAX_KEYS: usize = 64;

/// The keys of an issuer.
#[derive(Debug)]
pub(in crate::users::jwt) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    /// If the issuer says that it is for this one only.
    algorithm: Option<String>,
    kind: Kind,
    key: DecodingKey,
}

/// What a key can verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Reads a set. Keys of other kinds and for other uses are passed over; shared secrets too, which have no place
    /// where everybody can read them.
    ///
    /// # Errors
    /// If it is no set, or has no key that can be used.
    pub(in crate::users::jwt) fn parse(text: &[u8]) -> Result<Self, String> {
        let set: Set = serde_json::from_slice(text)
            .map_err(|_| "the keys are not a JSON Web Key Set".to_owned())?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<Key> = keys.filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err("the key set has no key that can be used".to_owned());
        }
        Ok(Self(keys))
    }

    /// How many there are.
    pub(in crate::users::jwt) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token. One without an id may be any.
    pub(in crate::users::jwt) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        let named = move |key: &&Key| match (id, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        let fits = move |key: &&Key| {
            let free = |only: &String| *only == format!("{algorithm:?}");
            key.kind.verifies(algorithm) && key.algorithm.as_ref().is_none_or(free)
        };
        let keys = self.0.iter().filter(named).filter(fits);
        keys.map(|key| &key.key)
    }
}

impl Kind {
    fn verifies(self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match self {
            Self::Rsa => matches!(
                algorithm,
                A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512
            ),
            Self::P256 => algorithm == A::ES256,
            Self::P384 => algorithm == A::ES384,
            Self::Ed25519 => algorithm == A::EdDSA,
        }
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The parameters that matter here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Key {
    fn read(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        let for_signatures = jwk.r#use.is_none_or(|purpose| purpose == "sig")
            && jwk
                .key_ops
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures {
            return None;
        }
        let (kind, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (
                Kind::Rsa,
                DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?),
            ),
            ("EC", Some("P-256")) => (
                Kind::P256,
                DecodingKey::from_ec_components(&jwk.x?, &jwk.y?),
            ),
            ("EC", Some("P-384")) => (
                Kind::P384,
                DecodingKey::from_ec_components(&jwk.x?, &jwk.y?),
            ),
            ("OKP", Some("Ed25519")) => (Kind::Ed25519, DecodingKey::from_ed_components(&jwk.x?)),
            _ => return None,
        };
        Some(Self {
            id: jwk.kid,
            algorithm: jwk.alg,
            kind,
            key: key.ok()?,
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
