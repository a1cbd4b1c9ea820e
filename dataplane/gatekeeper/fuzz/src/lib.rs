//! The bodies of the fuzz targets. They are written so that `tests/corpus` of the gatekeeper can run
//! them too, on stable Rust: what is found by fuzzing stays found in `cargo test`.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../tests/support/packet.rs"]
mod packet;
#[path = "../../tests/support/reading.rs"]
mod reading;
#[path = "../../tests/support/second_opinion/mod.rs"]
mod second_opinion;
mod targets;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../tests/support/write.rs"]
mod write;

use gatekeeper as gate;

/// A stream of bytes, cut in any way.
pub fn frames(data: &[u8]) {
    targets::frames::run(data);
}

/// A session: a program of what client, broker, service and clock do.
pub fn gatekeeper(data: &[u8]) {
    targets::session::run(data);
}

/// The second opinion of `mqttbytes` about packets.
pub fn differential(data: &[u8]) {
    targets::differential::run(data, targets::differential::Unsubscribes::Skip);
}
