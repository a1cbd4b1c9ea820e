//! Calls in flight, by whose they are: nobody has all of them.
//!
//! Where every check is a call of its own (CONNECT), one address whose logins hang at the service could have
//! all calls that there may be. So an account departs only while it has less than [`SHARE`] times what is
//! still free: alone it gets three quarters, the next one three quarters of the rest, and there is always
//! something left for who comes new (dynamic thresholds, Choudhury and Hahne 1998).
//!
//! Plain data, locked together with the queue.

use super::seat::{Account, ById, SeatId};

/// How many times as many calls as are free an account may have.
const SHARE: usize = 3;

/// Who has calls in flight.
#[derive(Debug)]
pub(super) struct Aloft {
    most: usize,
    /// By session, as of its departure: an account changes when the client is known.
    accounts: ById<SeatId, Account>,
    calls: ById<Account, usize>,
}

impl Aloft {
    /// Nobody. Until it is set there is no bound.
    pub(super) fn new() -> Self {
        Self {
            most: usize::MAX,
            accounts: ById::default(),
            calls: ById::default(),
        }
    }

    /// How many calls there may be.
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Whether one more call of this account may depart.
    pub(super) fn may_depart(&self, account: Account) -> bool {
        let free = self.most.saturating_sub(self.accounts.len());
        let own = self.calls.get(&account).copied().unwrap_or(0);
        own < free.saturating_mul(SHARE)
    }

    /// A session's call departs.
    pub(super) fn departs(&mut self, seat: SeatId, account: Account) {
        if self.accounts.insert(seat, account).is_none() {
            *self.calls.entry(account).or_default() += 1;
        }
    }

    /// It has come back.
    pub(super) fn lands(&mut self, seat: SeatId) {
        let Some(account) = self.accounts.remove(&seat) else {
            return;
        };
        if let Some(own) = self.calls.get_mut(&account) {
            *own -= 1;
            if *own == 0 {
                self.calls.remove(&account);
            }
        }
    }

    /// Nothing is known of any call any more.
    pub(super) fn forget(&mut self) {
        self.accounts.clear();
        self.calls.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::seat::Seat;

    fn seat(address: u8) -> Seat {
        Seat::new([127, 0, 0, address].into())
    }

    /// Departures of new sessions of this address, until there is no more.
    fn fill(aloft: &mut Aloft, address: u8) -> Vec<Seat> {
        let mut gone = Vec::new();
        loop {
            let seat = seat(address);
            if !aloft.may_depart(seat.account()) {
                return gone;
            }
            aloft.departs(seat.id(), seat.account());
            gone.push(seat);
        }
    }

    #[test]
    fn there_is_always_something_left_for_the_next() {
        let mut aloft = Aloft::new();
        aloft.set_most(48);
        let counts = [1, 2, 3].map(|address| fill(&mut aloft, address).len());
        assert_eq!(counts, [36, 9, 3]);
        let mut small = Aloft::new();
        small.set_most(1);
        assert_eq!(fill(&mut small, 1).len(), 1);
    }

    #[test]
    fn what_has_landed_is_free_again() {
        let mut aloft = Aloft::new();
        aloft.set_most(4);
        let seats = fill(&mut aloft, 1);
        assert_eq!(seats.len(), 3);
        // Its account is another one now.
        seats[0].identify("somebody");
        aloft.lands(seats[0].id());
        aloft.lands(seats[0].id());
        assert_eq!(fill(&mut aloft, 1).len(), 1);
        aloft.forget();
        assert_eq!(fill(&mut aloft, 1).len(), 3);
    }
}
