//! What the tests of this module share.

pub(super) mod server;
pub(super) mod service;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use gatekeeper::{Allow, Verdict};
use tidegate_proto::v1;
use tokio::time::Instant;
use tracing::Span;

use super::{
    AuthzOptions, Check, Context, Decision, Facts, Known, Who, hook,
    message::{Body, Message, Preamble, SessionBytes},
    seat::Seat,
};

/// The settings for services at these addresses.
pub(super) fn options(addresses: impl IntoIterator<Item = SocketAddr>) -> AuthzOptions {
    let endpoints = addresses.into_iter();
    let endpoints = endpoints.map(|address| format!("http://{address}").parse().unwrap());
    AuthzOptions {
        endpoints: endpoints.collect(),
        ..AuthzOptions::default()
    }
}

/// A PUBLISH with a deadline in one second.
pub(super) fn publish(topic: &str) -> Check<hook::Publish> {
    Check {
        message: message(&v1::PublishCheck {
            topic: topic.to_owned(),
            ..v1::PublishCheck::default()
        }),
        context: context(topic, Duration::from_secs(1)),
    }
}

/// A check of a session that says nothing about itself.
pub(super) fn message<H>(body: &impl Body<H>) -> Message<H> {
    Message::new(1, SystemTime::UNIX_EPOCH, &SessionBytes::default(), body)
}

/// The check with this number of a session that says nothing about itself.
pub(super) fn numbered(sequence: u64, topic: &str) -> Message<hook::Publish> {
    let body = v1::PublishCheck {
        topic: topic.to_owned(),
        ..v1::PublishCheck::default()
    };
    let session = SessionBytes::default();
    Message::new(sequence, SystemTime::UNIX_EPOCH, &session, &body)
}

/// The request of these checks.
pub(super) fn request<H>(messages: Vec<Message<H>>) -> Bytes {
    let mut request = Preamble::default().request(0);
    for (message, item_id) in messages.into_iter().zip(1..) {
        message.put(item_id, &mut request);
    }
    request.into()
}

pub(super) fn context(topic: &str, time_limit: Duration) -> Context {
    Context {
        asked_at: Instant::now(),
        deadline: Instant::now() + time_limit,
        span: Span::none(),
        seat: Arc::new(Seat::new(Ipv4Addr::LOCALHOST.into())),
        who: Arc::new(Who {
            session_id: "session".to_owned(),
            client_id: "client".to_owned(),
            username: Some("alice".to_owned()),
            principal: "alice".to_owned(),
        }),
        topic: topic.into(),
        packet_bytes: 0,
        mount: None,
        known: Known::default(),
    }
}

/// An allowed PUBLISH.
pub(super) fn allowed() -> Decision {
    Decision {
        verdict: Verdict::Allow(Allow::PUBLISH),
        identity: None,
        facts: Facts::default(),
        decided_at: Instant::now(),
    }
}

/// A result for the check with this id.
pub(super) fn result(
    item_id: u32,
    decision: impl Into<Option<v1::publish_result::Decision>>,
) -> v1::PublishResult {
    v1::PublishResult {
        metadata: Some(v1::ResultMetadata {
            item_id,
            ..v1::ResultMetadata::default()
        }),
        decision: decision.into(),
    }
}

/// A plain yes.
pub(super) fn yes() -> v1::publish_result::Decision {
    v1::publish_result::Decision::Allow(v1::PublishAllow::default())
}

/// A plain no.
pub(super) fn no() -> v1::publish_result::Decision {
    v1::publish_result::Decision::Deny(v1::Deny::default())
}
