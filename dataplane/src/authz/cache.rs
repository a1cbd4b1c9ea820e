//! Decisions that are used again: within one session, for an identical check, and only as far as both the
//! service ([`v1::CacheHint`]) and the operator permit.
//!
//! A decision that comes from here goes the same way as any other: it is observed, counted, and brought to
//! the gatekeeper. It is used while
//!
//! * its time to live lasts, which is the shorter one of the service's and the operator's,
//! * the endpoint that made it has not named another `policy_revision` since,
//! * no directive that concerns the session has come since it was asked for, and, if it is an allow,
//!   directives would reach us.
//!
//! That is so when its packet's turn has come, and not only when the packet did ([`Lease`]): else it is asked.
//!
//! Never kept: an answer to a CONNECT or a will, an allow that changes something, and a failure.

mod lease;
mod revision;
mod session;
mod store;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use gatekeeper::{Allow, SubscribeChanges, Verdict};
use tidegate_proto::v1;
use tokio::time::Instant;
use tower::Service;

pub(super) use self::revision::Maker;
use self::session::Role;
pub(super) use self::{
    lease::Lease,
    revision::Revisions,
    session::{Key, SessionCache},
    store::Store,
};
use super::{
    check::Check,
    counters::Counters,
    decision::Decision,
    epoch::Epochs,
    failure::Failure,
    hook::{Hook, HookKind},
    message::SessionBytes,
    options::CacheOptions,
    seat::Seat,
    single_flight::{Follower, Found, Shared as FromAnother, Slot},
    wire::Outcome,
};

/// What the service permits to make of a decision besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reuse {
    /// For how long it may be used again.
    pub(super) ttl: Duration,
    /// For how much longer while the service fails.
    pub(super) stale_if_error: Duration,
    /// Who made it. `None`: not known, so it is not used again.
    pub(super) maker: Option<Maker>,
}

impl Reuse {
    /// What a hint permits. `None`: nothing. A time that is none counts as 0.
    pub(super) fn new(hint: v1::CacheHint) -> Option<Box<Self>> {
        let time = |time: Option<prost_types::Duration>| {
            let time = time.and_then(|time| Duration::try_from(time).ok());
            time.unwrap_or_default()
        };
        let reuse = Self {
            ttl: time(hint.ttl),
            stale_if_error: time(hint.stale_if_error),
            maker: None,
        };
        let is_of_use = !reuse.ttl.is_zero() || !reuse.stale_if_error.is_zero();
        is_of_use.then(|| Box::new(reuse))
    }
}

/// What the caches of all sessions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: CacheOptions,
    pub(super) epochs: Arc<Epochs>,
    pub(super) counters: Arc<Counters>,
    pub(super) store: Store,
}

/// Answers what has been answered before.
#[derive(Debug, Clone)]
pub struct Cache<S> {
    inner: S,
    /// None: off.
    shared: Option<Arc<Shared>>,
}

impl<S> Cache<S> {
    /// Wraps the rest of the stack of a hook.
    pub(super) fn new(inner: S, hook: HookKind, shared: Option<Arc<Shared>>) -> Self {
        let shared = match hook {
            HookKind::Connect | HookKind::Will => None,
            HookKind::Publish | HookKind::Subscribe => shared,
        };
        Self { inner, shared }
    }
}

impl<S, H> Service<Check<H>> for Cache<S>
where
    H: Hook,
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>> + Clone + Send + 'static,
    S::Future: Unpin + Send,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        let Some(shared) = &self.shared else {
            let (inner, note) = (self.inner.call(check), None);
            return ResponseFuture::Asking { inner, note };
        };
        let mut note = Box::new(Note {
            // Before the question: what is decided meanwhile is older than a directive meanwhile.
            epoch: shared.epochs.current(),
            shared: Arc::clone(shared),
            seat: Arc::clone(&check.context.seat),
            session: check.message.session().clone(),
            key: Key::of(&check),
            leads: false,
        });
        match note.look(check.message.place()) {
            Looked::Found(found) => {
                let mut stack = self.inner.clone();
                let ask = Box::new(move || stack.call(check));
                let known = Some(FromAnother { found, ask });
                let note = Some(note);
                ResponseFuture::Known { known, note }
            }
            Looked::Leader => {
                let slot = Arc::new(Slot::default());
                let follower = Follower::new(&slot, self.inner.clone(), check);
                // Only if it has just ended.
                if let Some(follower) = note.follow(follower) {
                    follower.resolve(None);
                }
                let note = Some(note);
                ResponseFuture::Following { slot, note }
            }
            Looked::Nothing { leads } => {
                note.leads = leads;
                let (inner, note) = (self.inner.call(check), Some(note));
                ResponseFuture::Asking { inner, note }
            }
        }
    }
}

/// What there was for a check.
enum Looked {
    Found(Found),
    /// An identical one is under way.
    Leader,
    Nothing {
        /// Identical ones may follow it.
        leads: bool,
    },
}

/// A check that is asked, and whose answer may be kept.
pub struct Note {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    session: SessionBytes,
    key: Key,
    epoch: u64,
    /// Others wait for its answer.
    leads: bool,
}

impl Note {
    fn look(&self, place: u64) -> Looked {
        let counters = self.shared.counters.hook(self.key.hook());
        let mut leads = false;
        if let Some(cache) = self.seat.decisions().as_mut() {
            if let Some(found) = cache.fresh(&self.key, &self.session, &self.seat) {
                return Looked::Found(Box::new(found));
            }
            if cache.shares(self.key.hook()) && self.shared.epochs.is_fresh() {
                match cache.role(&self.key, place) {
                    Role::Follows => return Looked::Leader,
                    Role::Leads => leads = true,
                    Role::None => {}
                }
            }
        }
        counters.cache_misses.add(1);
        Looked::Nothing { leads }
    }

    /// Whether a decision that was found may be used now. If not, it is about to be asked for.
    fn may_use(&mut self, lease: &Lease) -> bool {
        let counters = self.shared.counters.hook(self.key.hook());
        let now = Instant::now();
        if lease.holds(now, self.seat.stamp(), &self.shared.epochs) {
            counters.cache_hits.add(1);
            return true;
        }
        counters.cache_misses.add(1);
        self.epoch = self.shared.epochs.current();
        false
    }

    /// Waits for the answer of the leader. It comes back if there is none any more.
    fn follow(&self, follower: Follower) -> Option<Follower> {
        match self.seat.decisions().as_mut() {
            Some(cache) => cache.follow(&self.key, follower),
            None => Some(follower),
        }
    }

    /// Keeps the decision if that is permitted, and tells those who wait for it.
    fn end(&mut self, outcome: &mut Outcome) {
        let mut is_kept = false;
        if let Ok(decision) = outcome
            && let Some(reuse) = decision.facts.reuse.take()
            && may_keep(&decision.verdict)
        {
            let mut decisions = self.seat.decisions();
            let cache = decisions.get_or_insert_with(|| {
                let shared = Arc::clone(&self.shared);
                shared.store.enter(&self.seat);
                let account = self.seat.account();
                Box::new(SessionCache::new(shared, account, self.session.clone()))
            });
            is_kept = cache.keep(&self.key, &self.session, decision, &reuse, self.epoch);
        }
        self.release(is_kept);
    }

    fn release(&mut self, is_kept: bool) {
        let leads = std::mem::take(&mut self.leads);
        if !leads && !is_kept {
            return;
        }
        let counters = self.shared.counters.hook(self.key.hook());
        let mut followers = Vec::new();
        if let Some(cache) = self.seat.decisions().as_mut() {
            cache.set_shares(self.key.hook(), is_kept);
            if leads {
                for follower in cache.take_followers(&self.key) {
                    let found = cache.fresh(&self.key, &self.session, &self.seat);
                    if found.is_none() {
                        counters.cache_misses.add(1);
                    }
                    followers.push((follower, found));
                }
            }
        }
        // All of them at once, and not when each one's turn comes: one more round trip and not one each.
        for (follower, found) in followers {
            follower.resolve(found.map(Box::new));
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // Its owner left before the answer came.
        self.release(false);
    }
}

/// Whether a verdict holds for an identical check, too.
fn may_keep(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Deny(_) | Verdict::Allow(Allow::Publish(None)) => true,
        Verdict::Allow(Allow::Subscribe(changes)) => *changes == SubscribeChanges::default(),
        Verdict::Allow(Allow::Publish(Some(_)) | Allow::Connect(_)) | Verdict::Unavailable(_) => {
            false
        }
    }
}

/// An allow whose time is over, but not the time for which it may be used while the service fails.
pub(super) fn stale<H: Hook>(check: &Check<H>) -> Option<Decision> {
    let seat = &check.context.seat;
    let mut decisions = seat.decisions();
    let cache = decisions.as_mut()?;
    cache.stale(&Key::of(check), check.message.session(), seat)
}

/// Future of [`Cache`].
pub enum ResponseFuture<F> {
    /// It was answered before.
    Known {
        /// The answer.
        known: Option<FromAnother<F>>,
        /// Whether it may still be used, and what is to be done with another one.
        note: Option<Box<Note>>,
    },
    /// It is asked.
    Asking {
        /// The rest of the stack.
        inner: F,
        /// What is to be done with the answer.
        note: Option<Box<Note>>,
    },
    /// An identical one is asked.
    Following {
        /// Where its answer, or the way to an own one, comes.
        slot: Arc<Slot<F>>,
        /// What is to be done with an own one.
        note: Option<Box<Note>>,
    },
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome> + Unpin,
{
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            match &mut *self {
                Self::Known { known, note } => {
                    let (Some(known), Some(mut note)) = (known.take(), note.take()) else {
                        // Polled after it was ready.
                        return Poll::Pending;
                    };
                    let (decision, lease) = *known.found;
                    if note.may_use(&lease) {
                        return Poll::Ready(Ok(decision));
                    }
                    let (inner, note) = ((known.ask)(), Some(note));
                    *self = Self::Asking { inner, note };
                }
                Self::Asking { inner, note } => {
                    let mut outcome = ready!(Pin::new(inner).poll(cx));
                    if let Some(mut note) = note.take() {
                        note.end(&mut outcome);
                    }
                    return Poll::Ready(outcome);
                }
                Self::Following { slot, note } => {
                    let next = match ready!(slot.poll(cx)) {
                        Ok(known) => Self::Known {
                            known: Some(known),
                            note: note.take(),
                        },
                        Err(inner) => Self::Asking {
                            inner,
                            note: note.take(),
                        },
                    };
                    *self = next;
                }
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known { .. } => "Known",
            Self::Asking { .. } => "Asking",
            Self::Following { .. } => "Following",
        })
    }
}
