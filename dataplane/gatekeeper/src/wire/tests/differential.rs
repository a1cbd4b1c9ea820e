//! The second opinion of `mqttbytes`: what both accept means the same to both, and what is accepted
//! here is accepted there, except where that crate is known to be wrong.

use bytes::BytesMut;
use mqttbytes::{v4, v5};
use proptest::prelude::*;

use super::mutation::mutated;
use super::support::{Any, read_any, try_frame};
use crate::question::Version;
use crate::wire::connect::Connect;
use crate::wire::publish::Publish;
use crate::wire::subscribe::Subscribe;

const MAX: usize = 1 << 20;

/// Packets that are right and that `mqttbytes` 0.6 does not read.
fn is_known_to_be_refused(found: &Any, version: Version, bytes: &[u8]) -> bool {
    let v5 = version == Version::V5;
    match found {
        // It has no AUTH.
        Any::Auth(_) => true,
        // It takes passwords for strings.
        Any::Connect(connect) => connect
            .password
            .as_ref()
            .is_some_and(|password| std::str::from_utf8(password.expose()).is_err()),
        // It does not know the return codes of 3.1.1 on v5, and wants properties.
        Any::Connack(connack) => v5 && connack.v3_shaped,
        // Short forms, and what a broker may not say but says.
        Any::Disconnect(found) => v5 && (bytes.len() < 4 || found.for_client(true).is_some()),
        // Codes outside their tables.
        Any::Ack(found) => found.corrected,
        Any::Suback(found) => found.corrected,
        Any::Unsuback(found) => found.corrected,
        // It loses count with more than two identifiers.
        Any::Publish(publish) => identifiers(publish) > 2,
        _ => false,
    }
}

/// An upper bound for the number of Subscription Identifiers.
fn identifiers(publish: &Publish) -> usize {
    let raw = publish.raw_properties.as_bytes();
    raw.iter().filter(|&&byte| byte == 0x0B).count()
}

fn same_connect(ours: &Connect, id: &str, clean: bool, keep_alive: u16) {
    assert_eq!(ours.client_id, id);
    assert_eq!(ours.clean_start, clean);
    assert_eq!(ours.keep_alive, keep_alive);
}

/// Compares credentials. There an absent string and an empty one are the same, and a user name of
/// its own as well as a password of its own is a login.
fn same_login(ours: &Connect, theirs: Option<(&str, &str)>) {
    let (username, password) = theirs.unwrap_or_default();
    let ours_password = ours.password.as_ref();
    assert_eq!(ours.username.as_deref().unwrap_or_default(), username);
    assert_eq!(
        ours_password
            .map(|password| password.expose().as_ref())
            .unwrap_or_default(),
        password.as_bytes()
    );
}

fn same_will(ours: &Connect, theirs: Option<(&str, &[u8], u8, bool)>) {
    let ours = ours.will.as_ref().map(|will| {
        (
            &*will.topic,
            will.payload.as_ref(),
            will.qos as u8,
            will.retain,
        )
    });
    assert_eq!(ours, theirs);
}

fn same_publish(ours: &Publish, topic: &str, id: u16, flags: (bool, u8, bool), payload: &[u8]) {
    assert_eq!(ours.topic, topic);
    assert_eq!(ours.packet_id.map_or(0, |id| id.get()), id);
    assert_eq!((ours.dup, ours.qos as u8, ours.retain), flags);
    assert_eq!(ours.payload.as_ref(), payload);
}

fn same_subscribe(ours: &Subscribe, id: u16, filters: Vec<(&str, u8)>) {
    let ours_filters: Vec<_> = ours
        .filters
        .iter()
        .map(|filter| (&**filter.parsed.full(), filter.qos as u8))
        .collect();
    assert_eq!(ours.packet_id.get(), id);
    assert_eq!(ours_filters, filters);
}

fn compare_v4(ours: &Any, theirs: &v4::Packet) {
    match (ours, theirs) {
        (Any::Connect(ours), v4::Packet::Connect(theirs)) => {
            same_connect(
                ours,
                &theirs.client_id,
                theirs.clean_session,
                theirs.keep_alive,
            );
            let login = theirs.login.as_ref();
            same_login(
                ours,
                login.map(|login| (&*login.username, &*login.password)),
            );
            let will = theirs.last_will.as_ref();
            same_will(
                ours,
                will.map(|will| (&*will.topic, &*will.message, will.qos as u8, will.retain)),
            );
        }
        (Any::Connack(ours), v4::Packet::ConnAck(theirs)) => {
            assert_eq!(ours.session_present, theirs.session_present);
            assert_eq!(
                !ours.is_refusal(),
                theirs.code == v4::ConnectReturnCode::Success
            );
        }
        (Any::Publish(ours), v4::Packet::Publish(theirs)) => {
            let flags = (theirs.dup, theirs.qos as u8, theirs.retain);
            same_publish(ours, &theirs.topic, theirs.pkid, flags, &theirs.payload);
        }
        (Any::Ack(ours), v4::Packet::PubAck(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
        }
        (Any::Ack(ours), v4::Packet::PubRec(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
        }
        (Any::Ack(ours), v4::Packet::PubRel(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
        }
        (Any::Ack(ours), v4::Packet::PubComp(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
        }
        (Any::Subscribe(ours), v4::Packet::Subscribe(theirs)) => {
            let filters = theirs.filters.iter();
            let filters = filters
                .map(|filter| (&*filter.path, filter.qos as u8))
                .collect();
            same_subscribe(ours, theirs.pkid, filters);
        }
        (Any::Suback(ours), v4::Packet::SubAck(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
            assert_eq!(ours.codes.len(), theirs.return_codes.len());
        }
        (Any::Unsubscribe(ours), v4::Packet::Unsubscribe(theirs)) => {
            let filters: Vec<_> = ours.filters.iter().map(|filter| &**filter.full()).collect();
            assert_eq!(ours.packet_id.get(), theirs.pkid);
            assert_eq!(filters, theirs.topics);
        }
        (Any::Unsuback(ours), v4::Packet::UnsubAck(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
        }
        (Any::Ping, v4::Packet::PingReq | v4::Packet::PingResp)
        | (Any::Disconnect(_), v4::Packet::Disconnect) => {}
        (ours, theirs) => panic!("{ours:?} is {theirs:?}"),
    }
}

fn compare_v5(ours: &Any, theirs: &v5::Packet) {
    match (ours, theirs) {
        (Any::Connect(ours), v5::Packet::Connect(theirs)) => {
            same_connect(
                ours,
                &theirs.client_id,
                theirs.clean_session,
                theirs.keep_alive,
            );
            let login = theirs.login.as_ref();
            same_login(
                ours,
                login.map(|login| (&*login.username, &*login.password)),
            );
            let will = theirs.last_will.as_ref();
            same_will(
                ours,
                will.map(|will| (&*will.topic, &*will.message, will.qos as u8, will.retain)),
            );
            let properties = theirs.properties.as_ref();
            assert_eq!(
                ours.properties.session_expiry,
                properties.and_then(|properties| properties.session_expiry_interval)
            );
        }
        (Any::Connack(ours), v5::Packet::ConnAck(theirs)) => {
            let properties = theirs.properties.as_ref();
            assert_eq!(ours.session_present, theirs.session_present);
            assert_eq!(
                !ours.is_refusal(),
                theirs.code == v5::ConnectReturnCode::Success
            );
            assert_eq!(
                ours.assigned_client_id.as_deref(),
                properties.and_then(|properties| properties.assigned_client_identifier.as_deref())
            );
        }
        (Any::Publish(ours), v5::Packet::Publish(theirs)) => {
            let flags = (theirs.dup, theirs.qos as u8, theirs.retain);
            same_publish(ours, &theirs.topic, theirs.pkid, flags, &theirs.payload);
            let properties = theirs.properties.as_ref();
            assert_eq!(
                ours.topic_alias.map(|alias| alias.get()),
                properties.and_then(|properties| properties.topic_alias)
            );
        }
        (Any::Ack(ours), v5::Packet::PubAck(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
            assert_eq!(ours.code.get(), theirs.reason as u8);
        }
        (Any::Ack(ours), v5::Packet::PubRec(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
            assert_eq!(ours.code.get(), theirs.reason as u8);
        }
        (Any::Ack(ours), v5::Packet::PubRel(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
        }
        (Any::Ack(ours), v5::Packet::PubComp(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
        }
        (Any::Subscribe(ours), v5::Packet::Subscribe(theirs)) => {
            let filters = theirs.filters.iter();
            let filters = filters
                .map(|filter| (&*filter.path, filter.qos as u8))
                .collect();
            same_subscribe(ours, theirs.pkid, filters);
        }
        (Any::Suback(ours), v5::Packet::SubAck(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
            assert_eq!(ours.codes.len(), theirs.return_codes.len());
        }
        (Any::Unsubscribe(ours), v5::Packet::Unsubscribe(theirs)) => {
            let filters: Vec<_> = ours.filters.iter().map(|filter| &**filter.full()).collect();
            assert_eq!(ours.packet_id.get(), theirs.pkid);
            assert_eq!(filters, theirs.filters);
        }
        (Any::Unsuback(ours), v5::Packet::UnsubAck(theirs)) => {
            assert_eq!(ours.packet_id.get(), theirs.pkid);
            assert_eq!(ours.codes.len(), theirs.reasons.len());
        }
        (Any::Disconnect(ours), v5::Packet::Disconnect(theirs)) => {
            assert_eq!(ours.code.get(), theirs.reason_code as u8);
        }
        (Any::Ping, v5::Packet::PingReq | v5::Packet::PingResp) => {}
        (ours, theirs) => panic!("{ours:?} is {theirs:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn the_second_opinion_is_the_same((from, version, bytes) in mutated()) {
        let Some(ours) = try_frame(from, &bytes)
            .ok()
            .and_then(|frame| read_any(&frame, version))
        else {
            return Ok(());
        };
        if is_known_to_be_refused(&ours, version, &bytes) {
            return Ok(());
        }
        let mut buffer = BytesMut::from(bytes.as_slice());
        match version {
            Version::V31 | Version::V311 => match v4::read(&mut buffer, MAX) {
                Ok(theirs) => compare_v4(&ours, &theirs),
                Err(error) => panic!("{ours:?} is refused there: {error:?}"),
            },
            Version::V5 => match v5::read(&mut buffer, MAX) {
                Ok(theirs) => compare_v5(&ours, &theirs),
                Err(error) => panic!("{ours:?} is refused there: {error:?}"),
            },
        }
    }
}
