//! A batch while it gathers, and while it is under way.

use std::{future::Future, marker::PhantomData, sync::Arc, time::Duration};

use tokio::{select, sync::oneshot, time::Instant};
use tracing::warn;

use crate::log_limit::LogLimit;

use super::{
    call::Shipment,
    counters::Counters,
    failure::{Cause, Failure},
    hook::Hook,
    lane::{Item, Settings},
    wire::{self, Outcome},
};

/// Checks that will travel together.
#[derive(Debug)]
pub(super) struct Batch<C> {
    items: Vec<Item<C>>,
    bytes: usize,
    max_items: usize,
    max_bytes: usize,
}

impl<C> Batch<C> {
    /// A batch of one check, whatever its size.
    pub(super) fn new(first: Item<C>, max_items: usize, max_bytes: usize) -> Self {
        Self {
            bytes: first.bytes,
            items: vec![first],
            max_items,
            max_bytes,
        }
    }

    pub(super) fn has_room_for(&self, item: &Item<C>) -> bool {
        let bytes = self.bytes.saturating_add(item.bytes);
        self.items.is_empty() || (self.items.len() < self.max_items && bytes <= self.max_bytes)
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.max_items || self.bytes >= self.max_bytes
    }

    pub(super) fn push(&mut self, item: Item<C>) {
        self.bytes = self.bytes.saturating_add(item.bytes);
        self.items.push(item);
    }

    /// Drops what nobody waits for any more, and fails what has less time left than the margin.
    pub(super) fn drop_stale(&mut self, now: Instant, margin: Duration) {
        let stale = |item: &mut Item<C>| {
            item.reply.is_closed() || item.deadline.saturating_duration_since(now) < margin
        };
        for item in self.items.extract_if(.., stale) {
            self.bytes = self.bytes.saturating_sub(item.bytes);
            let mut failure = Failure::from(Cause::ExpiredInQueue);
            failure.facts.queued = now.saturating_duration_since(item.queued_at);
            // Err: it was dropped by its owner. Then nobody has to be told.
            let _ = item.reply.send(Err(Box::new(failure)));
        }
    }

    /// Since when its first check has been waiting. `None`: it is empty.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.items.first().map(|item| item.queued_at)
    }

    /// Parts what travels from those who wait for it. The places in the queue are free again.
    pub(super) fn depart<H: Hook<Check = C>>(self, now: Instant) -> (Shipment<C>, Vec<Waiter>) {
        let count = self.items.len();
        let mut shipment = Shipment {
            checks: Vec::with_capacity(count),
            spans: Vec::new(),
            deadline: now,
        };
        let mut waiters = Vec::with_capacity(count);
        for (index, mut item) in self.items.into_iter().enumerate() {
            H::metadata(&mut item.check).item_id = wire::item_id(index);
            shipment.checks.push(item.check);
            // The most patient check decides how long the service may take; the others give up on
            // their own without taking it along.
            shipment.deadline = shipment.deadline.max(item.deadline);
            if !item.span.is_disabled() {
                shipment.spans.push(item.span);
            }
            drop(item.place);
            waiters.push(Waiter {
                reply: item.reply,
                queued: now.saturating_duration_since(item.queued_at),
            });
        }
        (shipment, waiters)
    }
}

/// Somebody who waits for the answer to one check of a call.
#[derive(Debug)]
pub(super) struct Waiter {
    reply: oneshot::Sender<Outcome>,
    queued: Duration,
}

/// A batch under way.
pub(super) struct Flight<H> {
    pub(super) waiters: Vec<Waiter>,
    pub(super) departed_at: Instant,
    pub(super) settings: Arc<Settings>,
    pub(super) counters: Arc<Counters>,
    pub(super) complaints: Arc<LogLimit>,
    pub(super) hook: PhantomData<fn() -> H>,
}

/// What a call that ended has to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Landed {
    /// The service answered.
    Answered {
        /// After this long.
        took: Duration,
        /// This many checks.
        size: usize,
    },
    /// It did not.
    Failed,
    /// Nobody waited for it any more.
    Abandoned,
}

impl<H: Hook> Flight<H> {
    /// Awaits the call and answers each check. If nobody waits any more, the call is dropped, which
    /// cancels it at the service, too.
    pub(super) async fn fly<F>(mut self, call: F) -> Landed
    where
        F: Future<Output = Result<Vec<H::Result>, Cause>>,
    {
        let ended = select! {
            biased;
            ended = call => ended,
            () = all_gone(&mut self.waiters) => return Landed::Abandoned,
        };
        match ended {
            Ok(results) => {
                let landed = Landed::Answered {
                    took: self.departed_at.elapsed(),
                    size: self.waiters.len(),
                };
                self.deliver(results);
                landed
            }
            Err(cause) => {
                self.counters.hook(H::KIND).calls_failed.add(1);
                self.answer(|| Err(cause.clone().into()));
                Landed::Failed
            }
        }
    }

    fn deliver(self, results: Vec<H::Result>) {
        let matched = wire::match_results::<H>(self.waiters.len(), results, &self.settings.rules);
        if matched.unknown_items > 0 {
            let count = matched.unknown_items;
            self.counters.protocol_errors.unknown_item.add(count);
            if let Some(suppressed) = self.complaints.permit() {
                warn!(
                    hook = %H::KIND,
                    count,
                    suppressed,
                    "the service answered checks that it was not asked; ignored"
                );
            }
        }
        let mut outcomes = matched.outcomes.into_iter();
        self.answer(|| {
            outcomes
                .next()
                .unwrap_or_else(|| Err(Cause::MissingResult.into()))
        });
    }

    fn answer(self, mut outcome: impl FnMut() -> Outcome) {
        let batch_size = self.waiters.len();
        for waiter in self.waiters {
            let mut outcome = outcome();
            let facts = match &mut outcome {
                Ok(decision) => &mut decision.facts,
                Err(failure) => &mut failure.facts,
            };
            facts.queued = waiter.queued;
            facts.batch_size = batch_size;
            // Err: its owner dropped it meanwhile.
            let _ = waiter.reply.send(outcome);
        }
    }
}

async fn all_gone(waiters: &mut [Waiter]) {
    for waiter in waiters {
        waiter.reply.closed().await;
    }
}
