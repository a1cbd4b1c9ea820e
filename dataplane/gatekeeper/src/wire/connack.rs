//! CONNACK (§3.2).

mod encode;
#[cfg(test)]
mod tests;

use bytestring::ByteString;

use super::cursor::Cursor;
use super::properties::{Place, Reader};
use super::{Property, RawProperties, open};
use crate::frame::{Frame, PacketType, Side};
use crate::question::{QoS, Secret, Version};
use crate::reason::{Place as Carrier, ReasonCode, Sender};
use crate::violation::Violation;

pub use encode::{GateLimits, encode_refusal_v5, encode_v3, encode_v5, encode_within};

/// A broker's CONNACK. What it does not say has the default of the standard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connack {
    /// Session Present; always false with a refusal.
    pub session_present: bool,
    /// The reason code, or what the return code of MQTT 3.1.1 means.
    pub code: ReasonCode,
    /// Whether it has the form of MQTT 3.1.1: flags and return code, and nothing else. On an MQTT
    /// 5.0 session that is a refusal by a broker that does not speak the version, and has to be
    /// written anew for the client.
    pub v3_shaped: bool,
    /// Session Expiry Interval in seconds, if the broker changed it.
    pub session_expiry: Option<u32>,
    /// Receive Maximum; never 0.
    pub receive_maximum: u16,
    /// The highest QoS that may be published.
    pub maximum_qos: QoS,
    /// Whether retained messages may be published.
    pub retain_available: bool,
    /// Maximum Packet Size, if sent; never 0.
    pub maximum_packet_size: Option<u32>,
    /// Assigned Client Identifier; never empty.
    pub assigned_client_id: Option<ByteString>,
    /// Topic Alias Maximum: how many aliases the broker wants to be sent.
    pub topic_alias_maximum: u16,
    /// Whether filters may hold wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether a SUBSCRIBE may carry a Subscription Identifier.
    pub subscription_identifier_available: bool,
    /// Whether subscriptions may be shared.
    pub shared_subscription_available: bool,
    /// Server Keep Alive in seconds: replaces what the client asked for ([MQTT-3.2.2-21]).
    pub server_keep_alive: Option<u16>,
    /// Authentication Method.
    pub auth_method: Option<ByteString>,
    /// Authentication Data.
    pub auth_data: Option<Secret>,
    /// Server Reference: a broker's private name, most often.
    pub server_reference: Option<ByteString>,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
}

/// Reads the CONNACK to a CONNECT of this version.
///
/// # Errors
/// If it is malformed, if its code is none of those that a CONNACK may carry ([MQTT-3.2.2-8],
/// [3.1.1: MQTT-3.2.2-6]), or if it refuses and claims a session nevertheless ([MQTT-3.2.2-6]).
pub fn read(frame: &Frame, version: Version) -> Result<Connack, Violation> {
    let mut cursor = open(frame, version, &[PacketType::Connack])?;
    let session_present = match cursor.u8()? {
        0 => false,
        1 => true,
        _ => {
            return Err(Violation::malformed(
                "reserved CONNACK flags",
                "MQTT-3.2.2-1",
            ));
        }
    };
    let code = cursor.u8()?;
    let v3_shaped = cursor.remaining() == 0;
    let code = match version {
        Version::V31 | Version::V311 => code_v3(code),
        Version::V5 if v3_shaped => code_v3_on_v5(code),
        Version::V5 => code_v5(code),
    }?;
    let mut connack = Connack::new(session_present, code, v3_shaped);
    if version == Version::V5 && !v3_shaped {
        connack.read_properties(&mut cursor, frame.from())?;
    }
    cursor.finish()?;
    if connack.session_present && connack.is_refusal() {
        return Err(Violation::protocol(
            "a refusal with Session Present",
            "MQTT-3.2.2-6",
        ));
    }
    Ok(connack)
}

fn code_v3(code: u8) -> Result<ReasonCode, Violation> {
    const LAST: u8 = 5;

    if code > LAST {
        return Err(Violation::protocol(
            "reserved CONNACK return code",
            "3.1.1: MQTT-3.2.2-6",
        ));
    }
    Ok(ReasonCode::from_connack_v3(code))
}

/// Of a CONNACK without even the length of its properties, on an MQTT 5.0 session. As a refusal it
/// is understood, whichever table its code is of; as a success it cannot be trusted.
fn code_v3_on_v5(code: u8) -> Result<ReasonCode, Violation> {
    let v5 = ReasonCode::new(code);
    if v5 == ReasonCode::SUCCESS {
        return Err(Violation::malformed(
            "successful CONNACK without properties",
            "MQTT-2.2.2-1",
        ));
    }
    if v5.is_legal(Carrier::Connack, Sender::Server) {
        return Ok(v5);
    }
    Ok(ReasonCode::from_connack_v3(code))
}

fn code_v5(code: u8) -> Result<ReasonCode, Violation> {
    let code = ReasonCode::new(code);
    if !code.is_legal(Carrier::Connack, Sender::Server) {
        return Err(Violation::protocol(
            "a reason code that no CONNACK carries",
            "MQTT-3.2.2-8",
        ));
    }
    Ok(code)
}

impl Connack {
    /// Whether the broker refused.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.code.is_refusal()
    }

    fn new(session_present: bool, code: ReasonCode, v3_shaped: bool) -> Self {
        Self {
            session_present,
            code,
            v3_shaped,
            session_expiry: None,
            receive_maximum: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            wildcard_subscription_available: true,
            subscription_identifier_available: true,
            shared_subscription_available: true,
            server_keep_alive: None,
            auth_method: None,
            auth_data: None,
            server_reference: None,
            raw_properties: RawProperties::default(),
        }
    }

    fn read_properties(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        let (mut reader, raw) = Reader::open(cursor, Place::CONNACK, from)?;
        self.raw_properties = raw;
        while let Some(property) = reader.next()? {
            self.keep(property)?;
        }
        Ok(())
    }

    fn keep(&mut self, property: Property) -> Result<(), Violation> {
        match property {
            Property::SessionExpiryInterval(seconds) => self.session_expiry = Some(seconds),
            Property::ReceiveMaximum(count) => self.receive_maximum = count,
            Property::MaximumQoS(0) => self.maximum_qos = QoS::AtMostOnce,
            Property::MaximumQoS(_) => self.maximum_qos = QoS::AtLeastOnce,
            Property::RetainAvailable(flag) => self.retain_available = flag == 1,
            Property::MaximumPacketSize(size) => self.maximum_packet_size = Some(size),
            Property::AssignedClientIdentifier(id) if id.is_empty() => {
                return Err(Violation::protocol(
                    "empty Assigned Client Identifier",
                    "MQTT-3.2.2-16",
                ));
            }
            Property::AssignedClientIdentifier(id) => self.assigned_client_id = Some(id),
            Property::TopicAliasMaximum(count) => self.topic_alias_maximum = count,
            Property::WildcardSubscriptionAvailable(flag) => {
                self.wildcard_subscription_available = flag == 1;
            }
            Property::SubscriptionIdentifierAvailable(flag) => {
                self.subscription_identifier_available = flag == 1;
            }
            Property::SharedSubscriptionAvailable(flag) => {
                self.shared_subscription_available = flag == 1;
            }
            Property::ServerKeepAlive(seconds) => self.server_keep_alive = Some(seconds),
            Property::AuthenticationMethod(method) => self.auth_method = Some(method),
            Property::AuthenticationData(data) => self.auth_data = Some(data),
            Property::ServerReference(reference) => self.server_reference = Some(reference),
            _ => {}
        }
        Ok(())
    }
}
