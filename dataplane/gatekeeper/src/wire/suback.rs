//! SUBACK (§3.9).

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes};

use super::properties::{Place, skim};
use super::write::Packet;
use super::{RawProperties, TooLong, open, packet_id};
use crate::frame::{Frame, PacketType};
use crate::question::{QoS, Version};
use crate::reason::{Place as Carrier, ReasonCode, Sender};
use crate::violation::Violation;

const FIRST_BYTE: u8 = 0x90;

/// A broker's SUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suback {
    /// Packet identifier of the SUBSCRIBE.
    pub packet_id: NonZeroU16,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
    /// One code per filter that was asked for, in order ([MQTT-3.8.4-6]); at least one, and each
    /// one that a SUBACK of the version may carry. On MQTT 3.1 that is one of 3.1.1: brokers send
    /// 0x80 there too, and [`code_for_client`] has to say it in other words.
    pub codes: Bytes,
    /// Whether some of `codes` stand in the place of refusals that no SUBACK of the version carries,
    /// so that the packet can't be passed on as it came.
    pub corrected: bool,
}

/// Reads a SUBACK. A refusal in words that no SUBACK has is one all the same.
///
/// # Errors
/// If it is malformed, or holds another code that no SUBACK carries ([MQTT-3.9.3-2]).
pub fn read(frame: &Frame, version: Version) -> Result<Suback, Violation> {
    let mut cursor = open(frame, version, &[PacketType::Suback])?;
    let packet_id = packet_id(&mut cursor)?;
    let raw_properties = match version {
        Version::V31 | Version::V311 => RawProperties::default(),
        Version::V5 => skim(&mut cursor, Place::SUBACK, frame.from())?,
    };
    let codes = cursor.rest();
    if codes.is_empty() {
        return Err(Violation::malformed(
            "SUBACK without a code",
            "MQTT-3.8.4-6",
        ));
    }
    let meant: Option<Bytes> = codes.iter().map(|&code| legal(code, version)).collect();
    let meant = meant.ok_or(Violation::protocol(
        "a code that no SUBACK carries",
        "MQTT-3.9.3-2",
    ))?;
    Ok(Suback {
        packet_id,
        raw_properties,
        corrected: meant != codes,
        codes: meant,
    })
}

/// Writes a SUBACK: the broker's codes and the gate's own, merged.
///
/// # Errors
/// If the packet would be larger than any packet may be.
pub fn encode(
    version: Version,
    packet_id: NonZeroU16,
    raw_properties: &RawProperties,
    codes: &[u8],
) -> Result<Bytes, TooLong> {
    let capacity = 6 + raw_properties.as_bytes().len() + codes.len();
    let mut packet = Packet::new(FIRST_BYTE, capacity);
    let out = packet.body();
    out.put_u16(packet_id.get());
    if version == Version::V5 {
        raw_properties.put(out);
    }
    out.put_slice(codes);
    packet.finish()
}

/// The code of one filter in the words of the client's version, whoever came up with it.
///
/// MQTT 3.1.1 has one word for a refusal, 0x80. MQTT 3.1 has none: a refused filter is told as
/// granted with the QoS that was asked for, and nothing will ever come of it.
#[must_use]
pub fn code_for_client(version: Version, code: u8, requested: QoS) -> u8 {
    const FAILURE: u8 = 0x80;

    match version {
        Version::V31 if code >= FAILURE => requested as u8,
        Version::V311 if code >= FAILURE => FAILURE,
        _ => code,
    }
}

/// The code itself, or what a refusal that is none of the version's is there.
fn legal(code: u8, version: Version) -> Option<u8> {
    let reason = ReasonCode::new(code);
    match version {
        Version::V31 | Version::V311 => match code {
            0x00..=0x02 => Some(code),
            0x80.. => Some(ReasonCode::UNSPECIFIED_ERROR.get()),
            _ => None,
        },
        Version::V5 if reason.is_legal(Carrier::Suback, Sender::Server) => Some(code),
        Version::V5 => reason.is_refusal().then(|| reason.for_suback().get()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Side;
    use crate::wire::tests::support::{broker, frame};

    fn code(body: &[u8], version: Version) -> Option<u8> {
        let found = read(&broker(0x90, body), version);
        found.err().map(|found| found.code.get())
    }

    #[test]
    fn codes_are_those_of_the_version() {
        for value in 0..=u8::MAX {
            let refuses = value >= 0x80;
            let v311 = matches!(value, 0..=2) || refuses;
            let v5 = ReasonCode::new(value).is_legal(Carrier::Suback, Sender::Server) || refuses;
            let expected = |legal| if legal { None } else { Some(0x82) };
            assert_eq!(code(&[0, 7, 0, value], Version::V311), expected(v311));
            assert_eq!(code(&[0, 7, 0, 0, value], Version::V5), expected(v5));
        }
    }

    #[test]
    fn a_refusal_in_other_words_is_one() {
        for (value, v311, v5) in [
            (0x80, 0x80, 0x80),
            (0x87, 0x80, 0x87),
            (0x95, 0x80, 0x97),
            (0xFF, 0x80, 0x87),
        ] {
            let found = read(&broker(0x90, &[0, 7, 1, value]), Version::V311).unwrap();
            assert_eq!(found.codes.as_ref(), [1, v311]);
            assert_eq!(found.corrected, value != v311);
            let found = read(&broker(0x90, &[0, 7, 0, 1, value]), Version::V5).unwrap();
            assert_eq!(found.codes.as_ref(), [1, v5]);
            assert_eq!(found.corrected, value != v5);
        }
    }

    #[test]
    fn there_is_at_least_one_code_and_an_identifier() {
        assert_eq!(code(&[0, 7], Version::V311), Some(0x81));
        assert_eq!(code(&[0, 7, 0], Version::V5), Some(0x81));
        assert_eq!(code(&[0, 7], Version::V5), Some(0x81));
        assert_eq!(code(&[0, 0, 0], Version::V311), Some(0x82));
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_version() {
        for requested in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let told = |version, code| code_for_client(version, code, requested);
            for code in 0x80..=u8::MAX {
                assert_eq!(told(Version::V31, code), requested as u8);
                assert_eq!(told(Version::V311, code), 0x80);
                assert_eq!(told(Version::V5, code), code);
            }
            for granted in 0..=2 {
                for version in [Version::V31, Version::V311, Version::V5] {
                    assert_eq!(told(version, granted), granted);
                }
            }
        }
    }

    #[test]
    fn what_is_read_is_written_in_the_same_bytes() {
        for (version, bytes) in [
            (Version::V311, &[0x90, 5, 0, 7, 0, 2, 0x80][..]),
            (Version::V5, &[0x90, 5, 0, 7, 0, 2, 0x87]),
            (Version::V5, &[0x90, 9, 0, 7, 4, 0x1F, 0, 1, b'x', 1, 0x87]),
        ] {
            let found = read(&frame(Side::Broker, bytes), version).unwrap();
            let written = encode(
                version,
                found.packet_id,
                &found.raw_properties,
                &found.codes,
            );
            assert_eq!(written.unwrap().as_ref(), bytes);
        }
    }
}
