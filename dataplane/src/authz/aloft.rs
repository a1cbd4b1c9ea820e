//! Calls in flight, by whose they are: nobody has all of them.
//!
//! One account whose checks hang at the service could have all calls that there may be. So an account departs
//! only while it has less than [`OF_ACCOUNT`] times what is still free: alone it gets three quarters, the next
//! one three quarters of the rest, and there is always something left for who comes new (dynamic thresholds,
//! Choudhury and Hahne 1998). A session has half at most, for many may be of one account. A call that carries
//! checks of several counts for each of them.
//!
//! Plain data, locked together with the queue.

use std::hash::Hash;

use super::seat::ById;

/// How many times as many calls as are free an account may have.
pub(super) const OF_ACCOUNT: usize = 3;
/// And a session.
pub(super) const OF_SESSION: usize = 1;

/// Who has calls in flight.
#[derive(Debug)]
pub(super) struct Aloft<K> {
    share: usize,
    free: usize,
    calls: ById<K, usize>,
}

impl<K: Copy + Eq + Hash> Aloft<K> {
    /// Nobody. Until it is set there is no bound.
    pub(super) fn new(share: usize) -> Self {
        Self {
            share,
            free: usize::MAX,
            calls: ById::default(),
        }
    }

    /// How many more calls there may be.
    pub(super) fn set_free(&mut self, free: usize) {
        self.free = free;
    }

    /// Whether one more call of theirs may depart.
    pub(super) fn may_depart(&self, whose: K) -> bool {
        let own = self.calls.get(&whose).copied().unwrap_or(0);
        own < self.free.saturating_mul(self.share)
    }

    /// A call departs that counts for these.
    pub(super) fn departs(&mut self, whose: impl IntoIterator<Item = K>) {
        self.free = self.free.saturating_sub(1);
        for one in whose {
            *self.calls.entry(one).or_default() += 1;
        }
    }

    /// It has come back.
    pub(super) fn lands(&mut self, whose: impl IntoIterator<Item = K>) {
        self.free = self.free.saturating_add(1);
        for one in whose {
            if let Some(own) = self.calls.get_mut(&one) {
                *own -= 1;
                if *own == 0 {
                    self.calls.remove(&one);
                }
            }
        }
    }

    /// Nothing is known of any call any more.
    pub(super) fn forget(&mut self) {
        self.calls.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::seat::{Account, Seat};

    fn account(address: u8) -> Account {
        Seat::new([127, 0, 0, address].into()).account()
    }

    /// Departures of this address, until there is no more.
    fn fill(aloft: &mut Aloft<Account>, address: u8) -> usize {
        let account = account(address);
        let departures =
            std::iter::from_fn(|| aloft.may_depart(account).then(|| aloft.departs([account])));
        departures.count()
    }

    #[test]
    fn there_is_always_something_left_for_the_next() {
        for (share, expected) in [(OF_ACCOUNT, [36, 9, 3]), (OF_SESSION, [24, 12, 6])] {
            let mut aloft = Aloft::new(share);
            aloft.set_free(48);
            let counts = [1, 2, 3].map(|address| fill(&mut aloft, address));
            assert_eq!(counts, expected);
            let mut small = Aloft::new(share);
            small.set_free(1);
            assert_eq!(fill(&mut small, 1), 1);
        }
    }

    #[test]
    fn what_has_landed_is_free_again() {
        let mut aloft = Aloft::new(OF_ACCOUNT);
        aloft.set_free(4);
        assert_eq!(fill(&mut aloft, 1), 3);
        aloft.lands([account(1)]);
        // Calls of others, which nobody counted.
        aloft.departs([]);
        aloft.departs([]);
        assert_eq!(fill(&mut aloft, 1), 0);
        aloft.lands([]);
        assert_eq!(fill(&mut aloft, 1), 1);
        aloft.forget();
        aloft.lands([account(1)]);
        aloft.set_free(4);
        assert_eq!(fill(&mut aloft, 1), 3);
    }
}
