//! Somebody who issues tokens.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};

/// Far enough away, in seconds since 1970.
const IN_TIME: u64 = 4_000_000_000;

/// An issuer with one key.
pub(crate) struct Issuer {
    key_id: &'static str,
    key: KeyPair,
}

impl Issuer {
    pub(crate) fn new(key_id: &'static str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Self { key_id, key }
    }

    /// The public key, as a set.
    pub(crate) fn key_set(&self) -> String {
        let x = BASE64.encode(self.key.der_bytes());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": self.key_id, "x": x});
        json!({ "keys": [key] }).to_string()
    }

    /// A token of a user.
    pub(crate) fn token(&self, user: &str) -> String {
        self.sign(&json!({"sub": user, "exp": IN_TIME}))
    }

    /// A token of a user that says when it was made, in seconds since 1970, and may not say by which key.
    pub(crate) fn dated(&self, user: &str, issued: u64, has_key_id: bool) -> String {
        let mut header = self.header();
        if !has_key_id {
            header.as_object_mut().unwrap().remove("kid");
        }
        let claims = json!({"sub": user, "exp": IN_TIME, "iat": issued});
        self.sign_with(&header, &claims)
    }

    /// A token of a user that has been good once.
    pub(crate) fn expired(&self, user: &str) -> String {
        self.sign(&json!({"sub": user, "exp": 1_000_000_000}))
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "JWT", "kid": self.key_id})
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64.encode(signature))
    }
}
