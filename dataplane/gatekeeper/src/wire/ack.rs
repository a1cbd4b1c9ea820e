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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Sender;
    use crate::wire::tests::support::{broker, client};

    const KINDS: [(u8, PacketType, Carrier); 4] = [
        (0x40, PacketType::Puback, Carrier::Puback),
        (0x50, PacketType::Pubrec, Carrier::Pubrec),
        (0x62, PacketType::Pubrel, Carrier::Pubrel),
        (0x70, PacketType::Pubcomp, Carrier::Pubcomp),
    ];

    fn code(result: Result<Ack, Violation>) -> Option<u8> {
        result.err().map(|found| found.code.get())
    }

    #[test]
    fn short_and_long_forms_are_read() {
        let explained = [0, 7, 0, 5, 0x1F, 0, 2, b'o', b'k'];
        for (first, kind, _) in KINDS {
            for body in [&[0, 7][..], &[0, 7, 0], &[0, 7, 0, 0], &explained] {
                let ack = read(&client(first, body), Version::V5).unwrap();
                assert_eq!((ack.kind, ack.packet_id.get()), (kind, 7));
                assert_eq!(ack.code, ReasonCode::SUCCESS);
            }
        }
    }

    #[test]
    fn v311_has_a_packet_identifier_and_nothing_else() {
        for (first, ..) in KINDS {
            assert!(read(&client(first, &[0, 7]), Version::V311).is_ok());
            for body in [&[][..], &[0], &[0, 7, 0], &[0, 7, 0, 0]] {
                let found = read(&client(first, body), Version::V311);
                assert_eq!(code(found), Some(0x81), "{body:?}");
            }
            let zero = read(&client(first, &[0, 0]), Version::V311);
            assert_eq!(code(zero), Some(0x82));
        }
    }

    /// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
    #[test]
    fn codes_are_those_of_the_packet_and_its_sender() {
        for (first, _, carrier) in KINDS {
            for value in 0..=u8::MAX {
                for (frame, sender) in [
                    (client(first, &[0, 7, value]), Sender::Client),
                    (broker(first, &[0, 7, value]), Sender::Server),
                ] {
                    let reason = ReasonCode::new(value);
                    let legal = reason.is_legal(carrier, sender);
                    let expected = if legal { None } else { Some(0x82) };
                    assert_eq!(code(read(&frame, Version::V5)), expected, "{reason}");
                }
            }
        }
    }

    #[test]
    fn properties_are_strict() {
        for tail in [
            &[1][..],
            &[0, 0],
            &[2, 0x23, 0],
            &[0x80, 0],
            &[1, 0x26, 0, 0, 0, 0],
        ] {
            let body = [&[0, 7, 0], tail].concat();
            assert_eq!(code(read(&client(0x40, &body), Version::V5)), Some(0x81));
        }
    }

    #[test]
    fn another_packet_is_not_an_acknowledgement() {
        assert!(read(&client(0x82, &[0, 7]), Version::V5).is_err());
    }
}
