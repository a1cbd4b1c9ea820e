//! Clients behind a load balancer that says where they come from.

use std::io::Write as _;

use tidegate_tests::{
    Client, Connect, Door, Topology, Version, door, service::Hook, topology::Plan,
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n";

/// 192.0.2.8, port 4711.
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0C\xC0\x00\x02\x08\xC6\x33\x64\x01\x12\x67\x22\xB3";

/// Version 2, of a balancer that speaks for itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn behind(plan: Plan, version: &str, trusted: &str) -> Plan {
    let trusted = vec![toml::Value::from(trusted)];
    plan.set("listeners.0.proxy_protocol.version", version)
        .set("listeners.0.proxy_protocol.trusted", trusted)
        .set("metrics.bind", "127.0.0.1:0")
}

#[test]
fn the_real_address_is_the_one_that_counts() {
    for (door, version, header, address) in [
        (Door::Tcp, "v1", V1, "192.0.2.7"),
        (Door::Tls, "v1", V1, "192.0.2.7"),
        (Door::Wss, "v2", V2, "192.0.2.8"),
        (Door::Tcp, "v2", V2, "192.0.2.8"),
        (Door::Tcp, "v2", LOCAL, "127.0.0.1"),
    ] {
        let topology = behind(door.of(Topology::scripted()), version, "127.0.0.0/8")
            .set("limits.max_connections_per_address", 1)
            .start();
        let come = |header: &[u8]| {
            let mut stream = door::connect(topology.gate().address());
            stream.write_all(header).unwrap();
            stream
        };
        let mut client = door.open_on(come(header), Version::V5);
        client.send(&Connect::new("client"));
        client.expect_connack(0);
        let check = &topology.service().wait_for(Hook::Connect, 1)[0];
        let peer = check.connect().peer.clone().unwrap();
        assert_eq!(peer.ip, address);
        if header != LOCAL {
            assert_eq!(peer.port, 4711);
        }
        // Limits for each address are about the client's, and not about the balancer's.
        Client::over(come(header), Version::V5).expect_closed();
        let limit = [("limit", "max_connections_per_address")];
        let metrics = topology.gate().metrics();
        metrics.wait_for("tidegate_connections_refused_total", &limit, 1);
        let other = match version {
            "v1" => b"PROXY TCP4 192.0.2.9 198.51.100.1 4712 8883\r\n".to_vec(),
            _ => V2
                .iter()
                .map(|&byte| if byte == 0x08 { 0x0A } else { byte })
                .collect(),
        };
        let mut other = door.open_on(come(&other), Version::V5);
        other.send(&Connect::new("another"));
        other.expect_connack(0);
        drop(client);
    }
}

#[test]
fn who_may_not_say_so_or_says_nothing_is_not_let_in() {
    for (trusted, sent, name, label) in [
        (
            "192.0.2.0/24",
            V2,
            "connections_refused",
            ("limit", "untrusted_proxy"),
        ),
        (
            "127.0.0.1",
            V1,
            "handshakes_failed",
            ("reason", "proxy_protocol"),
        ),
        (
            "127.0.0.1",
            b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0\0\0",
            "handshakes_failed",
            ("reason", "proxy_protocol"),
        ),
    ] {
        let topology = behind(Topology::scripted(), "v2", trusted).start();
        let mut client = topology.open(Version::V5);
        client.send_in_vain(sent);
        client.expect_closed();
        let metrics = topology.gate().metrics();
        metrics.wait_for(&format!("tidegate_{name}_total"), &[label], 1);
        assert!(topology.service().checks().is_empty());
    }
}

/// Where nobody is behind a balancer, the header is no MQTT.
#[test]
fn a_client_can_not_name_an_address() {
    let topology = Topology::scripted()
        // The one of version 1 could be the beginning of a longer packet.
        .set("limits.handshake_deadline", "1s")
        .start();
    for header in [V1, V2] {
        let mut client = topology.open(Version::V5);
        client.send_in_vain(header);
        client.expect_closed();
    }
    assert!(topology.service().checks().is_empty());
}
