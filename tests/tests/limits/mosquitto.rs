//! The same with a real broker and its settings.

use tidegate_tests::{
    Connect, Publish, Topology, Version,
    packet::{Encode as _, property},
};

fn publish(qos: u8, id: u16) -> Vec<u8> {
    Publish::new("t", "x").qos(qos).id(id).encode(Version::V5)
}

/// A line of its configuration, what a client sends all the same, and the code.
fn breaches() -> Vec<(&'static str, Vec<u8>, u8)> {
    vec![
        ("max_qos 1", publish(2, 1), 0x9B),
        ("max_qos 0", publish(1, 1), 0x9B),
        (
            "retain_available false",
            Publish::new("t", "x").retain().encode(Version::V5),
            0x9A,
        ),
        (
            "max_packet_size 500",
            Publish::new("t", [b'x'; 500]).encode(Version::V5),
            0x95,
        ),
        (
            "max_inflight_messages 2",
            [publish(2, 1), publish(2, 2), publish(2, 3)].concat(),
            0x93,
        ),
    ]
}

#[test]
fn a_real_brokers_limits_hold() {
    for (line, packets, code) in breaches() {
        println!("{line}");
        let topology = Topology::scripted().mosquitto(&[line]).start();
        let mut client = topology.connect(Version::V5, "client");
        client.send_in_vain(&packets);
        let said = client.drain();
        assert_eq!(
            said.last().map(|packet| packet.codes()),
            Some(vec![code]),
            "{said:?}"
        );
    }
}

/// A line of its configuration, and a property that says so.
const TOLD: [(&str, u8, u32); 5] = [
    ("max_qos 1", property::MAXIMUM_QOS, 1),
    ("retain_available false", property::RETAIN_AVAILABLE, 0),
    ("max_packet_size 500", property::MAXIMUM_PACKET_SIZE, 500),
    ("max_inflight_messages 2", property::RECEIVE_MAXIMUM, 2),
    ("max_keepalive 10", property::SERVER_KEEP_ALIVE, 10),
];

#[test]
fn a_real_brokers_limits_are_told() {
    for (line, id, value) in TOLD {
        println!("{line}");
        let topology = Topology::scripted().mosquitto(&[line]).start();
        let connect = Connect::new("client").keep_alive(60);
        let mut client = topology.try_connect(Version::V5, &connect);
        let connack = client.expect_connack(0);
        assert_eq!(connack.number(id), Some(value), "{connack:?}");
    }
}
