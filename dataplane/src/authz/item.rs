//! A check in the queue of a lane.

use std::time::Duration;

use tokio::{sync::oneshot, time::Instant};
use tracing::Span;

use super::{
    failure::Cause,
    mailbox::{Ending, Letter},
    message::Message,
    seat::Seat,
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
    /// Of the check. `None`: nobody traces it.
    pub(super) span: Option<Box<Span>>,
    pub(super) queued_at: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: Reply,
}

/// Where its outcome goes.
#[derive(Debug)]
pub(super) enum Reply {
    /// To somebody who waits for it alone.
    Alone(oneshot::Sender<Outcome>),
    /// Into the mailbox of its session.
    Mailbox,
    /// Nowhere any more.
    Told,
}

impl<H> Item<H> {
    /// Whether nobody waits for it any more, or it has less time left than the margin.
    pub(super) fn is_stale(&self, margin: Duration, now: Instant, seat: &Seat) -> bool {
        self.deadline.saturating_duration_since(now) < margin || self.is_deserted(seat)
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_deserted(&self, seat: &Seat) -> bool {
        match &self.reply {
            Reply::Alone(reply) => reply.is_closed(),
            Reply::Mailbox => seat.mailbox().has_left(),
            Reply::Told => true,
        }
    }

    /// Waits for that.
    pub(super) async fn deserted(&mut self, seat: &Seat) {
        match &mut self.reply {
            Reply::Alone(reply) => reply.closed().await,
            Reply::Mailbox => seat.mailbox().left().await,
            Reply::Told => {}
        }
    }

    /// Its time is up before it was sent.
    pub(super) fn expire(&mut self, now: Instant, seat: &Seat) {
        let queued = now.saturating_duration_since(self.queued_at);
        self.answer(Ending::failed(Cause::ExpiredInQueue).after(queued, 0), seat);
    }

    /// Tells how it ended.
    pub(super) fn answer(&mut self, ending: Ending, seat: &Seat) {
        let mut letters = Vec::new();
        self.end(ending, &mut letters);
        if !letters.is_empty() {
            seat.mailbox().deliver(&mut letters);
        }
    }

    /// The same; a letter for the mailbox is left to be delivered.
    pub(super) fn end(&mut self, ending: Ending, letters: &mut Vec<Letter>) {
        match std::mem::replace(&mut self.reply, Reply::Told) {
            // Err: it was dropped by its owner. Then nobody has to be told.
            Reply::Alone(reply) => drop(reply.send(ending.into_outcome())),
            Reply::Mailbox => letters.push((self.message.sequence(), ending)),
            Reply::Told => {}
        }
    }
}
