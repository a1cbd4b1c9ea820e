//! MQTT client, gate, Mosquitto, reference service: what is allowed works, what is not is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "first_light/connections.rs"]
mod connections;
#[path = "first_light/filters.rs"]
mod filters;
#[path = "first_light/messages.rs"]
mod messages;

use tidegate_tests::{Client, Version, packet::Kind};

/// Not authorized, for a CONNECT.
fn not_authorized(version: Version) -> u8 {
    version.pick(0x05, 0x87)
}

/// A filter that is not granted. In MQTT 3.1 there is no way to say no: it is what was asked for.
fn not_granted(version: Version) -> u8 {
    version.pick_of_three(2, 0x80, 0x87)
}

/// What a PUBLISH that is not allowed is answered: before MQTT 5 there is no way to say no.
fn expect_publish_denied(client: &mut Client, qos: u8, id: u16) {
    match (client.version(), qos) {
        (_, 0) => {}
        (Version::V31 | Version::V311, _) => client.complete(qos, id),
        (Version::V5, 1) => client.expect_ack(Kind::Puback, id, 0x87),
        (Version::V5, _) => client.expect_ack(Kind::Pubrec, id, 0x87),
    }
}
