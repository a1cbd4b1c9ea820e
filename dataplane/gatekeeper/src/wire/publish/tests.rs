use proptest::prelude::*;

use super::*;
use crate::wire::TooLong;
use crate::wire::tests::support::{broker, client, field, frame, packet, section};

const V311: Version = Version::V311;
const V5: Version = Version::V5;

fn read_v5(first: u8, topic: &str, id: &[u8], properties: &[u8]) -> Result<Publish, Violation> {
    let body = [&field(topic), id, &section(properties), b"payload"].concat();
    read(&client(first, &body), V5)
}

fn code(result: Result<Publish, Violation>) -> Option<u8> {
    result.err().map(|found| found.code.get())
}

#[test]
fn a_v311_publish_is_read() {
    let found = read(&client(0x3D, b"\0\x03a/b\0\x07!"), V311).unwrap();
    assert!(found.dup && found.retain);
    assert_eq!(found.qos, QoS::ExactlyOnce);
    assert_eq!(found.topic, "a/b");
    assert_eq!(found.packet_id.unwrap().get(), 7);
    assert_eq!(found.payload.as_ref(), b"!");
    assert_eq!((found.topic_alias, found.message_expiry), (None, None));
}

#[test]
fn the_properties_of_a_v5_publish_are_read() {
    let properties = [
        &[0x01, 1, 0x02, 0, 0, 0, 9, 0x23, 0, 5, 0x03][..],
        &field("json"),
        &[0x08],
        &field("reply"),
        &[0x09, 0, 1, 255, 0x26],
        &field("k"),
        &field("v"),
    ]
    .concat();
    let found = read_v5(0x32, "t", &[0, 1], &properties).unwrap();
    assert_eq!(found.topic_alias.unwrap().get(), 5);
    assert_eq!(found.message_expiry, Some(9));
    assert_eq!(found.content_type.as_deref(), Some("json"));
    assert_eq!(found.response_topic.as_deref(), Some("reply"));
    assert_eq!(found.user_properties.len(), 1);
    assert_eq!(found.raw_properties.as_bytes().as_ref(), properties);
    assert_eq!(found.payload.as_ref(), b"payload");
}

#[test]
fn a_topic_is_a_topic_name() {
    for topic in ["+", "#", "a/+", "a/#", "a+", "a\0b", "a\tb"] {
        assert_eq!(
            code(read_v5(0x30, topic, &[], &[])),
            Some(0x81),
            "{topic:?}"
        );
        let v311 = read(&client(0x30, &field(topic)), V311);
        assert_eq!(code(v311), Some(0x81), "{topic:?}");
    }
}

#[test]
fn an_empty_topic_needs_an_alias() {
    assert_eq!(code(read(&client(0x30, b"\0\0x"), V311)), Some(0x81));
    assert_eq!(code(read_v5(0x30, "", &[], &[])), Some(0x82));
    let found = read_v5(0x30, "", &[], &[0x23, 0, 1]).unwrap();
    assert!(found.topic.is_empty() && found.topic_alias.is_some());
    assert_eq!(code(read_v5(0x30, "", &[], &[0x23, 0, 0])), Some(0x94));
    assert_eq!(code(read_v5(0x30, "t", &[], &[0x23, 0, 0])), Some(0x94));
}

/// [MQTT-2.2.1-2]
#[test]
fn a_packet_identifier_is_there_exactly_above_qos_0() {
    assert_eq!(read_v5(0x30, "t", &[], &[]).unwrap().packet_id, None);
    for first in [0x32, 0x34] {
        assert_eq!(code(read_v5(first, "t", &[0, 0], &[])), Some(0x82));
        let found = read_v5(first, "t", &[255, 255], &[]).unwrap();
        assert_eq!(found.packet_id.unwrap().get(), 65_535);
        assert_eq!(code(read(&client(first, b"\0\x01t\0\0"), V311)), Some(0x82));
    }
}

#[test]
fn subscription_identifiers_come_from_brokers_only() {
    let three = [0x0B, 1, 0x0B, 0x80, 1, 0x0B, 3];
    assert_eq!(code(read_v5(0x30, "t", &[], &three)), Some(0x82));
    let body = [&field("t"), section(&three).as_slice(), b"payload"].concat();
    let found = read(&broker(0x30, &body), V5).unwrap();
    assert_eq!(found.payload.as_ref(), b"payload");
    assert_eq!(found.raw_properties.as_bytes().as_ref(), three);
}

#[test]
fn a_property_does_not_reach_into_the_payload() {
    // A declared length of 1, and a property that would go on.
    for hidden in [
        &[1, 0x02, 0, 0, 0, 9][..],
        &[1, 0x26, 0, 1, b'k', 0, 1, b'v'],
    ] {
        let body = [&field("t"), hidden].concat();
        assert_eq!(code(read(&client(0x30, &body), V5)), Some(0x81));
    }
}

/// [3.1.1: MQTT-2.3.1-5]
#[test]
fn any_payload_is_a_payload() {
    for payload in [&b""[..], &[0xC0, 0], &[0xFF; 300]] {
        let body = [&field("t"), payload].concat();
        let found = read(&client(0x31, &body), V311).unwrap();
        assert_eq!(found.payload.as_ref(), payload);
    }
}

#[test]
fn a_packet_without_lists_is_read_without_a_copy() {
    let frame = client(0x32, &[&field("a/b"), &[0, 1, 0][..], b"payload"].concat());
    let found = read(&frame, V5).unwrap();
    let range = frame.bytes().as_ref().as_ptr_range();
    assert!(range.contains(&found.topic.as_bytes().as_ptr()));
    assert!(range.contains(&found.payload.as_ref().as_ptr()));
}

#[test]
fn an_alias_is_replaced_by_the_topic_and_nothing_else() {
    let (before, after) = ([0x02, 0, 0, 0, 9], [0x26, 0, 1, b'k', 0, 1, b'v']);
    let with_alias = [&before[..], &[0x23, 0, 5], &after].concat();
    let found = read_v5(0x3B, "", &[0, 1], &with_alias).unwrap();
    let without = [before.as_slice(), &after].concat();
    let expected = [
        field("long/topic").as_slice(),
        &[0, 1],
        &section(&without),
        b"payload",
    ]
    .concat();
    assert_eq!(
        found.encode_with_topic("long/topic").unwrap().as_ref(),
        packet(0x3B, &expected)
    );
}

#[test]
fn a_topic_that_does_not_fit_is_not_written() {
    let found = read_v5(0x30, "t", &[], &[]).unwrap();
    let longest = "x".repeat(65_535);
    let bytes = found.encode_with_topic(&longest).unwrap();
    assert_eq!(
        read(&frame(Side::Client, &bytes), V5).unwrap().topic,
        longest
    );
    assert_eq!(
        found.encode_with_topic(&"x".repeat(65_536)),
        Err(TooLong { field: "topic" })
    );
}

#[test]
fn a_payload_is_not_shown() {
    let found = read(&client(0x30, b"\0\x01thidden"), V311).unwrap();
    assert!(!format!("{found:?}").contains("hidden"));
}

prop_compose! {
    fn any_publish()(
        flags in prop::sample::select(vec![0, 1, 2, 3, 4, 5, 10, 11, 12, 13_u8]),
        topic in "[^\\p{C}+#]{1,300}",
        id in 1..=u16::MAX,
        expiry in proptest::option::of(any::<[u8; 4]>()),
        pairs in proptest::collection::vec(("[a-z]{0,9}", "[a-z]{0,9}"), 0..4),
        payload in proptest::collection::vec(any::<u8>(), 0..20_000),
        v5: bool,
    ) -> (Version, Vec<u8>) {
        let id = if flags & 6 == 0 { vec![] } else { id.to_be_bytes().to_vec() };
        let mut properties = expiry.map_or(vec![], |seconds| [&[2][..], &seconds].concat());
        for (key, value) in pairs {
            properties.extend([vec![0x26], field(key), field(value)].concat());
        }
        let properties = if v5 { section(&properties) } else { vec![] };
        let body = [field(topic), id, properties, payload].concat();
        (if v5 { V5 } else { V311 }, packet(0x30 | flags, &body))
    }
}

proptest! {
    #[test]
    fn with_its_own_fields_a_packet_stays_as_it_is((version, bytes) in any_publish()) {
        let found = read(&frame(Side::Client, &bytes), version).unwrap();
        let encoded = found.encode().unwrap();
        prop_assert_eq!(encoded.as_ref(), bytes.as_slice());
    }
}
