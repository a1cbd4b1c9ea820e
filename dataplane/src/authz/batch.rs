//! A batch while it is put together.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};
use tracing::Span;

use super::{
    call::Shipment,
    item::Item,
    message::{Message, Preamble},
    seat::Seat,
    wire::{self, Outcome},
};

/// Whose checks are in a batch, and how many in a row, in their order.
pub(super) type Seats = Vec<(Arc<Seat>, usize)>;

/// Checks for which a batch has room from the beginning.
const USUAL: usize = 64;

/// Checks that will travel together.
#[derive(Debug)]
pub(super) struct Batch<H> {
    waiters: Vec<Waiter<H>>,
    seats: Seats,
    bytes: usize,
    max_items: usize,
    max_bytes: usize,
}

/// Somebody who waits for the answer to one check of a batch.
#[derive(Debug)]
pub(super) struct Waiter<H> {
    pub(super) message: Message<H>,
    pub(super) span: Span,
    pub(super) queued_at: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Outcome>,
}

impl<H> Batch<H> {
    /// An empty batch. Its first check has room whatever its size.
    pub(super) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self {
            waiters: Vec::with_capacity(max_items.min(USUAL)),
            seats: Vec::new(),
            bytes: 0,
            max_items,
            max_bytes,
        }
    }

    pub(super) fn has_room_for(&self, item: &Item<H>) -> bool {
        let bytes = self.bytes.saturating_add(item.bytes);
        self.is_empty() || (self.waiters.len() < self.max_items && bytes <= self.max_bytes)
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiters.len() >= self.max_items || self.bytes >= self.max_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn push(&mut self, seat: &Arc<Seat>, item: Item<H>) {
        match self.seats.last_mut() {
            Some((last, count)) if Arc::ptr_eq(last, seat) => *count += 1,
            _ => self.seats.push((Arc::clone(seat), 1)),
        }
        self.bytes = self.bytes.saturating_add(item.bytes);
        self.waiters.push(Waiter {
            message: item.message,
            span: item.span,
            queued_at: item.queued_at,
            deadline: item.deadline,
            reply: item.reply,
        });
    }

    /// Since when its first check has been waiting. `None`: it is empty.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiters.first().map(|waiter| waiter.queued_at)
    }

    /// How long the check has waited that has waited longest.
    pub(super) fn longest_wait(&self, now: Instant) -> Duration {
        let oldest = self.waiters.iter().map(|waiter| waiter.queued_at).min();
        oldest.map_or(Duration::ZERO, |oldest| {
            now.saturating_duration_since(oldest)
        })
    }

    /// Those who wait, and whose sessions they are.
    pub(super) fn into_parts(self) -> (Vec<Waiter<H>>, Seats) {
        (self.waiters, self.seats)
    }
}

/// The call that asks for these checks.
pub(super) fn shipment<H>(waiters: &mut [Waiter<H>], preamble: &Preamble) -> Shipment {
    let bytes = waiters
        .iter()
        .map(|waiter| waiter.message.encoded_len())
        .sum();
    let mut request = preamble.request(bytes);
    for (index, waiter) in waiters.iter_mut().enumerate() {
        waiter.message.put(wire::item_id(index), &mut request);
    }
    let sampled = waiters.iter().map(|waiter| &waiter.span);
    Shipment {
        request: Bytes::from(request),
        size: waiters.len(),
        spans: sampled
            .filter(|span| !span.is_disabled())
            .cloned()
            .collect(),
        // The most patient check decides how long the service may take; the others give up on their
        // own without taking it along.
        deadline: waiters
            .iter()
            .map(|waiter| waiter.deadline)
            .max()
            .unwrap_or_else(Instant::now),
    }
}
