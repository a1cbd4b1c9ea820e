//! The part about what the service is told afterwards.

use serde::{Deserialize, Serialize};
use tidegate_proto::v1;
use tidegate_settings::text;

use crate::authz::Target;

/// What the service is told after it happened (`EventService`).
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Whether anything is told.
    pub enabled: bool,
    /// Where, as `authz.endpoint`. Absent: where decisions are made; only there sessions are told with
    /// the state that the service gave them. TLS is that of `authz.tls`.
    pub endpoint: Option<Target>,
    /// What is told.
    pub kinds: Vec<EventKind>,
    /// Events that may wait; of more, the oldest are lost.
    pub queue_events: usize,
    /// Bytes of events that may wait.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub queue_bytes: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            enabled: false,
            endpoint: None,
            kinds: vec![
                EventKind::Connected,
                EventKind::Subscribed,
                EventKind::Unsubscribed,
                EventKind::Disconnected,
                EventKind::DirectiveApplied,
            ],
            queue_events: 10_000,
            queue_bytes: 8 * 1024 * 1024,
        }
    }
}

/// What can be told.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The broker has accepted a session.
    Connected,
    /// A PUBLISH has gone to the broker.
    Published,
    /// The broker has granted a subscription.
    Subscribed,
    /// A subscription has ended.
    Unsubscribed,
    /// A session has ended.
    Disconnected,
    /// A directive was carried out.
    DirectiveApplied,
}

impl From<EventKind> for v1::EventKind {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Connected => Self::Connected,
            EventKind::Published => Self::Published,
            EventKind::Subscribed => Self::Subscribed,
            EventKind::Unsubscribed => Self::Unsubscribed,
            EventKind::Disconnected => Self::Disconnected,
            EventKind::DirectiveApplied => Self::DirectiveApplied,
        }
    }
}
