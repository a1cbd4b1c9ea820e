//! The last to come goes first, and who has waited too long is refused.
//!
//! For sessions with one check: who has waited for long has given up, and serving it would make the others
//! wait as long. No [account](Aloft) has all calls; its checks wait, whatever their age, until it may depart.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Waiting,
    filling::{Filling, Leaves, Left},
    flow::weighed,
};
use crate::authz::{
    aloft::{Aloft, OF_ACCOUNT},
    failure::Cause,
    hook::Hook,
    item::Item,
    room::Room,
    seat::{Account, ById, Seat},
};

/// Checks by their age.
pub(super) struct Newest<H> {
    limit: Duration,
    /// By number: the higher, the newer.
    waiting: BTreeMap<u64, Entry<H>>,
    next: u64,
    /// The numbers of each account.
    accounts: ById<Account, BTreeSet<u64>>,
    /// The newest of each account, so that those who may not depart are passed by in one step.
    heads: BTreeMap<u64, Account>,
    bytes: usize,
    aloft: Aloft<Account>,
}

struct Entry<H> {
    seat: Arc<Seat>,
    account: Account,
    item: Item<H>,
}

impl<H: Hook> Newest<H> {
    /// Nobody yet. Who has waited for `limit` is refused.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            waiting: BTreeMap::new(),
            next: 0,
            accounts: ById::default(),
            heads: BTreeMap::new(),
            bytes: 0,
            aloft: Aloft::new(OF_ACCOUNT),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Puts a check before all others.
    pub(super) fn push(
        &mut self,
        seat: &Arc<Seat>,
        item: Item<H>,
        room: &mut Room,
    ) -> Result<(), Cause> {
        let account = seat.account();
        if room.must_wait(account) {
            // Nobody can be told to wait: there is no room for those who have too much of it.
            return Err(Cause::QueueFull);
        }
        let item = weighed(item, account, room)?;
        self.bytes += item.bytes;
        let number = self.next;
        self.next += 1;
        let numbers = self.accounts.entry(account).or_default();
        if let Some(newest) = numbers.last() {
            self.heads.remove(newest);
        }
        numbers.insert(number);
        self.heads.insert(number, account);
        let seat = Arc::clone(seat);
        let entry = Entry {
            seat,
            account,
            item,
        };
        self.waiting.insert(number, entry);
        Ok(())
    }

    /// What the next batch could have.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let next = self.waiting.get(&self.next_to_depart()?)?;
        Some(Waiting {
            items: self.waiting.len(),
            bytes: self.bytes,
            since: next.item.queued_at,
        })
    }

    /// There may be so many calls, and are so many.
    pub(super) fn set_calls(&mut self, most: usize, in_flight: usize) {
        self.aloft.set_free(most.saturating_sub(in_flight));
    }

    /// Fills the batch.
    pub(super) fn take(&mut self, filling: &mut Filling<'_, H>) {
        while !filling.batch.is_full()
            && let Some(number) = self.next_to_depart()
            && let Some(entry) = self.waiting.get(&number)
            && let Some(how) = filling.how(&entry.item, &entry.seat)
            && let Some(entry) = self.remove(number)
        {
            if how == Leaves::Travels {
                filling.batch.count_for(entry.account);
            }
            filling.put(&entry.seat, entry.account, entry.item, how);
        }
        if !filling.batch.is_empty() {
            self.aloft.departs(filling.batch.accounts().iter().copied());
        }
    }

    /// A call has come back that counted for these.
    pub(super) fn landed(&mut self, accounts: &[Account]) {
        self.aloft.lands(accounts.iter().copied());
    }

    /// A call is lost, and nobody knows whose it was.
    pub(super) fn lost(&mut self) {
        self.aloft.forget();
    }

    /// When somebody is to be refused who has waited for too long.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let (_, oldest) = self.waiting.first_key_value()?;
        Some(oldest.item.queued_at + self.limit)
    }

    /// Refuses those who have waited too long to be served before the deadline of anybody.
    pub(super) fn refuse_old(&mut self, room: &mut Room, left: &mut Left<H>, now: Instant) {
        while self.next_expiry().is_some_and(|at| at <= now)
            && let Some((number, _)) = self.waiting.first_key_value()
            && let Some(entry) = self.remove(*number)
        {
            room.leave(entry.account, entry.item.weight, &mut left.wakers);
            left.expired.push((entry.seat, entry.item));
        }
    }

    /// All checks, which it has no more.
    pub(super) fn empty(&mut self) -> impl Iterator<Item = (Arc<Seat>, Account, Item<H>)> + use<H> {
        self.accounts.clear();
        self.heads.clear();
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting).into_values();
        waiting.map(|entry| (entry.seat, entry.account, entry.item))
    }

    fn next_to_depart(&self) -> Option<u64> {
        let mut heads = self.heads.iter().rev();
        let (number, _) = heads.find(|(_, account)| self.aloft.may_depart(**account))?;
        Some(*number)
    }

    fn remove(&mut self, number: u64) -> Option<Entry<H>> {
        let entry = self.waiting.remove(&number)?;
        self.bytes -= entry.item.bytes;
        if let Some(numbers) = self.accounts.get_mut(&entry.account) {
            numbers.remove(&number);
            let was_head = self.heads.remove(&number).is_some();
            match numbers.last() {
                Some(newest) if was_head => {
                    self.heads.insert(*newest, entry.account);
                }
                Some(_) => {}
                None => {
                    self.accounts.remove(&entry.account);
                }
            }
        }
        Some(entry)
    }
}
