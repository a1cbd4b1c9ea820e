//! PUBACK, PUBREC, PUBREL and PUBCOMP (§3.4 to §3.7).

use std::num::NonZeroU16;

use super::cursor::Cursor;
use super::properties::{Place, skim};
use super::{RawProperties, open, packet_id};
use crate::frame::{Frame, PacketType, Side};
use crate::question::Version;
use crate::reason::{Place as Carrier, ReasonCode};
use crate::violation::Violation;

/// A step of a QoS 1 or QoS 2 flow behind its PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Which of the four.
    pub kind: PacketType,
    /// Packet identifier of the PUBLISH.
    pub packet_id: NonZeroU16,
    /// Reason code; success on MQTT 3.1.1, and where it was left out.
    pub code: ReasonCode,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
}

/// Reads one of the four.
///
/// # Errors
/// If it is malformed, or holds a code that its sender may not put there ([MQTT-3.4.2-1],
/// [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]).
pub fn read(frame: &Frame, version: Version) -> Result<Ack, Violation> {
    const KINDS: &[PacketType] = &[
        PacketType::Puback,
        PacketType::Pubrec,
        PacketType::Pubrel,
        PacketType::Pubcomp,
    ];

    let mut cursor = open(frame, version, KINDS)?;
    let mut ack = Ack {
        kind: frame.kind(),
        packet_id: packet_id(&mut cursor)?,
        code: ReasonCode::SUCCESS,
        raw_properties: RawProperties::default(),
    };
    if version == Version::V5 {
        ack.read_tail(&mut cursor, frame.from())?;
    }
    cursor.finish()?;
    Ok(ack)
}

impl Ack {
    /// Code and properties. Both may be left out, or the properties with their length
    /// (§3.4.2.1, §3.4.2.2.1).
    fn read_tail(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        if cursor.remaining() == 0 {
            return Ok(());
        }
        self.code = ReasonCode::new(cursor.u8()?);
        let (carrier, clause) = match self.kind {
            PacketType::Puback => (Carrier::Puback, "MQTT-3.4.2-1"),
            PacketType::Pubrec => (Carrier::Pubrec, "MQTT-3.5.2-1"),
            PacketType::Pubrel => (Carrier::Pubrel, "MQTT-3.6.2-1"),
            _ => (Carrier::Pubcomp, "MQTT-3.7.2-1"),
        };
        if !self.code.is_legal(carrier, from.sender()) {
            return Err(Violation::protocol(
                "a reason code that its sender may not put into this packet",
                clause,
            ));
        }
        if cursor.remaining() > 0 {
            self.raw_properties = skim(cursor, Place::PUBLISH_ACK, from)?;
        }
        Ok(())
    }
}
