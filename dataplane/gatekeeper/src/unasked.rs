//! What the gate refuses by itself, so that nobody is asked: a closed vocabulary for logs and metrics.

use crate::reason::ReasonCode;

/// Why a packet of the client, or one filter of it, was refused and nobody was asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unasked {
    /// A PUBLISH to a topic that the broker keeps for itself
    /// ([`Rules::reserved_topics`](crate::Rules::reserved_topics)).
    ReservedTopic,
    /// A filter to which the broker gives a meaning of its own
    /// ([`Rules::reserved_filters`](crate::Rules::reserved_filters)).
    ReservedFilter,
    /// A PUBLISH to a topic with too many levels.
    TopicLevels,
    /// A filter with too many levels or wildcards, or a `$share` that no two brokers read alike.
    Filter,
    /// More subscriptions than one connection may have.
    Subscriptions,
    /// A PUBLISH whose payload is not the UTF-8 that it is said to be.
    PayloadFormat,
}

impl Unasked {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ReservedTopic,
        Self::ReservedFilter,
        Self::TopicLevels,
        Self::Filter,
        Self::Subscriptions,
        Self::PayloadFormat,
    ];

    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReservedTopic => "reserved_topic",
            Self::ReservedFilter => "reserved_filter",
            Self::TopicLevels => "topic_levels",
            Self::Filter => "filter",
            Self::Subscriptions => "subscriptions",
            Self::PayloadFormat => "payload_format",
        }
    }

    /// What an MQTT 5 client is told. The packet is well formed: it is only not accepted.
    pub(crate) fn code(self) -> ReasonCode {
        match self {
            // A denial, as Mosquitto says it.
            Self::ReservedTopic => ReasonCode::NOT_AUTHORIZED,
            Self::TopicLevels => ReasonCode::TOPIC_NAME_INVALID,
            Self::ReservedFilter | Self::Filter => ReasonCode::TOPIC_FILTER_INVALID,
            Self::Subscriptions => ReasonCode::QUOTA_EXCEEDED,
            Self::PayloadFormat => ReasonCode::PAYLOAD_FORMAT_INVALID,
        }
    }
}
