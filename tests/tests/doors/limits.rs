//! Many who come and do not go on, or come too fast.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use tidegate_tests::{
    Client, Connect, Door, Topology, Version, assert_eventually, door, packet::Encode as _,
    wait::PATIENCE,
};

const HALF_OPEN: usize = 2_000;

/// The beginning of what a client sends through a door.
fn beginning(door: Door) -> Vec<u8> {
    match door {
        Door::Tcp => Connect::new("slow").encode(Version::V5)[..9].to_vec(),
        Door::Tls | Door::Mtls | Door::Wss => vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01],
        Door::Ws => b"GET /mqtt HTTP/1.1\r\nHost: gate\r\nX: ".to_vec(),
    }
}

/// Whether the gate has closed a connection.
fn is_over(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn half_open_clients_are_gone_after_the_deadline() {
    for door in [Door::Tcp, Door::Tls, Door::Ws] {
        let topology = door
            .of(Topology::scripted())
            .set("limits.handshake_deadline", "8s")
            .set("limits.max_undecided_per_address", 3000)
            .set("metrics.bind", "127.0.0.1:0")
            .start();
        let address = topology.gate().address();
        let half_open: Vec<_> = (0..HALF_OPEN)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(&beginning(door)).unwrap();
                stream
            })
            .collect();
        // Meanwhile somebody comes who means it; and a byte now and then buys no time.
        let mut good = door.open(&topology, Version::V5);
        good.send(&Connect::new("good"));
        good.expect_connack(0);
        for mut stream in &half_open {
            let _ = stream.write_all(b"\x01");
        }
        for stream in &half_open {
            assert!(is_over(stream), "{door:?}");
        }
        good.expect_nothing_before_pong();
        assert_eq!(topology.recorder().connections(), 1, "{door:?}");
        assert_eq!(topology.service().checks().len(), 1, "{door:?}");
        let metrics = topology.gate().metrics();
        assert_eventually!(metrics.value("tidegate_sessions_open", &[]) <= 1);
        let (name, reason) = match door {
            Door::Tcp => ("sessions_closed", "handshake_timeout"),
            // The head of a request has a deadline of its own, which is sooner.
            Door::Ws => ("handshakes_failed", "websocket"),
            _ => ("handshakes_failed", "timeout"),
        };
        let (name, labels) = (format!("tidegate_{name}_total"), [("reason", reason)]);
        metrics.wait_for(&name, &labels, HALF_OPEN as u64);
    }
}

/// The time for TLS and WebSocket is none that the CONNECT gets on top.
#[test]
fn the_deadline_is_one_for_all_parts() {
    for door in Door::ALL {
        let topology = door
            .of(Topology::scripted())
            .set("limits.handshake_deadline", "2s")
            .start();
        let mut silent = door.open(&topology, Version::V5);
        silent.expect_closed();
        assert_eq!(topology.service().checks().len(), 0, "{door:?}");
    }
}

#[test]
fn an_address_has_so_many_connections() {
    let topology = Topology::scripted()
        .set("limits.max_connections_per_address", 2)
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let first = topology.join(Version::V5, &Connect::new("1"));
    let _second = topology.join(Version::V5, &Connect::new("2"));
    topology.open(Version::V5).expect_closed();
    let address = topology.gate().address();
    let elsewhere = "127.0.0.2".parse().unwrap();
    let mut other = Client::open_from(elsewhere, address, Version::V5);
    other.send(&Connect::new("3"));
    other.expect_connack(0);
    let limit = [("limit", "max_connections_per_address")];
    let metrics = topology.gate().metrics();
    metrics.wait_for("tidegate_connections_refused_total", &limit, 1);
    drop(first);
    assert_eventually!({
        let mut next = topology.open(Version::V5);
        next.send_in_vain(&Connect::new("4").encode(Version::V5));
        next.try_next().is_some()
    });
}

#[test]
fn who_comes_too_fast_waits() {
    let topology = Topology::scripted()
        .set("listeners.0.accept_rate", 5)
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let streams: Vec<_> = (0..12)
        .map(|_| door::connect(topology.gate().address()))
        .collect();
    for (number, stream) in streams.into_iter().enumerate() {
        let mut client = Client::over(stream, Version::V311);
        client.send(&Connect::new(format!("client-{number}")));
        client.expect_connack(0);
    }
    let metrics = topology.gate().metrics();
    assert!(metrics.value("tidegate_accept_pauses_total", &[]) >= 1);
    assert_eq!(metrics.value("tidegate_connections_refused_total", &[]), 0);
}
