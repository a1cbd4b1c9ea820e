//! Ends that would make many clients come back at once, so many per second. Who has to wait has a place
//! in line, and leaves it by being dropped; there is no task, and nothing for a session that is idle.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A token bucket with a line in front of it.
#[derive(Debug)]
pub(crate) struct Budget {
    per_second: f64,
    state: Mutex<State>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    filled_at: Option<Instant>,
    next: u64,
    line: BTreeMap<u64, Option<Waker>>,
}

/// A place in line. Ready when it is its turn.
#[derive(Debug)]
#[must_use = "it has to be awaited"]
pub(crate) struct Turn {
    budget: Arc<Budget>,
    number: u64,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Budget {
    /// So many per second, and as many at once after a quiet second. At least one.
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            per_second,
            state: Mutex::new(State {
                tokens: per_second,
                filled_at: None,
                next: 0,
                line: BTreeMap::new(),
            }),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Takes a turn, if nobody waits and there is one.
    pub(crate) fn try_take(&self) -> bool {
        let mut state = self.lock();
        state.line.is_empty() && self.take(&mut state)
    }

    /// Stands in line.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.line.insert(number, None);
        self.waiting.store(state.line.len(), Ordering::Relaxed);
        drop(state);
        Turn {
            budget: Arc::clone(self),
            number,
            sleep: None,
        }
    }

    /// How many stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn take(&self, state: &mut State) -> bool {
        let now = Instant::now();
        if let Some(filled_at) = state.filled_at.replace(now) {
            let refill = now.duration_since(filled_at).as_secs_f64() * self.per_second;
            state.tokens = (state.tokens + refill).min(self.per_second);
        }
        let may = state.tokens >= 1.0;
        if may {
            state.tokens -= 1.0;
        }
        may
    }

    /// When to look again: somewhat too late at times, so that what begins together does not go on in step.
    fn next_at(&self, state: &State) -> Instant {
        let missing = (1.0 - state.tokens).max(0.0) + fastrand::f64();
        Instant::now() + Duration::from_secs_f64(missing / self.per_second)
    }

    /// Takes a place out of the line, and yields who is to be woken if it was the first.
    fn leave(&self, number: u64, state: &mut State) -> Option<Waker> {
        let was_first = state.line.keys().next() == Some(&number);
        state.line.remove(&number)?;
        self.waiting.store(state.line.len(), Ordering::Relaxed);
        let first = state.line.values_mut().next().filter(|_| was_first);
        first.and_then(Option::take)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A number and a line that are changed one after the other: at worst a turn is lost.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(sleep) = &mut this.sleep {
                ready!(sleep.as_mut().poll(cx));
                this.sleep = None;
            }
            let mut state = this.budget.lock();
            if !state.line.contains_key(&this.number) {
                // It has had its turn.
                return Poll::Ready(());
            }
            if state.line.keys().next() != Some(&this.number) {
                let waker = cx.waker().clone();
                let stale = state.line.insert(this.number, Some(waker));
                drop(state);
                drop(stale);
                return Poll::Pending;
            }
            if this.budget.take(&mut state) {
                let next = this.budget.leave(this.number, &mut state);
                drop(state);
                wake(next);
                return Poll::Ready(());
            }
            let at = this.budget.next_at(&state);
            drop(state);
            this.sleep = Some(Box::pin(sleep_until(at)));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        let next = self.budget.leave(self.number, &mut state);
        drop(state);
        wake(next);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
