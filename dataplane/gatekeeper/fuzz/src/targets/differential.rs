//! Every packet to our readers and to `mqttbytes` 0.6. What both accept has to mean the same to both,
//! and where one accepts and the other does not, the disagreement has to be one that is [`known`].
//!
//! ```text
//! input   side (bit 0), MQTT 5.0 (bit 1), then packets
//! ```

mod known;
mod same;

use bytes::BytesMut;
use gatekeeper::{
    Frame, Side, Version,
    frame::{self, PacketType, Scan},
};
use mqttbytes::{Error, v4, v5};

use super::reading::{self, Refusal};

/// Packets that are looked at in one input.
const MOST: usize = 8;
const MAX_SIZE: usize = 1 << 20;

/// What to do about UNSUBSCRIBE of MQTT 5.0: `mqttbytes` prints a line about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsubscribes {
    #[allow(dead_code, reason = "only where output is kept for failures")]
    Read,
    #[allow(dead_code, reason = "only where output is shown")]
    Skip,
}

pub(crate) fn run(data: &[u8], unsubscribes: Unsubscribes) {
    let Some((setup, stream)) = data.split_first() else {
        return;
    };
    let side = [Side::Client, Side::Broker][usize::from(setup & 1)];
    let version = [Version::V311, Version::V5][usize::from(setup >> 1 & 1)];
    let mut buffer = BytesMut::from(stream);
    for _ in 0..MOST {
        let Ok(Scan::Frame(frame)) = frame::scan(&mut buffer, side, MAX_SIZE) else {
            return;
        };
        let prints = version == Version::V5 && frame.kind() == PacketType::Unsubscribe;
        if !prints || unsubscribes == Unsubscribes::Read {
            compare(&frame, version);
        }
    }
}

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

fn compare(frame: &Frame, version: Version) {
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
