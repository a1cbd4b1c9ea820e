//! Every packet to our readers and to `mqttbytes` 0.6 ([`second_opinion`]).
//!
//! ```text
//! input   side (bit 0), MQTT 5.0 (bit 1), then packets
//! ```

use bytes::BytesMut;
use gatekeeper::{
    Side, Version,
    frame::{self, PacketType, Scan},
};

use crate::second_opinion;

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
            second_opinion::compare(&frame, version);
        }
    }
}
