//! A session as the lanes see it: whose share of the room it uses, and how its checks have done.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        LazyLock, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::admission::subscriber;

use super::{
    cache::SessionCache, epoch::Stamp, hook::HookKind, mailbox::Mailbox, standing::Standing,
};

/// Names one session within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SeatId(u64);

/// Names those who share one part of the room: a principal, or an address before there is one. A keyed
/// hash, so that nobody can choose whom to share with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Account(u64);

/// One per session, shared by its checks.
#[derive(Debug)]
pub struct Seat {
    id: SeatId,
    account: AtomicU64,
    stamp: Stamp,
    /// Milliseconds; 0 is none.
    patience: AtomicU64,
    standings: Mutex<[Standing; HookKind::ALL.len()]>,
    /// Decisions that may be used again; nothing until there is one.
    decisions: Mutex<Option<Box<SessionCache>>>,
    /// Made when it is used for the first time.
    mailbox: OnceLock<Box<Mailbox>>,
}

impl Seat {
    /// For a client of this address. Until it is known who it is, it shares with whoever else comes
    /// from there: of an IPv6 address, from the same /64.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: SeatId(NEXT.fetch_add(1, Ordering::Relaxed)),
            account: AtomicU64::new(keyed_hash(&("address", subscriber(address)))),
            stamp: Stamp::default(),
            patience: AtomicU64::new(0),
            standings: Mutex::default(),
            decisions: Mutex::default(),
            mailbox: OnceLock::new(),
        }
    }

    /// The service has said who this is. A client without a principal goes on by its address.
    pub fn identify(&self, principal: &str) {
        if !principal.is_empty() {
            let account = keyed_hash(&("principal", principal));
            self.account.store(account, Ordering::Relaxed);
        }
    }

    /// The directives that concerned the session.
    #[must_use]
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The client hears nothing while a packet of it is held, so it is not held for longer than this:
    /// half the keep alive, by which a client that sends a PINGREQ still has its answer in time.
    pub fn set_patience(&self, keep_alive: Duration) {
        let millis = u64::try_from(keep_alive.as_millis() / 2).unwrap_or(u64::MAX);
        self.patience.store(millis, Ordering::Relaxed);
    }

    /// How long its packets may be held. `None`: it has no keep alive.
    pub(super) fn patience(&self) -> Option<Duration> {
        let millis = self.patience.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        self.mailbox.get_or_init(Box::default)
    }

    pub(super) fn id(&self) -> SeatId {
        self.id
    }

    pub(super) fn account(&self) -> Account {
        Account(self.account.load(Ordering::Relaxed))
    }

    /// Its decisions that may be used again.
    pub(super) fn decisions(&self) -> MutexGuard<'_, Option<Box<SessionCache>>> {
        // Entries are added and removed as wholes; the worst of half a change is one that is not counted.
        self.decisions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, if nobody uses them now.
    pub(super) fn try_decisions(&self) -> Option<MutexGuard<'_, Option<Box<SessionCache>>>> {
        self.decisions.try_lock().ok()
    }

    /// How the checks of this kind have done.
    pub(super) fn standing(&self, hook: HookKind) -> impl std::ops::DerefMut<Target = Standing> {
        let standings: MutexGuard<'_, _> =
            // Numbers only: there is no half-made state behind a poisoned lock.
            self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        StandingGuard {
            standings,
            hook: hook as usize,
        }
    }
}

/// The standing of one hook, locked.
struct StandingGuard<'a> {
    standings: MutexGuard<'a, [Standing; HookKind::ALL.len()]>,
    hook: usize,
}

impl std::ops::Deref for StandingGuard<'_> {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standings[self.hook]
    }
}

impl std::ops::DerefMut for StandingGuard<'_> {
    fn deref_mut(&mut self) -> &mut Standing {
        &mut self.standings[self.hook]
    }
}

/// Hashes [`SeatId`] and [`Account`], which nobody can choose, by one multiplication.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct IdHasher(u64);

impl std::hash::Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // The golden ratio spreads what is consecutive; the table uses the highest bits as well as the lowest.
        let spread = (self.0 ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ (spread >> 32);
    }
}

/// A map by one of these.
pub(super) type ById<K, V> =
    std::collections::HashMap<K, V, std::hash::BuildHasherDefault<IdHasher>>;

fn keyed_hash(value: &impl std::hash::Hash) -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEYS.hash_one(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_subscriber_share_until_they_are_somebody() {
        let seat = |address: &str| Seat::new(address.parse().unwrap());
        let one = seat("2001:db8::1");
        assert_eq!(one.account(), seat("2001:db8::2:1").account());
        assert_ne!(one.account(), seat("2001:db8:0:1::1").account());
        let other = seat("192.0.2.1");
        assert_eq!(other.account(), seat("::ffff:192.0.2.1").account());
        assert_ne!(other.account(), seat("192.0.2.2").account());
        one.identify("somebody");
        assert_ne!(one.account(), seat("2001:db8::1").account());
    }
}
