//! The three answers that a question can get.

use std::time::Instant;

use bytestring::ByteString;

use crate::reason::ReasonCode;

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
    /// The message (or will) may be published.
    Publish,
    /// The subscription may be made.
    Subscribe,
}

/// What came with the permission to connect, as far as it concerns the bytes on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectAllow {
    /// Client identifier to use towards the broker. `None`: the client's own.
    pub broker_client_id: Option<ByteString>,
    /// When the session must end. `None`: no limit.
    pub expires_at: Option<Instant>,
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
            Self::Overloaded | Self::QueueFull | Self::ExpiredInQueue
        )
    }
}
