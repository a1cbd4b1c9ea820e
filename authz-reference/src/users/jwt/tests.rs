use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{issuer::*, *};
use crate::{password::Password, users::http::tests::short};

mod claims;
mod rotation;

/// Verifies the tokens of `keys`, which are in a file.
fn tokens(keys: &str, adjust: impl FnOnce(&mut JwtConfig)) -> (TempDir, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, keys).unwrap();
    let mut config = JwtConfig {
        jwks_file: Some(file),
        min_refresh: std::time::Duration::ZERO,
        ..JwtConfig::default()
    };
    adjust(&mut config);
    let tokens = Tokens::open(&config).unwrap();
    (folder, tokens)
}

async fn ask(
    tokens: &Tokens,
    username: Option<&str>,
    password: Option<&str>,
) -> Result<Found, SourceError> {
    let password = password.map(|password| Password::new(password.as_bytes()));
    let login = Login {
        username,
        password: password.as_ref(),
        client_id: "c1",
        tls: None,
        listener: "tcp",
    };
    tokens.find(&login, Deadline::NONE).await
}

async fn outcome(tokens: &Tokens, token: &str) -> String {
    short(ask(tokens, Some("device"), Some(token)).await)
}

fn alice() -> Value {
    json!({"sub": "alice"})
}

#[tokio::test]
async fn every_kind_of_key() {
    use Algorithm::*;
    let keys = [RS256, RS512, PS256, ES256, ES384, EdDSA].map(|algorithm| {
        let id: &'static str = format!("{algorithm:?}").leak();
        IssuerKey::new(id, algorithm)
    });
    let set = jwks(&keys.iter().collect::<Vec<_>>());
    let (_folder, tokens) = tokens(&set, |_| {});
    for mut key in keys {
        let id = key.id;
        assert_eq!(
            outcome(&tokens, &key.sign(&alice())).await,
            "alice by jwt",
            "{id:?}"
        );
        key.id = None;
        assert_eq!(
            outcome(&tokens, &key.sign(&alice())).await,
            "alice by jwt",
            "no {id:?}"
        );
    }
}

#[tokio::test]
async fn a_token_without_key_id_may_be_by_any_key() {
    let mut keys: Vec<_> = (0..20)
        .map(|_| IssuerKey {
            id: None,
            ..IssuerKey::new("", Algorithm::ES256)
        })
        .collect();
    let (_folder, tokens) = tokens(&jwks(&keys.iter().collect::<Vec<_>>()), |_| {});
    let last = keys.pop().unwrap();
    assert_eq!(outcome(&tokens, &last.sign(&alice())).await, "alice by jwt");
}

#[tokio::test]
async fn where_the_token_is() {
    let key = IssuerKey::new("1", Algorithm::ES256);
    let (_folder, lenient) = tokens(&jwks(&[&key]), |_| {});
    let token = key.sign(&alice());
    for (username, password, expected) in [
        (Some(token.as_str()), None, "alice by jwt"),
        (Some(&token), Some("x"), "alice by jwt"),
        (None, Some(&token), "alice by jwt"),
        (Some("bob"), Some(&token), "alice by jwt"),
        (Some("alice"), Some("secret"), "not mine"),
        (Some("a.b.c"), None, "not mine"),
        (None, None, "not mine"),
    ] {
        assert_eq!(
            short(ask(&lenient, username, password).await),
            expected,
            "{username:?}"
        );
    }
    let (_folder, strict) = tokens(&jwks(&[&key]), |config| config.require_same_username = true);
    for (username, password, expected) in [
        (Some(token.as_str()), None, "alice by jwt"),
        (None, Some(token.as_str()), "alice by jwt"),
        (Some("alice"), Some(&token), "alice by jwt"),
        (Some("bob"), Some(&token), "refused token-username"),
    ] {
        assert_eq!(
            short(ask(&strict, username, password).await),
            expected,
            "{username:?}"
        );
    }
}

#[tokio::test]
async fn forgeries() {
    let rsa = IssuerKey::new("rsa", Algorithm::RS256);
    let ec = IssuerKey::new("ec", Algorithm::ES256);
    let stranger = IssuerKey::new("ec", Algorithm::ES256);
    let (_folder, tokens) = tokens(&jwks(&[&rsa, &ec]), |_| {});
    let good = ec.sign(&alice());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = ec.sign(&json!({"sub": "bob"}));
    let (other_message, _) = other.rsplit_once('.').unwrap();
    let none = self::message(&json!({"alg": "none"}), &alice());
    let public = rsa.public(&json!({}))["n"].as_str().unwrap().to_owned();
    let public = token::decode(&public).unwrap();
    let es = |more: Value| {
        let mut header = json!({"alg": "ES256", "kid": "ec"});
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ec.sign_with(&header, &alice())
    };
    let cut = &signature[..signature.len() - 4];
    for (token, expected) in [
        (stranger.sign(&alice()), "token-signature"),
        (format!("{message}.{cut}"), "token-signature"),
        (format!("{message}."), "token-signature"),
        (format!("{other_message}.{signature}"), "token-signature"),
        (format!("{none}."), "token-algorithm"),
        (format!("{none}.{signature}"), "token-algorithm"),
        (
            // The public key, which everybody has, as if it were a secret.
            sign_with_secret(&public, &json!({"alg": "HS256", "kid": "rsa"}), &alice()),
            "token-algorithm",
        ),
        (es(json!({"alg": "es256"})), "token-algorithm"),
        (es(json!({"alg": "RS256", "kid": "rsa"})), "token-signature"),
        (es(json!({"kid": "rsa"})), "token-key-unknown"),
        (es(json!({"kid": "made up"})), "token-key-unknown"),
        (es(json!({"kid": 7})), "token-header"),
        (es(json!({"crit": ["b64"], "b64": false})), "token-header"),
        (
            ec.sign(&json!({"sub": "alice", "x": "x".repeat(9_000)})),
            "token-too-large",
        ),
    ] {
        let expected = format!("refused {expected}");
        assert_eq!(outcome(&tokens, &token).await, expected, "{token}");
    }
    assert_eq!(outcome(&tokens, &good).await, "alice by jwt");
}

#[tokio::test]
async fn keys_that_are_not_for_this() {
    let key = IssuerKey::new("1", Algorithm::RS256);
    let token = key.sign(&alice());
    let spare = IssuerKey::new("2", Algorithm::EdDSA);
    for (more, expected) in [
        (json!({}), "alice by jwt"),
        (
            json!({"use": "sig", "alg": "RS256", "key_ops": ["verify"]}),
            "alice by jwt",
        ),
        (json!({"use": "enc"}), "refused token-key-unknown"),
        (json!({"key_ops": ["encrypt"]}), "refused token-key-unknown"),
        (json!({"alg": "RS512"}), "refused token-key-unknown"),
        (json!({"kid": "other"}), "refused token-key-unknown"),
        (
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            "refused token-key-unknown",
        ),
        (json!({"kid": 1}), "refused token-key-unknown"),
    ] {
        let set = json!({"keys": [key.public(&more), spare.public(&json!({}))]});
        let (_folder, tokens) = tokens(&set.to_string(), |_| {});
        assert_eq!(outcome(&tokens, &token).await, expected, "{more}");
    }
}

#[tokio::test]
async fn algorithms_can_be_narrowed_down() {
    let (rsa, ec) = (
        IssuerKey::new("r", Algorithm::RS256),
        IssuerKey::new("e", Algorithm::ES256),
    );
    let (_folder, tokens) = tokens(&jwks(&[&rsa, &ec]), |config| {
        config.algorithms = vec![SignatureAlgorithm::ES256];
    });
    assert_eq!(outcome(&tokens, &ec.sign(&alice())).await, "alice by jwt");
    assert_eq!(
        outcome(&tokens, &rsa.sign(&alice())).await,
        "refused token-algorithm"
    );
}

#[tokio::test]
async fn a_shared_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let secret = b"0123456789abcdef0123456789abcdef";
    std::fs::write(&file, [secret.as_slice(), b"\n"].concat()).unwrap();
    let mut config = JwtConfig {
        secret_file: Some(file.clone()),
        ..JwtConfig::default()
    };
    let tokens = Tokens::open(&config).unwrap();
    let header = json!({"alg": "HS256"});
    let good = sign_with_secret(secret, &header, &alice());
    let bad = sign_with_secret(b"another", &header, &alice());
    assert_eq!(outcome(&tokens, &good).await, "alice by jwt");
    assert_eq!(outcome(&tokens, &bad).await, "refused token-signature");
    let asymmetric = IssuerKey::new("1", Algorithm::ES256).sign(&alice());
    assert_eq!(
        outcome(&tokens, &asymmetric).await,
        "refused token-algorithm"
    );
    assert!(!format!("{tokens:?}").contains("0123"), "{tokens:?}");

    std::fs::write(&file, "short").unwrap();
    let error = Tokens::open(&config).unwrap_err().to_string();
    assert!(
        error.starts_with("users.jwt.secret_file: expected at least 32"),
        "{error}"
    );
    assert!(!error.contains("short"), "{error}");

    config.secret_file = None;
    config.jwks_file = Some(file);
    let error = Tokens::open(&config).unwrap_err().to_string();
    assert!(
        error.starts_with("users.jwt.jwks_file: expected a JSON"),
        "{error}"
    );
}
