//! Packets that wait for the service to come back: how long, how many bytes of them, and how often they
//! are asked about.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{super::endpoints::jittered, policy::Policy};

/// Pause before the second attempt; each further one is twice as long, give or take a fifth.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Time that an attempt must have.
const MIN_TIME: Duration = Duration::from_millis(5);

/// The bytes that may be held, over all sessions and hooks.
#[derive(Debug)]
pub(in crate::authz) struct HoldRoom {
    max: usize,
    taken: AtomicUsize,
}

impl HoldRoom {
    pub(in crate::authz) fn new(max: usize) -> Self {
        Self {
            max,
            taken: AtomicUsize::new(0),
        }
    }

    /// Bytes that are held now.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Room for so many bytes, until it is dropped. `None`: there is none.
    pub(super) fn take(room: &Arc<Self>, bytes: usize) -> Option<Place> {
        let is_taken = room
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(bytes).filter(|sum| *sum <= room.max)
            });
        is_taken.ok().map(|_| Place {
            room: Arc::clone(room),
            bytes,
        })
    }
}

/// The place of one packet.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<HoldRoom>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A packet that is held.
#[derive(Debug)]
pub(super) struct Held {
    until: Instant,
    pause: Duration,
    _place: Place,
}

impl Held {
    /// `None`: no attempt would fit in.
    pub(super) fn new(until: Instant, place: Place) -> Option<Self> {
        (until > Instant::now() + MIN_TIME).then_some(Self {
            until,
            pause: FIRST_PAUSE,
            _place: place,
        })
    }

    /// When to try again after an attempt that failed at this time. `None`: too late.
    pub(super) fn next_attempt(&mut self, failed_at: Instant) -> Option<Instant> {
        let at = (failed_at + jittered(self.pause)).max(Instant::now());
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        (at + MIN_TIME < self.until).then_some(at)
    }

    /// The time that an attempt has: its hook's, and never longer than the packet is held.
    pub(super) fn attempt_deadline(&self, policy: &Policy, now: Instant) -> Instant {
        self.until.min(now + policy.deadline())
    }
}
