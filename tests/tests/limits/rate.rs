//! Who connects too often.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use tidegate_tests::{
    Client, Connect, Door, Topology, Version, assert_eventually, door, packet::Encode as _,
    topology::Plan,
};

const REFUSED: &str = "tidegate_connections_refused_total";
const BY_RATE: [(&str, &str); 1] = [("limit", "connect_rate_per_address")];

/// More than come in while they are made, on any machine.
const MANY: usize = 200;

/// What a load balancer says first.
const ONE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 8883\r\n";
const ANOTHER: &[u8] = b"PROXY TCP4 192.0.2.2 198.51.100.1 4711 8883\r\n";

fn bounded(plan: Plan) -> Plan {
    plan.set("limits.connect_rate_per_address", 1)
        .set("limits.connect_burst_per_address", 3)
        .set("metrics.bind", "127.0.0.1:0")
}

fn join(mut client: Client, name: &str) -> Client {
    client.send(&Connect::new(name));
    client.expect_connack(0);
    client
}

/// Whether the gate has closed it without a word.
fn is_closed(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn who_comes_too_often_is_closed_before_any_handshake() {
    for door in [Door::Tcp, Door::Tls, Door::Wss] {
        let topology = bounded(door.of(Topology::scripted())).start();
        let metrics = topology.gate().metrics();
        let _burst = ["1", "2", "3"].map(|name| join(door.open(&topology, Version::V5), name));
        let address = topology.gate().address();
        let streams: Vec<_> = (0..MANY).map(|_| door::connect(address)).collect();
        assert!(is_closed(&streams[MANY - 1]), "{door:?}");
        assert_eventually!(metrics.value(REFUSED, &BY_RATE) > 0);
        assert_eq!(metrics.value("tidegate_handshakes_failed_total", &[]), 0);
        assert!(topology.gate().log().contains("connect_rate_per_address"));
    }
}

#[test]
fn it_is_a_rate_and_of_one_address() {
    let topology = bounded(Topology::scripted()).start();
    let address = topology.gate().address();
    let streams: Vec<_> = (0..MANY).map(|_| door::connect(address)).collect();
    assert!(is_closed(&streams[MANY - 1]));
    drop(streams);
    let elsewhere = "127.0.0.2".parse().unwrap();
    join(Client::open_from(elsewhere, address, Version::V5), "other");
    assert_eventually!({
        let mut again = topology.open(Version::V5);
        again.send_in_vain(&Connect::new("again").encode(Version::V5));
        again.try_next().is_some()
    });
}

#[test]
fn behind_a_load_balancer_it_is_the_real_address() {
    let trusted = vec![toml::Value::from("127.0.0.0/8")];
    let topology = bounded(Topology::scripted())
        .set("listeners.0.proxy_protocol.version", "v1")
        .set("listeners.0.proxy_protocol.trusted", trusted)
        .start();
    let come = |header: &[u8]| {
        let mut stream = door::connect(topology.gate().address());
        stream.write_all(header).unwrap();
        stream
    };
    let streams: Vec<_> = (0..MANY).map(|_| come(ONE)).collect();
    let metrics = topology.gate().metrics();
    assert_eventually!(metrics.value(REFUSED, &BY_RATE) > 0);
    join(Client::over(come(ANOTHER), Version::V5), "another");
    drop(streams);
}
