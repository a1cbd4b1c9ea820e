//! The second opinion of `mqttbytes` 0.6: what both accept has to mean the same to both, and where one
//! accepts and the other does not, the disagreement has to be one that is [`known`].
//!
//! Tests inside the gatekeeper include this file too, so it names the crate as its parent does: `gate`.

mod known;
mod same;

use bytes::BytesMut;
use mqttbytes::{Error, v4, v5};

use super::{
    gate::{self, Frame, Version},
    reading::{self, Refusal},
};

const MAX_SIZE: usize = 1 << 20;

/// What `mqttbytes` found.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Debug)]
enum Theirs {
    V4(v4::Packet),
    V5(v5::Packet),
}

fn theirs(bytes: &[u8], version: Version) -> Result<Theirs, Error> {
    let mut buffer = BytesMut::from(bytes);
    match version {
        Version::V31 | Version::V311 => v4::read(&mut buffer, MAX_SIZE).map(Theirs::V4),
        Version::V5 => v5::read(&mut buffer, MAX_SIZE).map(Theirs::V5),
    }
}

/// Compares what both make of a packet.
pub(crate) fn compare(frame: &Frame, version: Version) {
    let bytes = frame.bytes();
    match (reading::read(frame, version), theirs(bytes, version)) {
        (Ok(ours), Ok(theirs)) => {
            let same = match &theirs {
                Theirs::V4(theirs) => same::v4(&ours, theirs),
                Theirs::V5(theirs) => same::v5(&ours, theirs),
            };
            assert!(
                same == Ok(()) || known::is_misread(&ours, version),
                "{same:?}: {bytes:02x?} is {ours:?} and {theirs:?}"
            );
        }
        (Ok(ours), Err(error)) => assert!(
            known::is_refused(&ours, version, bytes),
            "{bytes:02x?} is {ours:?} and {error:?}"
        ),
        (Err(Refusal::Violation(violation)), Ok(theirs)) => assert!(
            known::is_lax(violation.clause) || known::is_miscounted(frame, version),
            "{bytes:02x?} is {violation:?} and {theirs:?}"
        ),
        (Err(Refusal::Version), Ok(_)) | (Err(_), Err(_)) => {}
    }
}
