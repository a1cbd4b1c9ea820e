//! How many connections one address may open in a time.
//!
//! A bucket of tokens for each address, kept as the one moment at which it will be full again (the virtual
//! scheduling of GCRA, ITU-T I.371). A bucket that is full says nothing and is forgotten, so what is kept are the
//! addresses that came lately.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::subscriber;

/// Addresses with a bucket of their own; at most some 6 MB.
const MAX_ADDRESSES: usize = 65_536;

/// Buckets of those for whom there is none of their own.
const COMMON: usize = 1_024;

/// Addresses from which on it is looked which can be forgotten.
const FIRST_SWEEP: usize = 1_024;

/// Time between two such looks while there is no room: each looks at all addresses.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What bounds the rate of each address. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct ConnectRate {
    /// The time in which a token comes.
    interval: Duration,
    /// How far ahead the moment may be, for one more to be let in.
    tolerance: Duration,
    full_at: Arc<Mutex<FullAt>>,
}

/// The moments at which the buckets will be full.
#[derive(Debug)]
struct FullAt {
    own: HashMap<IpAddr, Instant>,
    common: Vec<Instant>,
    hasher: RandomState,
    sweep_from: usize,
    swept_at: Option<Instant>,
}

impl ConnectRate {
    /// So many connections a second for one address, and so many at once.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            tolerance: interval * (burst.max(1) - 1),
            full_at: Arc::new(Mutex::new(FullAt {
                own: HashMap::new(),
                common: Vec::new(),
                hasher: RandomState::new(),
                sweep_from: FIRST_SWEEP,
                swept_at: None,
            })),
        }
    }

    /// Takes a token, if there is one. Those who get none do not pay.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(full_at) = full_at.of(subscriber(address), now) else {
            return false;
        };
        let from = (*full_at).max(now);
        let has_token = from.duration_since(now) <= self.tolerance;
        if has_token {
            *full_at = from + self.interval;
        }
        has_token
    }
}

impl FullAt {
    /// The bucket of an address. Who comes when there is no room shares one with others: a crowd of addresses is
    /// bounded, too, and keeps nobody out for good.
    fn of(&mut self, address: IpAddr, now: Instant) -> Option<&mut Instant> {
        if self.own.contains_key(&address) || self.has_room(now) {
            return Some(self.own.entry(address).or_insert(now));
        }
        if self.common.is_empty() {
            self.common = vec![now; COMMON];
        }
        // Keyed: nobody can choose with whom to share.
        let place = self.hasher.hash_one(address) % COMMON as u64;
        self.common.get_mut(usize::try_from(place).ok()?)
    }

    fn has_room(&mut self, now: Instant) -> bool {
        if self.own.len() < self.sweep_from {
            return true;
        }
        let is_too_soon = |at: Instant| now.duration_since(at) < SWEEP_EVERY;
        if self.own.len() >= MAX_ADDRESSES && self.swept_at.is_some_and(is_too_soon) {
            return false;
        }
        self.swept_at = Some(now);
        self.own.retain(|_, full_at| *full_at > now);
        // Looked at again when they are twice as many: each address pays for two looks.
        self.sweep_from = (2 * self.own.len()).clamp(FIRST_SWEEP, MAX_ADDRESSES);
        self.own.len() < MAX_ADDRESSES
    }
}
