use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier,
};

use super::{
    server::{HttpServer, Reply, Seen, reply},
    *,
};

/// Knows alice by her password, and carol by a token.
fn manager(request: &Seen) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/login") => match request.field("username").as_str() {
            Some("alice") if request.field("password") == "pässword" => {
                reply(200, r#"{"username": "alice", "isAdmin": false}"#)
            }
            Some("root") => reply(200, r#"{"user": {"name": "root", "isAdmin": true}}"#),
            Some("disabled") => reply(403, r#"{"error": "disabled"}"#),
            Some("proxy") => reply(403, "<html>forbidden</html>"),
            Some("Mixed") => reply(200, r#"{"username": "mixed"}"#),
            Some("nameless") => reply(200, r#"{"error": "wrong password"}"#),
            Some("busy") => reply(429, ""),
            Some("strange") => reply(400, ""),
            Some("page") => reply(200, "<html>please log in</html>"),
            Some("no-content") => reply(204, ""),
            Some("broken") => reply(500, r#"{"username": "broken"}"#),
            Some("large") => reply(
                200,
                &format!(r#"{{"username": "large", "x": "{}"}}"#, "x".repeat(70_000)),
            ),
            Some("elsewhere") => Reply {
                headers: vec![("location", "/login-elsewhere".to_owned())],
                ..reply(307, "")
            },
            Some("slow") => Reply {
                delay: Some(Duration::from_secs(3_600)),
                ..reply(200, r#"{"username": "slow"}"#)
            },
            _ => reply(401, r#"{"error": "unknown user"}"#),
        },
        ("GET", "/identify") => match request.authorization.as_deref() {
            Some(bearer) if bearer == format!("Bearer {}", token("carol", None)) => {
                reply(200, r#"{"name": "carol", "administrator": true}"#)
            }
            Some(bearer) if bearer.ends_with(".named") => reply(200, r#"{"name": "a/#"}"#),
            Some(bearer) if bearer.ends_with(".nameless") => reply(200, "{}"),
            Some(bearer) if bearer.ends_with(".ending") => reply(200, r#"{"name": "erin"}"#),
            Some(bearer) if bearer.ends_with(".broken") => reply(502, ""),
            _ => reply(401, ""),
        },
        _ => reply(404, ""),
    }
}

fn token(name: &str, signature: Option<(&str, u64)>) -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let (signature, exp) = signature.unwrap_or(("c2ln", 4_000_000_000));
    let claims = format!(r#"{{"sub": "{name}", "exp": {exp}}}"#);
    format!(
        "{}.{}.{signature}",
        part(r#"{"alg":"RS256"}"#),
        part(&claims)
    )
}

fn config(server: &HttpServer) -> HttpConfig {
    HttpConfig {
        url: server.url(),
        ..HttpConfig::default()
    }
}

async fn ask(
    source: &dyn UserSource,
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
    source.find(&login, Deadline::NONE).await
}

/// Short words for what came out.
async fn outcome(source: &dyn UserSource, username: &str, password: &str) -> String {
    short(ask(source, Some(username), Some(password)).await)
}

pub(in crate::users) fn short(found: Result<Found, SourceError>) -> String {
    match found {
        Ok(Found::Verified(verified)) => {
            let superuser = if verified.account.superuser {
                " superuser"
            } else {
                ""
            };
            format!("{} by {}{superuser}", verified.name, verified.rule)
        }
        Ok(Found::Refused(refusal)) => format!("refused {}", refusal.rule()),
        Ok(Found::NotMine) => "not mine".to_owned(),
        Ok(Found::Stored(..)) => panic!("nothing is stored here"),
        Err(error) => {
            let (_, problem) = error.to_string().split_once(": ").map_or_else(
                || (String::new(), error.to_string()),
                |(a, b)| (a.to_owned(), b.to_owned()),
            );
            // Without the address.
            let problem = problem
                .split_once(": ")
                .map_or(problem.clone(), |(_, text)| text.to_owned());
            format!("failure {problem}")
        }
    }
}

#[tokio::test]
async fn log_in() {
    let server = HttpServer::start(manager).await;
    let source = open(&config(&server)).unwrap();
    for (username, password, expected) in [
        ("alice", "pässword", "alice by http"),
        ("alice", "wrong", "refused unknown-user-or-password"),
        ("nobody", "x", "refused unknown-user-or-password"),
        ("disabled", "x", "failure answered 403"),
        ("proxy", "x", "failure answered 403"),
        ("root", "x", "root by http superuser"),
        ("Mixed", "x", "failure the answer is about somebody else"),
        ("nameless", "x", "failure the answer has no user name"),
        ("page", "x", "failure the answer is not a JSON object"),
        ("no-content", "x", "failure answered 204"),
        ("strange", "x", "failure answered 400"),
        ("busy", "x", "failure http is busy"),
        ("broken", "x", "failure answered 500"),
        (
            "large",
            "x",
            "failure the answer is longer than 65536 bytes",
        ),
        ("elsewhere", "x", "failure answered 307"),
    ] {
        assert_eq!(
            outcome(&*source, username, password).await,
            expected,
            "{username}"
        );
    }
    let paths: Vec<_> = server.seen().into_iter().map(|seen| seen.path).collect();
    assert!(paths.iter().all(|path| path == "/login"), "{paths:?}");
}

#[tokio::test]
async fn other_statuses_mean_no_if_the_manager_is_seen_to_say_so() {
    let server = HttpServer::start(manager).await;
    let mut config = config(&server);
    config.manager.refused_status = vec![401, 403, 404];
    let source = open(&config).unwrap();
    let no = "refused unknown-user-or-password";
    assert_eq!(outcome(&*source, "disabled", "x").await, no);
    let page = outcome(&*source, "proxy", "x").await;
    assert_eq!(page, "failure answered 403");
    config.manager.login_path = "/nowhere".to_owned();
    let source = open(&config).unwrap();
    let nobody = outcome(&*source, "alice", "x").await;
    assert_eq!(nobody, "failure answered 404");
}

#[tokio::test]
async fn what_is_not_worth_a_question() {
    let server = HttpServer::start(manager).await;
    let source = open(&config(&server)).unwrap();
    assert_eq!(short(ask(&*source, None, None).await), "not mine");
    assert_eq!(short(ask(&*source, Some("alice"), None).await), "not mine");
    assert_eq!(short(ask(&*source, None, Some("x")).await), "not mine");
    assert_eq!(outcome(&*source, "a/#", "x").await, "refused user-name");
    // An empty password would be an anonymous bind of a directory behind it.
    let refused = "refused unknown-user-or-password";
    assert_eq!(outcome(&*source, "root", "").await, refused);
    let binary = Password::new(&[0xff, 0xfe]);
    let login = Login {
        username: Some("root"),
        password: Some(&binary),
        client_id: "c1",
        tls: None,
        listener: "tcp",
    };
    assert_eq!(short(source.find(&login, Deadline::NONE).await), refused);
    let huge = format!(
        "{}{}",
        token("carol", None),
        "A".repeat(token::MAX_TOKEN_BYTES)
    );
    assert_eq!(
        outcome(&*source, &huge, "").await,
        "refused token-too-large"
    );
    assert!(server.seen().is_empty(), "{:?}", server.seen());
}

#[tokio::test]
async fn tokens() {
    let server = HttpServer::start(manager).await;
    let source = open(&config(&server)).unwrap();
    let carol = token("carol", None);
    let by_name = ask(&*source, Some(&carol), None).await.unwrap();
    let Found::Verified(verified) = by_name else {
        panic!("{by_name:?}");
    };
    assert_eq!(verified.name.as_str(), "carol");
    assert!(verified.account.superuser);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    assert_eq!(verified.expires_at, Some(end));

    for (username, password, expected) in [
        ("anything", carol.as_str(), "carol by http-token superuser"),
        (&carol, "ignored", "carol by http-token superuser"),
        (&token("mallory", None), "", "refused token-refused"),
        (
            &token("dave", Some(("named", 4_000_000_000))),
            "",
            "refused user-name",
        ),
        (
            &token("dave", Some(("nameless", 4_000_000_000))),
            "",
            "failure the answer has no user name",
        ),
        (
            &token("erin", Some(("ending", 1_000))),
            "",
            "refused token-expired",
        ),
        (
            &token("erin", Some(("broken", 4_000_000_000))),
            "",
            "failure answered 502",
        ),
    ] {
        assert_eq!(
            outcome(&*source, username, password).await,
            expected,
            "{username}"
        );
    }
    let seen = server.seen();
    assert!(
        seen.iter().all(|seen| seen.path == "/identify"),
        "no token is tried as a password"
    );

    let mut config = config(&server);
    config.manager.identify_path.clear();
    let source = open(&config).unwrap();
    let refused = "refused unknown-user-or-password";
    assert_eq!(
        outcome(&*source, "carol", &carol).await,
        refused,
        "a password like any other"
    );
}

#[tokio::test]
async fn requests_as_configured() {
    let server = HttpServer::start(|_| reply(201, "")).await;
    let mut config = config(&server);
    config.url += "/api/";
    config.body = BodyFormat::Form;
    config.manager.login_path = "/v1/session".to_owned();
    config.manager.username_field = "login".to_owned();
    config.manager.password_field = "pass".to_owned();
    let source = open(&config).unwrap();
    assert_eq!(
        outcome(&*source, "al ice", "a&b=c").await,
        "failure answered 201"
    );
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/api/v1/session");
    assert_eq!(
        seen.content_type.as_deref(),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(seen.body, "login=al+ice&pass=a%26b%3Dc");

    let server = HttpServer::start(|_| reply(200, "{}")).await;
    let mut config = self::config(&server);
    config.manager.name_fields.clear();
    let source = open(&config).unwrap();
    assert_eq!(
        outcome(&*source, "alice", "x").await,
        "alice by http",
        "asked for by the operator"
    );
}

#[tokio::test]
async fn a_service_that_is_down_is_a_failure() {
    let server = HttpServer::start(manager).await;
    let config = config(&server);
    let source = open(&config).unwrap();
    assert_eq!(
        outcome(&*source, "alice", "pässword").await,
        "alice by http"
    );
    drop(server);
    let outcome = outcome(&*source, "alice", "pässword").await;
    assert!(outcome.starts_with("failure "), "{outcome}");
    assert!(
        !outcome.contains("ssword") && !outcome.contains("/login"),
        "{outcome}"
    );
}

#[tokio::test]
async fn a_slow_service_is_a_failure_in_time() {
    let server = HttpServer::start(manager).await;
    let mut config = config(&server);
    config.timeout = Duration::from_millis(50);
    let source = open(&config).unwrap();
    assert_eq!(
        outcome(&*source, "slow", "x").await,
        "failure no answer within 50ms"
    );

    config.timeout = Duration::from_secs(3_600);
    let source = open(&config).unwrap();
    let password = Password::new(b"x");
    let login = Login {
        username: Some("slow"),
        password: Some(&password),
        client_id: "c1",
        tls: None,
        listener: "tcp",
    };
    let found = source
        .find(&login, Deadline::after(Duration::from_millis(50)))
        .await;
    assert_eq!(short(found), "failure no answer in time");
}

#[tokio::test]
async fn too_many_at_once_are_told_so() {
    let server = HttpServer::start(manager).await;
    let mut config = config(&server);
    config.max_concurrent = NonZeroUsize::MIN;
    config.queue = 1;
    let source: Arc<dyn UserSource> = open(&config).unwrap().into();
    let one = {
        let source = Arc::clone(&source);
        tokio::spawn(async move { outcome(&*source, "slow", "x").await })
    };
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    // The second waits as long as it can; the third has no place to wait.
    let password = Password::new(b"x");
    let login = Login {
        username: Some("alice"),
        password: Some(&password),
        client_id: "c1",
        tls: None,
        listener: "tcp",
    };
    let waiting = source.find(&login, Deadline::after(Duration::from_millis(200)));
    let turned_away = async {
        tokio::task::yield_now().await;
        source.find(&login, Deadline::NONE).await
    };
    let (waiting, turned_away) = tokio::join!(biased; waiting, turned_away);
    assert_eq!(short(turned_away), "failure http is busy");
    assert_eq!(short(waiting), "failure http is busy");
    // Who gives up makes room.
    one.abort();
    one.await.unwrap_err();
    assert_eq!(
        outcome(&*source, "alice", "pässword").await,
        "alice by http"
    );
}

struct Pki {
    folder: TempDir,
    server: ServerConfig,
}

/// A server for 127.0.0.1 that asks for a client certificate, and the files of a client.
fn pki() -> Pki {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &ca).unwrap(), key)
    };
    let write = |name: &str, pem: String| std::fs::write(folder.path().join(name), pem).unwrap();
    write("ca.pem", ca.pem());
    let (client, key) = leaf("client");
    write("client.pem", client.pem());
    write("client.key", key.serialize_pem());
    let (server, key) = leaf("127.0.0.1");
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Pki { folder, server }
}

#[tokio::test]
async fn tls_with_an_authority_of_our_own() {
    let Pki { folder, server } = pki();
    let server = HttpServer::start_tls(server, manager).await;
    let file = |name: &str| Some::<PathBuf>(folder.path().join(name));
    let mut config = config(&server);
    config.url = config.url.replace("http:", "https:");
    config.tls.ca = file("ca.pem");
    config.tls.cert = file("client.pem");
    config.tls.key = file("client.key");
    let source = open(&config).unwrap();
    assert_eq!(
        outcome(&*source, "alice", "pässword").await,
        "alice by http"
    );

    let without_certificate = HttpConfig {
        tls: crate::config::http::ClientTls {
            ca: file("ca.pem"),
            ..Default::default()
        },
        ..config.clone()
    };
    let source = open(&without_certificate).unwrap();
    assert!(
        outcome(&*source, "alice", "pässword")
            .await
            .starts_with("failure ")
    );

    let other = pki();
    config.tls.ca = Some(other.folder.path().join("ca.pem"));
    let source = open(&config).unwrap();
    let outcome = outcome(&*source, "alice", "pässword").await;
    assert!(outcome.contains("certificate"), "{outcome}");
    assert_eq!(server.seen().len(), 1, "the password went nowhere else");

    config.tls.ca = file("client.key");
    let error = open(&config).unwrap_err().to_string();
    assert!(
        error.starts_with("users.http.tls.ca: expected certificates"),
        "{error}"
    );
}
