//! One event as it travels.

use std::{fmt, time::SystemTime};

use bytes::Bytes;
use gatekeeper::{CloseReason, QoS};
use prost::Message as _;
use prost_types::Timestamp;
use tidegate_proto::v1::{self, EventKind};

/// An encoded [`v1::Session`], shared by the events of the session.
#[derive(Clone, Default)]
pub(crate) struct SessionField(pub(super) Bytes);

impl SessionField {
    /// Of this session, with its state or without.
    pub(crate) fn new(session: &v1::Session, with_state: bool) -> Self {
        let mut session = session.clone();
        if !with_state {
            session.session_state.clear();
        }
        Self(session.encode_to_vec().into())
    }
}

impl fmt::Debug for SessionField {
    /// The session's state may be a bearer token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes, redacted>", self.0.len())
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// The broker accepted the connection.
    Connected,
    /// A PUBLISH was sent to the broker.
    Published {
        topic: Bytes,
        qos: QoS,
        payload_size: u32,
    },
    /// The broker granted a subscription.
    Subscribed { filter: Bytes, qos: QoS },
    /// A subscription ended.
    Unsubscribed { filter: Bytes },
    /// The connection ended.
    Disconnected { cause: CloseReason },
    /// A directive was carried out.
    DirectiveApplied { resume_token: String },
}

impl Happened {
    /// The contract's word for it.
    pub(super) fn kind(&self) -> EventKind {
        match self {
            Self::Connected => EventKind::Connected,
            Self::Published { .. } => EventKind::Published,
            Self::Subscribed { .. } => EventKind::Subscribed,
            Self::Unsubscribed { .. } => EventKind::Unsubscribed,
            Self::Disconnected { .. } => EventKind::Disconnected,
            Self::DirectiveApplied { .. } => EventKind::DirectiveApplied,
        }
    }
}

/// A [`v1::Event`] on the memory of others. Bytes where that has a message and strings: they look the same
/// on the wire, and what comes here was read as UTF-8.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct Record {
    #[prost(bytes = "bytes", optional, tag = "1")]
    session: Option<Bytes>,
    #[prost(enumeration = "EventKind", tag = "2")]
    kind: i32,
    #[prost(message, optional, tag = "3")]
    occurred_at: Option<Timestamp>,
    #[prost(bytes = "bytes", tag = "4")]
    topic: Bytes,
    #[prost(uint32, tag = "5")]
    qos: u32,
    #[prost(uint32, tag = "6")]
    payload_size: u32,
    #[prost(string, tag = "7")]
    cause: String,
    #[prost(string, tag = "8")]
    resume_token: String,
}

/// A [`v1::ReportEventsRequest`] of encoded events.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct Batch {
    #[prost(message, optional, tag = "1")]
    data_plane: Option<v1::DataPlane>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    events: Vec<Bytes>,
    #[prost(uint64, tag = "3")]
    dropped_count: u64,
}

impl fmt::Debug for Record {
    /// The session may be told with its state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("kind", &self.kind)
            .field("occurred_at", &self.occurred_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("events", &self.events.len())
            .field("dropped_count", &self.dropped_count)
            .finish_non_exhaustive()
    }
}

impl Record {
    pub(super) fn new(session: Bytes, happened: Happened, at: SystemTime) -> Self {
        let mut record = Self {
            session: (!session.is_empty()).then_some(session),
            kind: happened.kind().into(),
            occurred_at: Some(at.into()),
            ..Self::default()
        };
        match happened {
            Happened::Connected => {}
            Happened::Published {
                topic,
                qos,
                payload_size,
            } => {
                record.topic = topic;
                record.qos = qos as u32;
                record.payload_size = payload_size;
            }
            Happened::Subscribed { filter, qos } => {
                record.topic = filter;
                record.qos = qos as u32;
            }
            Happened::Unsubscribed { filter } => record.topic = filter,
            Happened::Disconnected { cause } => record.cause = cause.as_str().to_owned(),
            Happened::DirectiveApplied { resume_token } => record.resume_token = resume_token,
        }
        record
    }

    /// A copy: what it was made of may be a part of something large.
    pub(super) fn encode(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

/// A report of encoded events.
pub(super) fn report(data_plane: &v1::DataPlane, events: &[Bytes], dropped_count: u64) -> Bytes {
    let batch = Batch {
        data_plane: Some(data_plane.clone()),
        events: events.to_vec(),
        dropped_count,
    };
    batch.encode_to_vec().into()
}
