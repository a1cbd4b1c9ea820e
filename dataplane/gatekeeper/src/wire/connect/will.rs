//! The will: a PUBLISH that is made at CONNECT (§3.1.2.5, §3.1.3.2 to §3.1.3.4).

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use super::flags::WillFlags;
use crate::frame::Side;
use crate::question::{QoS, UserProperty, Version};
use crate::topic;
use crate::violation::Violation;
use crate::wire::cursor::Cursor;
use crate::wire::properties::{Place, Reader};
use crate::wire::{Property, RawProperties};

/// A will.
#[derive(Clone, PartialEq, Eq)]
pub struct Will {
    /// Topic name: not empty, no wildcards.
    pub topic: ByteString,
    /// Payload. With `retain`, an empty one deletes the retained message.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: QoS,
    /// Whether the message is retained.
    pub retain: bool,
    /// Will Delay Interval in seconds, 0 if not sent.
    pub delay: u32,
    /// Payload Format Indicator, if sent: true says that the payload is UTF-8. Nobody has looked.
    pub payload_format_indicator: Option<bool>,
    /// Message Expiry Interval in seconds, if sent.
    pub message_expiry: Option<u32>,
    /// Content Type.
    pub content_type: Option<ByteString>,
    /// Response Topic: a topic name.
    pub response_topic: Option<ByteString>,
    /// User properties in order.
    pub user_properties: Vec<UserProperty>,
    /// All will properties, as sent.
    pub raw_properties: RawProperties,
}

impl Will {
    pub(super) fn read(
        cursor: &mut Cursor<'_>,
        flags: WillFlags,
        version: Version,
        from: Side,
    ) -> Result<Self, Violation> {
        let mut will = Self {
            topic: ByteString::new(),
            payload: Bytes::new(),
            qos: flags.qos,
            retain: flags.retain,
            delay: 0,
            payload_format_indicator: None,
            message_expiry: None,
            content_type: None,
            response_topic: None,
            user_properties: Vec::new(),
            raw_properties: RawProperties::default(),
        };
        if version == Version::V5 {
            will.read_properties(cursor, from)?;
        }
        will.topic = cursor.text()?;
        topic::check_topic_name(&will.topic)?;
        will.payload = cursor.binary()?;
        Ok(will)
    }

    fn read_properties(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        let (mut reader, raw) = Reader::open(cursor, Place::WILL, from)?;
        self.raw_properties = raw;
        while let Some(property) = reader.next()? {
            match property {
                Property::WillDelayInterval(seconds) => self.delay = seconds,
                Property::PayloadFormatIndicator(flag) => {
                    self.payload_format_indicator = Some(flag == 1);
                }
                Property::MessageExpiryInterval(seconds) => self.message_expiry = Some(seconds),
                Property::ContentType(text) => self.content_type = Some(text),
                Property::ResponseTopic(topic) => self.response_topic = Some(topic),
                Property::UserProperty(pair) => self.user_properties.push(pair),
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Will {
    /// Leaves the payload out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("topic", &self.topic)
            .field("payload_size", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("delay", &self.delay)
            .field("properties", &self.raw_properties)
            .finish_non_exhaustive()
    }
}
