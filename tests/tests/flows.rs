//! Every flow of MQTT through the real programs and a real broker, in every version.
//!
//! What is expected here is what the broker does without a gate: with `TIDEGATE_TEST_DIRECT=1` the
//! same tests run against the broker itself. The few that the gate answers for (grammar of
//! `$share`, times that a slow service costs) say so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "flows/aliases.rs"]
mod aliases;
#[path = "flows/ends.rs"]
mod ends;
#[path = "flows/flow_control.rs"]
mod flow_control;
#[path = "flows/messages.rs"]
mod messages;
#[path = "flows/properties.rs"]
mod properties;
#[path = "flows/sessions.rs"]
mod sessions;
#[path = "flows/shared.rs"]
mod shared;
#[path = "flows/subscriptions.rs"]
mod subscriptions;

use tidegate_tests::{Client, Connect, Packet, Version, packet::Kind, reference::password};

/// A CONNECT of alice's with a client id that is to come back.
fn alice(client_id: &str) -> Connect {
    Connect::new(client_id).login("alice", password("alice"))
}

/// Subscribes to one filter with its options byte.
#[track_caller]
fn subscribe(client: &mut Client, filter: &str, options: u8) {
    let id = client.next_id();
    client.send(&tidegate_tests::Subscribe::new(id).filter(filter, options));
    client.expect_suback(id, &[options & 3]);
}

/// Publishes, and sees it acknowledged.
#[track_caller]
fn publish(client: &mut Client, qos: u8, topic: &str, payload: impl AsRef<[u8]>) {
    let id = client.publish(qos, topic, payload);
    client.complete(qos, id);
}

/// What a delivery is to an application: all of it but the packet identifier.
#[derive(Debug, PartialEq, Eq)]
struct Delivery {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    dup: bool,
    properties: Vec<tidegate_tests::packet::Property>,
}

impl From<&Packet> for Delivery {
    fn from(packet: &Packet) -> Self {
        Self {
            topic: packet.topic(),
            payload: packet.payload().to_vec(),
            qos: packet.qos(),
            retain: packet.retain(),
            dup: packet.dup(),
            properties: packet.properties(),
        }
    }
}

/// All deliveries up to one on the topic `last`, which is not among them.
#[track_caller]
fn deliveries_before(client: &mut Client, last: &str) -> Vec<Delivery> {
    let mut found = Vec::new();
    loop {
        let packet = client.expect(Kind::Publish);
        client.acknowledge(&packet);
        if packet.topic() == last {
            return found;
        }
        found.push(Delivery::from(&packet));
    }
}

/// Whether the broker keeps sessions that began unclean only for a time that it is told.
fn tells_expiry(version: Version) -> bool {
    version == Version::V5
}
