//! The client's Maximum Packet Size: the gate does not exceed it with what it has changed, and leaves the
//! rest to the broker.

use tidegate_proto::v1::ConnectAllow;
use tidegate_tests::{
    Client, Connect, Publish, Topology, Version,
    packet::{Encode as _, Kind, Packet, property},
    service::Hook,
};

const MAXIMUM: usize = 64;

/// What the gate has counted.
const DROPPED: &str = "tidegate_deliveries_dropped_total";

/// A client that takes so much, below a mount, and a gate that counts.
fn start() -> (Topology, Client) {
    let topology = Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .set("listeners.0.mount", "{principal}/")
        .set("authz.permit.publish_topic", true)
        .set("authz.permit.subscribe_filter", true)
        .start();
    topology.service().answer_hook(Hook::Connect, |_| {
        ConnectAllow {
            principal: "alice".to_owned(),
            ..ConnectAllow::default()
        }
        .into()
    });
    let client = topology.join(Version::V5, &small());
    (topology, client)
}

fn small() -> Connect {
    let size = u32::try_from(MAXIMUM).unwrap();
    Connect::new("client").property(property::maximum_packet_size(size))
}

/// A delivery whose packet has this size.
fn of_size(topic: &str, size: usize, qos: u8, id: u16) -> Publish {
    let with = |payload: usize| Publish::new(topic, vec![b'x'; payload]).qos(qos).id(id);
    let packet = with(size - with(0).encode(Version::V5).len());
    assert_eq!(packet.encode(Version::V5).len(), size);
    packet
}

/// The delivery as the client sees it.
fn seen(size: usize, qos: u8, id: u16) -> Publish {
    of_size("t", size, qos, id)
}

/// The same as the broker sends it.
fn sent(size: usize, qos: u8, id: u16) -> Publish {
    of_size("alice/t", size + "alice/".len(), qos, id)
}

fn ids(packets: &[Packet]) -> Vec<u16> {
    packets.iter().map(Packet::id).collect()
}

// Mosquitto counts a PUBLISH without its fixed header.
#[test]
fn what_the_broker_makes_too_large_passes_as_it_came() {
    let topology = Topology::scripted().start();
    let mut client = topology.join(Version::V5, &small());
    for qos in 0..=2 {
        let large = seen(MAXIMUM + 2, qos, qos.into());
        topology.recorder().send_packet(0, &large);
        let found = client.expect(Kind::Publish);
        assert_eq!(found.bytes(), large.encode(Version::V5));
    }
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]: as if it had been sent. The broker is not to send it for ever.
#[test]
fn what_the_gate_makes_too_large_is_taken_by_it() {
    let (topology, mut client) = start();
    for (qos, id) in [(0, 0), (1, 1), (2, 2)] {
        let large = sent(MAXIMUM + 1, qos, id);
        topology.recorder().send_packet(0, &large);
    }
    topology.recorder().send_packet(0, &sent(MAXIMUM, 1, 3));
    let first = client.expect(Kind::Publish);
    assert_eq!(first.bytes(), seen(MAXIMUM, 1, 3).encode(Version::V5));
    client.acknowledge(&first);
    let pubacks = topology.recorder().wait_for(Kind::Puback, 2);
    assert_eq!(ids(&pubacks), [1, 3]);
    assert!(pubacks.iter().all(|ack| ack.codes() == [0]), "{pubacks:?}");
    // The whole exchange of QoS 2, of which the client hears nothing.
    let pubrec = topology.recorder().wait_for(Kind::Pubrec, 1);
    assert_eq!((ids(&pubrec), pubrec[0].codes()), (vec![2], vec![0]));
    let pubcomp = topology.recorder().wait_for(Kind::Pubcomp, 1);
    assert_eq!((ids(&pubcomp), pubcomp[0].codes()), (vec![2], vec![0]));
    client.expect_nothing_before_pong();
    topology.gate().metrics().wait_for(DROPPED, &[], 3);
}

// [MQTT-4.6.0-2]: the gate's acknowledgement waits for the client's earlier one.
#[test]
fn the_order_of_acknowledgements_is_kept() {
    let (topology, mut client) = start();
    topology.recorder().send_packet(0, &sent(MAXIMUM, 1, 1));
    topology.recorder().send_packet(0, &sent(MAXIMUM + 1, 1, 2));
    let first = client.expect(Kind::Publish);
    topology.gate().metrics().wait_for(DROPPED, &[], 1);
    client.expect_nothing_before_pong();
    assert_eq!(topology.recorder().packets(Kind::Puback), []);
    client.acknowledge(&first);
    assert_eq!(ids(&topology.recorder().wait_for(Kind::Puback, 2)), [1, 2]);
}

// The connection goes on, and the identifier is free for another delivery.
#[test]
fn the_identifier_is_free_again() {
    let (topology, mut client) = start();
    for (qos, ack) in [(1, Kind::Puback), (2, Kind::Pubcomp)] {
        topology
            .recorder()
            .send_packet(0, &sent(MAXIMUM + 1, qos, 9));
        topology.recorder().wait_for(ack, 1);
        topology
            .recorder()
            .send_packet(0, &Publish::new("alice/t", "small").qos(qos).id(9));
        client.expect_publish("t", "small");
        topology.recorder().wait_for(ack, 2);
    }
    client.expect_nothing_before_pong();
}
