//! SUBSCRIBE (§3.8).

mod encode;
#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use bytes::Bytes;

use super::cursor::Cursor;
use super::properties::{Place, Reader};
use super::{FilterLimits, Property, RawProperties, open, packet_id};
use crate::frame::{Frame, PacketType, Side};
use crate::question::{QoS, UserProperty, Version};
use crate::topic::{self, Parsed, TopicFilter};
use crate::violation::Violation;

pub use encode::Outgoing;

/// A SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Protocol version.
    pub version: Version,
    /// Packet identifier.
    pub packet_id: NonZeroU16,
    /// At least one subscription, in the order of the packet.
    pub filters: Vec<Subscription>,
    /// Subscription Identifier, 1 to 268,435,455.
    pub subscription_identifier: Option<usize>,
    /// User properties in order.
    pub user_properties: Vec<UserProperty>,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
}

/// One filter of a SUBSCRIBE and its options (§3.8.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The filter.
    pub parsed: Parsed,
    /// Requested maximum QoS.
    pub qos: QoS,
    /// No Local; never with a shared subscription.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling, 0 to 2.
    pub retain_handling: u8,
    /// Filter and options, as sent.
    pub raw: Bytes,
}

/// Reads a SUBSCRIBE.
///
/// # Errors
/// If it is malformed, has no filter ([MQTT-3.8.3-2]) or more than `limits` allow (0x97).
pub fn read(frame: &Frame, version: Version, limits: FilterLimits) -> Result<Subscribe, Violation> {
    let mut cursor = open(frame, version, &[PacketType::Subscribe])?;
    let mut subscribe = Subscribe {
        version,
        packet_id: packet_id(&mut cursor)?,
        filters: Vec::new(),
        subscription_identifier: None,
        user_properties: Vec::new(),
        raw_properties: RawProperties::default(),
    };
    if version == Version::V5 {
        subscribe.read_properties(&mut cursor, frame.from())?;
    }
    if cursor.remaining() == 0 {
        return Err(Violation::protocol(
            "SUBSCRIBE without a filter",
            "MQTT-3.8.3-2",
        ));
    }
    while cursor.remaining() > 0 {
        if subscribe.filters.len() == limits.max_filters {
            return Err(Violation::quota(
                "too many filters in a SUBSCRIBE",
                "§3.8.3",
            ));
        }
        let subscription = Subscription::read(&mut cursor, version, limits.max_levels)?;
        subscribe.filters.push(subscription);
    }
    Ok(subscribe)
}

impl Subscribe {
    fn read_properties(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        let (mut reader, raw) = Reader::open(cursor, Place::SUBSCRIBE, from)?;
        self.raw_properties = raw;
        while let Some(property) = reader.next()? {
            match property {
                Property::SubscriptionIdentifier(id) => self.subscription_identifier = Some(id),
                Property::UserProperty(pair) => self.user_properties.push(pair),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Subscription {
    fn read(
        cursor: &mut Cursor<'_>,
        version: Version,
        max_levels: usize,
    ) -> Result<Self, Violation> {
        const NO_LOCAL: u8 = 1 << 2;
        const RETAIN_AS_PUBLISHED: u8 = 1 << 3;

        let start = cursor.position();
        let parsed = TopicFilter::parse(cursor.text()?, version, max_levels)?;
        let options = cursor.u8()?;
        check_reserved(options, version)?;
        let subscription = Self {
            qos: QoS::from_bits(options & 0b11)
                .ok_or(Violation::protocol("subscription with QoS 3", "§3.8.3.1"))?,
            no_local: options & NO_LOCAL != 0,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling: options >> 4 & 0b11,
            raw: cursor.since(start),
            parsed,
        };
        if subscription.retain_handling == 3 {
            return Err(Violation::protocol("Retain Handling of 3", "§3.8.3.1"));
        }
        if subscription.no_local && topic::is_share(subscription.parsed.full()) {
            return Err(Violation::protocol(
                "No Local on a shared subscription",
                "MQTT-3.8.3-4",
            ));
        }
        Ok(subscription)
    }
}

/// The options that a version does not know are reserved. There are decoders that drop them, and so
/// turn a packet that the broker must close for into one that it accepts.
fn check_reserved(options: u8, version: Version) -> Result<(), Violation> {
    let (reserved, clause) = match version {
        Version::V31 | Version::V311 => (0b1111_1100, "3.1.1: MQTT-3.8.3-4"),
        Version::V5 => (0b1100_0000, "MQTT-3.8.3-5"),
    };
    if options & reserved == 0 {
        return Ok(());
    }
    Err(Violation::malformed(
        "reserved subscription options",
        clause,
    ))
}
