//! MQTT 5 properties.

use super::wire::{Reader, string, variable_length};

/// A property as read: identifier, and the bytes of its value without any length in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Identifier.
    pub id: u8,
    /// Value.
    pub value: Vec<u8>,
}

/// Encoded properties, by name.
pub mod property {
    use super::{string, variable_length};

    /// Identifier of Payload Format Indicator.
    pub const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    /// Identifier of Message Expiry Interval.
    pub const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    /// Identifier of Content Type.
    pub const CONTENT_TYPE: u8 = 0x03;
    /// Identifier of Response Topic.
    pub const RESPONSE_TOPIC: u8 = 0x08;
    /// Identifier of Correlation Data.
    pub const CORRELATION_DATA: u8 = 0x09;
    /// Identifier of Subscription Identifier.
    pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    /// Identifier of Session Expiry Interval.
    pub const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    /// Identifier of Assigned Client Identifier.
    pub const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    /// Identifier of Server Keep Alive.
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    /// Identifier of Will Delay Interval.
    pub const WILL_DELAY_INTERVAL: u8 = 0x18;
    /// Identifier of Server Reference.
    pub const SERVER_REFERENCE: u8 = 0x1C;
    /// Identifier of Reason String.
    pub const REASON_STRING: u8 = 0x1F;
    /// Identifier of Receive Maximum.
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    /// Identifier of Topic Alias Maximum.
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    /// Identifier of Topic Alias.
    pub const TOPIC_ALIAS: u8 = 0x23;
    /// Identifier of Maximum QoS.
    pub const MAXIMUM_QOS: u8 = 0x24;
    /// Identifier of Retain Available.
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    /// Identifier of User Property.
    pub const USER_PROPERTY: u8 = 0x26;
    /// Identifier of Maximum Packet Size.
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    /// Identifier of Wildcard Subscription Available.
    pub const WILDCARDS_AVAILABLE: u8 = 0x28;
    /// Identifier of Subscription Identifiers Available.
    pub const SUBSCRIPTION_IDENTIFIERS_AVAILABLE: u8 = 0x29;
    /// Identifier of Shared Subscription Available.
    pub const SHARED_AVAILABLE: u8 = 0x2A;

    /// Any property whose value is one byte.
    #[must_use]
    pub fn byte(id: u8, value: u8) -> Vec<u8> {
        vec![id, value]
    }

    /// Any property whose value is a number of two bytes.
    #[must_use]
    pub fn two_bytes(id: u8, value: u16) -> Vec<u8> {
        [&[id][..], &value.to_be_bytes()].concat()
    }

    /// Any property whose value is a number of four bytes.
    #[must_use]
    pub fn four_bytes(id: u8, value: u32) -> Vec<u8> {
        [&[id][..], &value.to_be_bytes()].concat()
    }

    /// Any property whose value is text or binary data.
    #[must_use]
    pub fn text(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
        [vec![id], string(value)].concat()
    }

    /// Payload Format Indicator.
    #[must_use]
    pub fn payload_format(value: u8) -> Vec<u8> {
        byte(PAYLOAD_FORMAT_INDICATOR, value)
    }

    /// Message Expiry Interval.
    #[must_use]
    pub fn message_expiry(seconds: u32) -> Vec<u8> {
        four_bytes(MESSAGE_EXPIRY_INTERVAL, seconds)
    }

    /// Content Type.
    #[must_use]
    pub fn content_type(name: &str) -> Vec<u8> {
        text(CONTENT_TYPE, name)
    }

    /// Response Topic.
    #[must_use]
    pub fn response_topic(topic: &str) -> Vec<u8> {
        text(RESPONSE_TOPIC, topic)
    }

    /// Correlation Data.
    #[must_use]
    pub fn correlation_data(data: impl AsRef<[u8]>) -> Vec<u8> {
        text(CORRELATION_DATA, data)
    }

    /// Subscription Identifier.
    #[must_use]
    pub fn subscription_identifier(value: usize) -> Vec<u8> {
        [vec![SUBSCRIPTION_IDENTIFIER], variable_length(value)].concat()
    }

    /// Session Expiry Interval.
    #[must_use]
    pub fn session_expiry(seconds: u32) -> Vec<u8> {
        four_bytes(SESSION_EXPIRY_INTERVAL, seconds)
    }

    /// Will Delay Interval.
    #[must_use]
    pub fn will_delay(seconds: u32) -> Vec<u8> {
        four_bytes(WILL_DELAY_INTERVAL, seconds)
    }

    /// Authentication Method.
    #[must_use]
    pub fn authentication_method(method: &str) -> Vec<u8> {
        text(0x15, method)
    }

    /// Receive Maximum.
    #[must_use]
    pub fn receive_maximum(value: u16) -> Vec<u8> {
        two_bytes(RECEIVE_MAXIMUM, value)
    }

    /// Maximum Packet Size.
    #[must_use]
    pub fn maximum_packet_size(bytes: u32) -> Vec<u8> {
        four_bytes(MAXIMUM_PACKET_SIZE, bytes)
    }

    /// Topic Alias.
    #[must_use]
    pub fn topic_alias(value: u16) -> Vec<u8> {
        two_bytes(TOPIC_ALIAS, value)
    }

    /// User Property.
    #[must_use]
    pub fn user(key: &str, value: &str) -> Vec<u8> {
        [vec![USER_PROPERTY], string(key), string(value)].concat()
    }
}

/// Reads the content of a property field.
pub(super) fn read(mut block: Reader<'_>) -> Vec<Property> {
    let mut found = Vec::new();
    while !block.rest().is_empty() {
        let id = block.u8();
        let value = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => block.take(1).to_vec(),
            0x13 | 0x21..=0x23 => block.take(2).to_vec(),
            0x02 | 0x11 | 0x18 | 0x27 => block.take(4).to_vec(),
            0x0B => variable_length(block.variable()),
            0x26 => [string(block.binary()), string(block.binary())].concat(),
            _ => block.binary().to_vec(),
        };
        found.push(Property { id, value });
    }
    found
}
