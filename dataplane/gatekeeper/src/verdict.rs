//! The three answers that a question can get.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Instant,
};

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    question::{QoS, Secret, UserProperty},
    reason::ReasonCode,
};

/// What is known about a question in the end.
///
/// There is no `Default` and no conversion from `bool`: somebody has to say which of the three it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The service said yes.
    Allow(Allow),
    /// The service said no.
    Deny(Deny),
    /// Nobody decided. Never an allow, and never told to the client as a denial, unless asking again
    /// is pointless ([`Why::is_permanent`]).
    Unavailable(Why),
}

/// A yes, one arm per kind of question. An arm that does not fit its question is [`Why::InvalidResult`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// The client may connect.
    Connect(Box<ConnectAllow>),
    /// The message (or will) may be published; `None`: as it is.
    Publish(Option<Box<PublishChanges>>),
    /// The subscription may be made.
    Subscribe(SubscribeChanges),
}

impl Allow {
    /// A message or will that may be published as it is.
    pub const PUBLISH: Self = Self::Publish(None);
    /// A subscription that may be made as it was asked for.
    pub const SUBSCRIBE: Self = Self::Subscribe(SubscribeChanges::NONE);
}

/// What the service wants changed in a message or will. That each change is permitted was seen to
/// before; that the result is MQTT is seen to by the gatekeeper, and a change that makes it something
/// else is [`Why::InvalidMutation`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishChanges {
    /// Another topic name.
    pub topic: Option<ByteString>,
    /// Another payload; it may be empty. The Payload Format Indicator of the old one does not
    /// describe it and is removed, unless `payload_format_indicator` gives one.
    pub payload: Option<Bytes>,
    /// Payload Format Indicator of the other payload: `true` is UTF-8. Never without `payload`.
    pub payload_format_indicator: Option<bool>,
    /// Another RETAIN flag.
    pub retain: Option<bool>,
    /// Keys of user properties to remove, before any are added (MQTT 5).
    pub user_property_keys_to_remove: Vec<ByteString>,
    /// User properties to append (MQTT 5).
    pub user_properties_to_add: Vec<UserProperty>,
}

/// What the service wants changed in one subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscribeChanges {
    /// A lower maximum QoS. One above what the client asked for is [`Why::InvalidMutation`].
    pub max_qos: Option<QoS>,
    /// Another topic filter, without `$share/<name>/`. Only the client's own filter below the
    /// session's [`mount`](ConnectAllow::mount) can be mapped back on delivery; any other is
    /// [`Why::InvalidMutation`].
    pub filter: Option<ByteString>,
}

impl SubscribeChanges {
    /// As it was asked for.
    pub const NONE: Self = Self {
        max_qos: None,
        filter: None,
    };
}

/// What came with the permission to connect, as far as it concerns the bytes on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectAllow {
    /// Client identifier to use towards the broker. `None`: the client's own.
    pub broker_client_id: Option<ByteString>,
    /// User name to use towards the broker. `None`: the client's own.
    pub broker_username: Option<ByteString>,
    /// Password to use towards the broker. `None`: the client's own.
    pub broker_password: Option<Secret>,
    /// Connect without the will. It is not asked about then.
    pub drop_will: bool,
    /// Connect with Clean Start (Clean Session), whatever the client asked for.
    pub force_clean_start: bool,
    /// Upper bound of the Session Expiry Interval in seconds. On 3.x, which has none, 0 means a clean
    /// session, and any other value changes nothing.
    pub max_session_expiry: Option<u32>,
    /// Where the session's topics begin at the broker, with a `/` at its end: the client does not see
    /// it. The service puts it in front of topics and filters, the gate takes it from deliveries.
    /// It does not begin with `$`. A filter that is not rewritten must not match what stands below it,
    /// nor its name without the `/`. `None`: filters are not rewritten.
    pub mount: Option<ByteString>,
    /// When the session must end. `None`: no limit.
    pub expires_at: Option<Instant>,
    /// What the session may use.
    pub limits: SessionLimits,
}

/// Quotas of one session. Each only narrows what the operator allows; `None`: no opinion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionLimits {
    /// PUBLISH packets per second, with a burst of one second. More are not refused: the client is
    /// read more slowly.
    pub publish_per_second: Option<NonZeroU32>,
    /// Payload bytes of PUBLISH packets per second, with a burst of one second and one packet. More
    /// are not refused: the client is read more slowly.
    pub publish_bytes_per_second: Option<NonZeroU64>,
    /// Subscriptions held at once; one more is refused with 0x97 (0x80 on 3.1.1).
    pub max_subscriptions: Option<NonZeroU32>,
    /// Largest packet of the client in bytes, header included. An MQTT 5 client is told, and a larger
    /// one ends the session with 0x95.
    pub max_packet_size: Option<NonZeroU32>,
}

/// A no.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deny {
    /// The reason code that the service asked for, always at or above 0x80. `None`: the default of
    /// the packet, 0x87. It is mapped to a code that the answering packet may carry.
    pub code: Option<ReasonCode>,
    /// Reason String for an MQTT 5 client. Public.
    pub reason_string: Option<ByteString>,
    /// What to do with the client.
    pub action: DenyAction,
    /// Server Reference for 0x9C and 0x9D (MQTT 5, CONNACK and DISCONNECT).
    pub server_reference: Option<ByteString>,
}

/// What a denial does to the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DenyAction {
    /// As configured for the kind of packet.
    #[default]
    Configured,
    /// Refuse the packet, keep the connection.
    Reject,
    /// Close the connection, on MQTT 5 with a DISCONNECT.
    Disconnect,
    /// Acknowledge as a success and forward nothing (PUBLISH only).
    Drop,
}

/// Why nobody decided: a closed, low-cardinality vocabulary for logs, spans and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// No answer within the deadline.
    Timeout,
    /// The service could not be reached, or the connection broke in mid-call.
    Unavailable,
    /// The service answered with a gRPC status other than OK.
    GrpcStatus,
    /// The service said that it could not decide.
    ServiceFailure,
    /// The service is shedding load.
    Overloaded,
    /// The service cannot read the session state that it gave out; the session has to start afresh.
    SessionStateInvalid,
    /// The service says that the check itself is malformed; asking again is pointless.
    InvalidCheck,
    /// The answer held no result for the check.
    MissingResult,
    /// The result held no decision, one of another kind, or the check had two results.
    InvalidResult,
    /// The service changed something that it may not change, or into something that is not MQTT.
    InvalidMutation,
    /// The time of the check was up before it could be sent.
    ExpiredInQueue,
    /// The queue of checks is full.
    QueueFull,
    /// It was not asked, to spare a service that is overloaded.
    Throttled,
    /// The check is larger than a request may be.
    TooLarge,
    /// The data plane is shutting down.
    ShuttingDown,
}

impl Why {
    /// The word for it in logs, spans and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::GrpcStatus => "grpc_status",
            Self::ServiceFailure => "service_failure",
            Self::Overloaded => "overloaded",
            Self::SessionStateInvalid => "session_state_invalid",
            Self::InvalidCheck => "invalid_check",
            Self::MissingResult => "missing_result",
            Self::InvalidResult => "invalid_result",
            Self::InvalidMutation => "invalid_mutation",
            Self::ExpiredInQueue => "expired_in_queue",
            Self::QueueFull => "queue_full",
            Self::Throttled => "throttled",
            Self::TooLarge => "too_large",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// Whether the same question would fail for ever. Such a client is denied, so that it does not
    /// come back in a loop.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::InvalidCheck | Self::TooLarge)
    }

    /// Whether it is the load that stood in the way: "busy" rather than "unavailable".
    #[must_use]
    pub fn is_overload(self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::QueueFull | Self::ExpiredInQueue | Self::Throttled
        )
    }
}
