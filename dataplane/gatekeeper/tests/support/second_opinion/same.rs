//! Whether two readers found the same.

use super::gate::wire::{connect::Connect, publish::Publish, subscribe::Subscribe};
use mqttbytes::{v4, v5};

use super::reading::Any;

/// The first difference that was found.
type Same = Result<(), &'static str>;

fn ensure(is_same: bool, field: &'static str) -> Same {
    is_same.then_some(()).ok_or(field)
}

/// CONNECT as both versions have it. In `mqttbytes` an absent string and an empty one are the same, and a
/// user name of its own as well as a password of its own is a login.
struct Hello<'a> {
    id: &'a str,
    clean: bool,
    keep_alive: u16,
    login: Option<(&'a str, &'a str)>,
    will: Option<(&'a str, &'a [u8], u8, bool)>,
}

fn connect(ours: &Connect, theirs: &Hello<'_>) -> Same {
    ensure(ours.client_id == theirs.id, "client identifier")?;
    ensure(ours.clean_start == theirs.clean, "clean start")?;
    ensure(ours.keep_alive == theirs.keep_alive, "keep alive")?;
    let (username, password) = theirs.login.unwrap_or_default();
    let our_password = ours.password.as_ref().map(|password| password.expose());
    ensure(
        ours.username.as_deref().unwrap_or_default() == username,
        "user name",
    )?;
    ensure(
        our_password.map_or(&[][..], |password| password) == password.as_bytes(),
        "password",
    )?;
    let will = ours.will.as_ref().map(|will| {
        let payload = will.payload.as_ref();
        (&*will.topic, payload, will.qos as u8, will.retain)
    });
    ensure(will == theirs.will, "will")
}

fn publish(ours: &Publish, topic: &str, id: u16, flags: (bool, u8, bool), payload: &[u8]) -> Same {
    ensure(ours.topic == topic, "topic")?;
    ensure(ours.packet_id.map_or(0, |id| id.get()) == id, "identifier")?;
    ensure(
        (ours.dup, ours.qos as u8, ours.retain) == flags,
        "fixed header",
    )?;
    ensure(ours.payload == payload, "payload")
}

/// Identifier, and filters with their QoS, No Local, Retain As Published and Retain Handling.
fn subscribe<'a>(
    ours: &'a Subscribe,
    id: u16,
    filters: impl Iterator<Item = (&'a str, u8, bool, bool, u8)>,
) -> Same {
    let our_filters = ours.filters.iter().map(|filter| {
        (
            &**filter.parsed.full(),
            filter.qos as u8,
            filter.no_local,
            filter.retain_as_published,
            filter.retain_handling,
        )
    });
    ensure(ours.packet_id.get() == id, "identifier")?;
    ensure(our_filters.eq(filters), "filters")
}

pub(super) fn v4(ours: &Any, theirs: &v4::Packet) -> Same {
    match (ours, theirs) {
        (Any::Connect(ours), v4::Packet::Connect(theirs)) => {
            let will = theirs.last_will.as_ref();
            let login = theirs.login.as_ref();
            let theirs = Hello {
                id: &theirs.client_id,
                clean: theirs.clean_session,
                keep_alive: theirs.keep_alive,
                login: login.map(|login| (&*login.username, &*login.password)),
                will: will.map(|will| (&*will.topic, &*will.message, will.qos as u8, will.retain)),
            };
            connect(ours, &theirs)
        }
        (Any::Connack(ours), v4::Packet::ConnAck(theirs)) => {
            let accepts = theirs.code == v4::ConnectReturnCode::Success;
            ensure(
                ours.session_present == theirs.session_present,
                "session present",
            )?;
            ensure(ours.is_refusal() != accepts, "return code")
        }
        (Any::Publish(ours), v4::Packet::Publish(theirs)) => {
            let flags = (theirs.dup, theirs.qos as u8, theirs.retain);
            publish(ours, &theirs.topic, theirs.pkid, flags, &theirs.payload)
        }
        (Any::Ack(ours), v4::Packet::PubAck(v4::PubAck { pkid, .. }))
        | (Any::Ack(ours), v4::Packet::PubRec(v4::PubRec { pkid, .. }))
        | (Any::Ack(ours), v4::Packet::PubRel(v4::PubRel { pkid, .. }))
        | (Any::Ack(ours), v4::Packet::PubComp(v4::PubComp { pkid, .. })) => {
            ensure(ours.packet_id.get() == *pkid, "identifier")
        }
        (Any::Subscribe(ours), v4::Packet::Subscribe(theirs)) => {
            let filters = theirs.filters.iter();
            let filters = filters.map(|filter| (&*filter.path, filter.qos as u8, false, false, 0));
            subscribe(ours, theirs.pkid, filters)
        }
        (Any::Suback(ours), v4::Packet::SubAck(theirs)) => {
            let codes = theirs.return_codes.iter().map(|code| match code {
                v4::SubscribeReasonCode::Success(qos) => *qos as u8,
                v4::SubscribeReasonCode::Failure => 0x80,
            });
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")?;
            ensure(ours.codes.iter().copied().eq(codes), "codes")
        }
        (Any::Unsubscribe(ours), v4::Packet::Unsubscribe(theirs)) => {
            let filters = ours.filters.iter().map(|filter| &**filter.full());
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")?;
            ensure(
                filters.eq(theirs.topics.iter().map(|topic| &**topic)),
                "filters",
            )
        }
        (Any::Unsuback(ours), v4::Packet::UnsubAck(theirs)) => {
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")
        }
        (Any::Ping, v4::Packet::PingReq | v4::Packet::PingResp)
        | (Any::Disconnect(_), v4::Packet::Disconnect) => Ok(()),
        _ => Err("type"),
    }
}

pub(super) fn v5(ours: &Any, theirs: &v5::Packet) -> Same {
    match (ours, theirs) {
        (Any::Connect(ours), v5::Packet::Connect(theirs)) => {
            let expiry = theirs.properties.as_ref();
            let expiry = expiry.and_then(|properties| properties.session_expiry_interval);
            ensure(ours.properties.session_expiry == expiry, "session expiry")?;
            let will = theirs.last_will.as_ref();
            let login = theirs.login.as_ref();
            let theirs = Hello {
                id: &theirs.client_id,
                clean: theirs.clean_session,
                keep_alive: theirs.keep_alive,
                login: login.map(|login| (&*login.username, &*login.password)),
                will: will.map(|will| (&*will.topic, &*will.message, will.qos as u8, will.retain)),
            };
            connect(ours, &theirs)
        }
        (Any::Connack(ours), v5::Packet::ConnAck(theirs)) => {
            let accepts = theirs.code == v5::ConnectReturnCode::Success;
            let properties = theirs.properties.as_ref();
            let assigned =
                properties.and_then(|properties| properties.assigned_client_identifier.as_deref());
            ensure(
                ours.session_present == theirs.session_present,
                "session present",
            )?;
            ensure(ours.is_refusal() != accepts, "reason code")?;
            ensure(
                ours.assigned_client_id.as_deref() == assigned,
                "assigned client identifier",
            )?;
            let size = properties.and_then(|properties| properties.max_packet_size);
            ensure(ours.maximum_packet_size == size, "maximum packet size")?;
            let keep_alive = properties.and_then(|properties| properties.server_keep_alive);
            ensure(ours.server_keep_alive == keep_alive, "server keep alive")
        }
        (Any::Publish(ours), v5::Packet::Publish(theirs)) => {
            let properties = theirs.properties.as_ref();
            let alias = properties.and_then(|properties| properties.topic_alias);
            let expiry = properties.and_then(|properties| properties.message_expiry_interval);
            let response = properties.and_then(|properties| properties.response_topic.as_deref());
            ensure(ours.topic_alias.map(|alias| alias.get()) == alias, "alias")?;
            ensure(ours.message_expiry == expiry, "message expiry")?;
            ensure(ours.response_topic.as_deref() == response, "response topic")?;
            let flags = (theirs.dup, theirs.qos as u8, theirs.retain);
            publish(ours, &theirs.topic, theirs.pkid, flags, &theirs.payload)
        }
        (Any::Ack(ours), v5::Packet::PubAck(theirs)) => {
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")?;
            ensure(ours.code.get() == theirs.reason as u8, "code")
        }
        (Any::Ack(ours), v5::Packet::PubRec(theirs)) => {
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")?;
            ensure(ours.code.get() == theirs.reason as u8, "code")
        }
        (Any::Ack(ours), v5::Packet::PubRel(v5::PubRel { pkid, .. }))
        | (Any::Ack(ours), v5::Packet::PubComp(v5::PubComp { pkid, .. })) => {
            ensure(ours.packet_id.get() == *pkid, "identifier")
        }
        (Any::Subscribe(ours), v5::Packet::Subscribe(theirs)) => {
            let filters = theirs.filters.iter().map(|filter| {
                let handling = match filter.retain_forward_rule {
                    v5::RetainForwardRule::OnEverySubscribe => 0,
                    v5::RetainForwardRule::OnNewSubscribe => 1,
                    v5::RetainForwardRule::Never => 2,
                };
                let (path, qos) = (&*filter.path, filter.qos as u8);
                (path, qos, filter.nolocal, filter.preserve_retain, handling)
            });
            subscribe(ours, theirs.pkid, filters)
        }
        (Any::Suback(ours), v5::Packet::SubAck(theirs)) => {
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")?;
            ensure(ours.codes.len() == theirs.return_codes.len(), "codes")
        }
        (Any::Unsubscribe(ours), v5::Packet::Unsubscribe(theirs)) => {
            let filters = ours.filters.iter().map(|filter| &**filter.full());
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")?;
            ensure(
                filters.eq(theirs.filters.iter().map(|topic| &**topic)),
                "filters",
            )
        }
        (Any::Unsuback(ours), v5::Packet::UnsubAck(theirs)) => {
            ensure(ours.packet_id.get() == theirs.pkid, "identifier")?;
            ensure(ours.codes.len() == theirs.reasons.len(), "codes")
        }
        (Any::Disconnect(ours), v5::Packet::Disconnect(theirs)) => {
            ensure(ours.code.get() == theirs.reason_code as u8, "code")
        }
        (Any::Ping, v5::Packet::PingReq | v5::Packet::PingResp) => Ok(()),
        _ => Err("type"),
    }
}
