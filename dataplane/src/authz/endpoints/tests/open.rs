//! When an operator's step `allow` may be taken: only while nobody is there.

use super::{certificates::Authority, certificates::load, *};
use crate::authz::{FailurePolicy, Step};

/// A data plane that lets messages pass undecided if it may.
fn open(scheme: &str, address: SocketAddr, authority: &Authority) -> Authz {
    let port = address.port();
    let mut options = AuthzOptions {
        endpoints: vec![format!("{scheme}localhost:{port}").parse().unwrap()],
        tls: Some(load(&authority.client(authority))),
        // Long enough to look the name up and to connect, on a busy machine too.
        connect_timeout: Duration::from_millis(600),
        ..AuthzOptions::default()
    };
    options.publish.deadline = Duration::from_millis(200);
    options.publish.on_failure = FailurePolicy {
        steps: vec![Step::Allow],
        hold_max: Duration::ZERO,
    };
    Authz::start(&options, v1::DataPlane::default())
}

async fn until_allowed(authz: &Authz) {
    let allowed = async { while !is_allowed(authz).await {} };
    timeout(Duration::from_secs(30), allowed).await.unwrap();
}

#[tokio::test]
async fn nothing_passes_while_a_service_accepts_connections_and_says_nothing() {
    let authority = Authority::new();
    for scheme in ["http://", "https://"] {
        // The system accepts, and nobody reads: a process that is frozen.
        let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authz = open(scheme, frozen.local_addr().unwrap(), &authority);
        for n in 0..12 {
            sleep(Duration::from_millis(7 * n)).await;
            let verdict = ask(&authz).await;
            assert!(
                matches!(verdict, Verdict::Unavailable(_)),
                "{scheme}: {verdict:?}"
            );
        }
        drop(frozen);
        until_allowed(&authz).await;
    }
}

#[tokio::test]
async fn nothing_passes_while_a_peer_is_not_the_one_that_is_meant() {
    let (authority, other) = (Authority::new(), Authority::new());
    let liar = Scripted::tls(other.acceptor("localhost", b"h2"), |seen| allow_all(&seen)).await;
    let old = Scripted::tls(authority.acceptor("localhost", b"http/1.1"), |seen| {
        allow_all(&seen)
    });
    let old = old.await;
    for service in [liar, old] {
        let authz = open("https://", service.address, &authority);
        for _ in 0..12 {
            let verdict = ask(&authz).await;
            assert_eq!(verdict, Verdict::Unavailable(Why::Unavailable));
        }
        service.stop().await;
        until_allowed(&authz).await;
    }
}

#[tokio::test]
async fn nothing_passes_while_a_peer_accepts_and_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = Authority::new();
    let authz = open("http://", listener.local_addr().unwrap(), &authority);
    let closing = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    for _ in 0..30 {
        let verdict = ask(&authz).await;
        assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    }
    closing.abort();
    until_allowed(&authz).await;
}

/// As behind a firewall that drops everything.
#[tokio::test]
async fn who_finds_nobody_there_waits_for_one_attempt_only() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let _hole = tidegate_tests::black_hole::BlackHole::open_at(address);
    let mut options = AuthzOptions {
        connect_timeout: Duration::from_millis(600),
        ..testing::options([address])
    };
    // Shorter than an attempt: to wait for one would be a failure of another kind.
    options.publish.deadline = Duration::from_millis(200);
    options.publish.on_failure = FailurePolicy {
        steps: vec![Step::Allow],
        hold_max: Duration::ZERO,
    };
    let authz = Authz::start(&options, v1::DataPlane::default());
    until_allowed(&authz).await;
    for n in 0..30 {
        sleep(Duration::from_millis(n * 3)).await;
        assert!(is_allowed(&authz).await, "{n}");
    }
    let hook = authz.counters().hook(HookKind::Publish);
    assert_eq!(hook.failed(Why::Timeout), 0, "it is nobody's load");
}
