//! All sessions by the names that a directive may choose them by, those included whose CONNECT is not
//! decided yet.
//!
//! A directive is rare and looks at every session, by four hashes that lie side by side: no index has to be
//! kept for it. What a session is to do is put into its [`Slot`]; there is no task per session, and orders
//! that nobody has taken yet become one.

mod list;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytestring::ByteString;
use futures_util::task::AtomicWaker;
use gatekeeper::ReasonCode;

use crate::{
    authz::{Epochs, Seat, Who},
    control::Carrying,
};

pub(crate) use self::list::{Arrival, Listed};

/// Parts of the registry, so that a directive does not stop all that come and go at once.
const SHARDS: usize = 16;

/// Which sessions a directive is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The network connection of this name.
    Session(String),
    /// All of a client identifier.
    Client(String),
    /// All of a user name. A client without one is not meant by the empty one.
    Username(String),
    /// All of a principal.
    Principal(String),
    /// Every one.
    All,
}

/// The end of a session, as the service wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) code: ReasonCode,
    pub(crate) reason_string: Option<ByteString>,
    /// Whether it may come at once; else it takes its turn among others.
    pub(crate) at_once: bool,
}

/// What a session has to do. All that was ordered since it last looked.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) farewell: Option<Farewell>,
    pub(super) recheck: bool,
    /// To be let go of when all of it is done.
    pub(super) carrying: Option<Carrying>,
}

/// All sessions of an instance.
#[derive(Debug)]
pub(crate) struct Registry {
    shards: [Mutex<HashMap<u64, Entry>>; SHARDS],
    next: AtomicU64,
    hashes: RandomState,
    epochs: Arc<Epochs>,
    /// Whether somebody may list the sessions.
    is_listed: bool,
}

/// One session, as a directive looks at it.
#[derive(Debug)]
struct Entry {
    names: Names,
    slot: Arc<Slot>,
}

/// Hashes of the names. They only say who is not meant.
#[derive(Debug, Clone, Copy)]
struct Names {
    session: u64,
    client: u64,
    username: Option<u64>,
    principal: u64,
}

/// Where orders for one session are put.
#[derive(Debug)]
pub(crate) struct Slot {
    seat: Arc<Seat>,
    who: Mutex<Arc<Who>>,
    arrival: Option<Arrival>,
    orders: Mutex<Orders>,
    has_orders: AtomicBool,
    waker: AtomicWaker,
}

impl Registry {
    pub(crate) fn new(epochs: Arc<Epochs>) -> Self {
        Self {
            shards: Default::default(),
            next: AtomicU64::new(0),
            hashes: RandomState::new(),
            epochs,
            is_listed: false,
        }
    }

    /// The same, whose sessions may be listed.
    pub(super) fn listing(self) -> Self {
        Self {
            is_listed: true,
            ..self
        }
    }

    /// Whether sessions have to be in it.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_listed || self.epochs.is_watched()
    }

    /// The directives so far.
    pub(crate) fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }

    /// A session has begun.
    pub(super) fn enter(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        who: &Arc<Who>,
        arrival: Option<Arrival>,
    ) -> Registration {
        let slot = Arc::new(Slot {
            seat: Arc::clone(seat),
            who: Mutex::new(Arc::clone(who)),
            arrival: arrival.filter(|_| self.is_listed),
            orders: Mutex::default(),
            has_orders: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            names: self.names(who),
            slot: Arc::clone(&slot),
        };
        self.shard(number).insert(number, entry);
        Registration {
            registry: Arc::clone(self),
            number,
            slot,
        }
    }

    /// The sessions that a directive of this number concerns. What they asked before is outdated when
    /// this returns.
    pub(crate) fn choose(&self, selector: &Selector, epoch: u64) -> Vec<Arc<Slot>> {
        let hash = self.hash_of(selector);
        let mut chosen = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            for entry in shard.values() {
                if entry.names.may_be(selector, hash) && selector.is(&lock(&entry.slot.who)) {
                    entry.slot.seat.stamp().touch(epoch);
                    chosen.push(Arc::clone(&entry.slot));
                }
            }
        }
        chosen
    }

    /// How many sessions there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn names(&self, who: &Who) -> Names {
        Names {
            session: self.hashes.hash_one(&*who.session_id),
            client: self.hashes.hash_one(&*who.client_id),
            username: who
                .username
                .as_deref()
                .map(|name| self.hashes.hash_one(name)),
            principal: self.hashes.hash_one(&*who.principal),
        }
    }

    fn hash_of(&self, selector: &Selector) -> u64 {
        match selector {
            Selector::Session(name)
            | Selector::Client(name)
            | Selector::Username(name)
            | Selector::Principal(name) => self.hashes.hash_one(&**name),
            Selector::All => 0,
        }
    }

    fn shard(&self, number: u64) -> MutexGuard<'_, HashMap<u64, Entry>> {
        lock(&self.shards[number as usize % SHARDS])
    }
}

impl Names {
    fn may_be(&self, selector: &Selector, hash: u64) -> bool {
        match selector {
            Selector::Session(_) => self.session == hash,
            Selector::Client(_) => self.client == hash,
            Selector::Username(_) => self.username == Some(hash),
            Selector::Principal(_) => self.principal == hash,
            Selector::All => true,
        }
    }
}

impl Selector {
    fn is(&self, who: &Who) -> bool {
        match self {
            Self::Session(name) => who.session_id == *name,
            Self::Client(name) => who.client_id == *name,
            Self::Username(name) => who.username.as_ref() == Some(name),
            Self::Principal(name) => who.principal == *name,
            Self::All => true,
        }
    }
}

impl Slot {
    /// Ends the session.
    pub(crate) fn terminate(&self, farewell: &Farewell, carrying: Option<Carrying>) {
        self.order(carrying, |orders| {
            // The first is told; but what may come at once does.
            let first = orders.farewell.get_or_insert_with(|| farewell.clone());
            first.at_once |= farewell.at_once;
        });
    }

    /// Has the session ask again about what it holds.
    pub(crate) fn recheck(&self, carrying: Option<Carrying>) {
        self.order(carrying, |orders| orders.recheck = true);
    }

    fn order(&self, carrying: Option<Carrying>, put: impl FnOnce(&mut Orders)) {
        let mut orders = lock(&self.orders);
        put(&mut orders);
        let late = Carrying::merge(&mut orders.carrying, carrying);
        self.has_orders.store(true, Ordering::Release);
        drop(orders);
        // It may have something to tell: not under the lock.
        drop(late);
        self.waker.wake();
    }

    fn take(&self) -> Option<Orders> {
        if !self.has_orders.load(Ordering::Acquire) {
            return None;
        }
        let mut orders = lock(&self.orders);
        // Under the lock: what is ordered next is not taken along before it is announced.
        self.has_orders.store(false, Ordering::Release);
        Some(std::mem::take(&mut *orders))
    }
}

/// A session in the registry, until this is dropped. Orders that it has not taken are done then.
#[derive(Debug)]
pub(super) struct Registration {
    registry: Arc<Registry>,
    number: u64,
    slot: Arc<Slot>,
}

impl Registration {
    /// The session has got a name: of its CONNECT, or of the service. To be called before anything is
    /// asked in that name.
    pub(super) fn name(&self, who: &Arc<Who>) {
        let names = self.registry.names(who);
        let mut shard = self.registry.shard(self.number);
        *lock(&self.slot.who) = Arc::clone(who);
        if let Some(entry) = shard.get_mut(&self.number) {
            entry.names = names;
        }
    }

    /// The session has been let in as `principal`. Whether a directive about that one came between the
    /// check of its answer and now: it has found no session of that name.
    pub(super) fn was_named_meanwhile(&self, principal: &str) -> bool {
        let verified = self.slot.seat.stamp().verified();
        self.registry.epochs.named_since(verified, principal)
    }

    /// What the session has to do now.
    pub(super) fn poll_orders(&self, cx: &mut Context<'_>) -> Poll<Orders> {
        if let Some(orders) = self.slot.take() {
            return Poll::Ready(orders);
        }
        self.slot.waker.register(cx.waker());
        // What was ordered in between woke nobody.
        match self.slot.take() {
            Some(orders) => Poll::Ready(orders),
            None => Poll::Pending,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let gone = self.registry.shard(self.number).remove(&self.number);
        drop(gone);
        // Somebody may hold the slot still, and nobody will take its orders.
        let orders = self.slot.take();
        drop(orders);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever is behind these locks is put there whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
