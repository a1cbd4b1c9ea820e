//! The client's Receive Maximum holds against a broker that does not keep it [MQTT-3.3.4-9].

use tidegate_tests::{
    Client, Connect, Publish, Topology, Version,
    packet::{Kind, Packet, ack, property},
};

/// A client that takes so many messages at once.
fn start(maximum: u16) -> (Topology, Client) {
    let topology = Topology::scripted().start();
    let connect = Connect::new("client").property(property::receive_maximum(maximum));
    let client = topology.join(Version::V5, &connect);
    (topology, client)
}

/// The broker delivers, its identifiers as payloads.
fn deliver(topology: &Topology, messages: &[(u8, u16)]) {
    for &(qos, id) in messages {
        let publish = Publish::new("t", id.to_string()).qos(qos).id(id);
        topology.recorder().send_packet(0, &publish);
    }
}

fn pubacks(topology: &Topology, count: usize) -> Vec<u16> {
    let packets = topology.recorder().wait_for(Kind::Puback, count);
    packets.iter().map(Packet::id).collect()
}

// Nothing overtakes what waits, QoS 0 neither [MQTT-4.6.0-6].
#[test]
fn what_is_too_much_waits_in_order() {
    let (topology, mut client) = start(2);
    deliver(&topology, &[(1, 1), (1, 2), (1, 3), (1, 4), (0, 5)]);
    client.expect_publish_only("t", "1");
    client.expect_publish_only("t", "2");
    client.expect_nothing_before_pong();
    client.send_raw(&ack(Kind::Puback, 1));
    client.expect_publish_only("t", "3");
    client.expect_nothing_before_pong();
    client.send_raw(&ack(Kind::Puback, 2));
    client.expect_publish_only("t", "4");
    client.expect_publish_only("t", "5");
    client.send_raw(&ack(Kind::Puback, 3));
    client.send_raw(&ack(Kind::Puback, 4));
    client.expect_nothing_before_pong();
    assert_eq!(pubacks(&topology, 4), [1, 2, 3, 4]);
}

// §4.9: until PUBCOMP. There are brokers that count anew after a PUBREC.
#[test]
fn qos_2_takes_its_place_until_it_is_complete() {
    let (topology, mut client) = start(1);
    deliver(&topology, &[(2, 1), (1, 2)]);
    client.expect_publish_only("t", "1");
    client.send_raw(&ack(Kind::Pubrec, 1));
    client.expect_ack(Kind::Pubrel, 1, 0);
    client.expect_nothing_before_pong();
    client.send_raw(&ack(Kind::Pubcomp, 1));
    client.expect_publish("t", "2");
    assert_eq!(pubacks(&topology, 1), [2]);
}

// §3.3.4: it is about messages with an acknowledgement.
#[test]
fn qos_0_does_not_count() {
    let (topology, mut client) = start(1);
    deliver(&topology, &[(1, 1), (0, 2), (0, 3)]);
    for payload in ["1", "2", "3"] {
        client.expect_publish_only("t", payload);
    }
}

// [MQTT-4.4.0-1]: what is sent again is the same message.
#[test]
fn what_is_sent_again_counts_once() {
    let (topology, mut client) = start(1);
    deliver(&topology, &[(1, 1)]);
    client.expect_publish_only("t", "1");
    let again = Publish::new("t", "1").qos(1).id(1).dup();
    topology.recorder().send_packet(0, &again);
    let packet = client.expect_publish_only("t", "1");
    assert!(packet.dup(), "{packet:?}");
}

// What waits is bounded: a broker far beyond all bounds ends the session, and QoS 0 is let go.
#[test]
fn what_waits_is_bounded() {
    const WAIT: u16 = 1024;

    let (topology, mut client) = start(1);
    let messages: Vec<_> = (1..=WAIT + 1).map(|id| (1, id)).collect();
    deliver(&topology, &messages);
    deliver(&topology, &[(0, 0)]);
    client.expect_publish_only("t", "1");
    client.expect_nothing_before_pong();
    deliver(&topology, &[(1, WAIT + 2)]);
    client.expect_end(0x80);
    let (reason, detail) = topology.gate().ending_of("client");
    assert_eq!(reason, "broker_violation");
    assert!(detail.contains("MQTT-3.3.4-9"), "{detail:?}");
}

// They have no Receive Maximum.
#[test]
fn earlier_versions_have_none() {
    for version in [Version::V31, Version::V311] {
        let topology = Topology::scripted().start();
        let mut client = topology.connect(version, "client");
        let messages: Vec<_> = (1..=50).map(|id| (1, id)).collect();
        deliver(&topology, &messages);
        for (_, id) in messages {
            client.expect_publish_only("t", id.to_string());
        }
    }
}
