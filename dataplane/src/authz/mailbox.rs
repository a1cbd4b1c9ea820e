//! Where the decisions of a session wait for it: what comes together costs one lock and one wake.
//!
//! The lanes deliver, the session takes. It waits for one of its checks at a time, the oldest; what is
//! delivered meanwhile lies here until it comes for that one.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{cache::Maker, decision::Decision, failure::Cause, wire::Outcome};
use gatekeeper::{Allow, Verdict};

/// How a check ended, with the number of the check.
pub(super) type Letter = (u64, Ending);

/// How a check ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// Allowed as it is at this time, and nobody wants to know more about it.
    Allowed(Instant),
    /// In any other way.
    Other(Box<Outcome>),
}

impl Ending {
    /// How a check ended with this outcome. `is_curious`: somebody wants to know more of a message that is
    /// allowed as it is.
    pub(super) fn of(outcome: Outcome, is_curious: bool) -> Self {
        match &outcome {
            Ok(decision) if !is_curious && decision.verdict == Verdict::Allow(Allow::PUBLISH) => {
                Self::Allowed(decision.decided_at)
            }
            _ => Self::Other(Box::new(outcome)),
        }
    }

    /// How a check ended that nobody decided.
    pub(super) fn failed(cause: Cause) -> Self {
        Self::Other(Box::new(Err(cause.into())))
    }

    /// The same, for a check that waited for so long and travelled with so many.
    pub(super) fn after(mut self, queued: Duration, batch_size: usize) -> Self {
        if let Self::Other(outcome) = &mut self {
            let facts = match &mut **outcome {
                Ok(decision) => &mut decision.facts,
                Err(failure) => &mut failure.facts,
            };
            facts.queued = queued;
            facts.batch_size = batch_size;
        }
        self
    }

    /// Remembers whose decision it is, if it may be used again.
    pub(super) fn name_maker(&mut self, maker: &Maker) {
        if let Self::Other(outcome) = self
            && let Ok(decision) = &mut **outcome
            && let Some(reuse) = &mut decision.facts.reuse
        {
            reuse.maker = Some(maker.clone());
        }
    }

    /// The outcome, of somebody who does not wait by a mailbox.
    pub(super) fn into_outcome(self) -> Outcome {
        match self {
            Self::Other(outcome) => *outcome,
            Self::Allowed(at) => Ok(Decision::allowed(at)),
        }
    }
}

/// The mailbox of one session. It holds one ending for each of its checks that are under way, at most.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    has_left: AtomicBool,
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    letters: Vec<Letter>,
    /// Who waits, and for the end of which check.
    waits: Option<(u64, Waker)>,
}

impl Mailbox {
    /// Puts these in. Who waits for one of them is woken.
    pub(super) fn deliver(&self, letters: &mut Vec<Letter>) {
        let waker = {
            let mut state = self.lock();
            let is_awaited = |wanted: u64| letters.iter().any(|(number, _)| *number == wanted);
            let waits = state.waits.take_if(|(wanted, _)| is_awaited(*wanted));
            state.letters.append(letters);
            waits.map(|(_, waker)| waker)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes all that is there; `letters` is empty. Pending: the end of this check is not among it.
    pub(super) fn poll_take(
        &self,
        wanted: u64,
        letters: &mut Vec<Letter>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        let mut state = self.lock();
        std::mem::swap(&mut state.letters, letters);
        if letters.iter().any(|(number, _)| *number == wanted) {
            return Poll::Ready(());
        }
        state.waits = Some((wanted, cx.waker().clone()));
        Poll::Pending
    }

    /// Takes all that is there, to wait for nothing; `letters` is empty.
    pub(super) fn take(&self, letters: &mut Vec<Letter>) {
        std::mem::swap(&mut self.lock().letters, letters);
    }

    /// Throws away what is there, and gives back its memory.
    pub(super) fn clear(&self) {
        self.lock().letters = Vec::new();
    }

    /// The session has ended: nobody takes anything any more.
    pub(super) fn leave(&self) {
        self.has_left.store(true, Ordering::Release);
        self.left.notify_waiters();
    }

    /// Whether it has.
    pub(super) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Waits until it has.
    pub(super) async fn left(&self) {
        while !self.has_left() {
            let left = self.left.notified();
            // It may have left just before.
            if !self.has_left() {
                left.await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Letters are put in and taken out as wholes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
