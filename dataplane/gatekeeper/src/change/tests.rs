use bytes::Bytes;

use super::*;
use crate::{question::UserProperty, wire::tests::support::field};

fn pair(key: &str, value: &str) -> UserProperty {
    UserProperty {
        key: key.into(),
        value: value.into(),
    }
}

fn user(key: &str, value: &str) -> Vec<u8> {
    [&[0x26], field(key).as_slice(), &field(value)].concat()
}

fn raw(properties: &[Property]) -> RawProperties {
    RawProperties::default().and(properties).unwrap()
}

fn original(retain: bool, is_empty: bool) -> Original {
    Original {
        version: Version::V5,
        retain,
        is_empty,
    }
}

fn judge(changes: &PublishChanges, original: Original) -> bool {
    check(changes, original, &Limits::default()).is_ok()
}

/// [MQTT-3.3.2-17] [MQTT-3.3.2-18]: what is not named stays as it was, in its order.
#[test]
fn user_properties_are_removed_by_key_and_then_appended() {
    let before = raw(&[
        Property::UserProperty(pair("a", "1")),
        Property::ContentType("text".into()),
        Property::UserProperty(pair("b", "2")),
        Property::UserProperty(pair("a", "3")),
        Property::UserProperty(pair("ab", "4")),
    ]);
    let changes = PublishChanges {
        user_property_keys_to_remove: vec!["a".into(), "none".into()],
        user_properties_to_add: vec![pair("a", "5"), pair("b", "6")],
        ..PublishChanges::default()
    };
    let expected = [
        [&[0x03], field("text").as_slice()].concat(),
        user("b", "2"),
        user("ab", "4"),
        user("a", "5"),
        user("b", "6"),
    ]
    .concat();
    let after = properties(&before, &changes).unwrap();
    assert_eq!(after.as_bytes(), &expected);
    assert_eq!(after.user_properties(), (4, 4 * 7 + 1));
    let none = properties(&before, &PublishChanges::default());
    assert_eq!(none, Ok(before));
}

/// [MQTT-3.3.2-4]
#[test]
fn the_format_is_that_of_the_payload() {
    let before = raw(&[
        Property::PayloadFormatIndicator(1),
        Property::ContentType("text".into()),
    ]);
    let rest = [&[0x03], field("text").as_slice()].concat();
    let with = |payload: Option<&'static [u8]>, indicator| {
        let changes = PublishChanges {
            payload: payload.map(Bytes::from_static),
            payload_format_indicator: indicator,
            ..PublishChanges::default()
        };
        let legal = judge(&changes, original(false, false));
        let after = properties(&before, &changes).unwrap();
        legal.then(|| after.as_bytes().to_vec())
    };
    let one = [rest.clone(), vec![1, 1]].concat();
    let zero = [rest.clone(), vec![1, 0]].concat();
    assert_eq!(with(None, None), Some(before.as_bytes().to_vec()));
    assert_eq!(with(Some(b"\xFF"), None), Some(rest));
    assert_eq!(with(Some(b"\xFF"), Some(false)), Some(zero));
    assert_eq!(with(Some(b"text"), Some(true)), Some(one));
    assert_eq!(with(Some(b"\xFF"), Some(true)), None);
    assert_eq!(with(None, Some(true)), None);
}

/// [MQTT-1.5.4-2] and the length of a string.
#[test]
fn texts_that_no_packet_can_carry_are_illegal() {
    let long = "x".repeat(65_536);
    for (key, value) in [("a\0", "b"), ("a", "\u{1}"), (&long, "b"), ("a", &long)] {
        let changes = PublishChanges {
            user_properties_to_add: vec![pair(key, value)],
            ..PublishChanges::default()
        };
        assert_eq!(properties(&raw(&[]), &changes), Err(Invalid));
    }
    for name in ["", "a/+", "#", "a\0", "a\u{7F}", &long] {
        assert_eq!(topic(&name.into()), Err(Invalid));
    }
    assert_eq!(topic(&"x".repeat(65_535).into()), Ok(()));
    let deep = PublishChanges {
        topic: Some("/".repeat(201).into()),
        ..PublishChanges::default()
    };
    assert!(!judge(&deep, original(false, false)));
}

#[test]
fn what_3x_has_no_word_for_is_illegal_there() {
    let payload = Some(Bytes::from_static(b"x"));
    let plain = PublishChanges {
        topic: Some("b".into()),
        payload: payload.clone(),
        retain: Some(true),
        ..PublishChanges::default()
    };
    let removes = PublishChanges {
        user_property_keys_to_remove: vec!["a".into()],
        ..PublishChanges::default()
    };
    let adds = PublishChanges {
        user_properties_to_add: vec![pair("a", "b")],
        ..PublishChanges::default()
    };
    let formats = PublishChanges {
        payload,
        payload_format_indicator: Some(false),
        ..PublishChanges::default()
    };
    for version in [Version::V31, Version::V311, Version::V5] {
        let original = Original {
            version,
            ..original(false, false)
        };
        assert!(judge(&plain, original));
        for changes in [&removes, &adds, &formats] {
            assert_eq!(judge(changes, original), version == Version::V5);
        }
    }
}

/// [MQTT-3.3.1-6]
#[test]
fn a_deletion_is_neither_made_nor_turned_into_storing() {
    for (retain, empty, new_retain, new_empty, legal) in [
        (true, false, None, Some(true), false),
        (true, true, None, Some(false), false),
        (false, false, Some(true), Some(true), false),
        (false, false, Some(true), None, true),
        (false, true, Some(true), Some(false), true),
        (true, true, Some(false), Some(false), true),
        (true, false, Some(false), Some(true), true),
        (true, true, None, Some(true), true),
        (true, false, None, Some(false), true),
        (false, false, None, Some(true), true),
    ] {
        let payload = new_empty.map(|empty| Bytes::from_static(if empty { b"" } else { b"x" }));
        let changes = PublishChanges {
            payload,
            retain: new_retain,
            ..PublishChanges::default()
        };
        assert_eq!(judge(&changes, original(retain, empty)), legal);
    }
}
