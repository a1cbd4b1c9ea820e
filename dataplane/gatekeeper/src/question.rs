//! What the gatekeeper asks: the model of a packet as far as a policy may look at it.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

/// Names one question of a session. Numbers start at 1 and grow by one, so a ticket is also the
/// sequence number of the check within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// The number of the question within its session, starting at 1.
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.0
    }

    /// The ticket of the filter at `index` in the SUBSCRIBE whose first filter has this ticket.
    #[must_use]
    pub fn filter(self, index: usize) -> Self {
        Self(self.0 + index as u64)
    }
}

/// MQTT protocol version; the discriminant is the protocol level byte of CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1, the protocol named `MQIsdp`.
    V31 = 3,
    /// MQTT 3.1.1.
    V311 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

impl Version {
    /// Whether it is one of the 3.x versions: no properties, no reason codes but in CONNACK and SUBACK.
    #[must_use]
    pub const fn is_v3(self) -> bool {
        matches!(self, Self::V31 | Self::V311)
    }
}

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// At most once.
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

impl QoS {
    /// Reads the two bits of a QoS; 3 is reserved and `None`.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// One MQTT 5 user property. Keys may repeat and order is meaningful, so lists of these are never
/// turned into maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserProperty {
    /// Key.
    pub key: ByteString,
    /// Value.
    pub value: ByteString,
}

/// Bytes that must never be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Bytes);

impl Secret {
    /// Wraps the bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one who has to check them.
    #[must_use]
    pub fn expose(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes, redacted>", self.0.len())
    }
}

/// Asked of the authorization service by way of [`Action::Ask`](crate::Action::Ask).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// May this client connect, and as whom?
    Connect(Box<ConnectQuestion>),
    /// May the session that was just allowed leave this will? One verdict, on the CONNECT lane.
    Will(PublishQuestion),
    /// May this message be published?
    Publish(PublishQuestion),
    /// May these subscriptions be made? One verdict per filter, see [`Ticket::filter`].
    Subscribe(SubscribeQuestion),
}

/// Facts of a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectQuestion {
    /// Protocol version.
    pub version: Version,
    /// Client identifier, as sent or as assigned.
    pub client_id: ByteString,
    /// True if the client sent an empty identifier and the gate chose one.
    pub client_id_assigned: bool,
    /// User name; absent and empty differ.
    pub username: Option<ByteString>,
    /// Password; absent and empty differ.
    pub password: Option<Secret>,
    /// Clean start (clean session in 3.1.1).
    pub clean_start: bool,
    /// Keep alive in seconds; 0 is off.
    pub keep_alive: u16,
    /// Session expiry interval in seconds, if sent.
    pub session_expiry: Option<u32>,
    /// The will, for information: it is asked on its own afterwards.
    pub will: Option<PublishQuestion>,
    /// User properties in order.
    pub user_properties: Vec<UserProperty>,
}

/// Facts of a PUBLISH, or of a will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishQuestion {
    /// Topic name, alias resolved: valid UTF-8, not empty, no wildcards.
    pub topic: ByteString,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag. With a payload of size 0 it deletes the retained message.
    pub retain: bool,
    /// DUP flag; false for wills.
    pub dup: bool,
    /// Size of the payload in bytes.
    pub payload_size: usize,
    /// MQTT 5 content type.
    pub content_type: Option<ByteString>,
    /// MQTT 5 response topic.
    pub response_topic: Option<ByteString>,
    /// MQTT 5 user properties in order.
    pub user_properties: Vec<UserProperty>,
}

/// Facts of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeQuestion {
    /// At least one filter, in the order of the packet.
    pub filters: Vec<FilterQuestion>,
    /// MQTT 5 user properties in order.
    pub user_properties: Vec<UserProperty>,
    /// Whether it is asked again about subscriptions that stand
    /// ([`Gatekeeper::handle_recheck`](crate::Gatekeeper::handle_recheck)) rather than about a packet.
    /// There is no packet with a fate then: no [`Event::Settled`](crate::Event::Settled) follows.
    pub recheck: bool,
}

/// Facts of one filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterQuestion {
    /// Topic filter without a `$share/<name>/` prefix. It stands for all topics that it matches.
    pub filter: ByteString,
    /// Share name of a shared subscription.
    pub share_name: Option<ByteString>,
    /// Requested maximum QoS.
    pub qos: QoS,
    /// MQTT 5 No Local.
    pub no_local: bool,
    /// MQTT 5 Retain As Published.
    pub retain_as_published: bool,
    /// MQTT 5 Retain Handling, 0 to 2.
    pub retain_handling: u8,
}
