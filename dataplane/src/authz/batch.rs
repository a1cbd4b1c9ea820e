//! A batch while it is put together.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    call::Shipment,
    item::Item,
    message::Preamble,
    seat::{Account, Seat},
    wire,
};

/// Whose checks are in a batch, and how many in a row, in their order.
pub(super) type Seats = Vec<(Arc<Seat>, usize)>;

/// Checks that will travel together.
#[derive(Debug)]
pub(super) struct Batch<H> {
    items: Vec<Item<H>>,
    seats: Seats,
    accounts: Vec<Account>,
    bytes: usize,
    max_items: usize,
    max_bytes: usize,
}

impl<H> Batch<H> {
    /// An empty batch. Its first check has room whatever its size.
    pub(super) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self {
            items: Vec::new(),
            seats: Vec::new(),
            accounts: Vec::new(),
            bytes: 0,
            max_items,
            max_bytes,
        }
    }

    /// So many checks are waiting.
    pub(super) fn expect(&mut self, checks: usize) {
        self.items.reserve(checks.min(self.max_items));
    }

    pub(super) fn has_room_for(&self, item: &Item<H>) -> bool {
        let bytes = self.bytes.saturating_add(item.bytes);
        self.is_empty() || (self.items.len() < self.max_items && bytes <= self.max_bytes)
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.max_items || self.bytes >= self.max_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn push(&mut self, seat: &Arc<Seat>, item: Item<H>) {
        match self.seats.last_mut() {
            Some((last, count)) if Arc::ptr_eq(last, seat) => *count += 1,
            _ => self.seats.push((Arc::clone(seat), 1)),
        }
        self.bytes = self.bytes.saturating_add(item.bytes);
        self.items.push(item);
    }

    /// The call counts for this account.
    pub(super) fn count_for(&mut self, account: Account) {
        if !self.accounts.contains(&account) {
            self.accounts.push(account);
        }
    }

    /// Whose checks it has.
    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Those for whom the call counts.
    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Since when its first check has been waiting. `None`: it is empty.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.items.first().map(|item| item.queued_at)
    }

    /// How long the check has waited that has waited longest.
    pub(super) fn longest_wait(&self, now: Instant) -> Duration {
        let oldest = self.items.iter().map(|item| item.queued_at).min();
        oldest.map_or(Duration::ZERO, |oldest| {
            now.saturating_duration_since(oldest)
        })
    }

    /// The checks, whose sessions they are, and the accounts for which the call counts.
    pub(super) fn into_parts(self) -> (Vec<Item<H>>, Seats, Vec<Account>) {
        (self.items, self.seats, self.accounts)
    }
}

/// Whose the checks are, from the one with index `first` on, and how many in a row.
pub(super) fn runs(seats: &Seats, first: usize, checks: usize) -> Vec<(&Arc<Seat>, usize)> {
    let (mut before, mut left) = (first, checks);
    let mut runs = Vec::with_capacity(seats.len());
    for (seat, count) in seats {
        let own = count.saturating_sub(before).min(left);
        before = before.saturating_sub(*count);
        left -= own;
        if own > 0 {
            runs.push((seat, own));
        }
    }
    runs
}

/// The call that asks for these checks.
pub(super) fn shipment<H>(items: &[Item<H>], preamble: &Preamble) -> Shipment {
    let bytes = items.iter().map(|item| item.bytes).sum();
    let mut request = preamble.request(bytes);
    for (index, item) in items.iter().enumerate() {
        item.message.put(wire::item_id(index), &mut request);
    }
    let spans = items.iter().filter_map(|item| item.span.as_deref());
    Shipment {
        request: Bytes::from(request),
        size: items.len(),
        spans: spans.cloned().collect(),
        is_apart: false,
        // The most patient check decides how long the service may take; the others give up on their
        // own without taking it along.
        deadline: items
            .iter()
            .map(|item| item.deadline)
            .max()
            .unwrap_or_else(Instant::now),
    }
}
