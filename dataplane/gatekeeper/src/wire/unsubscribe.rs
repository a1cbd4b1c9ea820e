//! UNSUBSCRIBE (§3.10).

use std::num::NonZeroU16;

use super::properties::{Place, skim};
use super::{FilterLimits, RawProperties, open, packet_id};
use crate::frame::{Frame, PacketType};
use crate::question::Version;
use crate::topic::{Parsed, TopicFilter};
use crate::violation::Violation;

/// An UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
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
        Version::V311 => RawProperties::default(),
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
        packet_id,
        filters,
        raw_properties,
    })
}
