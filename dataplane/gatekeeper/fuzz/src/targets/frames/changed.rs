//! What the gate changes in a packet changes nothing else. What was changed is read again, and has to
//! be what was meant, field by field and byte by byte of the properties.

use bytes::Bytes;
use gatekeeper::{
    Frame, QoS, ReasonCode, Side, UserProperty, Version,
    frame::PacketType,
    reason::{Place, Sender},
    wire::{
        Property, RawProperties,
        connack::{self, Connack, GateLimits},
        connect::Connect,
        disconnect::Disconnect,
        publish::{self, Publish},
        suback,
        subscribe::{Outgoing, Subscribe},
        unsuback,
        unsubscribe::Unsubscribe,
    },
};

use super::super::writing;
use crate::reading::{self, Any};

const SECONDS: u32 = 0x0203_0405;
const MESSAGE_EXPIRY: u8 = 0x02;
const TOPIC_ALIAS: u8 = 0x23;

pub(super) fn check(frame: &Frame, found: &Any, version: Version) {
    match found {
        Any::Connect(connect) => check_connect(connect),
        Any::Connack(connack) if version == Version::V5 && !connack.v3_shaped => {
            check_connack(connack);
        }
        Any::Publish(publish) => check_publish(frame, publish),
        Any::Subscribe(subscribe) => check_subscribe(frame, subscribe),
        Any::Unsubscribe(unsubscribe) => check_unsubscribe(frame, unsubscribe),
        Any::Unsuback(found) if version == Version::V5 => {
            let properties = grown(&found.raw_properties);
            let codes = [found.codes.as_ref(), &[0]].concat();
            let bytes = unsuback::encode_v5(found.packet_id, &properties, &codes);
            let mut expected = found.clone();
            (expected.raw_properties, expected.codes) = (properties, codes.into());
            expected.corrected = false;
            let read = read(frame, &bytes.expect("it is not long"), version);
            assert_eq!(read, Any::Unsuback(expected));
        }
        Any::Ack(ack) if ack.corrected => {
            let mut expected = ack.clone();
            expected.corrected = false;
            let read = read(frame, &ack.encode(), version);
            assert_eq!(read, Any::Ack(expected));
        }
        Any::Suback(found) if found.corrected => {
            let bytes = suback::encode(
                version,
                found.packet_id,
                &found.raw_properties,
                &found.codes,
            );
            let mut expected = found.clone();
            expected.corrected = false;
            let read = read(frame, &bytes.expect("it fits"), version);
            assert_eq!(read, Any::Suback(expected));
        }
        Any::Disconnect(disconnect) if version == Version::V5 => {
            check_disconnect(frame, disconnect);
        }
        _ => {}
    }
}

fn read(frame: &Frame, bytes: &Bytes, version: Version) -> Any {
    let changed = writing::whole(frame.from(), bytes);
    assert_eq!(changed.kind(), frame.kind());
    let read = reading::read(&changed, version);
    read.unwrap_or_else(|refusal| panic!("{frame:?} is changed to {bytes:02x?}: {refusal:?}"))
}

/// With a user property that no sender thought of, in the place of those that have its key.
fn grown(properties: &RawProperties) -> RawProperties {
    let added = UserProperty {
        key: "k".into(),
        value: "added".into(),
    };
    let grown = properties
        .without_user_properties(&["k".into()])
        .and(&[Property::UserProperty(added)]);
    let grown = grown.expect("it is not long");
    let (count, bytes) = properties.user_properties();
    let (count_now, bytes_now) = grown.user_properties();
    assert!(count_now <= count + 1 && bytes_now <= bytes + 11);
    assert!(grown.as_bytes().ends_with(b"\x26\0\x01k\0\x05added"));
    grown
}

fn check_connect(connect: &Connect) {
    let mut expected = connect.clone();
    expected.client_id = "another".into();
    expected.clean_start = true;
    if connect.username.is_some() {
        expected.username = Some("someone".into());
    }
    if expected.version == Version::V5 {
        let properties = &mut expected.properties;
        properties.set_session_expiry(SECONDS).expect("it fits");
        properties.forgo_topic_aliases();
        if let Some(will) = &mut expected.will {
            will.set_delay(SECONDS).expect("it fits");
        }
    }
    expected.flags_agree = true;
    let bytes = expected.encode(&expected.client_id).expect("it fits");
    let changed = writing::whole(Side::Client, &bytes);
    match reading::read(&changed, expected.version) {
        Ok(Any::Connect(found)) => assert_eq!(*found, expected),
        other => panic!("{connect:?} is changed to {other:?}"),
    }
}

fn check_connack(connack: &Connack) {
    let mut hidden = connack.clone();
    hidden.hide(true, true);
    let limits = GateLimits {
        topic_alias_maximum: 3,
        maximum_packet_size: 1 << 20,
        receive_maximum: 500,
        server_keep_alive: Some(9),
        session_expiry: Some(SECONDS),
        assigned_client_id: Some("given"),
    };
    let properties = hidden.with_gate_limits(&limits).expect("it fits");
    let bytes = connack::encode_v5(connack.session_present, connack.code, &properties);
    let changed = writing::whole(Side::Broker, &bytes.expect("it fits"));
    let size = connack.maximum_packet_size.unwrap_or(u32::MAX);
    let expected = Connack {
        session_expiry: Some(SECONDS),
        receive_maximum: connack.receive_maximum.min(500),
        maximum_packet_size: Some(size.min(1 << 20)),
        assigned_client_id: Some("given".into()),
        topic_alias_maximum: 3,
        server_keep_alive: Some(9),
        server_reference: None,
        raw_properties: properties,
        ..connack.clone()
    };
    match reading::read(&changed, Version::V5) {
        Ok(Any::Connack(found)) => assert_eq!(found, expected),
        other => panic!("{connack:?} is changed to {other:?}"),
    }
}

fn check_publish(frame: &Frame, publish: &Publish) {
    let mut expected = Publish {
        topic: "changed".into(),
        topic_alias: None,
        raw_properties: publish.raw_properties.without(&[TOPIC_ALIAS]),
        ..publish.clone()
    };
    let bytes = publish.encode_with_topic("changed").expect("it fits");
    let version = publish.version;
    assert_eq!(read(frame, &bytes, version), Any::Publish(expected.clone()));
    if version != Version::V5 {
        return;
    }
    let aged = publish::with_message_expiry(&bytes, SECONDS);
    if publish.message_expiry.is_none() {
        assert_eq!(aged, bytes);
    }
    let Any::Publish(found) = read(frame, &aged, version) else {
        panic!("{publish:?} is changed to another packet");
    };
    let rest = |publish: &Publish| publish.raw_properties.without(&[MESSAGE_EXPIRY]);
    assert_eq!(rest(&found), rest(&expected));
    assert_eq!(
        found.message_expiry,
        publish.message_expiry.map(|_| SECONDS)
    );
    expected.message_expiry = found.message_expiry;
    expected.raw_properties = found.raw_properties.clone();
    assert_eq!(found, expected);

    expected.raw_properties = grown(&expected.raw_properties);
    expected.payload = Bytes::from_static(b"changed");
    expected.retain = !publish.retain;
    let bytes = expected.encode().expect("it fits");
    let Any::Publish(found) = read(frame, &bytes, version) else {
        panic!("{publish:?} is changed to another packet");
    };
    let last = found.user_properties.last();
    assert_eq!(last.map(|last| &*last.value), Some("added"));
    expected.user_properties = found.user_properties.clone();
    assert_eq!(found, expected);
}

fn check_subscribe(frame: &Frame, subscribe: &Subscribe) {
    let version = subscribe.version;
    let mut outgoing = vec![Outgoing::AsSent; subscribe.filters.len()];
    outgoing[0] = Outgoing::Omitted;
    match subscribe.encode(&outgoing).expect("it is smaller") {
        None => assert_eq!(subscribe.filters.len(), 1),
        Some(bytes) => {
            let mut expected = subscribe.clone();
            expected.filters.remove(0);
            let read = read(frame, &bytes, version);
            assert_eq!(read, Any::Subscribe(expected));
        }
    }
    outgoing[0] = Outgoing::Changed {
        filter: "changed/#".into(),
        qos: QoS::AtMostOnce,
    };
    let bytes = subscribe.encode(&outgoing).expect("it fits");
    let Any::Subscribe(found) = read(frame, &bytes.expect("a filter is left"), version) else {
        panic!("{subscribe:?} is changed to another packet");
    };
    assert_eq!(found.packet_id, subscribe.packet_id);
    assert_eq!(found.raw_properties, subscribe.raw_properties);
    assert_eq!(found.filters[1..], subscribe.filters[1..]);
    let (is, was) = (&found.filters[0], &subscribe.filters[0]);
    assert_eq!(*is.parsed.full(), "changed/#");
    assert_eq!(is.qos, QoS::AtMostOnce);
    let options = |of: &[u8]| of.last().map(|options| options & !3);
    assert_eq!(options(&is.raw), options(&was.raw));
}

fn check_unsubscribe(frame: &Frame, unsubscribe: &Unsubscribe) {
    let filters = unsubscribe.filters.iter();
    let filters = filters.map(|filter| &**filter.full()).chain(["added/+"]);
    let bytes = unsubscribe.encode_with(filters.clone()).expect("it fits");
    let changed = writing::whole(frame.from(), &bytes);
    // It may have had as many filters as are read.
    if let Ok(Any::Unsubscribe(found)) = reading::read(&changed, unsubscribe.version) {
        assert!(filters.eq(found.filters.iter().map(|filter| &**filter.full())));
        assert_eq!(found.packet_id, unsubscribe.packet_id);
        assert_eq!(found.raw_properties, unsubscribe.raw_properties);
    } else {
        assert!(unsubscribe.filters.len() >= 256, "{unsubscribe:?}");
    }
}

fn check_disconnect(frame: &Frame, disconnect: &Disconnect) {
    assert_eq!(frame.kind(), PacketType::Disconnect);
    let without = disconnect.without_session_expiry();
    let Any::Disconnect(found) = read(frame, &without, Version::V5) else {
        panic!("{disconnect:?} is changed to another packet");
    };
    assert_eq!((found.code, found.session_expiry), (disconnect.code, None));
    match frame.from() {
        Side::Client => {
            let with = disconnect.with_session_expiry(SECONDS).expect("it fits");
            let Any::Disconnect(found) = read(frame, &with, Version::V5) else {
                panic!("{disconnect:?} is changed to another packet");
            };
            assert_eq!(found.code, disconnect.code);
            assert_eq!(found.session_expiry, Some(SECONDS));
        }
        Side::Broker => {
            let Some(passed) = disconnect.for_client(false) else {
                assert_eq!(disconnect.server_reference, None);
                return;
            };
            let Any::Disconnect(found) = read(frame, &passed, Version::V5) else {
                panic!("{disconnect:?} is changed to another packet");
            };
            assert_eq!(found.server_reference, None);
            let is_legal = |code: ReasonCode| code.is_legal(Place::Disconnect, Sender::Server);
            assert!(is_legal(found.code), "{:?}", found.code);
            assert!(found.code == disconnect.code || found.code.is_refusal());
            let unclear = disconnect.code == ReasonCode::BAD_AUTHENTICATION_METHOD;
            let keeps = is_legal(disconnect.code) && !unclear;
            assert!(!keeps || found.code == disconnect.code);
        }
    }
}
