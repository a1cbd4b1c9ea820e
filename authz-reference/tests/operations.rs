//! What operators rely on: TLS, probes, metrics, the age of connections.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{fs, net::SocketAddr, time::Duration};

use hyper_util::rt::TokioIo;
use support::{
    tls::{Authority, SERVER, shown},
    *,
};
use tidegate_authz::config::{Address, Config};
use tidegate_proto::v1::{
    GetCapabilitiesRequest, WatchDirectivesRequest, control_service_client::ControlServiceClient,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::service_fn;

/// Long enough for a loaded machine, and only waited for in vain by a test that fails.
const LONG: Duration = Duration::from_secs(30);

fn with_tls(config: &mut Config, authority: &Authority, clients: &Authority) {
    config.tls.cert = Some(authority.path("server.pem"));
    config.tls.key = Some(authority.path("server.key"));
    config.tls.client_ca = Some(clients.path("ca.pem"));
}

async fn is_served(channel: Channel) -> bool {
    let request = GetCapabilitiesRequest::default();
    let asked = Client::new(channel).get_capabilities(request).await;
    asked.is_ok()
}

/// Status and body.
async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(LONG, read).await.unwrap().unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, body.to_owned())
}

#[tokio::test]
async fn only_who_shows_the_right_certificate_is_served() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    ours.issue("server", SERVER);
    ours.issue("gate", "gate.example");
    ours.issue("other", "other.example");
    theirs.issue("gate", "gate.example");
    let running = Running::with(|config| {
        with_tls(config, &ours, &ours);
        config.tls.client_names = vec!["spiffe://example/gate".to_owned()];
    })
    .await;
    for (client, expected) in [
        (ours.client(Some((&ours, "gate"))), true),
        (ours.client(Some((&ours, "other"))), false),
        (ours.client(Some((&theirs, "gate"))), false),
        (ours.client(None), false),
    ] {
        let channel = tls::channel(running.addr, &client);
        let served = timeout(LONG, is_served(channel)).await.unwrap();
        assert_eq!(served, expected);
    }
    // Nor who speaks no TLS.
    let plain = Endpoint::from_shared(format!("http://{}", running.addr)).unwrap();
    let served = timeout(LONG, is_served(plain.connect_lazy())).await;
    assert!(!served.unwrap());
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_nobody_is_disturbed() {
    let authority = Authority::new();
    authority.issue("server", SERVER);
    authority.issue("gate", "gate.example");
    let running = Running::with(|config| with_tls(config, &authority, &authority)).await;
    let client = authority.client(Some((&authority, "gate")));
    let channel = tls::channel(running.addr, &client);
    let mut watch = ControlServiceClient::new(channel.clone())
        .watch_directives(WatchDirectivesRequest::default())
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap().unwrap();

    // Rubbish first: what was read before counts.
    let before = shown(running.addr, &client).await;
    fs::write(authority.path("server.pem"), "no certificate").unwrap();
    assert_eq!(shown(running.addr, &client).await, before);
    authority.issue("server", SERVER);
    let renewed = async {
        while shown(running.addr, &client).await == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, renewed).await.unwrap();
    assert!(is_served(channel).await, "on the connection of before");
    running.stop.send(()).unwrap();
    let end = timeout(LONG, watch.message()).await.unwrap();
    assert_eq!(end.unwrap(), None, "until then it was open");
}

#[tokio::test]
async fn probes_are_in_plaintext_and_tell_of_the_end() {
    let authority = Authority::new();
    authority.issue("server", SERVER);
    let running = Running::with(|config| {
        with_tls(config, &authority, &authority);
        config.probes.bind = Some(([127, 0, 0, 1], 0).into());
        config.shutdown.delay = Duration::from_secs(600);
    })
    .await;
    let probes = running.probes.unwrap();
    assert_eq!(get(probes, "/healthz").await, (200, "ok\n".to_owned()));
    until_serving(channel(probes).await).await;
    assert_eq!(get(probes, "/readyz").await, (200, "serving\n".to_owned()));
    assert_eq!(get(probes, "/").await.0, 404);
    let mut health = HealthClient::new(channel(probes).await);
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    running.stop.send(()).unwrap();
    let next = timeout(LONG, watch.message()).await.unwrap();
    let next = next.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing);
    assert_eq!(get(probes, "/readyz").await, (503, "stopping\n".to_owned()));
    assert_eq!(get(probes, "/healthz").await.0, 200);
    running.served.abort();
}

#[tokio::test]
async fn metrics_tell_what_happened_without_names() {
    let authority = Authority::new();
    authority.issue("server", SERVER);
    let running = Running::with(|config| {
        config.tls.cert = Some(authority.path("server.pem"));
        config.tls.key = Some(authority.path("server.key"));
        config.probes.bind = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let channel = || tls::channel(running.addr, &authority.client(None));
    let mut client = Client::new(channel());
    let alice = logged_in(&mut client, "alice").await;
    let checks = vec![
        publish(&alice, "alice/x"),
        publish(&alice, "alice/y"),
        publish(&alice, "bob/x"),
    ];
    publish_all(&mut client, checks).await;
    let mut watch = ControlServiceClient::new(channel())
        .watch_directives(WatchDirectivesRequest::default())
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap().unwrap();

    let (status, page) = get(running.probes.unwrap(), "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "checks_total{hook=\"connect\",outcome=\"allow\",rule=\"password\"} 1",
        "checks_total{hook=\"publish\",outcome=\"allow\",rule=\"own-prefix\"} 2",
        "checks_total{hook=\"publish\",outcome=\"deny\",rule=\"own-prefix\"} 1",
        "call_duration_seconds_count{hook=\"publish\"} 1",
        "batch_size_sum{hook=\"publish\"} 3.0",
        "user_lookup_duration_seconds_count{source=\"file\",outcome=\"known\"} 1",
        "user_source_up{source=\"file\"} 1",
        "control_watches 1",
        "control_directives_total{kind=\"terminate\"} 0",
        "hashing_running 0",
        "config_last_reload_successful 1",
        "tls_reloads_total{outcome=\"applied\"} 0",
    ] {
        let line = format!("tidegate_authz_service_{line}\n");
        assert!(page.contains(&line), "{line} in {page}");
    }
    assert!(page.contains("tls_certificate_not_after_timestamp_seconds "));
    for name in ["alice", "bob", "s1", "c1"] {
        assert!(!page.contains(&format!("\"{name}")), "{name} in {page}");
    }
    assert!(page.ends_with("# EOF\n"));
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    for line in page.lines() {
        if let Some(descriptor) = line.strip_prefix("# TYPE tidegate_authz_service_") {
            let name = descriptor.split(' ').next().unwrap();
            let is_documented = readme.contains(&format!("`{name}"));
            assert!(is_documented, "{name} is not in the README");
        }
    }
}

#[tokio::test]
async fn old_connections_go_but_a_watch_stays() {
    let running = Running::with(|config| {
        config.server.max_connection_age = Duration::from_millis(200);
        config.server.max_connection_age_grace = Duration::from_millis(200);
    })
    .await;
    until_serving(running.channel().await).await;
    let mut watch = ControlServiceClient::new(running.channel().await)
        .watch_directives(WatchDirectivesRequest::default())
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap().unwrap();
    // A health watch does not hold a connection, whose channel connects again for the next call. Some of them, one
    // after the other, take longer than age and grace.
    let channel = running.channel().await;
    let mut health = HealthClient::new(channel.clone());
    for _ in 0..4 {
        let mut ended = health
            .watch(HealthCheckRequest::default())
            .await
            .unwrap()
            .into_inner();
        assert!(ended.message().await.unwrap().is_some());
        let end = timeout(LONG, ended.message()).await.unwrap();
        assert_eq!(end.unwrap(), None);
    }
    assert!(is_served(channel).await);

    running.stop.send(()).unwrap();
    let end = timeout(LONG, watch.message()).await.unwrap();
    assert_eq!(end.unwrap(), None, "until the end of the program");
}

#[tokio::test]
async fn listens_on_a_unix_socket_and_takes_its_file_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authz.sock");
    // Left behind by somebody who was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let running = Running::unix(&path).await;
    let connect = {
        let path = path.clone();
        service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        })
    };
    let channel = Endpoint::from_static("http://authz.example")
        .connect_with_connector(connect)
        .await
        .unwrap();
    assert!(is_served(channel).await);
    running.stop.send(()).unwrap();
    timeout(LONG, running.served).await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn silent_connections_hold_nothing_up() {
    // Who has said a little of what HTTP/2 begins with is not there yet, either.
    for said in ["", "P", "PRI * HTTP/2.0"] {
        let running = Running::start().await;
        let mut silent = Vec::new();
        for _ in 0..300 {
            let mut connection = TcpStream::connect(running.addr).await.unwrap();
            connection.write_all(said.as_bytes()).await.unwrap();
            silent.push(connection);
        }
        assert!(is_served(running.channel().await).await);
        // The oldest had to go.
        let mut byte = [0];
        let read = timeout(LONG, silent[0].read(&mut byte)).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "{said:?}");
        running.stop.send(()).unwrap();
        timeout(LONG, running.served).await.unwrap().unwrap();
    }
}

#[test]
fn addresses() {
    for good in ["127.0.0.1:1", "[::1]:0", "unix:/run/a.sock", "unix:a"] {
        assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
    }
    for bad in ["", "unix:", "localhost:1", "127.0.0.1", "/run/a.sock"] {
        assert!(bad.parse::<Address>().is_err(), "{bad}");
    }
}
