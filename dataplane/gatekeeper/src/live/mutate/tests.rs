use proptest::prelude::*;

use super::*;
use crate::{
    question::{QoS, UserProperty},
    wire::tests::support::{client, field, packet, section},
    wire::{FilterLimits, subscribe},
};

const V311: Version = Version::V311;
const V5: Version = Version::V5;

fn mount() -> Mount {
    Mount::new("t/a/".into()).unwrap()
}

/// A PUBLISH with QoS 1, the packet identifier 7 and the payload `old`.
fn sent(version: Version, topic: &str, properties: &[u8]) -> Bytes {
    written(0x32, version, topic, properties, b"old").into()
}

fn written(first: u8, version: Version, topic: &str, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let properties = match version {
        Version::V31 | V311 => vec![],
        V5 => section(properties),
    };
    let id: &[u8] = if first & 0b110 == 0 { &[] } else { &[0, 7] };
    packet(first, &[&field(topic), id, &properties, payload].concat())
}

fn apply(outgoing: &Bytes, version: Version, changes: PublishChanges) -> Result<Bytes, Unfit> {
    publish(outgoing, version, changes, None, &Limits::default())
}

fn to_topic(topic: &str) -> PublishChanges {
    PublishChanges {
        topic: Some(topic.into()),
        ..PublishChanges::default()
    }
}

fn to_payload(payload: &[u8], indicator: Option<bool>) -> PublishChanges {
    PublishChanges {
        payload: Some(Bytes::copy_from_slice(payload)),
        payload_format_indicator: indicator,
        ..PublishChanges::default()
    }
}

fn pair(key: &str, value: &str) -> UserProperty {
    UserProperty {
        key: key.into(),
        value: value.into(),
    }
}

fn user(key: &str, value: &str) -> Vec<u8> {
    [vec![0x26], field(key), field(value)].concat()
}

#[test]
fn what_is_not_changed_stays_byte_by_byte() {
    // Expiry, content type, response topic, correlation data, user property.
    let properties = [
        &[0x02, 0, 0, 0, 9, 0x03][..],
        &field("json"),
        &[0x08],
        &field("reply"),
        &[0x09, 0, 1, 255],
        &user("k", "v"),
    ]
    .concat();
    for first in [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D] {
        for version in [V311, V5] {
            let bytes: Bytes = written(first, version, "a", &properties, b"old").into();
            let same = apply(&bytes, version, PublishChanges::default());
            assert_eq!(same.unwrap(), bytes);
            let renamed = apply(&bytes, version, to_topic("b/c"));
            let expected = written(first, version, "b/c", &properties, b"old");
            assert_eq!(renamed.unwrap(), expected);
        }
    }
}

#[test]
fn all_that_can_be_changed_is() {
    let before = [&user("gone", "1"), &[0x01, 1][..], &user("kept", "2")].concat();
    let changes = PublishChanges {
        topic: Some("new".into()),
        payload: Some("é".into()),
        payload_format_indicator: Some(true),
        retain: Some(true),
        user_property_keys_to_remove: vec!["gone".into(), "none".into()],
        user_properties_to_add: vec![pair("x", "3"), pair("gone", "4")],
    };
    let after = [
        &user("kept", "2"),
        &[0x01, 1][..],
        &user("x", "3"),
        &user("gone", "4"),
    ]
    .concat();
    let changed = apply(&sent(V5, "old", &before), V5, changes);
    let expected = written(0x33, V5, "new", &after, "é".as_bytes());
    assert_eq!(changed.unwrap(), expected);
}

/// [MQTT-4.7.3-1] [MQTT-4.7.3-3] [MQTT-3.3.2-2] [MQTT-1.5.4-2]
#[test]
fn a_topic_that_is_none_is_illegal() {
    let longest = "x".repeat(65_535);
    let deepest = "/".repeat(200);
    for topic in ["x", " ", "$SYS/x", "é", &longest, &deepest] {
        for version in [V311, V5] {
            assert!(apply(&sent(version, "a", &[]), version, to_topic(topic)).is_ok());
        }
    }
    let too_long = "x".repeat(65_536);
    // A length that wraps around would make a topic of 5 bytes of it.
    let wrapping = "x".repeat(65_541);
    let too_deep = "/".repeat(201);
    for topic in [
        "", "+", "a/#", "a\0", "a\n", "\u{FFFF}", &too_long, &wrapping, &too_deep,
    ] {
        for version in [V311, V5] {
            let changed = apply(&sent(version, "a", &[]), version, to_topic(topic));
            assert_eq!(changed, Err(Unfit::Illegal));
        }
    }
}

/// [MQTT-3.3.2-4]
#[test]
fn a_payload_takes_its_format_with_it() {
    for (indicator, before, after) in [
        (None, &[0x01, 1][..], &[][..]),
        (None, &[0x01, 0], &[]),
        (None, &[], &[]),
        (Some(true), &[], &[0x01, 1]),
        (Some(true), &[0x01, 0], &[0x01, 1]),
        (Some(false), &[0x01, 1], &[0x01, 0]),
    ] {
        let changed = apply(&sent(V5, "a", before), V5, to_payload(b"new", indicator));
        let expected = written(0x32, V5, "a", after, b"new");
        assert_eq!(changed.unwrap(), expected);
    }
    let binary = |indicator| apply(&sent(V5, "a", &[]), V5, to_payload(b"\xFF", indicator));
    assert!(binary(None).is_ok() && binary(Some(false)).is_ok());
    assert_eq!(binary(Some(true)), Err(Unfit::Illegal));
    let alone = PublishChanges {
        payload_format_indicator: Some(false),
        ..PublishChanges::default()
    };
    assert_eq!(apply(&sent(V5, "a", &[]), V5, alone), Err(Unfit::Illegal));
}

#[test]
fn what_only_v5_has_is_illegal_on_v3() {
    let add = PublishChanges {
        user_properties_to_add: vec![pair("k", "v")],
        ..PublishChanges::default()
    };
    let remove = PublishChanges {
        user_property_keys_to_remove: vec!["k".into()],
        ..PublishChanges::default()
    };
    for changes in [add, remove, to_payload(b"new", Some(true))] {
        for version in [Version::V31, V311] {
            let changed = apply(&sent(version, "a", &[]), version, changes.clone());
            assert_eq!(changed, Err(Unfit::Illegal));
        }
        assert!(apply(&sent(V5, "a", &[]), V5, changes).is_ok());
    }
    let payload = apply(&sent(V311, "a", &[]), V311, to_payload(b"new", None));
    assert_eq!(payload.unwrap(), written(0x32, V311, "a", &[], b"new"));
}

/// [MQTT-3.3.1-6]: an empty payload deletes. The table is (RETAIN, payload) before, the changes, and
/// whether they are legal.
#[test]
fn a_deletion_stays_one_and_nothing_becomes_one() {
    let full = Some(&b"new"[..]);
    let empty = Some(&b""[..]);
    for (retain, before, to_retain, to, is_legal) in [
        (true, "", None, full, false),
        (true, "", None, empty, true),
        (true, "", Some(false), full, true),
        (true, "", Some(false), None, true),
        (true, "old", None, empty, false),
        (true, "old", None, full, true),
        (true, "old", Some(false), empty, true),
        (false, "old", None, empty, true),
        (false, "old", Some(true), empty, false),
        (false, "old", Some(true), full, true),
        (false, "", None, full, true),
        (false, "", Some(true), full, true),
        (true, "old", Some(true), empty, false),
        (true, "", Some(true), full, false),
    ] {
        for version in [V311, V5] {
            let first = 0x32 | u8::from(retain);
            let bytes: Bytes = written(first, version, "a", &[], before.as_bytes()).into();
            let changes = PublishChanges {
                payload: to.map(Bytes::from_static),
                retain: to_retain,
                ..PublishChanges::default()
            };
            let changed = apply(&bytes, version, changes);
            assert_eq!(
                changed.is_ok(),
                is_legal,
                "{retain} {before:?} {to_retain:?} {to:?}"
            );
        }
    }
}

#[test]
fn user_properties_that_were_added_count_against_the_limits() {
    let limits = Limits {
        max_user_properties: 2,
        max_user_property_bytes: 20,
        ..Limits::default()
    };
    let add = |count: usize, value: &str| {
        let changes = PublishChanges {
            user_properties_to_add: vec![pair("k", value); count],
            ..PublishChanges::default()
        };
        let bytes = sent(V5, "a", &user("k", "v"));
        publish(&bytes, V5, changes, None, &limits).map(drop)
    };
    assert_eq!(add(1, "v"), Ok(()));
    assert_eq!(add(2, "v"), Err(Unfit::Illegal));
    // 5 bytes of identifier and lengths, and 7 for the other one.
    assert_eq!(add(1, &"v".repeat(7)), Ok(()));
    assert_eq!(add(1, &"v".repeat(8)), Err(Unfit::Illegal));
    assert_eq!(add(1, "\0"), Err(Unfit::Illegal));
    assert_eq!(add(1, "a\nb"), Err(Unfit::Illegal));
    // What the client sent is not for this place to judge.
    let bytes = sent(V5, "a", &user("k", "v").repeat(3));
    assert!(publish(&bytes, V5, to_topic("b"), None, &limits).is_ok());
}

/// Who answers finds the client below its mount.
#[test]
fn a_response_topic_gets_the_mount_of_its_topic() {
    let response = |topic: &str| [vec![0x08], field(topic), user("k", "v")].concat();
    let bytes = sent(V5, "x", &response("replies"));
    for (to, expected) in [
        ("t/a/x", "t/a/replies"),
        ("t/a/y", "replies"),
        ("t/b/x", "replies"),
        ("x", "replies"),
    ] {
        let limits = Limits::default();
        let changed = publish(&bytes, V5, to_topic(to), Some(&mount()), &limits);
        let expected = written(0x32, V5, to, &response(expected), b"old");
        assert_eq!(changed.unwrap(), expected, "{to}");
        let without = apply(&bytes, V5, to_topic(to)).unwrap();
        let expected = written(0x32, V5, to, &response("replies"), b"old");
        assert_eq!(without, expected, "{to}");
    }
    // 65,535 bytes with the mount, and one more.
    for (len, is_legal) in [(65_531, true), (65_532, false)] {
        let bytes = sent(V5, "x", &response(&"r".repeat(len)));
        let limits = Limits::default();
        let changed = publish(&bytes, V5, to_topic("t/a/x"), Some(&mount()), &limits);
        assert_eq!(changed.is_ok(), is_legal);
    }
}

prop_compose! {
    fn any_changes()(
        topic in proptest::option::of("[^\\p{C}+#]{0,40}"),
        payload in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        payload_format_indicator in proptest::option::of(any::<bool>()),
        retain in proptest::option::of(any::<bool>()),
        remove in proptest::collection::vec("[a-c]", 0..3),
        add in proptest::collection::vec(("[a-c]", "[a-c]{0,3}"), 0..3),
    ) -> PublishChanges {
        PublishChanges {
            topic: topic.map(Into::into),
            payload: payload.map(Into::into),
            payload_format_indicator,
            retain,
            user_property_keys_to_remove: remove.into_iter().map(Into::into).collect(),
            user_properties_to_add: add.iter().map(|(key, value)| pair(key, value)).collect(),
        }
    }
}

proptest! {
    /// Whatever is wanted: what comes of it is a PUBLISH that says just that, and keeps the rest.
    #[test]
    fn a_change_is_made_exactly_or_not_at_all(
        first in prop::sample::select(vec![0x30, 0x31, 0x32, 0x33, 0x34, 0x3D_u8]),
        pairs in proptest::collection::vec(("[a-c]", "[a-c]{0,3}"), 0..4),
        indicator in proptest::option::of(0..2_u8),
        payload in "[a-z]{0,9}",
        changes in any_changes(),
        is_v5: bool,
    ) {
        let version = if is_v5 { V5 } else { V311 };
        let mut properties = indicator.map_or(vec![], |indicator| vec![0x01, indicator]);
        properties.extend([0x02, 0, 0, 0, 9]);
        for (key, value) in &pairs {
            properties.extend(user(key, value));
        }
        let bytes: Bytes = written(first, version, "own", &properties, payload.as_bytes()).into();
        let Ok(changed) = apply(&bytes, version, changes.clone()) else {
            return Ok(());
        };
        let (before, after) = (read(&bytes, version).unwrap(), read(&changed, version).unwrap());
        prop_assert_eq!(after.topic, changes.topic.unwrap_or("own".into()));
        prop_assert_eq!(after.retain, changes.retain.unwrap_or(before.retain));
        prop_assert_eq!(&after.payload, changes.payload.as_ref().unwrap_or(&before.payload));
        prop_assert_eq!(after.qos, before.qos);
        prop_assert_eq!(after.dup, before.dup);
        prop_assert_eq!(after.packet_id, before.packet_id);
        prop_assert_eq!(after.message_expiry, before.message_expiry);
        let mut expected = before.user_properties;
        expected.retain(|pair| !changes.user_property_keys_to_remove.contains(&pair.key));
        expected.extend(changes.user_properties_to_add);
        prop_assert_eq!(after.user_properties, expected);
    }
}

fn subscription(filter: &str, options: u8) -> Subscription {
    let body = [&[0, 7, 0], field(filter).as_slice(), &[options]].concat();
    let found = subscribe::read(&client(0x82, &body), V5, FilterLimits::default());
    found.unwrap().filters.swap_remove(0)
}

fn map(
    own: &Subscription,
    max_qos: Option<QoS>,
    filter: Option<&str>,
    mount: Option<&Mount>,
) -> Result<Outgoing, Unfit> {
    let changes = SubscribeChanges {
        max_qos,
        filter: filter.map(Into::into),
    };
    super::filter(own, V5, changes, mount, &Limits::default())
}

fn changed(filter: &str, qos: QoS) -> Result<Outgoing, Unfit> {
    Ok(Outgoing::Changed {
        filter: filter.into(),
        qos,
    })
}

/// [MQTT-3.8.4-8]: what is granted may be less than what was asked for, never more.
#[test]
fn qos_sinks_and_never_rises() {
    let all = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    for asked in all {
        let own = subscription("a", asked as u8);
        assert_eq!(map(&own, None, None, None), Ok(Outgoing::AsSent));
        for max in all {
            let expected = match max.cmp(&asked) {
                std::cmp::Ordering::Less => changed("a", max),
                std::cmp::Ordering::Equal => Ok(Outgoing::AsSent),
                std::cmp::Ordering::Greater => Err(Unfit::Illegal),
            };
            assert_eq!(map(&own, Some(max), None, None), expected);
        }
    }
}

#[test]
fn a_filter_goes_below_the_mount_and_nowhere_else() {
    let mount = mount();
    let one = QoS::AtLeastOnce;
    for (own, filter, expected) in [
        ("x/#", "t/a/x/#", changed("t/a/x/#", one)),
        ("#", "t/a/#", changed("t/a/#", one)),
        ("$share/g/x", "t/a/x", changed("$share/g/t/a/x", one)),
        ("$share/g/x", "$share/g/t/a/x", Err(Unfit::Illegal)),
        ("x", "x", Err(Unfit::Illegal)),
        ("x", "t/a/y", Err(Unfit::Illegal)),
        ("x", "t/b/x", Err(Unfit::Illegal)),
        ("x", "t/a/x/#", Err(Unfit::Illegal)),
        ("x", "t/a/", Err(Unfit::Illegal)),
        ("x", "", Err(Unfit::Illegal)),
        ("x", "#", Err(Unfit::Illegal)),
    ] {
        let own = subscription(own, 1);
        assert_eq!(map(&own, None, Some(filter), Some(&mount)), expected);
        // There is nothing to map it back with.
        assert_eq!(map(&own, None, Some(filter), None), Err(Unfit::Illegal));
    }
    let lowered = map(
        &subscription("x", 2),
        Some(QoS::AtMostOnce),
        Some("t/a/x"),
        Some(&mount),
    );
    assert_eq!(lowered, changed("t/a/x", QoS::AtMostOnce));
}

#[test]
fn a_filter_that_stays_must_not_reach_below_the_mount() {
    let mount = mount();
    for own in ["#", "+/#", "t/#", "+/a/x", "t/a", "t/a/x", "$share/g/#"] {
        let own = subscription(own, 1);
        assert_eq!(map(&own, None, None, Some(&mount)), Err(Unfit::Illegal));
        assert_eq!(map(&own, None, None, None), Ok(Outgoing::AsSent));
    }
    for own in ["shared/#", "$SYS/#", "t/b/#", "t", "+", "$share/g/x"] {
        let own = subscription(own, 1);
        assert_eq!(map(&own, None, None, Some(&mount)), Ok(Outgoing::AsSent));
    }
    let own = subscription("x", 1);
    let lowered = map(&own, Some(QoS::AtMostOnce), None, Some(&mount));
    assert_eq!(lowered, changed("x", QoS::AtMostOnce));
}

/// [MQTT-4.7.3-3], and as deep as the operator allows.
#[test]
fn a_filter_below_the_mount_is_judged_again() {
    let mount = mount();
    for (own, is_legal) in [
        ("x".repeat(65_531), true),
        ("x".repeat(65_532), false),
        ("/".repeat(198), true),
        ("/".repeat(199), false),
    ] {
        let filter = format!("t/a/{own}");
        let found = map(&subscription(&own, 1), None, Some(&filter), Some(&mount));
        assert_eq!(found.is_ok(), is_legal, "{} bytes", own.len());
    }
}
