//! The memory that the decisions of all sessions take together, and who takes how much of it.
//!
//! A session that is idle does not look at what it keeps, so others do when there is no room: what is of no
//! use to anybody goes first. What is of use stays with its session; but from three quarters on, nobody with a
//! quarter for himself (a principal, with however many sessions) gets more.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::time::Instant;

use crate::authz::{
    counters::CacheCounters,
    seat::{Account, ById, Seat},
};

/// Sessions that are looked at when there is no room.
const SWEPT: usize = 4;

/// Where sessions keep their decisions. Locked after the decisions of a session.
#[derive(Debug, Default)]
pub(in crate::authz) struct Store(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Bytes of those who have any.
    taken: ById<Account, usize>,
    /// Sessions that keep something, or did; who was looked at last is the last.
    seats: VecDeque<Weak<Seat>>,
}

impl Store {
    /// A session that is about to keep something for the first time.
    pub(super) fn enter(&self, seat: &Arc<Seat>) {
        let mut state = self.lock();
        // Two for one, so that those that are gone do not pile up.
        let alive = [state.next(), state.next()];
        state.seats.push_back(Arc::downgrade(seat));
        drop(state);
        // One that ends here gives its memory back.
        drop(alive);
    }

    /// One more decision, if it fits.
    pub(super) fn take(
        &self,
        account: Account,
        bytes: usize,
        max_bytes: usize,
        counters: &CacheCounters,
    ) -> bool {
        let mut state = self.lock();
        let taken = state.taken.get(&account).copied().unwrap_or(0);
        let is_crowded = counters.bytes() + bytes > max_bytes / 4 * 3;
        if is_crowded && taken + bytes > max_bytes / 4 {
            return false;
        }
        if !counters.take(bytes, max_bytes) {
            return false;
        }
        state.taken.insert(account, taken + bytes);
        true
    }

    /// So many decisions less, of so many bytes.
    pub(super) fn give_back(
        &self,
        account: Account,
        entries: usize,
        bytes: usize,
        counters: &CacheCounters,
    ) {
        let mut state = self.lock();
        if let Some(taken) = state.taken.get_mut(&account) {
            *taken = taken.saturating_sub(bytes);
            if *taken == 0 {
                state.taken.remove(&account);
            }
        }
        counters.removed(entries, bytes);
    }

    /// Has some sessions forget what is of no use any more. Sessions that are busy do so themselves.
    pub(super) fn sweep(&self, now: Instant) {
        let seats: Vec<_> = {
            let mut state = self.lock();
            let some = state.seats.len().min(SWEPT);
            (0..some).filter_map(|_| state.next()).collect()
        };
        for seat in seats {
            // Whoever sweeps has locked its own: to wait for another's could be for ever.
            if let Some(mut decisions) = seat.try_decisions()
                && let Some(cache) = decisions.as_mut()
            {
                cache.forget_what_is_over(now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Sums that are off by one entry at worst.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The session that was not looked at for longest, if it is there still.
    fn next(&mut self) -> Option<Arc<Seat>> {
        let seat = self.seats.pop_front()?;
        let alive = seat.upgrade();
        if alive.is_some() {
            self.seats.push_back(seat);
        }
        alive
    }
}
