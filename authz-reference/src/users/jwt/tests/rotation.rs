use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::users::http::server::{HttpServer, Reply, reply};

/// An issuer whose answer can be changed. It knows `ETag`.
struct Issuer {
    server: HttpServer,
    answer: Arc<Mutex<Reply>>,
    unchanged: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(body: &str) -> Self {
        let answer = Arc::new(Mutex::new(reply(200, body)));
        let unchanged = Arc::<AtomicUsize>::default();
        let (current, counter) = (Arc::clone(&answer), Arc::clone(&unchanged));
        let server = HttpServer::start(move |request| {
            let mut reply = current.lock().unwrap().clone();
            let etag = format!("\"{}\"", reply.body.len());
            if reply.status == 200 && request.if_none_match.as_ref() == Some(&etag) {
                counter.fetch_add(1, Ordering::Relaxed);
                return self::reply(304, "");
            }
            reply.headers.push(("etag", etag));
            reply
        })
        .await;
        Self {
            server,
            answer,
            unchanged,
        }
    }

    fn say(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = reply(status, body);
    }

    /// Follows the keys. Short intervals only make the test quick.
    fn tokens(&self, adjust: impl FnOnce(&mut JwtConfig)) -> Tokens {
        let mut config = JwtConfig {
            jwks_url: Some(format!("{}/keys/", self.server.url())),
            min_refresh: Duration::ZERO,
            ..JwtConfig::default()
        };
        adjust(&mut config);
        Tokens::open(&config).unwrap()
    }
}

/// Asks again until it comes out so.
async fn eventually(tokens: &Tokens, token: &str, expected: &str) {
    let mut last = String::new();
    for _ in 0..2_000 {
        last = outcome(tokens, token).await;
        if last == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{last}, not {expected}");
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_met() {
    let (old, new) = (
        IssuerKey::new("old", Algorithm::ES256),
        IssuerKey::new("new", Algorithm::EdDSA),
    );
    let issuer = Issuer::start(&jwks(&[&old])).await;
    let tokens = issuer.tokens(|_| {});
    assert_eq!(
        outcome(&tokens, &old.sign(&alice())).await,
        "alice by jwt",
        "waits for the first keys"
    );
    assert_eq!(issuer.server.seen()[0].path, "/keys/");

    issuer.say(200, &jwks(&[&old, &new]));
    eventually(&tokens, &new.sign(&alice()), "alice by jwt").await;
    assert_eq!(outcome(&tokens, &old.sign(&alice())).await, "alice by jwt");

    // And without ids, when no key verifies.
    let newest = IssuerKey {
        id: None,
        ..IssuerKey::new("", Algorithm::ES256)
    };
    issuer.say(200, &jwks(&[&old, &newest]));
    eventually(&tokens, &newest.sign(&alice()), "alice by jwt").await;
}

#[tokio::test]
async fn an_issuer_that_is_down_is_a_failure() {
    let key = IssuerKey::new("1", Algorithm::ES256);
    let token = key.sign(&alice());
    let issuer = Issuer::start(&jwks(&[&key])).await;
    issuer.say(500, "");
    let tokens = issuer.tokens(|_| {});
    assert_eq!(outcome(&tokens, &token).await, "failure answered 500");
    let no_set = "failure the keys are not a JSON Web Key Set";
    let no_key = "failure the key set has no key that can be used";
    let secret = r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#;
    for (status, body, expected) in [
        (302, "", "failure answered 302"),
        (200, "<html>", no_set),
        (304, "", "failure answered 304"),
        (200, "[]", no_set),
        (200, r#"{"keys": []}"#, no_key),
        (
            200,
            &"x".repeat(300_000),
            "failure the answer is longer than 262144 bytes",
        ),
        (200, secret, no_key),
    ] {
        issuer.say(status, body);
        eventually(&tokens, &token, expected).await;
    }
    issuer.say(200, &jwks(&[&key]));
    eventually(&tokens, &token, "alice by jwt").await;
}

#[tokio::test]
async fn good_keys_outlive_an_outage() {
    let (known, unknown) = (
        IssuerKey::new("1", Algorithm::ES256),
        IssuerKey::new("2", Algorithm::ES256),
    );
    let issuer = Issuer::start(&jwks(&[&known])).await;
    let tokens = issuer.tokens(|_| {});
    let (known, unknown) = (known.sign(&alice()), unknown.sign(&alice()));
    assert_eq!(outcome(&tokens, &known).await, "alice by jwt");
    assert_eq!(
        outcome(&tokens, &unknown).await,
        "refused token-key-unknown"
    );

    issuer.say(503, "");
    let mut last = String::new();
    for _ in 0..2_000 {
        last = outcome(&tokens, &unknown).await;
        if last.starts_with("failure ") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        last.contains("503"),
        "nobody can say whether there is such a key now: {last}"
    );
    assert_eq!(outcome(&tokens, &known).await, "alice by jwt");
}

#[tokio::test]
async fn keys_are_not_believed_for_ever() {
    let key = IssuerKey::new("1", Algorithm::ES256);
    let token = key.sign(&alice());
    let issuer = Issuer::start(&jwks(&[&key])).await;
    let tokens = issuer.tokens(|config| config.max_stale = Duration::from_millis(50));
    assert_eq!(outcome(&tokens, &token).await, "alice by jwt");
    issuer.say(503, "");
    let mut last = String::new();
    for _ in 0..2_000 {
        last = outcome(&tokens, &token).await;
        if last.starts_with("failure ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{last}");
}

#[tokio::test]
async fn unchanged_keys_are_not_sent_again_and_forged_ids_cost_no_requests() {
    let key = IssuerKey::new("1", Algorithm::ES256);
    let issuer = Issuer::start(&jwks(&[&key])).await;
    let often = issuer.tokens(|config| config.refresh = Duration::from_millis(5));
    assert_eq!(outcome(&often, &key.sign(&alice())).await, "alice by jwt");
    for _ in 0..2_000 {
        if issuer.unchanged.load(Ordering::Relaxed) >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(issuer.unchanged.load(Ordering::Relaxed) >= 2);
    assert_eq!(outcome(&often, &key.sign(&alice())).await, "alice by jwt");
    drop(often);

    let issuer = Issuer::start(&jwks(&[&key])).await;
    let tokens = issuer.tokens(|config| config.min_refresh = Duration::from_secs(3_600));
    for number in 0..50 {
        let forged = key.sign_with(
            &json!({"alg": "ES256", "kid": format!("made up {number}")}),
            &alice(),
        );
        let expected = match number {
            0 => "refused token-key-unknown",
            // Nobody has asked the issuer about these: it may have new keys since a moment ago.
            _ => NOT_YET,
        };
        assert_eq!(outcome(&tokens, &forged).await, expected);
    }
    assert_eq!(issuer.server.seen().len(), 1);
}

const NOT_YET: &str = "failure an unknown key, and the issuer was asked a moment ago";

/// Seconds since 1970.
fn seconds(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[tokio::test]
async fn while_it_is_too_early_to_ask_the_age_of_a_token_decides() {
    let known = IssuerKey::new("1", Algorithm::ES256);
    let mut other = IssuerKey::new("2", Algorithm::ES256);
    let issuer = Issuer::start(&jwks(&[&known])).await;
    let tokens = issuer.tokens(|config| config.min_refresh = Duration::from_secs(3_600));
    let good = known.sign(&alice());
    assert_eq!(outcome(&tokens, &good).await, "alice by jwt");

    let now = seconds(SystemTime::now());
    for (issued, with_id, without) in [
        // The issuer had no such key when it had already been made.
        (json!(now - 60), "key-unknown", "signature"),
        (json!(0), "key-unknown", "signature"),
        // The issuer's clock may be ahead, or it has a new key.
        (json!(now - 1), "", ""),
        (json!(now + 5), "", ""),
        (json!(null), "", "signature"),
        (json!("yesterday"), "", "signature"),
    ] {
        let claims = json!({"sub": "alice", "iat": issued});
        for (id, expected) in [(Some("2"), with_id), (None, without)] {
            other.id = id;
            let found = ask(&tokens, Some("device"), Some(&other.sign(&claims))).await;
            let is_well = !matches!(found, Err(SourceError::Unavailable { .. }));
            assert!(is_well, "the source is not down: {found:?}");
            let expected = match expected {
                "" => NOT_YET.to_owned(),
                rule => format!("refused token-{rule}"),
            };
            assert_eq!(short(found), expected, "{issued}, {id:?}");
        }
    }
    assert_eq!(outcome(&tokens, &good).await, "alice by jwt");
    assert_eq!(issuer.server.seen().len(), 1);
}

#[tokio::test]
async fn a_token_older_than_the_keys_is_refused_in_an_outage_too() {
    let known = IssuerKey::new("1", Algorithm::ES256);
    let other = IssuerKey::new("2", Algorithm::ES256);
    let issuer = Issuer::start(&jwks(&[&known])).await;
    let tokens = issuer.tokens(|_| {});
    assert_eq!(
        outcome(&tokens, &known.sign(&alice())).await,
        "alice by jwt"
    );
    issuer.say(503, "");
    let now = seconds(SystemTime::now());
    let new = other.sign(&json!({"sub": "alice", "iat": now + 60}));
    let old = other.sign(&json!({"sub": "alice", "iat": now - 60}));
    eventually(&tokens, &new, "failure answered 503").await;
    assert_eq!(outcome(&tokens, &old).await, "refused token-key-unknown");
    // As long as the keys are believed.
    let impatient = issuer.tokens(|_| {});
    assert_eq!(outcome(&impatient, &old).await, "failure answered 503");
}

#[tokio::test]
async fn a_file_is_read_again() {
    let (old, new) = (
        IssuerKey::new("old", Algorithm::ES256),
        IssuerKey::new("new", Algorithm::ES256),
    );
    let (folder, tokens) = tokens(&jwks(&[&old]), |config| {
        config.min_refresh = Duration::ZERO;
    });
    assert_eq!(outcome(&tokens, &old.sign(&alice())).await, "alice by jwt");
    std::fs::write(folder.path().join("jwks.json"), jwks(&[&new])).unwrap();
    eventually(&tokens, &new.sign(&alice()), "alice by jwt").await;
    eventually(&tokens, &old.sign(&alice()), "refused token-key-unknown").await;
}
