//! Identical checks of a session that are under way at the same time: one is asked, the others wait for its
//! answer.
//!
//! They share what is kept in the cache, and nothing else. An answer that may not be kept, and a failure,
//! are the leader's alone: then the others are asked, all at once, each within its own time. A leader comes
//! before its followers in their session (`SessionCache::role`) and ends by its own deadline, so they never wait
//! for longer than theirs. A check that is asked again may stand before the one that leads by then, and is asked
//! by itself.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tower::Service;

use super::{cache::Lease, check::Check, decision::Decision, hook::Hook};

/// The decision of another check, and the way to an own one.
pub struct Shared<F> {
    pub(super) found: Found,
    /// Asks all the same.
    pub(super) ask: Box<dyn FnOnce() -> F + Send>,
}

/// A decision that may be used again, while its lease holds.
pub(super) type Found = Box<(Decision, Lease)>;

/// Where the answer of a leader comes, or the way to an answer of one's own.
pub struct Slot<F>(Mutex<State<F>>);

enum State<F> {
    Waiting(Option<Waker>),
    Decided(Shared<F>),
    Asked(F),
    Taken,
}

impl<F> Default for Slot<F> {
    fn default() -> Self {
        Self(Mutex::new(State::Waiting(None)))
    }
}

impl<F> Slot<F> {
    /// The leader's decision, or the future of an own one.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Shared<F>, F>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Decided(shared) => Poll::Ready(Ok(shared)),
            State::Asked(asked) => Poll::Ready(Err(asked)),
            State::Waiting(_) => {
                *state = State::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
            State::Taken => Poll::Pending,
        }
    }

    fn set(&self, next: State<F>) {
        let before = std::mem::replace(&mut *self.lock(), next);
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        // It is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A check that waits for the answer to an identical one.
pub(super) struct Follower(Box<dyn FnOnce(Option<Found>) + Send>);

impl Follower {
    /// One whose future waits at `slot`. If that is gone by then, nothing is asked.
    pub(super) fn new<H, S>(slot: &Arc<Slot<S::Future>>, mut stack: S, check: Check<H>) -> Self
    where
        H: Hook,
        S: Service<Check<H>> + Send + 'static,
        S::Future: Send + 'static,
    {
        let slot = Arc::downgrade(slot);
        Self(Box::new(move |found| {
            let Some(slot) = slot.upgrade() else {
                return;
            };
            slot.set(match found {
                Some(found) => State::Decided(Shared {
                    found,
                    ask: Box::new(move || stack.call(check)),
                }),
                None => State::Asked(stack.call(check)),
            });
        }))
    }

    /// The leader has ended: with this decision for all, or with none.
    pub(super) fn resolve(self, found: Option<Found>) {
        (self.0)(found);
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Follower")
    }
}
