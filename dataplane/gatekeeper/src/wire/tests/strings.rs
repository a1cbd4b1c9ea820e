//! Every string of every packet.

use super::samples::samples;
use super::support::{frame, packet, read_any};
use crate::frame::Side;

/// Puts `bytes` in the place of each string in turn, and tells which packets are still accepted.
fn accepted_with(bytes: [u8; 3]) -> Vec<(String, Side, bool)> {
    samples()
        .iter()
        .flat_map(|sample| sample.strings.iter().map(move |place| (sample, place)))
        .map(|(sample, place)| {
            let mut body = sample.body.clone();
            body[place.clone()].copy_from_slice(&bytes);
            let frame = frame(sample.from, &packet(sample.first, &body));
            let name = format!("{} {:?} at {}", sample.name, sample.version, place.start);
            (
                name,
                sample.from,
                read_any(&frame, sample.version).is_some(),
            )
        })
        .collect()
}

/// [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
/// [MQTT-3.3.2-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1]
/// [3.1.1: MQTT-1.5.3-1] [3.1.1: MQTT-1.5.3-2] [3.1.1: MQTT-3.1.3-4] [3.1.1: MQTT-3.1.3-10]
/// [3.1.1: MQTT-3.1.3-11] [3.1.1: MQTT-3.3.2-1] [3.1.1: MQTT-3.8.3-1] [3.1.1: MQTT-3.10.3-1]
#[test]
fn there_is_no_string_that_may_hold_these() {
    for (bytes, what) in [
        (*b"a\0b", "U+0000"),
        ([0xED, 0xA0, 0x80], "a surrogate"),
        ([0xE0, 0x80, 0x80], "an overlong U+0000"),
        ([0xE0, 0x80, 0xAF], "an overlong /"),
        ([b'a', b'b', 0xE2], "half a character"),
    ] {
        let results = accepted_with(bytes);
        assert!(results.len() > 40);
        for (name, _, accepted) in results {
            assert!(!accepted, "{name} holds {what}");
        }
    }
}

/// Advised against (§1.5.4), and refused to clients. What a broker passes on was somebody's message,
/// and a retained one that closed connections would keep its subscribers out for good.
#[test]
fn a_broker_may_pass_on_what_no_client_may_send() {
    for (bytes, what) in [
        (*b"a\x01b", "a control character"),
        (*b"a\x1Fb", "a control character"),
        (*b"a\x7Fb", "a control character"),
        ([b'a', 0xC2, 0x80], "a control character"),
        ([b'a', 0xC2, 0x9F], "a control character"),
        ([0xEF, 0xBF, 0xBF], "a non-character"),
        ([0xEF, 0xB7, 0x90], "a non-character"),
    ] {
        for (name, from, accepted) in accepted_with(bytes) {
            assert_eq!(accepted, from == Side::Broker, "{name} holds {what}");
        }
    }
}

/// [MQTT-1.5.4-3] [3.1.1: MQTT-1.5.3-3]
#[test]
fn every_string_may_hold_these() {
    for bytes in [
        *b"a b",
        *b"$a/",
        *b"///",
        [0xEF, 0xBB, 0xBF],
        [0xE6, 0x97, 0xA5],
    ] {
        for (name, _, accepted) in accepted_with(bytes) {
            assert!(accepted, "{name} holds {bytes:02x?}");
        }
    }
}
