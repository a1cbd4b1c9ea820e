//! The table of properties: MQTT 5.0 table 2-4, and the sections of the packets for what a value
//! may be.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::field::{Field, VarInt};
use crate::question::{Secret, UserProperty};
use crate::reason::ReasonCode;
use crate::topic;
use crate::violation::Violation;
use crate::wire::TooLong;
use crate::wire::cursor::Cursor;

/// A set of property sections, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct Place(u16);

impl Place {
    pub(in crate::wire) const NOWHERE: Self = Self(0);
    pub(in crate::wire) const CONNECT: Self = Self(1);
    pub(in crate::wire) const WILL: Self = Self(1 << 1);
    pub(in crate::wire) const CONNACK: Self = Self(1 << 2);
    pub(in crate::wire) const PUBLISH: Self = Self(1 << 3);
    pub(in crate::wire) const PUBLISH_ACK: Self = Self(1 << 4);
    pub(in crate::wire) const SUBSCRIBE: Self = Self(1 << 5);
    pub(in crate::wire) const SUBACK: Self = Self(1 << 6);
    pub(in crate::wire) const UNSUBSCRIBE: Self = Self(1 << 7);
    pub(in crate::wire) const UNSUBACK: Self = Self(1 << 8);
    pub(in crate::wire) const DISCONNECT: Self = Self(1 << 9);
    pub(in crate::wire) const AUTH: Self = Self(1 << 10);
    pub(in crate::wire) const EVERYWHERE: Self = Self((1 << 11) - 1);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn contains(self, place: Self) -> bool {
        self.0 & place.0 != 0
    }
}

/// What is known about a property before its value is looked at.
pub(super) struct Rule {
    pub(super) stands_in: Place,
    pub(super) repeats_in: Place,
    pub(super) misplaced: &'static str,
    pub(super) twice: &'static str,
}

macro_rules! table {
    ($(
        $id:literal $variant:ident($value:ty) $name:literal
        in $($place:ident)|+, repeats in $repeats:ident;
    )+) => {
        /// A property and its value.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Property {
            $(
                #[doc = concat!(stringify!($id), " ", $name, ".")]
                $variant($value),
            )+
        }

        impl Property {
            /// The identifier on the wire.
            #[must_use]
            pub const fn id(&self) -> u8 {
                match self {
                    $(Self::$variant(_) => $id,)+
                }
            }

            /// Reads the value of the property `id`.
            pub(super) fn read(id: u8, cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
                match id {
                    $($id => Field::read(cursor).map(Self::$variant),)+
                    _ => Err(UNKNOWN),
                }
            }

            /// Moves behind the value of the property `id`.
            pub(super) fn skip(id: u8, cursor: &mut Cursor<'_>) -> Result<(), Violation> {
                match id {
                    $($id => <$value as Field>::skip(cursor),)+
                    _ => Err(UNKNOWN),
                }
            }

            /// Writes identifier and value.
            pub(super) fn write(&self, out: &mut BytesMut) -> Result<(), TooLong> {
                out.put_u8(self.id());
                match self {
                    $(Self::$variant(value) => Field::write(value, $name, out),)+
                }
            }
        }

        /// The rule of the property `id`.
        pub(super) fn rule(id: u8) -> Result<&'static Rule, Violation> {
            match id {
                $($id => {
                    const RULE: &Rule = &Rule {
                        stands_in: Place::NOWHERE$(.or(Place::$place))+,
                        repeats_in: Place::$repeats,
                        misplaced: concat!($name, " does not belong into this packet"),
                        twice: concat!($name, " more than once"),
                    };
                    Ok(RULE)
                })+
                _ => Err(UNKNOWN),
            }
        }
    };
}

const UNKNOWN: Violation = Violation::malformed("unknown property", "§2.2.2.2");

table! {
    0x01 PayloadFormatIndicator(u8) "Payload Format Indicator"
        in PUBLISH | WILL, repeats in NOWHERE;
    0x02 MessageExpiryInterval(u32) "Message Expiry Interval"
        in PUBLISH | WILL, repeats in NOWHERE;
    0x03 ContentType(ByteString) "Content Type"
        in PUBLISH | WILL, repeats in NOWHERE;
    0x08 ResponseTopic(ByteString) "Response Topic"
        in PUBLISH | WILL, repeats in NOWHERE;
    0x09 CorrelationData(Bytes) "Correlation Data"
        in PUBLISH | WILL, repeats in NOWHERE;
    0x0B SubscriptionIdentifier(VarInt) "Subscription Identifier"
        in PUBLISH | SUBSCRIBE, repeats in PUBLISH;
    0x11 SessionExpiryInterval(u32) "Session Expiry Interval"
        in CONNECT | CONNACK | DISCONNECT, repeats in NOWHERE;
    0x12 AssignedClientIdentifier(ByteString) "Assigned Client Identifier"
        in CONNACK, repeats in NOWHERE;
    0x13 ServerKeepAlive(u16) "Server Keep Alive"
        in CONNACK, repeats in NOWHERE;
    0x15 AuthenticationMethod(ByteString) "Authentication Method"
        in CONNECT | CONNACK | AUTH, repeats in NOWHERE;
    0x16 AuthenticationData(Secret) "Authentication Data"
        in CONNECT | CONNACK | AUTH, repeats in NOWHERE;
    0x17 RequestProblemInformation(u8) "Request Problem Information"
        in CONNECT, repeats in NOWHERE;
    0x18 WillDelayInterval(u32) "Will Delay Interval"
        in WILL, repeats in NOWHERE;
    0x19 RequestResponseInformation(u8) "Request Response Information"
        in CONNECT, repeats in NOWHERE;
    0x1A ResponseInformation(ByteString) "Response Information"
        in CONNACK, repeats in NOWHERE;
    0x1C ServerReference(ByteString) "Server Reference"
        in CONNACK | DISCONNECT, repeats in NOWHERE;
    0x1F ReasonString(ByteString) "Reason String"
        in CONNACK | PUBLISH_ACK | SUBACK | UNSUBACK | DISCONNECT | AUTH, repeats in NOWHERE;
    0x21 ReceiveMaximum(u16) "Receive Maximum"
        in CONNECT | CONNACK, repeats in NOWHERE;
    0x22 TopicAliasMaximum(u16) "Topic Alias Maximum"
        in CONNECT | CONNACK, repeats in NOWHERE;
    0x23 TopicAlias(u16) "Topic Alias"
        in PUBLISH, repeats in NOWHERE;
    0x24 MaximumQoS(u8) "Maximum QoS"
        in CONNACK, repeats in NOWHERE;
    0x25 RetainAvailable(u8) "Retain Available"
        in CONNACK, repeats in NOWHERE;
    0x26 UserProperty(UserProperty) "User Property"
        in EVERYWHERE, repeats in EVERYWHERE;
    0x27 MaximumPacketSize(u32) "Maximum Packet Size"
        in CONNECT | CONNACK, repeats in NOWHERE;
    0x28 WildcardSubscriptionAvailable(u8) "Wildcard Subscription Available"
        in CONNACK, repeats in NOWHERE;
    0x29 SubscriptionIdentifierAvailable(u8) "Subscription Identifier Available"
        in CONNACK, repeats in NOWHERE;
    0x2A SharedSubscriptionAvailable(u8) "Shared Subscription Available"
        in CONNACK, repeats in NOWHERE;
}

impl Property {
    /// Refuses values that the type has room for and the property has no meaning for.
    pub(super) fn check(&self) -> Result<(), Violation> {
        match self {
            Self::PayloadFormatIndicator(2..) => Err(not_a_flag("§3.3.2.3.2")),
            Self::RequestProblemInformation(2..) => Err(not_a_flag("§3.1.2.11.7")),
            Self::RequestResponseInformation(2..) => Err(not_a_flag("§3.1.2.11.6")),
            Self::MaximumQoS(2..) => Err(not_a_flag("§3.2.2.3.4")),
            Self::RetainAvailable(2..) => Err(not_a_flag("§3.2.2.3.5")),
            Self::WildcardSubscriptionAvailable(2..) => Err(not_a_flag("§3.2.2.3.11")),
            Self::SubscriptionIdentifierAvailable(2..) => Err(not_a_flag("§3.2.2.3.12")),
            Self::SharedSubscriptionAvailable(2..) => Err(not_a_flag("§3.2.2.3.13")),
            Self::ReceiveMaximum(0) => {
                Err(Violation::protocol("Receive Maximum of 0", "§3.1.2.11.3"))
            }
            Self::MaximumPacketSize(0) => Err(Violation::protocol(
                "Maximum Packet Size of 0",
                "§3.1.2.11.4",
            )),
            Self::SubscriptionIdentifier(0) => Err(Violation::protocol(
                "Subscription Identifier of 0",
                "§3.8.2.1.2",
            )),
            Self::TopicAlias(0) => Err(Violation::new(
                ReasonCode::TOPIC_ALIAS_INVALID,
                "Topic Alias of 0",
                "MQTT-3.3.2-8",
            )),
            Self::ResponseTopic(topic) => check_response_topic(topic),
            _ => Ok(()),
        }
    }
}

const fn not_a_flag(section: &'static str) -> Violation {
    Violation::protocol("a property that is 0 or 1 has another value", section)
}

/// A Response Topic is a topic name ([MQTT-3.3.2-14]). Brokers let wildcards pass, and then it is
/// the responder that publishes where the requester could not.
fn check_response_topic(topic: &str) -> Result<(), Violation> {
    if topic.is_empty() {
        return Err(Violation::malformed("empty Response Topic", "MQTT-4.7.3-1"));
    }
    topic::check_no_wildcards(topic)
        .map_err(|_| Violation::malformed("wildcard in a Response Topic", "MQTT-3.3.2-14"))
}
