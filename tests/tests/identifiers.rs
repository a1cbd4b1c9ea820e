//! Packet identifiers: what a client may do with one while it is in use, and what it may not.
//!
//! A broker may take the second PUBLISH of a QoS 2 identifier for the message of the first one (a
//! common one does): "it is a retransmission, and decided already" is true of the same content only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "identifiers/in_use.rs"]
mod in_use;
#[path = "identifiers/redelivery.rs"]
mod redelivery;
#[path = "identifiers/release.rs"]
mod release;
#[path = "identifiers/resumed.rs"]
mod resumed;

use tidegate_tests::{
    Packet, Publish, Topology, Version,
    packet::{Kind, property},
    topology::Plan,
};

/// A gate that waits for its service longer than any test does.
fn patient() -> Plan {
    Topology::scripted().set("authz.publish.deadline", "60s")
}

/// A message, and others that are not the same, though they have the same identifier.
fn other_contents(version: Version, qos: u8) -> (Publish, Vec<(&'static str, Publish)>) {
    let base = || Publish::new("one", "payload").qos(qos).id(7);
    let mut others = vec![
        ("topic", Publish::new("other", "payload").qos(qos).id(7)),
        (
            "topic, sent again",
            Publish::new("other", "payload").qos(qos).id(7).dup(),
        ),
        ("payload", Publish::new("one", "payloae").qos(qos).id(7)),
        ("no payload", Publish::new("one", "").qos(qos).id(7)),
        ("RETAIN", base().retain()),
        ("QoS", base().qos(3 - qos)),
    ];
    if version == Version::V5 {
        others.extend([
            (
                "one property more",
                base().property(property::user("k", "v")),
            ),
            ("format", base().property(property::payload_format(1))),
            (
                "another topic by alias",
                Publish::new("other", "payload")
                    .qos(qos)
                    .id(7)
                    .property(property::topic_alias(1)),
            ),
        ]);
    }
    (base(), others)
}

/// The packets of a kind that a connection brought to the recorder.
fn of_kind(topology: &Topology, index: usize, kind: Kind) -> Vec<Packet> {
    let mut packets = topology.recorder().connection(index);
    packets.retain(|packet| packet.kind() == kind);
    packets
}
