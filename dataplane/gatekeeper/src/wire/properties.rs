//! Properties (MQTT 5.0 §2.2.2): a table of what they are and where they may stand, a strict reader
//! of the property section of a packet, and an editor that leaves all others as they were.

mod field;
mod raw;
mod table;
#[cfg(test)]
mod tests;
mod user;

use super::cursor::Cursor;
use crate::frame::Side;
use crate::violation::Violation;

pub use raw::RawProperties;
pub(super) use table::Place;
pub use table::Property;
pub use user::{UserPropertyLimits, check_user_properties};

/// How many user properties of one section are read from a client, whatever the operator allows.
/// Each costs the gate, the service and the broker memory out of proportion to its five bytes.
pub const MAX_USER_PROPERTIES: usize = 1024;

pub(crate) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const RESPONSE_INFORMATION: u8 = 0x1A;
pub(super) const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
pub(super) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
pub(super) const SERVER_REFERENCE: u8 = 0x1C;
pub(super) const REASON_STRING: u8 = 0x1F;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const USER_PROPERTY: u8 = 0x26;

/// Reads a property section, one property at a time, and never beyond its declared length: whoever
/// does takes the next field for a property, or the payload for a topic.
pub(super) struct Reader<'a> {
    cursor: Cursor<'a>,
    place: Place,
    seen: u64,
    user_properties_left: usize,
}

impl<'a> Reader<'a> {
    /// Opens the section that begins at the cursor, and moves the cursor behind it. Returns it also
    /// as it stands.
    pub(super) fn open(
        packet: &mut Cursor<'a>,
        place: Place,
        from: Side,
    ) -> Result<(Self, RawProperties), Violation> {
        let len = packet.varint()?;
        let cursor = packet.split(len)?;
        let raw = RawProperties::read(cursor.clone());
        let reader = Self {
            cursor,
            place,
            seen: 0,
            // The limit protects from clients. What the broker sends may come from elsewhere.
            user_properties_left: match from {
                Side::Client => MAX_USER_PROPERTIES,
                Side::Broker => usize::MAX,
            },
        };
        Ok((reader, raw))
    }

    /// The next property: known, in its place, not twice, and with a value that it may have.
    pub(super) fn next(&mut self) -> Result<Option<Property>, Violation> {
        if self.cursor.remaining() == 0 {
            return Ok(None);
        }
        let id = self.cursor.u8()?;
        self.check_place(id)?;
        let property = Property::read(id, &mut self.cursor)?;
        // Wildcards in a Response Topic of somebody's message are no breach of the broker's: were they
        // taken for one, a retained message would keep its subscribers out.
        if !(self.cursor.is_lenient() && matches!(property, Property::ResponseTopic(_))) {
            property.check()?;
        }
        self.count(&property)?;
        Ok(Some(property))
    }

    fn check_place(&mut self, id: u8) -> Result<(), Violation> {
        let rule = table::rule(id)?;
        if !rule.stands_in.contains(self.place) {
            return Err(Violation::malformed(rule.misplaced, "§2.2.2.2"));
        }
        // Brokers take the first one, or the last one: what was judged must be what is used.
        let bit = 1 << (id & 0x3F);
        if self.seen & bit != 0 && !rule.repeats_in.contains(self.place) {
            return Err(Violation::protocol(rule.twice, "§2.2.2.2"));
        }
        self.seen |= bit;
        Ok(())
    }

    fn count(&mut self, property: &Property) -> Result<(), Violation> {
        if !matches!(property, Property::UserProperty(_)) {
            return Ok(());
        }
        self.user_properties_left = self
            .user_properties_left
            .checked_sub(1)
            .ok_or(user::TOO_MANY)?;
        Ok(())
    }
}

/// Reads a section of which nothing but its legality matters.
pub(super) fn skim(
    packet: &mut Cursor<'_>,
    place: Place,
    from: Side,
) -> Result<RawProperties, Violation> {
    let (mut reader, raw) = Reader::open(packet, place, from)?;
    while reader.next()?.is_some() {}
    Ok(raw)
}
