//! Room in the queue of a lane, by count and by bytes, and who may use how much of it.
//!
//! Up to three quarters of it are anybody's. From there on the room is crowded, and who has a fair share
//! or more has to wait: it stops reading its socket, while the others go on (max-min). In the last
//! sixteenth everybody waits, so that what was read already still fits. Beyond the bound a check is
//! refused, which nobody meets who asks before reading.
//!
//! A room that is larger than what the service gets done in time is a trap: all of it would be too late
//! when its turn comes. So when checks have waited for too long, it is crowded sooner ([`Room::waited`]).
//!
//! Plain data, locked together with the queue; who is to be woken is handed to the caller.

use std::{collections::BTreeMap, task::Waker};

use super::seat::{Account, ById, Seat, SeatId};

/// The bounds of a queue, and how far they are used.
#[derive(Debug)]
pub(super) struct Room {
    /// In bytes; a check weighs at least `min_weight`, which bounds their number.
    max: usize,
    min_weight: usize,
    used: usize,
    /// From here on it is crowded.
    comfortable: usize,
    accounts: ById<Account, Share>,
    /// Those who have nothing here, and wait because it is full for everybody.
    shut_out: Waiting,
    /// Where each that waits stands: they ask again and again, and may be many.
    places: ById<SeatId, Place>,
    next: u64,
}

/// What one account uses, and its sessions that wait for less.
#[derive(Debug, Default)]
struct Share {
    used: usize,
    waiting: Waiting,
}

/// Who waits, by number: the lower, the longer.
type Waiting = BTreeMap<u64, (SeatId, Waker)>;

/// The line of this account, or that of those who are shut out.
#[derive(Debug, Clone, Copy)]
struct Place {
    account: Account,
    number: u64,
}

impl Room {
    /// An empty queue for so many checks and bytes.
    pub(super) fn new(max_checks: usize, max_bytes: usize) -> Self {
        let (max_checks, max_bytes) = (max_checks.max(1), max_bytes.max(1));
        // In units that make both bounds one.
        Self {
            max: max_bytes,
            min_weight: max_bytes.div_ceil(max_checks).max(1),
            used: 0,
            comfortable: max_bytes - max_bytes / 4,
            accounts: ById::default(),
            shut_out: Waiting::new(),
            places: ById::default(),
            next: 0,
        }
    }

    /// How many more checks of the least weight fit.
    pub(super) fn remaining(&self) -> usize {
        (self.max - self.used).div_ceil(self.min_weight)
    }

    /// Takes room for a check of this size, and yields what to give back. `None`: there is none left.
    pub(super) fn enter(&mut self, account: Account, bytes: usize) -> Option<usize> {
        let weight = bytes.max(self.min_weight).min(self.max);
        // The last check may be cut short by the rounding of its least weight.
        let weight = if weight == self.min_weight {
            weight.min(self.max - self.used)
        } else {
            weight
        };
        if weight == 0 || bytes > self.max || self.used + weight > self.max {
            return None;
        }
        self.used += weight;
        self.accounts.entry(account).or_default().used += weight;
        Some(weight)
    }

    /// Gives room back. Yields whom to wake.
    pub(super) fn leave(&mut self, account: Account, weight: usize, wakers: &mut Vec<Waker>) {
        self.used -= weight;
        let fair = self.fair_share();
        let is_full = self.is_full();
        if let Some(share) = self.accounts.get_mut(&account) {
            share.used -= weight;
            // Not before there is room for more than a check or two: waking up costs something, too.
            if !is_full && share.used <= fair / 2 {
                wakers.extend(first(&mut share.waiting, &mut self.places));
            }
            if share.used == 0 {
                // Nothing of the account is left that could wake them.
                self.shut_out.extend(std::mem::take(&mut share.waiting));
                self.accounts.remove(&account);
            }
        }
        if !is_full {
            wakers.extend(first(&mut self.shut_out, &mut self.places));
        }
    }

    /// Whether sessions of this account should stop reading.
    pub(super) fn must_wait(&self, account: Account) -> bool {
        self.is_crowded()
            && (self.is_full()
                || self
                    .accounts
                    .get(&account)
                    .is_some_and(|share| share.used >= self.fair_share()))
    }

    /// Whether there is a difference between those with much and those with little.
    pub(super) fn is_crowded(&self) -> bool {
        self.used >= self.comfortable
    }

    /// Learns from a batch that leaves whether its checks had to wait for too long. Down by a sixteenth, up
    /// by a 64th, as long as it makes a difference, and never below `least` checks.
    pub(super) fn waited(&mut self, too_long: bool, least: usize) {
        let most = self.max - self.max / 4;
        if too_long {
            let least = least.saturating_mul(self.min_weight).min(most);
            self.comfortable = (self.comfortable - self.comfortable / 16).max(least);
        } else if self.used >= self.comfortable / 2 {
            self.comfortable = (self.comfortable + self.comfortable / 64 + 1).min(most);
        }
    }

    /// Wakes the session when it is worth looking again. It wakes the next one when it goes on.
    pub(super) fn wait(&mut self, seat: &Seat, waker: &Waker) {
        let id = seat.id();
        if let Some(place) = self.places.get(&id).copied() {
            if let Some((_, known)) = self.line(place).get_mut(&place.number) {
                known.clone_from(waker);
            }
            return;
        }
        let place = Place {
            account: seat.account(),
            number: self.next,
        };
        self.next += 1;
        let line = match self.accounts.get_mut(&place.account) {
            Some(share) if share.used > 0 => &mut share.waiting,
            _ => &mut self.shut_out,
        };
        line.insert(place.number, (id, waker.clone()));
        self.places.insert(id, place);
    }

    /// A session goes on, or has ended: who waits behind it has its turn, if there is room.
    pub(super) fn pass(&mut self, seat: &Seat, wakers: &mut Vec<Waker>) {
        if let Some(place) = self.places.remove(&seat.id()) {
            self.line(place).remove(&place.number);
        }
        let account = seat.account();
        let must_wait = self.must_wait(account);
        if !must_wait && let Some(share) = self.accounts.get_mut(&account) {
            wakers.extend(first(&mut share.waiting, &mut self.places));
        }
        if !self.is_full() {
            wakers.extend(first(&mut self.shut_out, &mut self.places));
        }
    }

    /// The line that somebody stands in.
    fn line(&mut self, place: Place) -> &mut Waiting {
        match self.accounts.get_mut(&place.account) {
            Some(share) if share.waiting.contains_key(&place.number) => &mut share.waiting,
            _ => &mut self.shut_out,
        }
    }

    /// What each account may have when all that are here have the same.
    fn fair_share(&self) -> usize {
        self.comfortable / self.accounts.len().max(1)
    }

    fn is_full(&self) -> bool {
        // What one session reads at a time has to fit on top.
        self.used > self.max - self.max / 16 - 1
    }
}

/// Takes who has waited longest out of its line.
fn first(line: &mut Waiting, places: &mut ById<SeatId, Place>) -> Option<Waker> {
    let (_, (seat, waker)) = line.pop_first()?;
    places.remove(&seat);
    Some(waker)
}

#[cfg(test)]
mod tests;
