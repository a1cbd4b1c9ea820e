//! Brokers that cannot be reached, or not be believed: clients hear "not available", the log says why.

use std::net::TcpListener;

use tempfile::TempDir;
use tidegate_tests::{
    Connect, Topology, Version, both_versions,
    mosquitto::Entrance,
    pki::{Authority, replace},
    recorder::Recorder,
    topology::{login, unique},
    wait::eventually,
};

/// Expects that a client is told so, and that the log has these words.
#[track_caller]
fn expect_unavailable(topology: &Topology, version: Version, said: &[&str]) {
    let mut client = topology.try_connect(version, &login("alice"));
    client.expect_refused(version.pick(0x03, 0x88));
    eventually(&format!("the log says {said:?}"), || {
        let log = topology.gate().log();
        let is_it = |line: &str| said.iter().all(|word| line.contains(word));
        log.lines().any(is_it).then_some(())
    });
}

fn path(path: impl AsRef<std::path::Path>) -> String {
    path.as_ref().display().to_string()
}

both_versions!(a_broker_of_an_unknown_authority, |version| {
    let other = Authority::new();
    let topology = Topology::real()
        .broker_over(Entrance::Tls)
        .set("broker.tls.ca", path(other.file()))
        .start();
    let said = ["cannot be reached", "TLS handshake", "UnknownIssuer"];
    expect_unavailable(&topology, version, &said);
});

both_versions!(a_broker_whose_certificate_has_expired, |version| {
    let topology = Topology::real().broker_over(Entrance::ExpiredTls).start();
    let said = ["cannot be reached", "TLS handshake", "expired"];
    expect_unavailable(&topology, version, &said);
});

both_versions!(a_broker_with_another_name, |version| {
    let topology = Topology::real()
        .broker_over(Entrance::Wss)
        .set("broker.tls.server_name", "other.example")
        .start();
    let said = ["cannot be reached", "not valid for name", "other.example"];
    expect_unavailable(&topology, version, &said);
});

both_versions!(a_broker_that_does_not_believe_us, |version| {
    let other = Authority::new();
    // TLS 1.3 lets the client finish first: the broker refuses what has begun.
    let own = other.issue("gate");
    let topology = Topology::real()
        .broker_over(Entrance::MutualTls)
        .set("broker.tls.cert", path(own.cert))
        .set("broker.tls.key", path(own.key))
        .start();
    expect_unavailable(&topology, version, &["broker", "fatal alert"]);
});

both_versions!(a_broker_that_accepts_and_says_nothing, |version| {
    // The kernel accepts; nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let authority = Authority::new();
    for (scheme, said) in [
        ("mqtts", "the TLS handshake"),
        ("ws", "the WebSocket upgrade"),
        ("wss", "the TLS handshake"),
    ] {
        let plan = Topology::real()
            .broker_url(format!("{scheme}://{address}"))
            .set("broker.connect_timeout", "1200ms");
        let topology = match scheme {
            "ws" => plan,
            _ => plan.set("broker.tls.ca", path(authority.file())),
        }
        .start();
        expect_unavailable(&topology, version, &["was given up", said]);
    }
});

both_versions!(a_broker_in_plain_text_where_tls_is_wanted, |version| {
    let recorder = Recorder::start();
    let authority = Authority::new();
    for scheme in ["mqtts", "wss"] {
        let topology = Topology::real()
            .broker_url(format!("{scheme}://{}", recorder.address()))
            .set("broker.tls.ca", path(authority.file()))
            .set("broker.connect_timeout", "1200ms")
            .start();
        expect_unavailable(&topology, version, &["broker", "the TLS handshake"]);
    }
    // A record of TLS, of which the recorder makes what it can.
    for index in 0..recorder.connections() {
        let first = recorder.connection(index).into_iter().next();
        assert!(first.is_none_or(|packet| packet.bytes()[0] == 0x16));
    }
});

both_versions!(a_socket_that_is_not_there, |version| {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("mqtt.sock");
    let topology = Topology::real()
        .broker_url(format!("unix:{}", path(&socket)))
        .start();
    expect_unavailable(&topology, version, &["cannot be reached", "No such file"]);
});

both_versions!(an_authority_that_comes_later_is_believed, |version| {
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::copy(Authority::new().file(), &ca).unwrap();
    let topology = Topology::real()
        .broker_over(Entrance::Tls)
        .set("broker.tls.ca", path(&ca))
        .start();
    expect_unavailable(&topology, version, &["UnknownIssuer"]);
    let tls = topology.mosquitto().tls();
    let (_, right) = tls.iter().find(|(key, _)| *key == "ca").unwrap();
    replace(&ca, right.as_ref());
    eventually("a client gets through", || {
        let mut client = topology.try_connect(version, &login("alice"));
        let connack = client.next_packet();
        (connack.codes() == [0]).then_some(())
    });
});

both_versions!(another_authority_does_not_end_what_is_open, |version| {
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    let topology = Topology::real().broker_over(Entrance::Tls);
    std::fs::copy(Authority::new().file(), &ca).unwrap();
    let topology = topology.set("broker.tls.ca", path(&ca)).start();
    let tls = topology.mosquitto().tls();
    replace(&ca, tls[0].1.as_ref());
    let mut early = eventually("a client gets through", || {
        let mut client = topology.try_connect(version, &login("alice"));
        (client.next_packet().codes() == [0]).then_some(client)
    });
    replace(&ca, &Authority::new().file());
    eventually("nobody else gets through", || {
        let mut client = topology.try_connect(
            version,
            &Connect::new(unique("alice")).login("alice", "alice"),
        );
        (client.next_packet().codes() != [0]).then_some(())
    });
    early.expect_nothing_before_pong();
});
