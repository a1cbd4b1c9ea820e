//! TLS towards the service, right and wrong.

use super::{certificates::Authority, certificates::load, *};

async fn service(authority: &Authority, name: &str) -> Scripted {
    let acceptor = authority.acceptor(name, b"h2");
    Scripted::tls(acceptor, |seen| allow_all(&seen)).await
}

async fn decide(scheme: &str, port: u16, files: Option<&TlsFiles>) -> Verdict {
    let options = AuthzOptions {
        endpoints: vec![format!("{scheme}localhost:{port}").parse().unwrap()],
        tls: files.map(load),
        ..AuthzOptions::default()
    };
    ask(&Authz::start(&options, v1::DataPlane::default())).await
}

const FAILED: Verdict = Verdict::Unavailable(Why::Unavailable);

#[tokio::test]
async fn both_sides_know_each_other() {
    let authority = Authority::new();
    let service = service(&authority, "localhost").await;
    let port = service.address.port();
    let files = authority.client(&authority);
    let verdict = decide("https://", port, Some(&files)).await;
    assert!(matches!(verdict, Verdict::Allow(_)), "{verdict:?}");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let service = service(&authority, "localhost").await;
    let port = service.address.port();
    let good = authority.client(&authority);
    for (what, files) in [
        ("another authority", other.client(&authority)),
        ("a certificate of another one", authority.client(&other)),
        (
            "no certificate of ours",
            TlsFiles {
                cert: None,
                key: None,
                ..good.clone()
            },
        ),
        (
            "another name",
            TlsFiles {
                server_name: Some("other.example".to_owned()),
                ..good.clone()
            },
        ),
    ] {
        assert_eq!(
            decide("https://", port, Some(&files)).await,
            FAILED,
            "{what}"
        );
    }
    // Never in plain text instead, in neither direction.
    assert_eq!(decide("https://", port, None).await, FAILED);
    assert_eq!(decide("http://", port, None).await, FAILED);
    let plain = Scripted::each(|_| panic!("it was asked in plain text")).await;
    let port = plain.address.port();
    assert_eq!(decide("https://", port, Some(&good)).await, FAILED);
}

#[tokio::test]
async fn the_name_can_be_another_than_the_host() {
    let authority = Authority::new();
    let service = service(&authority, "authz.example").await;
    let port = service.address.port();
    let mut files = authority.client(&authority);
    assert_eq!(decide("https://", port, Some(&files)).await, FAILED);
    files.server_name = Some("authz.example".to_owned());
    let verdict = decide("https://", port, Some(&files)).await;
    assert!(matches!(verdict, Verdict::Allow(_)), "{verdict:?}");
}

#[tokio::test]
async fn http2_has_to_be_agreed_upon() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", b"http/1.1");
    let service = Scripted::tls(acceptor, |seen| allow_all(&seen)).await;
    let files = authority.client(&authority);
    let port = service.address.port();
    assert_eq!(decide("https://", port, Some(&files)).await, FAILED);
}

#[tokio::test]
async fn every_address_of_a_name_has_to_bear_the_name() {
    let authority = Authority::new();
    let service = service(&authority, "localhost").await;
    let address = service.address;
    let files = authority.client(&authority);
    let options = |host: &str| AuthzOptions {
        endpoints: vec![
            format!("dns:{host}:{}?tls", address.port())
                .parse()
                .unwrap(),
        ],
        tls: Some(load(&files)),
        lookup: crate::authz::NameLookup(Arc::new(move |_| {
            Box::pin(async move { Ok(vec![address]) })
        })),
        ..AuthzOptions::default()
    };
    let good = Authz::start(&options("localhost"), v1::DataPlane::default());
    assert!(is_allowed(&good).await);
    let bad = Authz::start(&options("other.example"), v1::DataPlane::default());
    assert_eq!(ask(&bad).await, FAILED);
}

/// As whoever renews certificates does it, in one step.
fn replace(target: &std::path::Path, source: &std::path::Path) {
    let beside = target.with_extension("new");
    std::fs::copy(source, &beside).unwrap();
    std::fs::rename(beside, target).unwrap();
}

#[tokio::test]
async fn files_that_have_changed_are_used_by_the_next_connection() {
    let (authority, other) = (Authority::new(), Authority::new());
    let service = service(&authority, "localhost").await;
    let files = authority.client(&other);
    let (cert, key) = (files.cert.clone().unwrap(), files.key.clone().unwrap());
    let endpoint = format!("https://localhost:{}", service.address.port());
    let options = AuthzOptions {
        endpoints: vec![endpoint.parse().unwrap()],
        tls: Some(load(&files)),
        ..AuthzOptions::default()
    };
    let authz = Authz::start(&options, v1::DataPlane::default());
    assert_eq!(ask(&authz).await, FAILED);
    let (new_cert, new_key) = authority.issue("gate");
    replace(&cert, &new_cert);
    replace(&key, &new_key);
    settle(&authz, 3).await;
    // What is no certificate changes nothing.
    std::fs::write(&cert, "no certificate").unwrap();
    let again = Authz::start(&options, v1::DataPlane::default());
    settle(&again, 3).await;
}

#[test]
fn a_bad_file_is_told_by_key_path_and_expectation() {
    let authority = Authority::new();
    let good = authority.client(&authority);
    let (other_cert, other_key) = authority.issue("other");
    let missing = other_cert.with_file_name("missing.pem");
    for (files, key, path) in [
        (
            TlsFiles {
                ca: Some(missing.clone()),
                ..good.clone()
            },
            "authz.tls.ca",
            &missing,
        ),
        (
            TlsFiles {
                ca: Some(other_key.clone()),
                ..good.clone()
            },
            "authz.tls.ca",
            &other_key,
        ),
        (
            TlsFiles {
                cert: Some(missing.clone()),
                ..good.clone()
            },
            "authz.tls.cert",
            &missing,
        ),
        (
            TlsFiles {
                key: Some(other_cert.clone()),
                ..good.clone()
            },
            "authz.tls.key",
            &other_cert,
        ),
        (
            TlsFiles {
                key: Some(other_key.clone()),
                ..good.clone()
            },
            "authz.tls.key",
            &other_key,
        ),
    ] {
        let error = Tls::load(&files).unwrap_err();
        assert_eq!(error.key, key);
        let path = path.display().to_string();
        assert!(error.reason.contains(&path), "{error}");
        assert!(error.reason.starts_with("expected "), "{error}");
    }
}
