//! A check in the queue of a lane.

use std::time::Duration;

use tokio::{sync::oneshot, time::Instant};
use tracing::Span;

use super::{
    failure::{Cause, Failure},
    message::Message,
    wire::Outcome,
};

/// A check, and whom to tell.
#[derive(Debug)]
pub(super) struct Item<H> {
    pub(super) message: Message<H>,
    /// Bytes that it adds to a request.
    pub(super) bytes: usize,
    /// What it uses of the room; the queue's business.
    pub(super) weight: usize,
    pub(super) span: Span,
    pub(super) queued_at: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Outcome>,
}

impl<H> Item<H> {
    /// Whether nobody waits for it any more, or it has less time left than the margin.
    pub(super) fn is_stale(&self, margin: Duration, now: Instant) -> bool {
        self.deadline.saturating_duration_since(now) < margin || self.reply.is_closed()
    }

    /// Its time is up before it was sent.
    pub(super) fn expire(self, now: Instant) {
        let mut failure = Failure::from(Cause::ExpiredInQueue);
        failure.facts.queued = now.saturating_duration_since(self.queued_at);
        // Err: it was dropped by its owner. Then nobody has to be told.
        let _ = self.reply.send(Err(Box::new(failure)));
    }
}
