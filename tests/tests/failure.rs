//! No answer means no, and is told as "not now" instead of "no".

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "failure/deadlines.rs"]
mod deadlines;
#[path = "failure/outages.rs"]
mod outages;
#[path = "failure/rubbish.rs"]
mod rubbish;

use tidegate_tests::{Client, Version, packet::Kind};

/// A CONNECT that nobody decided about: server unavailable.
fn unavailable(version: Version) -> u8 {
    version.pick(0x03, 0x88)
}

/// What a PUBLISH that nobody decided about is answered: v5 says so, the others can only close.
fn expect_publish_failed(client: &mut Client, qos: u8, id: u16) {
    match (client.version(), qos) {
        (_, 0) => {}
        (Version::V31 | Version::V311, _) => client.expect_closed(),
        (Version::V5, 1) => client.expect_ack(Kind::Puback, id, 0x83),
        (Version::V5, _) => client.expect_ack(Kind::Pubrec, id, 0x83),
    }
}
