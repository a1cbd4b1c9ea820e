//! The closed vocabulary of endings: one word for log field, metric label and span attribute, who
//! caused it, and what an MQTT 5 client is told.

#[cfg(test)]
mod tests;

use crate::{reason::ReasonCode, rules::Rules, verdict::Why, violation::Violation};

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client sent DISCONNECT.
    ClientDisconnect,
    /// The client's connection ended without DISCONNECT.
    ClientGone,
    /// Nothing came from the client for one and a half times the keep alive [MQTT-3.1.2-22].
    KeepAliveTimeout,
    /// No complete CONNECT in time.
    HandshakeTimeout,
    /// The first packet was not one of MQTT.
    NotMqtt,
    /// A protocol version that the gate does not speak.
    UnsupportedVersion,
    /// An enhanced authentication method was asked for.
    BadAuthenticationMethod,
    /// An empty client identifier without a clean session [3.1.1: MQTT-3.1.3-8].
    ClientIdentifierRejected,
    /// The client broke the protocol.
    ClientViolation(Violation),
    /// The client broke the rules of WebSocket, and was told by a Close with this code (RFC 6455, 7.4.1).
    WebSocketViolation(u16),
    /// The client stopped reading.
    ClientStalled,
    /// The client began a packet and did not complete it in time.
    PacketTimeout,
    /// The broker could not be reached.
    BrokerUnreachable,
    /// The broker did not answer the CONNECT in time.
    BrokerTimeout,
    /// The broker refused the CONNECT.
    BrokerRefused,
    /// The broker's connection ended.
    BrokerGone,
    /// The broker sent DISCONNECT.
    BrokerDisconnect,
    /// The broker did not answer a PINGREQ in time, or stopped reading.
    BrokerUnresponsive,
    /// The broker broke the protocol.
    BrokerViolation(Violation),
    /// The service denied the CONNECT.
    ConnectDenied,
    /// The service denied the will, or the operator does: a will on a topic that begins with `$`.
    WillDenied,
    /// The service denied a PUBLISH, and that closes.
    PublishDenied,
    /// The service denied a filter, and that closes.
    SubscribeDenied,
    /// The time that the service gave the session is up.
    Expired,
    /// Nobody decided about the CONNECT.
    ConnectUndecided(Why),
    /// Nobody decided about the will.
    WillUndecided(Why),
    /// Nobody decided about a PUBLISH, and that closes.
    PublishUndecided(Why),
    /// Nobody decided about a SUBSCRIBE, and that closes.
    SubscribeUndecided(Why),
    /// The service can't read its own session state: the client has to connect afresh.
    SessionStateInvalid,
    /// The service ended the session, or a subscription of it that the gate can't end alone.
    Revoked,
    /// This instance is shutting down.
    Drain,
}

/// Whose doing an ending was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The client.
    Client,
    /// The broker.
    Broker,
    /// The authorization service, by not deciding, or by ending what it had allowed.
    Authz,
    /// The policy, by deciding.
    Policy,
    /// The gate itself.
    Gate,
}

impl Party {
    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Broker => "broker",
            Self::Authz => "authz",
            Self::Policy => "policy",
            Self::Gate => "gate",
        }
    }
}

impl CloseReason {
    /// All the words that [`as_str`](Self::as_str) has.
    pub const NAMES: [&'static str; 31] = [
        "client_disconnect",
        "client_gone",
        "keep_alive_timeout",
        "handshake_timeout",
        "not_mqtt",
        "unsupported_version",
        "bad_authentication_method",
        "client_identifier_rejected",
        "client_violation",
        "websocket_violation",
        "client_stalled",
        "packet_timeout",
        "broker_unreachable",
        "broker_timeout",
        "broker_refused",
        "broker_gone",
        "broker_disconnect",
        "broker_unresponsive",
        "broker_violation",
        "connect_denied",
        "will_denied",
        "publish_denied",
        "subscribe_denied",
        "expired",
        "connect_undecided",
        "will_undecided",
        "publish_undecided",
        "subscribe_undecided",
        "session_state_invalid",
        "revoked",
        "drain",
    ];

    /// The word for it in logs, spans and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "client_disconnect",
            Self::ClientGone => "client_gone",
            Self::KeepAliveTimeout => "keep_alive_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NotMqtt => "not_mqtt",
            Self::UnsupportedVersion => "unsupported_version",
            Self::BadAuthenticationMethod => "bad_authentication_method",
            Self::ClientIdentifierRejected => "client_identifier_rejected",
            Self::ClientViolation(_) => "client_violation",
            Self::WebSocketViolation(_) => "websocket_violation",
            Self::ClientStalled => "client_stalled",
            Self::PacketTimeout => "packet_timeout",
            Self::BrokerUnreachable => "broker_unreachable",
            Self::BrokerTimeout => "broker_timeout",
            Self::BrokerRefused => "broker_refused",
            Self::BrokerGone => "broker_gone",
            Self::BrokerDisconnect => "broker_disconnect",
            Self::BrokerUnresponsive => "broker_unresponsive",
            Self::BrokerViolation(_) => "broker_violation",
            Self::ConnectDenied => "connect_denied",
            Self::WillDenied => "will_denied",
            Self::PublishDenied => "publish_denied",
            Self::SubscribeDenied => "subscribe_denied",
            Self::Expired => "expired",
            Self::ConnectUndecided(_) => "connect_undecided",
            Self::WillUndecided(_) => "will_undecided",
            Self::PublishUndecided(_) => "publish_undecided",
            Self::SubscribeUndecided(_) => "subscribe_undecided",
            Self::SessionStateInvalid => "session_state_invalid",
            Self::Revoked => "revoked",
            Self::Drain => "drain",
        }
    }

    /// Whose doing it was.
    #[must_use]
    pub fn party(self) -> Party {
        match self {
            Self::ClientDisconnect
            | Self::ClientGone
            | Self::KeepAliveTimeout
            | Self::HandshakeTimeout
            | Self::NotMqtt
            | Self::UnsupportedVersion
            | Self::BadAuthenticationMethod
            | Self::ClientIdentifierRejected
            | Self::ClientViolation(_)
            | Self::WebSocketViolation(_)
            | Self::ClientStalled
            | Self::PacketTimeout => Party::Client,
            Self::BrokerUnreachable
            | Self::BrokerTimeout
            | Self::BrokerRefused
            | Self::BrokerGone
            | Self::BrokerDisconnect
            | Self::BrokerUnresponsive
            | Self::BrokerViolation(_) => Party::Broker,
            Self::ConnectDenied
            | Self::WillDenied
            | Self::PublishDenied
            | Self::SubscribeDenied
            | Self::Expired => Party::Policy,
            Self::ConnectUndecided(_)
            | Self::WillUndecided(_)
            | Self::PublishUndecided(_)
            | Self::SubscribeUndecided(_)
            | Self::SessionStateInvalid
            | Self::Revoked => Party::Authz,
            Self::Drain => Party::Gate,
        }
    }

    /// More about it, for the log.
    #[must_use]
    pub fn detail(self) -> Option<Detail> {
        match self {
            Self::ClientViolation(violation) | Self::BrokerViolation(violation) => {
                Some(Detail::Violation(violation))
            }
            Self::WebSocketViolation(code) => Some(Detail::CloseCode(code)),
            Self::ConnectUndecided(why)
            | Self::WillUndecided(why)
            | Self::PublishUndecided(why)
            | Self::SubscribeUndecided(why) => Some(Detail::Why(why)),
            _ => None,
        }
    }

    /// Whether it is one of those of which an outage of the service makes many at a time.
    pub(crate) fn needs_permit(self) -> bool {
        matches!(
            self,
            Self::PublishUndecided(_) | Self::SubscribeUndecided(_) | Self::SessionStateInvalid
        )
    }

    /// Whether the operator wants no will published after this ending. It is not for the gate to say
    /// after the client's own DISCONNECT, and cannot be said to a broker that is gone.
    pub(crate) fn suppresses_will(self, rules: &Rules) -> bool {
        let too_late = matches!(
            self,
            Self::ClientDisconnect | Self::BrokerGone | Self::BrokerDisconnect
        );
        !too_late && rules.suppress_will_on.contains(&self.as_str())
    }

    /// The code of the DISCONNECT that an MQTT 5 client hears after its CONNACK; `None` where a
    /// bare close is right, because the client has left or was told otherwise, or the broker closed without a word.
    pub(crate) fn disconnect_code(self) -> Option<ReasonCode> {
        match self {
            Self::KeepAliveTimeout => Some(ReasonCode::KEEP_ALIVE_TIMEOUT),
            Self::ClientViolation(violation) => Some(violation.code),
            Self::ClientStalled => Some(ReasonCode::QUOTA_EXCEEDED),
            Self::PacketTimeout | Self::BrokerUnresponsive | Self::BrokerViolation(_) => {
                Some(ReasonCode::UNSPECIFIED_ERROR)
            }
            Self::PublishDenied | Self::SubscribeDenied => Some(ReasonCode::NOT_AUTHORIZED),
            Self::Expired => Some(ReasonCode::MAXIMUM_CONNECT_TIME),
            Self::PublishUndecided(_) | Self::SubscribeUndecided(_) => {
                Some(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR)
            }
            Self::SessionStateInvalid | Self::Revoked => Some(ReasonCode::ADMINISTRATIVE_ACTION),
            Self::Drain => Some(ReasonCode::SERVER_SHUTTING_DOWN),
            Self::ClientDisconnect
            | Self::ClientGone
            | Self::WebSocketViolation(_)
            | Self::HandshakeTimeout
            | Self::NotMqtt
            | Self::UnsupportedVersion
            | Self::BadAuthenticationMethod
            | Self::ClientIdentifierRejected
            | Self::BrokerUnreachable
            | Self::BrokerTimeout
            | Self::BrokerRefused
            | Self::BrokerGone
            | Self::BrokerDisconnect
            | Self::ConnectDenied
            | Self::WillDenied
            | Self::ConnectUndecided(_)
            | Self::WillUndecided(_) => None,
        }
    }
}

/// More about an ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What was broken, and the statement of the specification.
    Violation(Violation),
    /// The code of the Close.
    CloseCode(u16),
    /// Why nobody decided.
    Why(Why),
}

impl std::fmt::Display for Detail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::CloseCode(code) => code.fmt(f),
            Self::Why(why) => f.write_str(why.as_str()),
        }
    }
}
