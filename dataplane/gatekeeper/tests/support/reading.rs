//! All readers of packets, as one.
//!
//! Tests inside the gatekeeper include this file too, so it names the crate as its parent does: `gate`.

use super::gate::{
    Frame, Version, Violation,
    frame::PacketType,
    wire::{
        FilterLimits, ack, auth, connack, connect, disconnect, publish, suback, subscribe,
        unsuback, unsubscribe,
    },
};

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
