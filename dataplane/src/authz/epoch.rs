//! What directives do to decisions: an answer that was asked for before a directive came says nothing
//! about the time after it.
//!
//! Directives are numbered as they come: the number of the last one is the *epoch*. Whoever asks, or keeps
//! an answer, remembers the epoch of the asking; whoever uses an allow compares it with the [`Stamp`] of
//! the session, which holds the last directive that concerned it. A directive first advances the epoch and
//! stamps its sessions after that, so an allow that was asked for in between is as new as the directive.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Directives about a principal that are remembered. Whoever was asked about before the oldest of
/// them is taken for concerned.
const REMEMBERED: usize = 1024;

/// The directives of the service so far, and whether they still come. One per instance.
#[derive(Debug)]
pub struct Epochs {
    current: AtomicU64,
    /// How long an instance may hear nothing and still be up to date. `None`: nobody sends directives.
    silence: Option<Duration>,
    started_at: Instant,
    /// Milliseconds after `started_at`.
    heard_at: AtomicU64,
    /// Something was heard on the stream that is open now.
    is_open: AtomicBool,
    principals: Mutex<Principals>,
}

/// The last directives about principals: a client whose CONNECT is not decided has none yet.
#[derive(Debug, Default)]
struct Principals {
    named: VecDeque<(u64, Box<str>)>,
    /// The epoch of the last one that is not remembered any more.
    forgotten: u64,
}

impl Default for Epochs {
    /// As [`Epochs::unwatched`].
    fn default() -> Self {
        Self::unwatched()
    }
}

impl Epochs {
    /// Nobody watches for directives: there are none, and nothing is ever outdated.
    #[must_use]
    pub fn unwatched() -> Self {
        Self::new(None)
    }

    /// Directives are watched for. Not [fresh](Self::is_fresh) before something was heard, nor after
    /// nothing was for `silence`.
    #[must_use]
    pub fn watched(silence: Duration) -> Self {
        Self::new(Some(silence))
    }

    fn new(silence: Option<Duration>) -> Self {
        Self {
            current: AtomicU64::new(0),
            silence,
            started_at: Instant::now(),
            heard_at: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            principals: Mutex::default(),
        }
    }

    /// Whether directives are watched for at all.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.silence.is_some()
    }

    /// The number of the last directive; 0 before the first. To be read before a question is put.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Whether it can be relied on that revocations reach this instance. While they don't, an answer may
    /// only be used for the question that it was given to: no cached allow is. Costs a look at the clock.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let Some(silence) = self.silence else {
            return true;
        };
        // It runs out by itself, so that a watch that hangs or is gone can't keep it up.
        self.is_open.load(Ordering::Acquire) && self.since_heard() < silence
    }

    /// Time since something was heard; since the start, if nothing ever was. `None`: nobody watches.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        self.is_watched().then(|| self.since_heard())
    }

    /// Something came of the service, if only a heartbeat.
    pub(crate) fn heard(&self) {
        let now = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_at.store(now, Ordering::Relaxed);
        self.is_open.store(true, Ordering::Release);
    }

    /// It is known that no directives come, until something is heard again.
    pub(crate) fn lost(&self) {
        self.is_open.store(false, Ordering::Release);
    }

    /// A directive came; `principal` is set if that is how it chooses sessions. Returns its number, with
    /// which its sessions are to be stamped next.
    pub(crate) fn advance(&self, principal: Option<&str>) -> u64 {
        let mut principals = self.lock();
        let epoch = self.current.load(Ordering::Relaxed) + 1;
        if let Some(principal) = principal {
            if principals.named.len() == REMEMBERED
                && let Some((forgotten, _)) = principals.named.pop_front()
            {
                principals.forgotten = forgotten;
            }
            principals.named.push_back((epoch, principal.into()));
        }
        // Under the lock: two directives are two numbers, and are remembered in their order.
        self.current.store(epoch, Ordering::Release);
        epoch
    }

    /// Whether a directive about this principal came after the epoch `asked`. Such a directive finds no
    /// session whose CONNECT is being decided.
    #[must_use]
    pub fn named_since(&self, asked: u64, principal: &str) -> bool {
        if self.current() == asked {
            return false;
        }
        let principals = self.lock();
        let newer = principals.named.iter().rev();
        principals.forgotten > asked
            || newer
                .take_while(|(epoch, _)| *epoch > asked)
                .any(|(_, named)| **named == *principal)
    }

    fn since_heard(&self) -> Duration {
        let heard_at = Duration::from_millis(self.heard_at.load(Ordering::Relaxed));
        self.started_at.elapsed().saturating_sub(heard_at)
    }

    fn lock(&self) -> MutexGuard<'_, Principals> {
        // The worst that half a change can do is to take somebody for concerned.
        self.principals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last directive that concerned a session. Reading costs an atomic load.
#[derive(Debug, Default)]
pub struct Stamp {
    concerned: AtomicU64,
    verified: AtomicU64,
}

impl Stamp {
    /// A directive of this number concerns the session.
    pub(crate) fn touch(&self, epoch: u64) {
        self.concerned.fetch_max(epoch, Ordering::AcqRel);
    }

    /// The number of the last directive that concerned the session; 0 if none did. What is kept of a
    /// decision is worth nothing once this is larger than the epoch at which it was asked for.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.concerned.load(Ordering::Acquire)
    }

    /// Whether an allow that was asked for at this epoch may no longer be used.
    #[must_use]
    pub fn outdates(&self, asked: u64) -> bool {
        self.last() > asked
    }

    /// The principal that the session is about to get was not named up to this epoch.
    pub(super) fn verify(&self, epoch: u64) {
        self.verified.store(epoch, Ordering::Release);
    }

    /// Up to which epoch it is known that nobody named the principal of the session, before it had it.
    pub(crate) fn verified(&self) -> u64 {
        self.verified.load(Ordering::Acquire)
    }
}
