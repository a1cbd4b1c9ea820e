//! The CONNACKs that the gate writes.

use bytes::{BufMut, Bytes};

use crate::reason::ReasonCode;
use crate::wire::write::Packet;
use crate::wire::{Property, RawProperties, TooLong};

use super::Connack;

const FIRST_BYTE: u8 = 0x20;

/// A CONNACK of MQTT 3.1.1.
#[must_use]
pub fn encode_v3(session_present: bool, return_code: u8) -> Bytes {
    Bytes::copy_from_slice(&[FIRST_BYTE, 2, session_present.into(), return_code])
}

/// A CONNACK of MQTT 5.0; with the properties of the broker's, most often, changed by
/// [`RawProperties::with`] and [`RawProperties::without`].
///
/// # Errors
/// If the packet would be larger than any packet may be.
pub fn encode_v5(
    session_present: bool,
    code: ReasonCode,
    properties: &RawProperties,
) -> Result<Bytes, TooLong> {
    let mut packet = Packet::new(FIRST_BYTE, 6 + properties.as_bytes().len());
    let out = packet.body();
    out.put_u8(session_present.into());
    out.put_u8(code.get());
    properties.put(out);
    packet.finish()
}

/// A refusal of the gate's own. Texts that no packet can carry are left out.
#[must_use]
pub fn encode_refusal_v5(
    code: ReasonCode,
    reason_string: Option<&str>,
    server_reference: Option<&str>,
) -> Bytes {
    let mut packet = Packet::new(FIRST_BYTE, 16);
    let out = packet.body();
    out.put_u8(0);
    out.put_u8(code.get());
    RawProperties::explanation(reason_string, server_reference).put(out);
    packet.finish_bounded()
}

/// What the gate terminates itself, and so says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits<'a> {
    /// How many topic aliases the client may use. The gate resolves them ([MQTT-3.2.2-17]).
    pub topic_alias_maximum: u16,
    /// The largest packet that the gate takes; the client is told the smaller of the two.
    pub maximum_packet_size: u32,
    /// The client identifier, if the gate assigned one ([MQTT-3.2.2-16]).
    pub assigned_client_id: Option<&'a str>,
}

impl Connack {
    /// The broker's CONNACK, on MQTT 5.0, with the limits of the gate in the place of its own.
    ///
    /// # Errors
    /// If the client identifier is too long for its length field.
    pub fn with_gate_limits(&self, limits: &GateLimits<'_>) -> Result<Bytes, TooLong> {
        let maximum_packet_size = self
            .maximum_packet_size
            .map_or(limits.maximum_packet_size, |size| {
                size.min(limits.maximum_packet_size)
            });
        let mut changes = vec![
            Property::TopicAliasMaximum(limits.topic_alias_maximum),
            Property::MaximumPacketSize(maximum_packet_size),
        ];
        if let Some(id) = limits.assigned_client_id {
            changes.push(Property::AssignedClientIdentifier(id.into()));
        }
        let properties = self.raw_properties.with(&changes)?;
        encode_v5(self.session_present, self.code, &properties)
    }
}
