//! PUBLISH (§3.3).

mod encode;
mod expiry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU16;

use bytes::Bytes;
use bytestring::ByteString;

use super::cursor::Cursor;
use super::properties::{Place, Reader};
use super::{Property, RawProperties, open, packet_id};
use crate::frame::{Frame, PacketType, Side};
use crate::question::{QoS, UserProperty, Version};
use crate::topic;
use crate::violation::Violation;

pub use expiry::with_message_expiry;

/// A PUBLISH.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    /// Protocol version.
    pub version: Version,
    /// DUP: the sender may have sent it before. Never set with QoS 0.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic name, no wildcards. Empty only where `topic_alias` stands for it.
    pub topic: ByteString,
    /// Packet identifier; there exactly if the QoS is above 0.
    pub packet_id: Option<NonZeroU16>,
    /// Topic Alias. Whether it is within the maximum, and known, is for the session to say.
    pub topic_alias: Option<NonZeroU16>,
    /// Payload Format Indicator, if sent: whether the payload is said to be UTF-8.
    pub payload_format_indicator: Option<bool>,
    /// Message Expiry Interval in seconds, if sent.
    pub message_expiry: Option<u32>,
    /// Content Type.
    pub content_type: Option<ByteString>,
    /// Response Topic: a topic name.
    pub response_topic: Option<ByteString>,
    /// User properties in order.
    pub user_properties: Vec<UserProperty>,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
    /// Payload.
    pub payload: Bytes,
}

/// Reads a PUBLISH.
///
/// # Errors
/// If it is malformed; from a client, also if it carries a Subscription Identifier
/// ([MQTT-3.3.4-6]).
pub fn read(frame: &Frame, version: Version) -> Result<Publish, Violation> {
    let mut cursor = open(frame, version, &[PacketType::Publish])?;
    let flags = frame.flags();
    let qos = QoS::from_bits(flags >> 1 & 0b11)
        .ok_or(Violation::malformed("PUBLISH with QoS 3", "MQTT-3.3.1-4"))?;
    let topic = cursor.text()?;
    topic::check_no_wildcards(&topic)?;
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce | QoS::ExactlyOnce => Some(packet_id(&mut cursor)?),
    };
    let mut publish = Publish {
        version,
        dup: flags & 0b1000 != 0,
        qos,
        retain: flags & 0b0001 != 0,
        topic,
        packet_id,
        topic_alias: None,
        payload_format_indicator: None,
        message_expiry: None,
        content_type: None,
        response_topic: None,
        user_properties: Vec::new(),
        raw_properties: RawProperties::default(),
        payload: Bytes::new(),
    };
    if version == Version::V5 {
        publish.read_properties(&mut cursor, frame.from())?;
    }
    publish.check_has_topic()?;
    publish.payload = cursor.rest();
    Ok(publish)
}

impl Publish {
    /// Whether the payload is what its Payload Format Indicator says (§3.3.2.3.2).
    #[must_use]
    pub fn has_true_format(&self) -> bool {
        self.payload_format_indicator != Some(true) || std::str::from_utf8(&self.payload).is_ok()
    }

    fn read_properties(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        let (mut reader, raw) = Reader::open(cursor, Place::PUBLISH, from)?;
        self.raw_properties = raw;
        while let Some(property) = reader.next()? {
            match property {
                Property::TopicAlias(alias) => self.topic_alias = NonZeroU16::new(alias),
                Property::PayloadFormatIndicator(flag) => {
                    self.payload_format_indicator = Some(flag == 1);
                }
                Property::MessageExpiryInterval(seconds) => self.message_expiry = Some(seconds),
                Property::ContentType(text) => self.content_type = Some(text),
                Property::ResponseTopic(topic) => self.response_topic = Some(topic),
                Property::UserProperty(pair) => self.user_properties.push(pair),
                Property::SubscriptionIdentifier(_) if from == Side::Client => {
                    return Err(Violation::protocol(
                        "Subscription Identifier in a client's PUBLISH",
                        "MQTT-3.3.4-6",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_has_topic(&self) -> Result<(), Violation> {
        if !self.topic.is_empty() || self.topic_alias.is_some() {
            return Ok(());
        }
        Err(match self.version {
            Version::V31 | Version::V311 => {
                Violation::malformed("empty topic name", "MQTT-4.7.3-1")
            }
            Version::V5 => Violation::protocol("empty topic name without Topic Alias", "§3.3.2.1"),
        })
    }
}

impl fmt::Debug for Publish {
    /// Leaves the payload out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("topic_alias", &self.topic_alias)
            .field("packet_id", &self.packet_id)
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("payload_size", &self.payload.len())
            .field("properties", &self.raw_properties)
            .finish_non_exhaustive()
    }
}
