//! The decisions of one session.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use gatekeeper::Verdict;
use tokio::time::Instant;

use super::{Reuse, Shared};
use crate::authz::{
    check::Check,
    decision::{Decision, Facts},
    hook::{Hook, HookKind},
    message::{Encoded, SessionBytes},
    seat::Seat,
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
    /// The session as it was told to the service: another principal is another session.
    session: SessionBytes,
    entries: HashMap<Key, Entry>,
    /// Checks under way, and those that are identical.
    flights: HashMap<Key, Vec<Follower>>,
    /// By hook: whether the last answer could be kept. If not, nobody waits for another's.
    shares: [bool; HookKind::ALL.len()],
    /// Counts uses, to tell which entry has not been used for longest.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    facts: Facts,
    reuse: Reuse,
    decided_at: Instant,
    epoch: u64,
    used: u64,
    bytes: usize,
}

impl SessionCache {
    pub(super) fn new(shared: Arc<Shared>, session: SessionBytes) -> Self {
        Self {
            shared,
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
    ) -> Option<Decision> {
        let now = Instant::now();
        let entry = self.valid(key, session, seat, now)?;
        if now >= entry.decided_at + entry.reuse.ttl {
            return None;
        }
        let decision = entry.decision(now);
        self.usable(decision)
    }

    /// The allow of an identical check, while it holds or may be used for want of another.
    pub(super) fn stale(
        &mut self,
        key: &Key,
        session: &SessionBytes,
        seat: &Seat,
    ) -> Option<Decision> {
        let now = Instant::now();
        let entry = self.valid(key, session, seat, now)?;
        let decision = entry.decision(now);
        matches!(decision.verdict, Verdict::Allow(_))
            .then_some(decision)
            .and_then(|decision| self.usable(decision))
    }

    /// While directives would not reach us, an allow might have been revoked.
    fn usable(&self, decision: Decision) -> Option<Decision> {
        let is_allow = matches!(decision.verdict, Verdict::Allow(_));
        (!is_allow || self.shared.epochs.is_fresh()).then_some(decision)
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
        let is_valid = now < entry.decided_at + entry.reuse.ttl + entry.reuse.stale_if_error
            && entry
                .reuse
                .maker
                .as_ref()
                .is_some_and(super::Maker::is_current)
            && !seat.stamp().outdates(entry.epoch);
        if !is_valid {
            let entry = occupied.remove();
            self.shared.counters.cache.removed(entry.bytes);
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
        let reuse = Reuse {
            ttl: reuse.ttl.min(options.max_ttl),
            stale_if_error: match is_allow {
                true => reuse.stale_if_error.min(options.max_stale),
                false => std::time::Duration::ZERO,
            },
            maker: reuse.maker.clone(),
        };
        let is_of_use = reuse.ttl + reuse.stale_if_error > std::time::Duration::ZERO;
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
            reuse,
            decided_at: decision.decided_at,
            epoch,
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
        while !stock.take(bytes, options.max_bytes) {
            // Other sessions keep what they have: a busy one must not cost them theirs.
            if !self.evict() {
                return false;
            }
        }
        true
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
            self.shared.counters.cache.removed(entry.bytes);
        }
    }

    fn clear(&mut self) {
        for (_, entry) in self.entries.drain() {
            self.shared.counters.cache.removed(entry.bytes);
        }
    }

    /// Whether checks of this kind may wait for an identical one.
    pub(super) fn shares(&self, hook: HookKind) -> bool {
        self.shares[hook as usize]
    }

    pub(super) fn set_shares(&mut self, hook: HookKind, shares: bool) {
        self.shares[hook as usize] = shares;
    }

    /// `true`: an identical check is under way. `false`: this one is from now on.
    pub(super) fn leads_or_follows(&mut self, key: &Key) -> bool {
        match self.flights.entry(key.clone()) {
            hash_map::Entry::Occupied(_) => true,
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Vec::new());
                false
            }
        }
    }

    /// It comes back if no identical check is under way.
    pub(super) fn follow(&mut self, key: &Key, follower: Follower) -> Option<Follower> {
        match self.flights.get_mut(key) {
            Some(followers) => {
                followers.push(follower);
                None
            }
            None => Some(follower),
        }
    }

    pub(super) fn take_followers(&mut self, key: &Key) -> Vec<Follower> {
        self.flights.remove(key).unwrap_or_default()
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
