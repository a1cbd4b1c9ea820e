//! UNSUBACK (§3.11).

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes};

use super::properties::{Place, skim};
use super::write::Packet;
use super::{RawProperties, TooLong, open, packet_id};
use crate::frame::{Frame, PacketType};
use crate::question::Version;
use crate::reason::{Place as Carrier, ReasonCode, Sender};
use crate::violation::Violation;

const FIRST_BYTE: u8 = 0xB0;

/// A broker's UNSUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsuback {
    /// Packet identifier of the UNSUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
    /// One code per filter, in order ([MQTT-3.11.3-1]). None on MQTT 3.1.1.
    pub codes: Bytes,
    /// Whether some of `codes` are 0x80 in the place of refusals that no UNSUBACK carries, so that
    /// the packet can't be passed on as it came.
    pub corrected: bool,
}

/// Reads an UNSUBACK. A refusal in words that no UNSUBACK has is one all the same.
///
/// # Errors
/// If it is malformed, or holds another code that no UNSUBACK carries ([MQTT-3.11.3-2]).
pub fn read(frame: &Frame, version: Version) -> Result<Unsuback, Violation> {
    let mut cursor = open(frame, version, &[PacketType::Unsuback])?;
    let packet_id = packet_id(&mut cursor)?;
    if version.is_v3() {
        cursor.finish()?;
        return Ok(Unsuback {
            packet_id,
            raw_properties: RawProperties::default(),
            codes: Bytes::new(),
            corrected: false,
        });
    }
    let raw_properties = skim(&mut cursor, Place::UNSUBACK, frame.from())?;
    let codes = cursor.rest();
    if codes.is_empty() {
        return Err(Violation::malformed(
            "UNSUBACK without a code",
            "MQTT-3.11.3-1",
        ));
    }
    let meant: Option<Bytes> = codes.iter().map(|&code| legal(code)).collect();
    let meant = meant.ok_or(Violation::protocol(
        "a code that no UNSUBACK carries",
        "MQTT-3.11.3-2",
    ))?;
    Ok(Unsuback {
        packet_id,
        raw_properties,
        corrected: meant != codes,
        codes: meant,
    })
}

/// Writes an UNSUBACK of MQTT 5.0: the broker's codes, merged. On 3.x there are none to merge.
///
/// # Errors
/// If the packet would be larger than any packet may be.
pub fn encode_v5(
    packet_id: NonZeroU16,
    raw_properties: &RawProperties,
    codes: &[u8],
) -> Result<Bytes, TooLong> {
    let capacity = 6 + raw_properties.as_bytes().len() + codes.len();
    let mut packet = Packet::new(FIRST_BYTE, capacity);
    let out = packet.body();
    out.put_u16(packet_id.get());
    raw_properties.put(out);
    out.put_slice(codes);
    packet.finish()
}

/// The code itself, or 0x80 for a refusal that is none of an UNSUBACK's.
fn legal(code: u8) -> Option<u8> {
    let reason = ReasonCode::new(code);
    if reason.is_legal(Carrier::Unsuback, Sender::Server) {
        return Some(code);
    }
    reason
        .is_refusal()
        .then_some(ReasonCode::UNSPECIFIED_ERROR.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Side;
    use crate::wire::tests::support::{broker, frame};

    fn code(body: &[u8], version: Version) -> Option<u8> {
        let found = read(&broker(0xB0, body), version);
        found.err().map(|found| found.code.get())
    }

    #[test]
    fn v311_has_a_packet_identifier_and_nothing_else() {
        assert_eq!(code(&[0, 7], Version::V311), None);
        assert_eq!(code(&[0, 7, 0], Version::V311), Some(0x81));
        assert_eq!(code(&[0, 0], Version::V311), Some(0x82));
    }

    /// [MQTT-3.11.3-2]
    #[test]
    fn v5_has_at_least_one_code() {
        assert_eq!(code(&[0, 7, 0], Version::V5), Some(0x81));
        assert_eq!(code(&[0, 7], Version::V5), Some(0x81));
        for value in 0..=u8::MAX {
            let legal = ReasonCode::new(value).is_legal(Carrier::Unsuback, Sender::Server);
            let body = [0, 7, 0, 0x11, value];
            let expected = (!legal && value < 0x80).then_some(0x82);
            assert_eq!(code(&body, Version::V5), expected);
            if let Ok(found) = read(&broker(0xB0, &body), Version::V5) {
                let told = if legal { value } else { 0x80 };
                assert_eq!(found.codes.as_ref(), [0x11, told]);
                assert_eq!(found.corrected, !legal);
            }
        }
    }

    #[test]
    fn what_is_read_is_written_in_the_same_bytes() {
        for bytes in [
            &[0xB0, 5, 0, 7, 0, 0, 0x11][..],
            &[0xB0, 9, 0, 7, 4, 0x1F, 0, 1, b'x', 0x87, 0],
        ] {
            let found = read(&frame(Side::Broker, bytes), Version::V5).unwrap();
            let written = encode_v5(found.packet_id, &found.raw_properties, &found.codes);
            assert_eq!(written.unwrap().as_ref(), bytes);
        }
    }
}
