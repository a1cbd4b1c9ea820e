//! The CONNACKs that the gate writes.

use bytes::{BufMut, Bytes};

use crate::reason::ReasonCode;
use crate::wire::properties::{
    ASSIGNED_CLIENT_IDENTIFIER, REASON_STRING, SERVER_REFERENCE, USER_PROPERTY,
};
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

/// A refusal of the gate's own. Texts that no packet can carry are left out, and so is a Server
/// Reference with a code that does not go with one.
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
    let server_reference = server_reference.filter(|_| code.names_another_server());
    RawProperties::explanation(reason_string, server_reference).put(out);
    packet.finish_bounded()
}

/// The same, but no larger than the client takes. Words that only explain go first: the Reason
/// String [MQTT-3.2.2-19], then the user properties [MQTT-3.2.2-20]. `None` if that is not enough.
#[must_use]
pub fn encode_within(
    session_present: bool,
    code: ReasonCode,
    properties: &RawProperties,
    client_takes: usize,
) -> Option<Bytes> {
    const EXPENDABLE: [&[u8]; 3] = [&[], &[REASON_STRING], &[REASON_STRING, USER_PROPERTY]];

    EXPENDABLE.into_iter().find_map(|without| {
        let properties = properties.without(without);
        let connack = encode_v5(session_present, code, &properties).ok()?;
        (connack.len() <= client_takes).then_some(connack)
    })
}

/// What the gate says in the CONNACK of a broker, in the place of the broker's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits<'a> {
    /// How many topic aliases the client may use. The gate resolves them ([MQTT-3.2.2-17]).
    pub topic_alias_maximum: u16,
    /// The largest packet that the gate takes; the client is told the smaller of the two.
    pub maximum_packet_size: u32,
    /// How many messages the gate lets a client have under way; the client is told the smaller of
    /// the two.
    pub receive_maximum: u16,
    /// Server Keep Alive [MQTT-3.2.2-21]. `None`: the broker's, if it has one.
    pub server_keep_alive: Option<u16>,
    /// Session Expiry Interval. `None`: the broker's, if it has one.
    pub session_expiry: Option<u32>,
    /// The client identifier, if the gate assigned one ([MQTT-3.2.2-16]).
    pub assigned_client_id: Option<&'a str>,
}

impl Connack {
    /// The broker's properties, on MQTT 5.0, with the words of the gate in the place of its own.
    ///
    /// # Errors
    /// If the client identifier is too long for its length field.
    pub fn with_gate_limits(&self, limits: &GateLimits<'_>) -> Result<RawProperties, TooLong> {
        let own = limits.maximum_packet_size;
        let maximum_packet_size = self.maximum_packet_size.map_or(own, |size| size.min(own));
        let mut changes = vec![
            Property::TopicAliasMaximum(limits.topic_alias_maximum),
            Property::MaximumPacketSize(maximum_packet_size),
            Property::ReceiveMaximum(limits.receive_maximum.min(self.receive_maximum)),
        ];
        changes.extend(limits.server_keep_alive.map(Property::ServerKeepAlive));
        changes.extend(limits.session_expiry.map(Property::SessionExpiryInterval));
        let id = limits.assigned_client_id;
        changes.extend(id.map(|id| Property::AssignedClientIdentifier(id.into())));
        self.raw_properties.with(&changes)
    }

    /// Forgets names that only concern gate and broker: where the broker would send the client, and
    /// the name that it gave to one that it knows under a name of the gate's.
    pub fn hide(&mut self, server_reference: bool, assigned_client_id: bool) {
        let mut hidden = Vec::new();
        if server_reference {
            hidden.push(SERVER_REFERENCE);
            self.server_reference = None;
        }
        if assigned_client_id {
            hidden.push(ASSIGNED_CLIENT_IDENTIFIER);
            self.assigned_client_id = None;
        }
        self.raw_properties = self.raw_properties.without(&hidden);
    }
}
