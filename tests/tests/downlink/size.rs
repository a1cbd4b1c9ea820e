//! The client's Maximum Packet Size holds against a broker that does not keep it.

use tidegate_tests::{
    Client, Connect, Publish, Topology, Version,
    packet::{Encode as _, Kind, Packet, property},
};

const MAXIMUM: usize = 64;

/// What the gate has counted.
const DROPPED: &str = "tidegate_deliveries_dropped_total";

/// A client that takes so much, and a gate that counts.
fn start() -> (Topology, Client) {
    let topology = Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let size = u32::try_from(MAXIMUM).unwrap();
    let connect = Connect::new("client").property(property::maximum_packet_size(size));
    let client = topology.join(Version::V5, &connect);
    (topology, client)
}

/// A delivery whose packet has this size.
fn of_size(size: usize, qos: u8, id: u16) -> Publish {
    let with = |payload: usize| Publish::new("t", vec![b'x'; payload]).qos(qos).id(id);
    let packet = with(size - with(0).encode(Version::V5).len());
    assert_eq!(packet.encode(Version::V5).len(), size);
    packet
}

fn ids(packets: &[Packet]) -> Vec<u16> {
    packets.iter().map(Packet::id).collect()
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]: as if it had been sent. The broker is not to send it for ever.
#[test]
fn what_is_too_large_is_taken_by_the_gate() {
    let (topology, mut client) = start();
    for (qos, id) in [(0, 0), (1, 1), (2, 2)] {
        let large = of_size(MAXIMUM + 1, qos, id);
        topology.recorder().send_packet(0, &large);
    }
    let fits = of_size(MAXIMUM, 1, 3);
    topology.recorder().send_packet(0, &fits);
    let first = client.expect(Kind::Publish);
    assert_eq!(first.bytes(), fits.encode(Version::V5));
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
    topology.recorder().send_packet(0, &of_size(MAXIMUM, 1, 1));
    topology
        .recorder()
        .send_packet(0, &of_size(MAXIMUM + 1, 1, 2));
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
            .send_packet(0, &of_size(MAXIMUM + 1, qos, 9));
        topology.recorder().wait_for(ack, 1);
        topology
            .recorder()
            .send_packet(0, &Publish::new("t", "small").qos(qos).id(9));
        client.expect_publish("t", "small");
        topology.recorder().wait_for(ack, 2);
    }
    client.expect_nothing_before_pong();
}
