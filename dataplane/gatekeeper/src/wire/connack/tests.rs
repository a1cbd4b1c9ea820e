use super::*;
use crate::wire::tests::support::{broker, field, section};

fn read_body(body: &[u8], version: Version) -> Result<Connack, Violation> {
    read(&broker(0x20, body), version)
}

fn v5(properties: &[u8]) -> Result<Connack, Violation> {
    read_body(
        &[&[0, 0], section(properties).as_slice()].concat(),
        Version::V5,
    )
}

fn code(result: Result<Connack, Violation>) -> Option<u8> {
    result.err().map(|found| found.code.get())
}

#[test]
fn a_v311_connack_is_read() {
    let found = read_body(&[1, 0], Version::V311).unwrap();
    assert!(found.session_present && found.v3_shaped && !found.is_refusal());
    let table = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87];
    for (return_code, meaning) in (0..).zip(table) {
        let found = read_body(&[0, return_code], Version::V311).unwrap();
        assert_eq!(found.code.get(), meaning);
    }
    for reserved in 6..=u8::MAX {
        assert_eq!(code(read_body(&[0, reserved], Version::V311)), Some(0x82));
    }
}

#[test]
fn a_v5_connack_may_carry_the_codes_of_its_table() {
    for value in 0..=u8::MAX {
        let reason = ReasonCode::new(value);
        let found = read_body(&[0, value, 0], Version::V5);
        if reason.is_legal(Carrier::Connack, Sender::Server) {
            let found = found.unwrap();
            assert_eq!((found.code, found.v3_shaped), (reason, false));
        } else {
            assert_eq!(code(found), Some(0x82), "{reason}");
        }
    }
}

#[test]
fn a_refusal_in_the_shape_of_v3_is_understood_on_v5() {
    for (sent, meaning) in [
        (0x01, 0x84),
        (0x02, 0x85),
        (0x03, 0x88),
        (0x04, 0x86),
        (0x05, 0x87),
        (0x06, 0x80),
        (0x7F, 0x80),
        (0x8D, 0x80),
        (0x87, 0x87),
        (0x9F, 0x9F),
    ] {
        let found = read_body(&[0, sent], Version::V5).unwrap();
        assert!(found.v3_shaped && found.is_refusal());
        assert_eq!(found.code.get(), meaning, "{sent:#04x}");
    }
}

#[test]
fn a_success_in_the_shape_of_v3_is_not_trusted_on_v5() {
    assert_eq!(code(read_body(&[0, 0], Version::V5)), Some(0x81));
    assert_eq!(code(read_body(&[1, 0], Version::V5)), Some(0x81));
}

/// [MQTT-3.2.2-1]
#[test]
fn flags_are_strict() {
    for flags in 2..=u8::MAX {
        assert_eq!(code(read_body(&[flags, 0], Version::V311)), Some(0x81));
        assert_eq!(code(read_body(&[flags, 0, 0], Version::V5)), Some(0x81));
    }
    assert!(v5(&[]).is_ok());
}

#[test]
fn a_refusal_has_no_session() {
    assert_eq!(code(read_body(&[1, 5], Version::V311)), Some(0x82));
    assert_eq!(code(read_body(&[1, 5], Version::V5)), Some(0x82));
    assert_eq!(code(read_body(&[1, 0x87, 0], Version::V5)), Some(0x82));
}

#[test]
fn bytes_behind_the_packet_are_malformed() {
    assert_eq!(code(read_body(&[0, 0, 0], Version::V311)), Some(0x81));
    assert_eq!(code(read_body(&[0, 0, 0, 0], Version::V5)), Some(0x81));
}

#[test]
fn properties_are_read() {
    let properties = [
        &[
            0x11, 0, 0, 0, 7, 0x21, 0, 10, 0x24, 1, 0x25, 0, 0x27, 0, 0, 1, 0, 0x12,
        ][..],
        &field("auto-1"),
        &[0x22, 0, 8, 0x13, 0, 30, 0x28, 0, 0x29, 0, 0x2A, 0, 0x1C],
        &field("elsewhere"),
        &[0x15],
        &field("SCRAM"),
    ]
    .concat();
    let found = v5(&properties).unwrap();
    assert_eq!(found.session_expiry, Some(7));
    assert_eq!(found.receive_maximum, 10);
    assert_eq!(found.maximum_qos, QoS::AtLeastOnce);
    assert!(!found.retain_available);
    assert_eq!(found.maximum_packet_size, Some(256));
    assert_eq!(found.assigned_client_id.as_deref(), Some("auto-1"));
    assert_eq!(found.topic_alias_maximum, 8);
    assert_eq!(found.server_keep_alive, Some(30));
    assert!(!found.wildcard_subscription_available);
    assert!(!found.subscription_identifier_available);
    assert!(!found.shared_subscription_available);
    assert_eq!(found.server_reference.as_deref(), Some("elsewhere"));
    assert_eq!(found.auth_method.as_deref(), Some("SCRAM"));
    assert_eq!(found.raw_properties.as_bytes().as_ref(), properties);
    assert_eq!(v5(&[0x24, 0]).unwrap().maximum_qos, QoS::AtMostOnce);
    let empty_id = [0x12, 0, 0];
    assert_eq!(code(v5(&empty_id)), Some(0x82));
}

#[test]
fn what_was_not_sent_has_the_default_of_the_standard() {
    let found = v5(&[]).unwrap();
    assert_eq!(found.receive_maximum, 65_535);
    assert_eq!(found.maximum_qos, QoS::ExactlyOnce);
    assert_eq!(found.topic_alias_maximum, 0);
    assert_eq!(found.maximum_packet_size, None);
    assert!(found.retain_available && found.wildcard_subscription_available);
    assert!(found.subscription_identifier_available && found.shared_subscription_available);
}

#[test]
fn the_limits_of_the_gate_replace_those_of_the_broker() {
    let limits = GateLimits {
        topic_alias_maximum: 32,
        maximum_packet_size: 1000,
        receive_maximum: 20,
        server_keep_alive: Some(60),
        session_expiry: Some(3600),
        assigned_client_id: Some("gate-1"),
    };
    let user = [&[0x26], field("k").as_slice(), &field("v")].concat();
    for (size, told) in [
        (&[0x27, 0, 0, 1, 0][..], 256),
        (&[0x27, 0, 1, 0, 0], 1000),
        (&[], 1000),
    ] {
        let sent = v5(&[&[0x22, 0, 99][..], size, &user].concat()).unwrap();
        let properties = sent.with_gate_limits(&limits).unwrap();
        let bytes = encode_v5(false, ReasonCode::SUCCESS, &properties).unwrap();
        let told_client = read(&broker(0x20, &bytes[2..]), Version::V5).unwrap();
        assert_eq!(told_client.topic_alias_maximum, 32);
        assert_eq!(told_client.maximum_packet_size, Some(told));
        assert_eq!(told_client.receive_maximum, 20);
        assert_eq!(told_client.server_keep_alive, Some(60));
        assert_eq!(told_client.session_expiry, Some(3600));
        assert_eq!(told_client.assigned_client_id.as_deref(), Some("gate-1"));
        let raw = told_client.raw_properties.as_bytes();
        assert!(raw.windows(user.len()).any(|window| window == user));
    }
}

/// [MQTT-3.2.2-19] [MQTT-3.2.2-20]
#[test]
fn what_only_explains_goes_first_when_there_is_no_room() {
    let (user, reason) = ([0x26, 0, 1, b'k', 0, 1, b'v'], [0x1F, 0, 1, b'r']);
    let sent = v5(&[&[0x21, 0, 10][..], &user, &reason].concat()).unwrap();
    let within = |size| {
        let raw = &sent.raw_properties;
        encode_within(false, ReasonCode::SUCCESS, raw, size).map(|bytes| bytes[5..].to_vec())
    };
    let rest = [0x21, 0, 10];
    assert_eq!(within(19), Some([&rest[..], &user, &reason].concat()));
    assert_eq!(within(18), Some([&rest[..], &user].concat()));
    assert_eq!(within(15), Some([&rest[..], &user].concat()));
    assert_eq!(within(14), Some(rest.to_vec()));
    assert_eq!(within(8), Some(rest.to_vec()));
    assert_eq!(within(7), None);
}

#[test]
fn names_of_the_broker_can_be_hidden() {
    let id = [&[0x12], field("b").as_slice()].concat();
    let reference = [&[0x1C], field("b").as_slice()].concat();
    for (server_reference, assigned, expected) in [
        (false, false, [id.clone(), reference.clone()].concat()),
        (true, false, id.clone()),
        (false, true, reference.clone()),
        (true, true, Vec::new()),
    ] {
        let mut found = v5(&[id.clone(), reference.clone()].concat()).unwrap();
        found.hide(server_reference, assigned);
        assert_eq!(found.raw_properties.as_bytes(), &expected);
        assert_eq!(found.server_reference.is_none(), server_reference);
        assert_eq!(found.assigned_client_id.is_none(), assigned);
    }
}

#[test]
fn the_properties_of_the_broker_can_be_written_again() {
    let sent = v5(&[0x21, 0, 10]).unwrap();
    let bytes = encode_v5(true, ReasonCode::SUCCESS, &sent.raw_properties).unwrap();
    assert_eq!(bytes.as_ref(), [0x20, 6, 1, 0, 3, 0x21, 0, 10]);
}

#[test]
fn refusals_are_written() {
    assert_eq!(encode_v3(false, 5).as_ref(), [0x20, 2, 0, 5]);
    assert_eq!(encode_v3(true, 0).as_ref(), [0x20, 2, 1, 0]);
    let code = ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
    assert_eq!(
        encode_refusal_v5(code, None, None).as_ref(),
        [0x20, 3, 0, 0x84, 0]
    );
    assert_eq!(
        encode_refusal_v5(ReasonCode::NOT_AUTHORIZED, None, Some("b")).as_ref(),
        [0x20, 3, 0, 0x87, 0]
    );
    assert_eq!(
        encode_refusal_v5(ReasonCode::SERVER_MOVED, Some("no"), Some("b")).as_ref(),
        [
            0x20, 12, 0, 0x9D, 9, 0x1F, 0, 2, b'n', b'o', 0x1C, 0, 1, b'b'
        ]
    );
}

#[test]
fn a_long_explanation_makes_a_long_header() {
    let reason = "x".repeat(65_535);
    let bytes = encode_refusal_v5(ReasonCode::SERVER_MOVED, Some(&reason), Some(&reason));
    let found = read(
        &crate::wire::tests::support::frame(Side::Broker, &bytes),
        Version::V5,
    )
    .unwrap();
    assert_eq!(found.server_reference.unwrap().len(), 65_535);
}
