//! The decisions of one session.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use gatekeeper::Verdict;
use tokio::time::Instant;

use super::{Lease, Reuse, Shared};
use crate::authz::{
    check::Check,
    decision::{Decision, Facts},
    hook::{Hook, HookKind},
    message::{Encoded, SessionBytes},
    seat::{Account, Seat},
    single_flight::Follower,
};

/// What an entry takes besides the texts in it, about.
const ENTRY: usize = 320;

/// What makes two checks of a session the same: all that the service is told about them.
///
/// It is the check as it travels, without its metadata (item id, sequence, times, trace) and without the
/// session, which is the same for all entries. So nothing by which a policy could decide is left out, not
/// even DUP or the size of the payload, and there are no collisions: the bytes themselves are compared. Two
/// different messages of protobuf never encode to the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::authz) struct Key {
    hook: HookKind,
    body: Encoded,
}

impl Key {
    pub(in crate::authz) fn of<H: Hook>(check: &Check<H>) -> Self {
        Self {
            hook: H::KIND,
            body: check.message.encoded_body().clone(),
        }
    }

    pub(super) fn hook(&self) -> HookKind {
        self.hook
    }
}

/// The decisions of one session that may be used again, and the checks that wait for one.
#[derive(Debug)]
pub(in crate::authz) struct SessionCache {
    shared: Arc<Shared>,
    /// Whose memory it is.
    account: Account,
    /// The session as it was told to the service: another principal is another session.
    session: SessionBytes,
    entries: HashMap<Key, Entry>,
    /// Checks under way, and those that are identical.
    flights: HashMap<Key, Flight>,
    /// By hook: whether the last answer could be kept. If not, nobody waits for another's.
    shares: [bool; HookKind::ALL.len()],
    /// Counts uses, to tell which entry has not been used for longest.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    facts: Facts,
    lease: Lease,
    /// When it is of no use even for want of another.
    stale_until: Instant,
    used: u64,
    bytes: usize,
}

/// A check under way, and those that wait for its answer.
#[derive(Debug)]
struct Flight {
    place: u64,
    followers: Vec<Follower>,
}

/// What a check is to others that are identical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// They may follow it.
    Leads,
    Follows,
    /// It is asked by itself.
    None,
}

impl SessionCache {
    pub(super) fn new(shared: Arc<Shared>, account: Account, session: SessionBytes) -> Self {
        Self {
            shared,
            account,
            session,
            entries: HashMap::new(),
            flights: HashMap::new(),
            shares: [false; HookKind::ALL.len()],
            uses: 0,
        }
    }

    /// The decision about an identical check, while it holds.
    pub(super) fn fresh(
        &mut self,
        key: &Key,
        session: &SessionBytes,
        seat: &Seat,
    ) -> Option<(Decision, Lease)> {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let entry = self.valid(key, session, seat, now)?;
        let holds = entry.lease.holds(now, seat.stamp(), &shared.epochs);
        holds.then(|| (entry.decision(now), entry.lease.clone()))
    }

    /// The allow of an identical check, while it holds or may be used for want of another.
    pub(super) fn stale(
        &mut self,
        key: &Key,
        session: &SessionBytes,
        seat: &Seat,
    ) -> Option<Decision> {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let entry = self.valid(key, session, seat, now)?;
        let may_be_used = entry.lease.is_allow && entry.lease.is_safe(&shared.epochs);
        may_be_used.then(|| entry.decision(now))
    }

    /// An entry that nothing has made invalid. Whatever else is there under this key is forgotten.
    fn valid(
        &mut self,
        key: &Key,
        session: &SessionBytes,
        seat: &Seat,
        now: Instant,
    ) -> Option<&Entry> {
        if !self.session.is_same(session) {
            self.clear();
            return None;
        }
        let hash_map::Entry::Occupied(occupied) = self.entries.entry(key.clone()) else {
            return None;
        };
        let entry = occupied.get();
        let is_valid = now < entry.stale_until && entry.lease.is_valid(seat.stamp());
        if !is_valid {
            let bytes = occupied.remove().bytes;
            let (store, counters) = (&self.shared.store, &self.shared.counters.cache);
            store.give_back(self.account, 1, bytes, counters);
            return None;
        }
        self.uses += 1;
        let entry = occupied.into_mut();
        entry.used = self.uses;
        Some(entry)
    }

    /// Keeps a decision for as long as both the service and the operator say. `false`: not at all.
    pub(super) fn keep(
        &mut self,
        key: &Key,
        session: &SessionBytes,
        decision: &Decision,
        reuse: &Reuse,
        epoch: u64,
    ) -> bool {
        if !self.session.is_same(session) {
            self.clear();
            self.session = session.clone();
        }
        let options = &self.shared.options;
        let is_allow = matches!(decision.verdict, Verdict::Allow(_));
        let ttl = reuse.ttl.min(options.max_ttl);
        let stale = match is_allow {
            true => reuse.stale_if_error.min(options.max_stale),
            false => std::time::Duration::ZERO,
        };
        let is_of_use = ttl + stale > std::time::Duration::ZERO;
        if !is_of_use || !reuse.maker.as_ref().is_some_and(super::Maker::is_current) {
            return false;
        }
        self.remove(key);
        let bytes = ENTRY + key.body.len() + size_of_facts(&decision.facts);
        if !self.make_room(bytes) {
            return false;
        }
        self.uses += 1;
        let entry = Entry {
            verdict: decision.verdict.clone(),
            facts: decision.facts.clone(),
            lease: Lease {
                until: decision.decided_at + ttl,
                maker: reuse.maker.clone(),
                epoch,
                is_allow,
            },
            stale_until: decision.decided_at + ttl + stale,
            used: self.uses,
            bytes,
        };
        self.entries.insert(key.clone(), entry);
        true
    }

    /// Makes room for one more entry, and takes it.
    fn make_room(&mut self, bytes: usize) -> bool {
        let shared = Arc::clone(&self.shared);
        let (options, stock) = (&shared.options, &shared.counters.cache);
        while self.entries.len() >= options.max_entries_per_session {
            if !self.evict() {
                return false;
            }
        }
        if (shared.store).take(self.account, bytes, options.max_bytes, stock) {
            return true;
        }
        let now = Instant::now();
        shared.store.sweep(now);
        self.forget_what_is_over(now);
        loop {
            if (shared.store).take(self.account, bytes, options.max_bytes, stock) {
                return true;
            }
            // Other sessions keep what is of use to them: a busy one must not cost them theirs.
            if !self.evict() {
                return false;
            }
        }
    }

    /// Gives back what nobody can use any more.
    pub(super) fn forget_what_is_over(&mut self, now: Instant) {
        let (mut entries, mut bytes) = (0, 0);
        self.entries.retain(|_, entry| {
            let is_over = now >= entry.stale_until;
            if is_over {
                entries += 1;
                bytes += entry.bytes;
            }
            !is_over
        });
        self.give_back(entries, bytes);
    }

    fn give_back(&self, entries: usize, bytes: usize) {
        if entries > 0 {
            let counters = &self.shared.counters.cache;
            (self.shared.store).give_back(self.account, entries, bytes, counters);
        }
    }

    /// Forgets what has not been used for longest.
    fn evict(&mut self) -> bool {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return false;
        };
        self.remove(&key);
        self.shared.counters.cache.evictions.add(1);
        true
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.give_back(1, entry.bytes);
        }
    }

    fn clear(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        let bytes = entries.values().map(|entry| entry.bytes).sum();
        self.give_back(entries.len(), bytes);
    }

    /// Whether checks of this kind may wait for an identical one.
    pub(super) fn shares(&self, hook: HookKind) -> bool {
        self.shares[hook as usize]
    }

    pub(super) fn set_shares(&mut self, hook: HookKind, shares: bool) {
        self.shares[hook as usize] = shares;
    }

    /// What the check in this place is to those that are identical and under way. One that follows stands behind
    /// the one that it follows: nobody looks for the answer of a check before its turn has come.
    pub(super) fn role(&mut self, key: &Key, place: u64) -> Role {
        match self.flights.entry(key.clone()) {
            hash_map::Entry::Occupied(flight) if flight.get().place < place => Role::Follows,
            hash_map::Entry::Occupied(_) => Role::None,
            hash_map::Entry::Vacant(vacant) => {
                let followers = Vec::new();
                vacant.insert(Flight { place, followers });
                Role::Leads
            }
        }
    }

    /// It comes back if no identical check is under way.
    pub(super) fn follow(&mut self, key: &Key, follower: Follower) -> Option<Follower> {
        match self.flights.get_mut(key) {
            Some(flight) => {
                flight.followers.push(follower);
                None
            }
            None => Some(follower),
        }
    }

    pub(super) fn take_followers(&mut self, key: &Key) -> Vec<Follower> {
        let flight = self.flights.remove(key);
        flight.map(|flight| flight.followers).unwrap_or_default()
    }
}

impl Drop for SessionCache {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Entry {
    fn decision(&self, now: Instant) -> Decision {
        Decision {
            verdict: self.verdict.clone(),
            identity: None,
            facts: Facts {
                policy: self.facts.policy.clone(),
                decision_id: self.facts.decision_id.clone(),
                annotations: self.facts.annotations.clone(),
                cached: true,
                asked_in: self.lease.epoch,
                ..Facts::default()
            },
            decided_at: now,
        }
    }
}

fn size_of_facts(facts: &Facts) -> usize {
    let annotations = facts.annotations.iter();
    let annotations: usize = annotations
        .map(|(key, value)| key.len() + value.len())
        .sum();
    facts.policy.len() + facts.decision_id.len() + annotations
}
