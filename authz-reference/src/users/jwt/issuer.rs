//! Keys and tokens of an issuer in tests.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, crypto, jwk::Jwk};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData as _,
};
use serde_json::{Value, json};

/// What stands before the RSA key in PKCS #8, in bytes, for 2,048 bits.
const PKCS8_PREFIX: usize = 26;

/// A key of the issuer.
pub(super) struct IssuerKey {
    pub(super) id: Option<&'static str>,
    pub(super) algorithm: Algorithm,
    pub(super) private: EncodingKey,
    pub(super) jwk: Value,
}

impl IssuerKey {
    pub(super) fn new(id: &'static str, algorithm: Algorithm) -> Self {
        crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
        let part = |bytes: &[u8]| BASE64.encode(bytes);
        let curve = |name: &str, pair: &KeyPair| {
            let (x, y) = pair.der_bytes()[1..].split_at(pair.der_bytes().len() / 2);
            json!({"kty": "EC", "crv": name, "x": part(x), "y": part(y)})
        };
        let (private, jwk) = match algorithm {
            Algorithm::ES256 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
                let jwk = curve("P-256", &pair);
                (EncodingKey::from_ec_der(&pair.serialize_der()), jwk)
            }
            Algorithm::ES384 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
                let jwk = curve("P-384", &pair);
                (EncodingKey::from_ec_der(&pair.serialize_der()), jwk)
            }
            Algorithm::EdDSA => {
                let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": part(pair.der_bytes())});
                (EncodingKey::from_ed_der(&pair.serialize_der()), jwk)
            }
            rsa => {
                let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
                let private = EncodingKey::from_rsa_der(&pair.serialize_der()[PKCS8_PREFIX..]);
                let jwk = Jwk::from_encoding_key(&private, rsa).unwrap();
                let mut jwk = serde_json::to_value(jwk).unwrap();
                jwk.as_object_mut().unwrap().remove("alg");
                (private, jwk)
            }
        };
        Self {
            id: Some(id),
            algorithm,
            private,
            jwk,
        }
    }

    /// The public key, with more said about it.
    pub(super) fn public(&self, more: &Value) -> Value {
        let mut jwk = self.jwk.clone();
        let fields = jwk.as_object_mut().unwrap();
        if let Some(id) = self.id {
            fields.insert("kid".to_owned(), id.into());
        }
        fields.extend(more.as_object().unwrap().clone());
        jwk
    }

    /// A token with these claims, and `exp` unless they have their own.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT"});
        if let Some(id) = self.id {
            header["kid"] = id.into();
        }
        self.sign_with(&header, claims)
    }

    pub(super) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = crypto::sign(message.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// A token that is signed with a secret.
pub(super) fn sign_with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
    let message = message(header, claims);
    let key = EncodingKey::from_secret(secret);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// What is signed.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    let mut claims = claims.clone();
    let fields = claims.as_object_mut().unwrap();
    fields
        .entry("exp")
        .or_insert_with(|| 4_000_000_000_u64.into());
    fields.retain(|_, value| !value.is_null());
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}", part(header), part(&claims))
}

/// A JWKS.
pub(super) fn jwks(keys: &[&IssuerKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public(&json!({}))).collect();
    json!({ "keys": keys }).to_string()
}
