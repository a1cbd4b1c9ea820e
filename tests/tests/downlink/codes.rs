//! A broker's refusal is told in a word that the client's version has at that place.

use tidegate_tests::{
    Publish, Subscribe, Topology, Version, all_versions,
    packet::{Ack, Encode as _, Kind, suback},
    recorder::Reply,
};

/// A broker's code in a SUBACK, and the one that may stand there on MQTT 5.0 (§3.9.3).
const SUBACKS: [(u8, u8); 16] = [
    (0x80, 0x80),
    (0x83, 0x83),
    (0x87, 0x87),
    (0x8F, 0x8F),
    (0x91, 0x91),
    (0x97, 0x97),
    (0x9E, 0x9E),
    (0xA1, 0xA1),
    (0xA2, 0xA2),
    (0x82, 0x80),
    (0x85, 0x87),
    (0x88, 0x80),
    (0x90, 0x8F),
    (0x95, 0x97),
    (0x99, 0x83),
    (0xFF, 0x87),
];

// [3.1.1: MQTT-3.9.3-2] [MQTT-3.9.3-2]. MQTT 3.1 has no refusal: the QoS that was asked for. What stands
// beside the refusal stays as it is.
all_versions!(
    a_refused_filter_is_told_in_words_of_the_version,
    |version| {
        let topology = Topology::scripted().start();
        let mut client = topology.connect(version, "client");
        for (says, told) in SUBACKS {
            println!("{says:#04x}");
            topology
                .recorder()
                .reply_to(Kind::Subscribe, move |packet| {
                    Reply::Bytes(suback(version, packet.id(), &[0, says, 1]))
                });
            let id = client.next_id();
            let subscribe = Subscribe::new(id)
                .filter("a", 0)
                .filter("b", 2)
                .filter("c", 1);
            client.send(&subscribe);
            let told = version.pick_of_three(2, 0x80, told);
            client.expect_suback(id, &[0, told, 1]);
        }
        client.expect_nothing_before_pong();
    }
);

/// A broker's code in a PUBACK or PUBREC, and the one that may stand there (§3.4.2.1, §3.5.2.1).
const ACKS: [(u8, u8); 15] = [
    (0x10, 0x10),
    (0x80, 0x80),
    (0x83, 0x83),
    (0x87, 0x87),
    (0x90, 0x90),
    (0x91, 0x91),
    (0x97, 0x97),
    (0x99, 0x99),
    (0x82, 0x80),
    (0x85, 0x87),
    (0x88, 0x80),
    (0x8F, 0x90),
    (0x95, 0x97),
    (0x9A, 0x83),
    (0xFF, 0x87),
];

// Mosquitto says PUBACK 0x95.
#[test]
fn a_refused_message_is_told_in_words_of_the_acknowledgement() {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(Version::V5, "client");
    for (qos, kind) in [(1, Kind::Puback), (2, Kind::Pubrec)] {
        for (says, told) in ACKS {
            println!("{kind:?} {says:#04x}");
            topology.recorder().reply_to(Kind::Publish, move |packet| {
                Reply::Bytes(Ack::new(kind, packet.id(), says).encode(Version::V5))
            });
            let id = client.publish(qos, "t", "x");
            client.expect_ack(kind, id, told);
        }
    }
    client.expect_nothing_before_pong();
}

// The flow is over with the refusal, whatever its code was: the identifier is free (§4.3.3).
#[test]
fn a_refused_message_frees_its_identifier() {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(Version::V5, "client");
    for (qos, kind) in [(1, Kind::Puback), (2, Kind::Pubrec)] {
        topology.recorder().reply_to(Kind::Publish, move |packet| {
            Reply::Bytes(Ack::new(kind, packet.id(), 0x95).encode(Version::V5))
        });
        for topic in ["one", "two"] {
            client.send(&Publish::new(topic, "").qos(qos).id(7));
            client.expect_ack(kind, 7, 0x97);
        }
    }
    assert_eq!(topology.recorder().topics(), ["one", "two", "one", "two"]);
}
