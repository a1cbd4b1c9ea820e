//! How the checks of one session have done: who slows a batch down, or makes it fail, travels alone.
//!
//! A unary answer waits for its slowest item, and one item can make the whole answer an error. Who shares
//! a batch with such a session suffers now and then; the session itself suffers always. That is how the
//! two are told apart: [`SUSPICIOUS`] batches in a row that took several times what quick batches take,
//! while at least as many without it were quick; or [`STRIKES`] failures alone. Alone it goes on, in batches
//! of its own, until as many of them in a row were quick and none failed.

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
    /// Quick batches of the lane when the first of these slow ones was answered.
    quick_before: u64,
    strikes: u8,
    good_in_a_row: u8,
}

/// The batches of a lane, as far as their sessions are judged by them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Batches {
    quick: u64,
}

impl Batches {
    /// A batch was answered. `usual` is what quick ones of the lane take. Tells whether it was slow.
    pub(super) fn answered(&mut self, took: Duration, usual: Duration) -> bool {
        let is_slow = took > (usual * SLOW_FACTOR).max(SLOW_FLOOR);
        self.quick += u64::from(!is_slow);
        is_slow
    }
}

impl Standing {
    /// Whether its checks travel in batches of their own.
    pub(super) fn is_apart(self) -> bool {
        self.is_apart
    }

    /// A batch with checks of the session was answered.
    pub(super) fn answered(&mut self, is_slow: bool, batches: Batches) {
        if is_slow {
            self.good_in_a_row = 0;
            if self.slow_in_a_row == 0 {
                self.quick_before = batches.quick;
            }
            self.slow_in_a_row = self.slow_in_a_row.saturating_add(1);
            // None of the quick ones since then had a check of this session.
            let others = batches.quick.saturating_sub(self.quick_before);
            self.is_apart |= self.slow_in_a_row >= SUSPICIOUS && others >= u64::from(SUSPICIOUS);
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

    /// A session in a lane with others, given what batches with it take.
    fn judged(batches: &mut Batches, standing: &mut Standing, took: Duration, others: Duration) {
        batches.answered(others, QUICK);
        let is_slow = batches.answered(took, QUICK);
        standing.answered(is_slow, *batches);
    }

    #[test]
    fn who_is_always_in_slow_batches_travels_alone_until_they_are_quick() {
        let (mut batches, mut standing) = (Batches::default(), Standing::default());
        for round in 1..=SUSPICIOUS + 1 {
            assert!(!standing.is_apart(), "{round}");
            judged(&mut batches, &mut standing, SLOW, QUICK);
        }
        assert!(standing.is_apart());
        for _ in 0..SUSPICIOUS {
            assert!(standing.is_apart());
            judged(&mut batches, &mut standing, QUICK, QUICK);
        }
        assert!(!standing.is_apart());
    }

    #[test]
    fn who_is_in_a_quick_batch_now_and_then_is_not_to_blame() {
        let (mut batches, mut standing) = (Batches::default(), Standing::default());
        for round in 0..200 {
            let took = if round % 8 == 0 { QUICK } else { SLOW };
            judged(&mut batches, &mut standing, took, QUICK);
        }
        assert!(!standing.is_apart());
    }

    #[test]
    fn a_slow_service_is_nobodys_fault() {
        let (mut batches, mut standing) = (Batches::default(), Standing::default());
        for _ in 0..100 {
            judged(&mut batches, &mut standing, SLOW, SLOW);
        }
        assert!(!standing.is_apart());
        assert!(
            !batches.answered(QUICK * 4, Duration::ZERO),
            "too little to tell"
        );
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
