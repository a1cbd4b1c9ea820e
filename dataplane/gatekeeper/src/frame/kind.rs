//! The types of packets, and what the fixed header of each must look like.

use super::Side;
use crate::violation::Violation;

/// DUP, in the flags of the fixed header.
pub(super) const DUP: u8 = 0b1000;

pub(super) const RESERVED_FLAGS: Violation =
    Violation::malformed("reserved flags of the fixed header", "MQTT-2.1.3-1");

/// The types of MQTT 5.0 table 2-1; the discriminant is the number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// CONNECT, from the client.
    Connect = 1,
    /// CONNACK, from the broker.
    Connack = 2,
    /// PUBLISH, from both.
    Publish = 3,
    /// PUBACK, from both.
    Puback = 4,
    /// PUBREC, from both.
    Pubrec = 5,
    /// PUBREL, from both.
    Pubrel = 6,
    /// PUBCOMP, from both.
    Pubcomp = 7,
    /// SUBSCRIBE, from the client.
    Subscribe = 8,
    /// SUBACK, from the broker.
    Suback = 9,
    /// UNSUBSCRIBE, from the client.
    Unsubscribe = 10,
    /// UNSUBACK, from the broker.
    Unsuback = 11,
    /// PINGREQ, from the client.
    Pingreq = 12,
    /// PINGRESP, from the broker.
    Pingresp = 13,
    /// DISCONNECT, from the client; on MQTT 5.0 from both.
    Disconnect = 14,
    /// AUTH, from both, on MQTT 5.0 only.
    Auth = 15,
}

impl PacketType {
    /// The type in the upper four bits of the first byte.
    pub(super) fn of(first: u8) -> Result<Self, Violation> {
        Ok(match first >> 4 {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return Err(Violation::malformed("packet type 0 is reserved", "§2.1.2")),
        })
    }

    pub(super) fn check_sender(self, from: Side) -> Result<(), Violation> {
        let only = match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::Pingreq => Side::Client,
            Self::Connack | Self::Suback | Self::Unsuback | Self::Pingresp => Side::Broker,
            Self::Publish
            | Self::Puback
            | Self::Pubrec
            | Self::Pubrel
            | Self::Pubcomp
            | Self::Disconnect
            | Self::Auth => return Ok(()),
        };
        if only == from {
            return Ok(());
        }
        Err(Violation::protocol(
            "packet type of the other side",
            "§2.1.2",
        ))
    }

    pub(super) fn check_flags(self, flags: u8) -> Result<(), Violation> {
        let expected = match self {
            Self::Publish => return check_publish_flags(flags),
            // The DUP of MQTT 3.1: Frame::check_dup looks at it once the version is known.
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 0b0010 | flags & DUP,
            _ => 0,
        };
        if flags == expected {
            return Ok(());
        }
        Err(RESERVED_FLAGS)
    }

    /// A ping with a body is how packets are smuggled past a proxy that frames differently than the
    /// broker behind it.
    pub(super) fn check_length(self, remaining: usize) -> Result<(), Violation> {
        if remaining > 0 && matches!(self, Self::Pingreq | Self::Pingresp) {
            return Err(Violation::malformed("a ping has no body", "§3.12, §3.13"));
        }
        Ok(())
    }
}

fn check_publish_flags(flags: u8) -> Result<(), Violation> {
    let (dup, qos) = (flags & DUP != 0, flags >> 1 & 0b11);
    if qos == 3 {
        return Err(Violation::malformed("PUBLISH with QoS 3", "MQTT-3.3.1-4"));
    }
    if qos == 0 && dup {
        return Err(Violation::malformed(
            "PUBLISH with QoS 0 and DUP",
            "MQTT-3.3.1-2",
        ));
    }
    Ok(())
}
