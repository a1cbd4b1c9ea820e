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

    /// Identifier of Assigned Client Identifier.
    pub const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    /// Identifier of Server Reference.
    pub const SERVER_REFERENCE: u8 = 0x1C;
    /// Identifier of Reason String.
    pub const REASON_STRING: u8 = 0x1F;
    /// Identifier of Topic Alias.
    pub const TOPIC_ALIAS: u8 = 0x23;

    /// Payload Format Indicator.
    #[must_use]
    pub fn payload_format(value: u8) -> Vec<u8> {
        vec![0x01, value]
    }

    /// Response Topic.
    #[must_use]
    pub fn response_topic(topic: &str) -> Vec<u8> {
        [vec![0x08], string(topic)].concat()
    }

    /// Subscription Identifier.
    #[must_use]
    pub fn subscription_identifier(value: usize) -> Vec<u8> {
        [vec![0x0B], variable_length(value)].concat()
    }

    /// Session Expiry Interval.
    #[must_use]
    pub fn session_expiry(seconds: u32) -> Vec<u8> {
        [&[0x11][..], &seconds.to_be_bytes()].concat()
    }

    /// Authentication Method.
    #[must_use]
    pub fn authentication_method(method: &str) -> Vec<u8> {
        [vec![0x15], string(method)].concat()
    }

    /// Receive Maximum.
    #[must_use]
    pub fn receive_maximum(value: u16) -> Vec<u8> {
        [&[0x21][..], &value.to_be_bytes()].concat()
    }

    /// Topic Alias.
    #[must_use]
    pub fn topic_alias(value: u16) -> Vec<u8> {
        [&[TOPIC_ALIAS][..], &value.to_be_bytes()].concat()
    }

    /// User Property.
    #[must_use]
    pub fn user(key: &str, value: &str) -> Vec<u8> {
        [vec![0x26], string(key), string(value)].concat()
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
