//! All readers and writers of packets, as one.

use bytes::{Bytes, BytesMut};
use gatekeeper::{
    Frame, Side, Version, Violation,
    frame::{self, PacketType, Scan},
    wire::{
        FilterLimits, ack, auth, connack, connect, disconnect, publish, suback,
        subscribe::{self, Outgoing},
        unsuback, unsubscribe,
    },
};

/// All versions.
pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// What a reader found.
#[derive(Debug, PartialEq)]
pub(crate) enum Any {
    Connect(Box<connect::Connect>),
    Connack(connack::Connack),
    Publish(publish::Publish),
    Ack(ack::Ack),
    Subscribe(subscribe::Subscribe),
    Suback(suback::Suback),
    Unsubscribe(unsubscribe::Unsubscribe),
    Unsuback(unsuback::Unsuback),
    Ping,
    Disconnect(disconnect::Disconnect),
    Auth(auth::Auth),
}

/// Why a reader found nothing.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is a CONNECT of another version than the one that was asked for, or of none.
    Version,
    /// It is no packet of this version.
    Violation(Violation),
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Reads a packet with the reader of its type.
pub(crate) fn read(frame: &Frame, version: Version) -> Result<Any, Refusal> {
    let limits = FilterLimits::default();
    Ok(match frame.kind() {
        PacketType::Connect => match connect::read(frame) {
            Ok(connect) if connect.version == version => Any::Connect(connect.into()),
            Err(connect::ConnectError::Violation {
                version: found,
                violation,
            }) if found == Some(version) => return Err(violation.into()),
            _ => return Err(Refusal::Version),
        },
        PacketType::Connack => Any::Connack(connack::read(frame, version)?),
        PacketType::Publish => Any::Publish(publish::read(frame, version)?),
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
            Any::Ack(ack::read(frame, version)?)
        }
        PacketType::Subscribe => Any::Subscribe(subscribe::read(frame, version, limits)?),
        PacketType::Suback => Any::Suback(suback::read(frame, version)?),
        PacketType::Unsubscribe => Any::Unsubscribe(unsubscribe::read(frame, version, limits)?),
        PacketType::Unsuback => Any::Unsuback(unsuback::read(frame, version)?),
        PacketType::Pingreq | PacketType::Pingresp => {
            frame.check_minimal(version)?;
            Any::Ping
        }
        PacketType::Disconnect => Any::Disconnect(disconnect::read(frame, version)?),
        PacketType::Auth => Any::Auth(auth::read(frame, version)?),
    })
}

/// Writes what was read, where there is a writer that changes nothing.
pub(crate) fn written(found: &Any, version: Version) -> Option<Bytes> {
    match found {
        // MQTT 3.1 lets a flag announce what is not there; that is not written again.
        Any::Connect(connect) if connect.flags_agree => connect.encode(&connect.client_id).ok(),
        Any::Connack(connack) if version == Version::V5 && !connack.v3_shaped => {
            let properties = &connack.raw_properties;
            connack::encode_v5(connack.session_present, connack.code, properties).ok()
        }
        Any::Publish(publish) if publish.topic_alias.is_none() => {
            publish.encode_with_topic(&publish.topic).ok()
        }
        Any::Subscribe(subscribe) => {
            let as_sent = vec![Outgoing::AsSent; subscribe.filters.len()];
            subscribe.encode(&as_sent).ok().flatten()
        }
        Any::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter().map(|filter| &**filter.full());
            unsubscribe.encode_with(filters).ok()
        }
        Any::Unsuback(found) if version == Version::V5 && !found.corrected => {
            unsuback::encode_v5(found.packet_id, &found.raw_properties, &found.codes).ok()
        }
        Any::Suback(found) if !found.corrected => suback::encode(
            version,
            found.packet_id,
            &found.raw_properties,
            &found.codes,
        )
        .ok(),
        _ => None,
    }
}

/// The one packet that these bytes are.
pub(crate) fn whole(from: Side, bytes: &[u8]) -> Frame {
    let mut buffer = BytesMut::from(bytes);
    match frame::scan(&mut buffer, from, usize::MAX) {
        Ok(Scan::Frame(frame)) if buffer.is_empty() => frame,
        other => panic!("{bytes:02x?} is not one packet: {other:?}, and {buffer:02x?}"),
    }
}
