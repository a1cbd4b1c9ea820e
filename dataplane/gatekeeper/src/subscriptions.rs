//! How many subscriptions a connection has.
//!
//! Counted in the order of the packets: a filter counts from its SUBSCRIBE on, is given back when it
//! is refused, and an UNSUBSCRIBE makes room at once. Filters are kept as fingerprints, for they can
//! be long.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

/// The subscriptions of one connection, distinct by the whole text of their filters.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    held: HashMap<u64, Held>,
    made: u64,
    hasher: RandomState,
}

#[derive(Debug)]
struct Held {
    /// The reservation that made it. Those before belong to one that was left since.
    since: u64,
    /// Reservations that nobody has decided about.
    pending: u32,
    granted: bool,
}

/// A place for one filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    filter: u64,
    serial: u64,
}

impl Subscriptions {
    /// Takes a place for a filter; `None` if there is none left.
    pub(crate) fn reserve(&mut self, filter: &str, max: usize) -> Option<Reservation> {
        let filter = self.hasher.hash_one(filter);
        self.made += 1;
        let serial = self.made;
        if !self.held.contains_key(&filter) && self.held.len() >= max {
            return None;
        }
        let held = self.held.entry(filter).or_insert(Held {
            since: serial,
            pending: 0,
            granted: false,
        });
        held.pending = held.pending.saturating_add(1);
        Some(Reservation { filter, serial })
    }

    /// The filter was granted, or was not. An older subscription to the same filter stays in both
    /// cases.
    pub(crate) fn settle(&mut self, reservation: Reservation, granted: bool) {
        let Some(held) = self
            .held
            .get_mut(&reservation.filter)
            .filter(|held| held.since <= reservation.serial)
        else {
            return;
        };
        held.pending = held.pending.saturating_sub(1);
        held.granted |= granted;
        if !held.granted && held.pending == 0 {
            self.held.remove(&reservation.filter);
        }
    }

    /// The client leaves the filter.
    pub(crate) fn leave(&mut self, filter: &str) {
        self.held.remove(&self.hasher.hash_one(filter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(subscriptions: &mut Subscriptions, filter: &str) -> Option<Reservation> {
        subscriptions.reserve(filter, 2)
    }

    #[test]
    fn the_same_filter_counts_once() {
        let mut subscriptions = Subscriptions::default();
        for filter in ["a", "a", "b", "a"] {
            assert!(reserve(&mut subscriptions, filter).is_some());
        }
        assert!(reserve(&mut subscriptions, "c").is_none());
    }

    #[test]
    fn a_refused_filter_makes_room_unless_it_was_granted_before() {
        let mut subscriptions = Subscriptions::default();
        let first = reserve(&mut subscriptions, "a").unwrap();
        let second = reserve(&mut subscriptions, "a").unwrap();
        let other = reserve(&mut subscriptions, "b").unwrap();
        subscriptions.settle(first, false);
        assert!(reserve(&mut subscriptions, "c").is_none());
        subscriptions.settle(second, true);
        let third = reserve(&mut subscriptions, "a").unwrap();
        subscriptions.settle(third, false);
        assert!(reserve(&mut subscriptions, "c").is_none());
        subscriptions.settle(other, false);
        assert!(reserve(&mut subscriptions, "c").is_some());
    }

    #[test]
    fn what_was_left_is_not_brought_back_by_an_older_answer() {
        let mut subscriptions = Subscriptions::default();
        let before = reserve(&mut subscriptions, "a").unwrap();
        subscriptions.leave("a");
        let after = reserve(&mut subscriptions, "a").unwrap();
        subscriptions.settle(before, true);
        subscriptions.settle(after, false);
        assert!(reserve(&mut subscriptions, "b").is_some());
        assert!(reserve(&mut subscriptions, "c").is_some());
        subscriptions.settle(before, true);
        assert!(reserve(&mut subscriptions, "d").is_none());
    }
}
