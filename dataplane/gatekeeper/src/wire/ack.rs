//! PUBACK, PUBREC, PUBREL and PUBCOMP (§3.4 to §3.7).

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes};

use super::cursor::Cursor;
use super::properties::{Place, skim};
use super::write::Packet;
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
    /// Reason code; success on MQTT 3.1.1, and where it was left out. Always one that the sender may
    /// use.
    pub code: ReasonCode,
    /// Whether `code` stands in the place of one that the sender may not use, so that the packet can
    /// only be passed on as [`encode`](Self::encode) writes it.
    pub corrected: bool,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
}

/// Reads one of the four.
///
/// Two codes that real peers send outside their tables are read as what they mean: a broker's
/// refusal in a PUBACK or PUBREC, and a client's 0x10, which is a success that only a server can
/// tell.
///
/// # Errors
/// If it is malformed, or holds another code that its sender may not put there ([MQTT-3.4.2-1],
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
        corrected: false,
        raw_properties: RawProperties::default(),
    };
    if version == Version::V5 {
        ack.read_tail(&mut cursor, frame.from())?;
    }
    cursor.finish()?;
    Ok(ack)
}

impl Ack {
    /// Writes a PUBACK or PUBREC of MQTT 5.0 in its shortest form: what was read, with the code that
    /// is right.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut packet = Packet::new(
            (self.kind as u8) << 4,
            8 + self.raw_properties.as_bytes().len(),
        );
        let out = packet.body();
        out.put_u16(self.packet_id.get());
        let is_explained = !self.raw_properties.is_empty();
        if is_explained || self.code != ReasonCode::SUCCESS {
            out.put_u8(self.code.get());
        }
        if is_explained {
            self.raw_properties.put(out);
        }
        packet.finish_bounded()
    }

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
            self.code = self.meant(from).ok_or(Violation::protocol(
                "a reason code that its sender may not put into this packet",
                clause,
            ))?;
            self.corrected = true;
        }
        if cursor.remaining() > 0 {
            self.raw_properties = skim(cursor, Place::PUBLISH_ACK, from)?;
        }
        Ok(())
    }

    /// The right word for a code that its sender may not use, if it is clear what is meant.
    fn meant(&self, from: Side) -> Option<ReasonCode> {
        let answers_publish = matches!(self.kind, PacketType::Puback | PacketType::Pubrec);
        match from {
            Side::Broker if answers_publish && self.code.is_refusal() => {
                Some(self.code.for_publish_ack())
            }
            Side::Client if answers_publish => {
                (self.code == ReasonCode::NO_MATCHING_SUBSCRIBERS).then_some(ReasonCode::SUCCESS)
            }
            Side::Broker | Side::Client => None,
        }
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
                    let tolerated = matches!(carrier, Carrier::Puback | Carrier::Pubrec)
                        && match sender {
                            Sender::Server => value >= 0x80,
                            Sender::Client => value == 0x10,
                        };
                    let found = read(&frame, Version::V5);
                    if let Ok(ack) = &found {
                        assert!(ack.code.is_legal(carrier, sender), "{reason}");
                        assert_eq!(ack.code.is_refusal(), reason.is_refusal(), "{reason}");
                        assert_eq!(ack.corrected, !legal, "{reason}");
                    }
                    let expected = if legal || tolerated { None } else { Some(0x82) };
                    assert_eq!(code(found), expected, "{reason}");
                }
            }
        }
    }

    #[test]
    fn a_corrected_packet_keeps_all_else() {
        let explained = [2, 0x82, 5, 0x1F, 0, 2, b'o', b'k'];
        for (body, written) in [
            (&[0, 7, 0x95][..], &[0x40, 3, 0, 7, 0x97][..]),
            (&[0, 7, 0x95, 0], &[0x40, 3, 0, 7, 0x97]),
            (
                &[&[0, 7, 0x95], &explained[2..]].concat(),
                &[&[0x40, 9, 0, 7, 0x97], &explained[2..]].concat(),
            ),
        ] {
            let ack = read(&broker(0x40, body), Version::V5).unwrap();
            assert!(ack.corrected);
            assert_eq!(ack.encode().as_ref(), written);
        }
        let ack = read(&client(0x50, &[0, 7, 0x10, 0]), Version::V5).unwrap();
        assert_eq!(ack.encode().as_ref(), [0x50, 2, 0, 7]);
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
