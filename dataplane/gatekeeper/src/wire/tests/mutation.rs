//! Packets with a few bytes changed: nothing panics, and what is accepted stays what it is when it
//! is written again.

use bytes::Bytes;
use proptest::prelude::*;

use super::samples::samples;
use super::support::{Any, frame, packet, read_any, try_frame};
use crate::frame::{Frame, Side};
use crate::question::Version;
use crate::wire::{connack, suback, subscribe, unsuback};

/// A change to the body of a packet; positions wrap around.
#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
    Repeat(usize, usize),
}

impl Change {
    fn apply(&self, body: &mut Vec<u8>) {
        let len = body.len();
        match *self {
            Self::Insert(at, byte) => body.insert(at % (len + 1), byte),
            _ if len == 0 => {}
            Self::Set(at, byte) => body[at % len] = byte,
            Self::Remove(at) => {
                body.remove(at % len);
            }
            Self::Cut(at) => body.truncate(at % len),
            Self::Repeat(from, count) => {
                let from = from % len;
                let part = body[from..(from + count).min(len)].to_vec();
                body.splice(from..from, part);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let interesting = prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![
            0, 1, 2, 0x0B, 0x23, 0x26, 0x2B, b'#', b'+', b'/', 0x80, 0xFF
        ]),
    ];
    prop_oneof![
        4 => (0..300_usize, interesting.clone()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (0..300_usize, interesting).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => (0..300_usize).prop_map(Change::Remove),
        1 => (0..300_usize).prop_map(Change::Cut),
        1 => (0..300_usize, 1..9_usize).prop_map(|(from, count)| Change::Repeat(from, count)),
    ]
}

prop_compose! {
    /// A packet that was valid before.
    pub(super) fn mutated()(
        index in 0..samples().len(),
        changes in proptest::collection::vec(change(), 0..4),
    ) -> (Side, Version, Vec<u8>) {
        let sample = samples().swap_remove(index);
        let mut body = sample.body;
        changes.iter().for_each(|change| change.apply(&mut body));
        (sample.from, sample.version, packet(sample.first, &body))
    }
}

/// Writes what was read, where there is a writer.
fn written(found: &Any, version: Version) -> Option<Bytes> {
    match found {
        Any::Connect(connect) => connect.encode(&connect.client_id).ok(),
        Any::Connack(connack) if version == Version::V5 && !connack.v3_shaped => {
            let properties = &connack.raw_properties;
            connack::encode_v5(connack.session_present, connack.code, properties).ok()
        }
        Any::Publish(publish) if publish.topic_alias.is_none() => publish.encode().ok(),
        Any::Subscribe(subscribe) => {
            let all = vec![subscribe::Outgoing::AsSent; subscribe.filters.len()];
            subscribe.encode(&all).ok().flatten()
        }
        Any::Suback(found) if !found.corrected => suback::encode(
            version,
            found.packet_id,
            &found.raw_properties,
            &found.codes,
        )
        .ok(),
        Any::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter().map(|filter| &**filter.full());
            unsubscribe.encode_with(filters).ok()
        }
        Any::Unsuback(found) if version == Version::V5 && !found.corrected => {
            unsuback::encode_v5(found.packet_id, &found.raw_properties, &found.codes).ok()
        }
        _ => None,
    }
}

fn both_frames(bytes: &[u8]) -> impl Iterator<Item = Frame> {
    [Side::Client, Side::Broker]
        .into_iter()
        .filter_map(move |from| try_frame(from, bytes).ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_accepted_is_written_in_the_same_bytes((from, version, bytes) in mutated()) {
        let Ok(frame) = try_frame(from, &bytes) else {
            return Ok(());
        };
        let Some(found) = read_any(&frame, version) else {
            return Ok(());
        };
        if let Some(written) = written(&found, version) {
            prop_assert_eq!(written.as_ref(), bytes.as_slice());
        }
    }

    #[test]
    fn an_alias_that_was_taken_out_changes_nothing_else((from, version, bytes) in mutated()) {
        let Ok(original) = try_frame(from, &bytes) else {
            return Ok(());
        };
        let Some(Any::Publish(before)) = read_any(&original, version) else {
            return Ok(());
        };
        let written = before.encode_with_topic("topic").unwrap();
        let Some(Any::Publish(after)) = read_any(&frame(from, &written), version) else {
            return Err(TestCaseError::fail("no longer a PUBLISH"));
        };
        prop_assert_eq!(after.topic_alias, None);
        prop_assert_eq!(&after.topic, "topic");
        prop_assert_eq!(&after.payload, &before.payload);
        prop_assert_eq!(after.packet_id, before.packet_id);
        prop_assert_eq!(&after.user_properties, &before.user_properties);
        prop_assert_eq!(&after.content_type, &before.content_type);
        prop_assert_eq!(after.message_expiry, before.message_expiry);
    }

    #[test]
    fn no_body_makes_a_reader_panic(
        first: u8,
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        for frame in both_frames(&packet(first, &body)) {
            let _ = read_any(&frame, Version::V311);
            let _ = read_any(&frame, Version::V5);
        }
    }
}
