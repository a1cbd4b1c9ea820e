//! How the checks of one session have done: who slows a batch down, or makes it fail, travels alone.
//!
//! A unary answer waits for its slowest item, and one item can make the whole answer an error. Who shares
//! a batch with such a session suffers now and then; the session itself suffers always. That is how the
//! two are told apart: [`SUSPICIOUS`] batches in a row that took several times what quick batches take at
//! that time, or [`STRIKES`] failures alone. Alone it goes on, in batches of its own, until as many of
//! them in a row were quick and none failed.

use std::time::Duration;

/// Slow batches in a row after which a session travels alone: it is recognised after as many of its
/// checks if each travels in another batch. Quick ones in a row after which it no longer does.
pub(super) const SUSPICIOUS: u8 = 8;
/// Checks that failed although they travelled alone, before all of them do.
pub(super) const STRIKES: u8 = 2;
/// A batch is slow from so many times what quick ones take,
const SLOW_FACTOR: u32 = 3;
/// but never below this: the scheduler alone costs as much.
const SLOW_FLOOR: Duration = Duration::from_millis(5);

/// What is remembered of one session and hook.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    is_apart: bool,
    slow_in_a_row: u8,
    strikes: u8,
    good_in_a_row: u8,
}

impl Standing {
    /// Whether its checks travel in batches of their own.
    pub(super) fn is_apart(self) -> bool {
        self.is_apart
    }

    /// A batch with checks of the session was answered. `quick` is what quick batches of the lane take.
    pub(super) fn answered(&mut self, took: Duration, quick: Duration) {
        if took > (quick * SLOW_FACTOR).max(SLOW_FLOOR) {
            self.good_in_a_row = 0;
            self.slow_in_a_row = self.slow_in_a_row.saturating_add(1);
            self.is_apart |= self.slow_in_a_row >= SUSPICIOUS;
            return;
        }
        self.slow_in_a_row = 0;
        if self.is_apart {
            self.good_in_a_row = self.good_in_a_row.saturating_add(1);
            if self.good_in_a_row >= SUSPICIOUS {
                *self = Self::default();
            }
        }
    }

    /// A check of the session that travelled alone made its call fail, and that was the service's word.
    pub(super) fn failed_alone(&mut self) {
        self.good_in_a_row = 0;
        self.strikes = self.strikes.saturating_add(1);
        self.is_apart |= self.strikes >= STRIKES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);
    const SLOW: Duration = Duration::from_millis(20);

    #[test]
    fn who_is_always_in_slow_batches_travels_alone_until_they_are_quick() {
        let mut standing = Standing::default();
        for _ in 1..SUSPICIOUS {
            standing.answered(SLOW, QUICK);
        }
        assert!(!standing.is_apart());
        standing.answered(SLOW, QUICK);
        assert!(standing.is_apart());
        for _ in 1..SUSPICIOUS {
            standing.answered(QUICK, QUICK);
        }
        assert!(standing.is_apart());
        standing.answered(QUICK, QUICK);
        assert!(!standing.is_apart());
    }

    #[test]
    fn who_is_in_a_quick_batch_now_and_then_is_not_to_blame() {
        let mut standing = Standing::default();
        for _ in 0..20 {
            for _ in 1..SUSPICIOUS {
                standing.answered(SLOW, QUICK);
            }
            standing.answered(QUICK, QUICK);
        }
        assert!(!standing.is_apart());
    }

    #[test]
    fn a_slow_service_is_nobodys_fault() {
        let mut standing = Standing::default();
        for _ in 0..100 {
            standing.answered(SLOW, SLOW);
            standing.answered(QUICK * 4, Duration::ZERO);
        }
        assert!(!standing.is_apart());
    }

    #[test]
    fn who_fails_alone_again_and_again_travels_alone() {
        let mut standing = Standing::default();
        standing.failed_alone();
        assert!(!standing.is_apart());
        standing.failed_alone();
        assert!(standing.is_apart());
    }
}
