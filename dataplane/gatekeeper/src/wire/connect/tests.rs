use proptest::prelude::*;

use super::*;
use crate::question::QoS;
use crate::wire::TooLong;
use crate::wire::tests::support::{client, field, frame, packet, section};

const NAME: &[u8] = b"\0\x04MQTT";

fn name(level: u8) -> &'static [u8] {
    if level == 3 { b"\0\x06MQIsdp" } else { NAME }
}

/// A CONNECT with this level, these flags and this payload; keep alive 60, no properties.
fn connect(level: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if level == 5 { &[0] } else { &[] };
    [name(level), &[level, flags, 0, 60], properties, payload].concat()
}

fn read_body(body: &[u8]) -> Result<Connect, ConnectError> {
    read(&client(0x10, body))
}

/// A v5 CONNECT with these properties and client identifier `c`.
fn with_properties(properties: &[u8]) -> Result<Connect, ConnectError> {
    let body = [NAME, &[5, 2, 0, 60], &section(properties), &field("c")].concat();
    read_body(&body)
}

/// A v5 CONNECT with a will that has these properties.
fn with_will(properties: &[u8], topic: &str) -> Result<Connect, ConnectError> {
    let payload = [field("c"), section(properties), field(topic), field("gone")].concat();
    read_body(&connect(5, 0b0000_0110, &payload))
}

fn code(result: Result<Connect, ConnectError>) -> Option<u8> {
    match result {
        Ok(_) => None,
        Err(ConnectError::Violation { violation, .. }) => Some(violation.code.get()),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_v311_connect_with_everything_is_read() {
    let payload = [
        field("c"),
        field("will/topic"),
        field([0, 255]),
        field("user"),
        field([0, 254]),
    ]
    .concat();
    let found = read_body(&connect(4, 0b1110_1110, &payload)).unwrap();
    assert_eq!(found.version, Version::V311);
    assert!(found.clean_start);
    assert_eq!(found.keep_alive, 60);
    assert_eq!(found.client_id, "c");
    assert_eq!(found.username.as_deref(), Some("user"));
    assert_eq!(found.password.unwrap().expose().as_ref(), [0, 254]);
    assert_eq!(found.properties, ConnectProperties::default());
    let will = found.will.unwrap();
    assert_eq!(will.topic, "will/topic");
    assert_eq!(will.payload.as_ref(), [0, 255]);
    assert_eq!(will.qos, QoS::AtLeastOnce);
    assert!(will.retain);
}

#[test]
fn the_properties_of_a_v5_connect_are_read() {
    let properties = [
        &[0x11, 0, 0, 1, 0][..],
        &[0x21, 0, 20],
        &[0x27, 0, 1, 0, 0],
        &[0x22, 0, 10],
        &[0x19, 1],
        &[0x17, 0],
        &[0x15],
        &field("SCRAM"),
        &[0x16],
        &field([0, 255]),
        &[0x26],
        &field("k"),
        &field("v"),
    ]
    .concat();
    let found = with_properties(&properties).unwrap().properties;
    assert_eq!(found.session_expiry, Some(256));
    assert_eq!(found.receive_maximum, 20);
    assert_eq!(found.maximum_packet_size, Some(65_536));
    assert_eq!(found.topic_alias_maximum, 10);
    assert!(found.request_response_information);
    assert!(!found.request_problem_information);
    assert_eq!(found.auth_method.as_deref(), Some("SCRAM"));
    assert_eq!(found.auth_data.unwrap().expose().as_ref(), [0, 255]);
    assert_eq!(found.user_properties.len(), 1);
    assert_eq!(found.raw.as_bytes().as_ref(), properties);
}

#[test]
fn properties_that_were_not_sent_have_the_defaults_of_the_standard() {
    let found = with_properties(&[]).unwrap().properties;
    assert_eq!(found, ConnectProperties::default());
    assert_eq!(found.receive_maximum, 65_535);
    assert!(found.request_problem_information);
}

#[test]
fn the_properties_of_a_will_are_read() {
    let properties = [
        &[0x18, 0, 0, 0, 5, 0x01, 1, 0x02, 0, 0, 0, 7, 0x03][..],
        &field("text/plain"),
        &[0x08],
        &field("reply"),
        &[0x09, 0, 1, 255, 0x26],
        &field("k"),
        &field("v"),
    ]
    .concat();
    let will = with_will(&properties, "t").unwrap().will.unwrap();
    assert_eq!(will.delay, 5);
    assert_eq!(will.message_expiry, Some(7));
    assert_eq!(will.content_type.as_deref(), Some("text/plain"));
    assert_eq!(will.response_topic.as_deref(), Some("reply"));
    assert_eq!(will.user_properties.len(), 1);
    assert_eq!(will.raw_properties.as_bytes().as_ref(), properties);
}

#[test]
fn only_three_pairs_of_name_and_level_are_spoken() {
    for name in ["MQTT", "MQIsdp"] {
        for level in 0..=u8::MAX {
            let rest = if level == 5 {
                &b"\x02\0\0\0\0\x01c"[..]
            } else {
                &b"\x02\0\0\0\x01c"[..]
            };
            let body = [&field(name), &[level][..], rest].concat();
            match (name, level, read_body(&body)) {
                ("MQIsdp", 3, Ok(found)) => assert_eq!(found.version, Version::V31),
                ("MQTT", 4, Ok(found)) => assert_eq!(found.version, Version::V311),
                ("MQTT", 5, Ok(found)) => assert_eq!(found.version, Version::V5),
                (_, _, found) => {
                    assert_eq!(
                        found,
                        Err(ConnectError::UnsupportedVersion { level }),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn another_protocol_is_told_from_another_version() {
    for name in ["", "mqtt", "MQTT ", "MQT", "MQTTT", "HTTP", "MQIsdq"] {
        let body = [field(name), vec![4, 2, 0, 0, 0, 0]].concat();
        assert_eq!(read_body(&body), Err(ConnectError::NotMqtt), "{name:?}");
    }
}

#[test]
fn another_version_is_told_whatever_follows() {
    let body = [NAME, &[6], b"\xFF\xFFwhatever"].concat();
    assert_eq!(
        read_body(&body),
        Err(ConnectError::UnsupportedVersion { level: 6 })
    );
}

#[test]
fn a_violation_knows_the_version_as_soon_as_it_was_read() {
    for (body, expected) in [
        (&b"\0"[..], None),
        (b"\0\x04MQ", None),
        (b"\0\x04MQTT", None),
        (b"\0\x04MQTT\x04", Some(Version::V311)),
        (b"\0\x04MQTT\x05", Some(Version::V5)),
    ] {
        match read_body(body) {
            Err(ConnectError::Violation { version, .. }) => assert_eq!(version, expected),
            other => panic!("{other:?}"),
        }
    }
}

/// All 256 flags with just the fields that they announce.
#[test]
fn flags_agree_with_each_other() {
    for (level, flags) in [4, 5]
        .into_iter()
        .flat_map(|l| (0..=u8::MAX).map(move |f| (l, f)))
    {
        let has = |bit: u8| flags & 1 << bit != 0;
        let mut payload = field("c");
        if has(2) {
            payload.extend(if level == 5 { vec![0] } else { vec![] });
            payload.extend([field("w"), field("gone")].concat());
        }
        for bit in [7, 6] {
            payload.extend(if has(bit) { field("x") } else { vec![] });
        }
        let will_qos = flags >> 3 & 3;
        let legal = !has(0)
            && (has(2) || (will_qos == 0 && !has(5)))
            && will_qos != 3
            && (level == 5 || has(7) || !has(6));
        let expected = if legal { None } else { Some(0x81) };
        let body = connect(level, flags, &payload);
        assert_eq!(
            code(read_body(&body)),
            expected,
            "level {level}, flags {flags:#010b}"
        );
    }
}

/// All pairs of flags and fields: present in one and absent in the other is malformed.
/// [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [3.1.1: MQTT-3.1.2-18]
/// [3.1.1: MQTT-3.1.2-19] [3.1.1: MQTT-3.1.2-20] [3.1.1: MQTT-3.1.2-21]
#[test]
fn flags_agree_with_the_fields() {
    for (level, flags) in [
        (4, 0x02),
        (4, 0x82),
        (4, 0xC2),
        (5, 0x02),
        (5, 0x42),
        (5, 0xC2),
    ] {
        let announced = (flags as u8 >> 6).count_ones() as usize;
        for there in 0..=3 {
            let payload = [field("c"), field("x").repeat(there)].concat();
            let expected = if there == announced { None } else { Some(0x81) };
            let body = connect(level, flags as u8, &payload);
            assert_eq!(
                code(read_body(&body)),
                expected,
                "{flags:#04x} with {there} fields"
            );
        }
    }
}

#[test]
fn a_packet_behind_the_last_field_is_malformed() {
    let publish = packet(0x30, b"\0\x01a!");
    for level in [4, 5] {
        let body = connect(level, 2, &[field("c"), publish.clone()].concat());
        assert_eq!(code(read_body(&body)), Some(0x81));
    }
}

#[test]
fn a_nameless_client_needs_a_clean_session_on_v311() {
    let nameless = field("");
    assert!(read_body(&connect(4, 2, &nameless)).is_ok());
    assert!(read_body(&connect(5, 2, &nameless)).is_ok());
    assert!(read_body(&connect(5, 0, &nameless)).is_ok());
    assert_eq!(
        read_body(&connect(4, 0, &nameless)),
        Err(ConnectError::EmptyClientId)
    );
    for flags in [0, 2] {
        assert_eq!(
            read_body(&connect(3, flags, &nameless)),
            Err(ConnectError::EmptyClientId)
        );
    }
    // What is malformed is malformed first.
    let trailing = [nameless, vec![0]].concat();
    assert_eq!(code(read_body(&connect(4, 0, &trailing))), Some(0x81));
}

#[test]
fn absent_and_empty_credentials_differ() {
    let bare = read_body(&connect(5, 2, &field("c"))).unwrap();
    assert_eq!((bare.username, bare.password), (None, None));
    let payload = [field("c"), field(""), field("")].concat();
    let empty = read_body(&connect(5, 0xC2, &payload)).unwrap();
    assert_eq!(empty.username.as_deref(), Some(""));
    assert_eq!(empty.password.unwrap().expose().len(), 0);
}

#[test]
fn a_will_topic_is_a_topic_name() {
    for topic in ["", "+", "a/#", "a\0"] {
        assert_eq!(code(with_will(&[], topic)), Some(0x81), "{topic:?}");
        let payload = [field("c"), field(topic), field("gone")].concat();
        assert_eq!(code(read_body(&connect(4, 6, &payload))), Some(0x81));
    }
    assert!(with_will(&[], "$SYS/x").is_ok());
}

#[test]
fn authentication_data_needs_a_method() {
    let data = [&[0x16], field("x").as_slice()].concat();
    assert_eq!(code(with_properties(&data)), Some(0x82));
    let both = [&data, &[0x15][..], &field("m")].concat();
    assert!(with_properties(&both).is_ok());
}

#[test]
fn property_rules_hold_in_both_sections() {
    for (properties, expected) in [
        (&[0x21, 0, 0][..], 0x82),
        (&[0x27, 0, 0, 0, 0], 0x82),
        (&[0x17, 2], 0x82),
        (&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 2], 0x82),
        (&[0x18, 0, 0, 0, 1], 0x81),
        (&[0x23, 0, 1], 0x81),
    ] {
        assert_eq!(
            code(with_properties(properties)),
            Some(expected),
            "{properties:02x?}"
        );
    }
    for (properties, expected) in [
        (&[0x01, 2][..], 0x82),
        (&[0x18, 0, 0, 0, 1, 0x18, 0, 0, 0, 1], 0x82),
        (&[0x11, 0, 0, 0, 1], 0x81),
        (&[0x23, 0, 1], 0x81),
    ] {
        assert_eq!(
            code(with_will(properties, "t")),
            Some(expected),
            "{properties:02x?}"
        );
    }
}

#[test]
fn a_remaining_length_need_not_be_minimal_on_v311() {
    for (level, expected) in [(4, None), (5, Some(0x81))] {
        let body = connect(level, 2, &field("c"));
        let bytes = [&[0x10, body.len() as u8 | 0x80, 0], body.as_slice()].concat();
        assert_eq!(code(read(&frame(Side::Client, &bytes))), expected);
    }
}

/// MQTT 3.1: "if there is no string, the flag counts as not set", and only there.
#[test]
fn on_v31_a_flag_may_announce_a_string_that_is_missing_at_the_end() {
    let (id, user) = (field("c"), field("u"));
    let with_user = [id.clone(), user.clone()].concat();
    let with_both = [with_user.clone(), field("p")].concat();
    for (payload, username, agree) in [
        (&id, None, false),
        (&with_user, Some("u"), false),
        (&with_both, Some("u"), true),
    ] {
        let found = read_body(&connect(3, 0xC2, payload)).unwrap();
        assert_eq!(found.username.as_deref(), username);
        assert_eq!(found.password.is_some(), agree);
        assert_eq!(found.flags_agree, agree);
        // Written anew, the flags say what is there.
        let written = found.encode(&found.client_id).unwrap();
        let again = read(&frame(Side::Client, &written)).unwrap();
        assert!(again.flags_agree);
        assert_eq!(
            (again.username, again.password),
            (found.username, found.password)
        );
        if !agree {
            assert_eq!(code(read_body(&connect(4, 0xC2, payload))), Some(0x81));
            assert_eq!(code(read_body(&connect(5, 0xC2, payload))), Some(0x81));
        }
    }
    for torn in [&[0][..], &[0, 2, b'x']] {
        let payload = [id.as_slice(), torn].concat();
        assert_eq!(code(read_body(&connect(3, 0xC2, &payload))), Some(0x81));
    }
    let long = field("x".repeat(24));
    assert!(read_body(&connect(3, 2, &long)).is_ok());
    assert_eq!(code(read_body(&connect(3, 3, &id))), Some(0x81));
    assert_eq!(code(read_body(&connect(3, 0x42, &with_user))), Some(0x81));
}

#[test]
fn secrets_and_payloads_are_not_shown() {
    let payload = [
        field("c"),
        field("w"),
        field("hidden"),
        field("u"),
        field("hidden"),
    ]
    .concat();
    let found = read_body(&connect(4, 0b1100_0110, &payload)).unwrap();
    let shown = format!("{found:?}");
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn a_client_identifier_that_does_not_fit_is_not_written() {
    let found = read_body(&connect(5, 2, &field("c"))).unwrap();
    assert!(found.encode(&"x".repeat(65_535)).is_ok());
    assert_eq!(
        found.encode(&"x".repeat(65_536)),
        Err(TooLong {
            field: "client identifier"
        })
    );
}

prop_compose! {
    fn any_connect()(
        level in 3..6_u8,
        clean: bool,
        keep_alive: [u8; 2],
        id in "[a-z0-9]{1,40}",
        will in proptest::option::of((".{0,20}", 0..3_u8, any::<bool>(), any::<bool>())),
        username in proptest::option::of("[^\\p{C}]{0,20}"),
        password in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        expiry in proptest::option::of(any::<[u8; 4]>()),
    ) -> Vec<u8> {
        let v5 = level == 5;
        let password = password.filter(|_| v5 || username.is_some());
        let expiry = expiry.map_or(vec![], |seconds| [&[0x11][..], &seconds].concat());
        let mut flags = u8::from(clean) << 1
            | u8::from(password.is_some()) << 6
            | u8::from(username.is_some()) << 7;
        let mut payload = field(&id);
        if let Some((text, qos, retain, delayed)) = will {
            flags |= 4 | qos << 3 | u8::from(retain) << 5;
            let delay: &[u8] = if delayed { &[0x18, 0, 0, 0, 9] } else { &[] };
            payload.extend(if v5 { section(delay) } else { vec![] });
            payload.extend([field("will/topic"), field(text)].concat());
        }
        payload.extend(username.map_or(vec![], field));
        payload.extend(password.map_or(vec![], field));
        let properties = if v5 { section(&expiry) } else { vec![] };
        let head = [name(level), &[level, flags], &keep_alive, &properties].concat();
        packet(0x10, &[head, payload].concat())
    }
}

proptest! {
    #[test]
    fn with_its_own_identifier_a_packet_stays_as_it_is(bytes in any_connect()) {
        let found = read(&frame(Side::Client, &bytes)).unwrap();
        let encoded = found.encode(&found.client_id).unwrap();
        prop_assert_eq!(encoded.as_ref(), bytes.as_slice());
    }

    #[test]
    fn with_another_identifier_all_else_stays(bytes in any_connect(), id in "[a-z]{0,200}") {
        let before = read(&frame(Side::Client, &bytes)).unwrap();
        let encoded = before.encode(&id).unwrap();
        match read(&frame(Side::Client, &encoded)) {
            Ok(after) => {
                prop_assert_eq!(&after.client_id, &id);
                let back = Connect { client_id: before.client_id.clone(), ..after };
                prop_assert_eq!(back, before);
            }
            Err(error) => prop_assert_eq!(error, ConnectError::EmptyClientId),
        }
    }
}
