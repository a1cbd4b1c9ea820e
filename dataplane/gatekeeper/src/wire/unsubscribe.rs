//! UNSUBSCRIBE (§3.10).

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes};

use super::properties::{Place, skim};
use super::write::{Packet, put_binary};
use super::{FilterLimits, RawProperties, TooLong, open, packet_id};
use crate::frame::{Frame, PacketType};
use crate::question::Version;
use crate::topic::{Parsed, TopicFilter};
use crate::violation::Violation;

const FIRST_BYTE: u8 = 0xA2;

/// An UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Protocol version.
    pub version: Version,
    /// Packet identifier.
    pub packet_id: NonZeroU16,
    /// At least one filter, in the order of the packet.
    pub filters: Vec<Parsed>,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
}

/// Reads an UNSUBSCRIBE.
///
/// # Errors
/// If it is malformed, has no filter ([MQTT-3.10.3-2]) or more than `limits` allow (0x97).
pub fn read(
    frame: &Frame,
    version: Version,
    limits: FilterLimits,
) -> Result<Unsubscribe, Violation> {
    let mut cursor = open(frame, version, &[PacketType::Unsubscribe])?;
    let packet_id = packet_id(&mut cursor)?;
    let raw_properties = match version {
        Version::V31 | Version::V311 => RawProperties::default(),
        Version::V5 => skim(&mut cursor, Place::UNSUBSCRIBE, frame.from())?,
    };
    if cursor.remaining() == 0 {
        return Err(Violation::protocol(
            "UNSUBSCRIBE without a filter",
            "MQTT-3.10.3-2",
        ));
    }
    let mut filters = Vec::new();
    while cursor.remaining() > 0 {
        if filters.len() == limits.max_filters {
            return Err(Violation::quota(
                "too many filters in an UNSUBSCRIBE",
                "§3.10.3",
            ));
        }
        let filter = TopicFilter::parse(cursor.text()?, version, limits.max_levels)?;
        filters.push(filter);
    }
    Ok(Unsubscribe {
        version,
        packet_id,
        filters,
        raw_properties,
    })
}

impl Unsubscribe {
    /// Writes the packet with these filters, of which there is at least one, in the place of its own.
    /// Packet identifier and properties stay.
    ///
    /// # Errors
    /// If a filter is longer than 65,535 bytes, or the packet than any packet may be.
    pub fn encode_with<'a>(
        &self,
        filters: impl IntoIterator<Item = &'a str>,
    ) -> Result<Bytes, TooLong> {
        let mut packet = Packet::new(FIRST_BYTE, 64);
        let out = packet.body();
        out.put_u16(self.packet_id.get());
        if self.version == Version::V5 {
            self.raw_properties.put(out);
        }
        for filter in filters {
            put_binary(out, "topic filter", filter.as_bytes())?;
        }
        packet.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::support::{client, field, packet};

    const LIMITS: FilterLimits = FilterLimits {
        max_filters: 64,
        max_levels: 128,
    };

    fn try_read(version: Version, filters: &[u8]) -> Result<Unsubscribe, Violation> {
        let properties: &[u8] = match version {
            Version::V31 | Version::V311 => &[],
            Version::V5 => &[0],
        };
        let body = [&[0, 7], properties, filters].concat();
        read(&client(0xA2, &body), version, LIMITS)
    }

    fn code(version: Version, filters: &[u8]) -> Option<u8> {
        let found = try_read(version, filters);
        found.err().map(|found| found.code.get())
    }

    #[test]
    fn filters_are_read_in_order() {
        for version in [Version::V311, Version::V5] {
            let filters = [field("$share/g/a"), field("b/#")].concat();
            let found = try_read(version, &filters).unwrap();
            assert_eq!(found.packet_id.get(), 7);
            let full: Vec<_> = found.filters.iter().map(Parsed::full).collect();
            assert_eq!(full, ["$share/g/a", "b/#"]);
        }
    }

    #[test]
    fn filters_are_strict() {
        for version in [Version::V311, Version::V5] {
            assert_eq!(code(version, &[]), Some(0x82));
            assert_eq!(code(version, &field("a#")), Some(0x81));
            assert_eq!(code(version, &field("")), Some(0x81));
            assert_eq!(code(version, &[0]), Some(0x81));
            assert_eq!(code(version, &field("a").repeat(65)), Some(0x97));
        }
        let share = field("$share/g");
        assert_eq!(code(Version::V5, &share), Some(0x81));
        let refused = try_read(Version::V311, &share).unwrap();
        assert_eq!(refused.filters, [Parsed::Refused("$share/g".into())]);
    }

    #[test]
    fn a_subscription_identifier_does_not_belong_there() {
        let body = [&[0, 7, 2, 0x0B, 1], field("a").as_slice()].concat();
        let found = read(&client(0xA2, &body), Version::V5, LIMITS);
        assert_eq!(found.unwrap_err().code.get(), 0x81);
    }

    #[test]
    fn other_filters_can_be_written_in_their_place() {
        for (version, properties) in [
            (Version::V311, &[][..]),
            (Version::V5, &[5, 0x26, 0, 0, 0, 0]),
        ] {
            let body = |filters: &[&str]| {
                let filters: Vec<u8> = filters.iter().flat_map(field).collect();
                [&[0, 7], properties, &filters].concat()
            };
            let sent = client(0xA2, &body(&["a", "b"]));
            let found = read(&sent, version, LIMITS).unwrap();
            let others = ["t/a", "a", "b"];
            let written = found.encode_with(others).unwrap();
            assert_eq!(written.as_ref(), packet(0xA2, &body(&others)));

            let longest = "x".repeat(65_535);
            assert!(found.encode_with([longest.as_str()]).is_ok());
            assert!(found.encode_with([format!("{longest}x").as_str()]).is_err());
        }
    }
}
