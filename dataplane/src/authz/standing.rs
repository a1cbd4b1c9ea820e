//! How the checks of one session have done: who slows a batch down, or makes it fail, travels alone.
//!
//! A unary answer waits for its slowest item, and one item can make the whole answer an error. Who shares
//! a batch with such a session suffers now and then; the session itself suffers always. That is how the
//! two are told apart: [`SUSPICIOUS`] batches in a row that took several times what quick batches take,
//! while at least as many without it were quick; as many that were not answered at all in time, while others
//! were, and too few that were quick in between; or [`STRIKES`] failures alone. Alone it goes on, in batches
//! of its own, until as many of them in a row were quick and none failed.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Slow batches in a row after which a session travels alone: it is recognised after as many of its
/// checks if each travels in another batch. Quick ones in a row after which it no longer does.
pub(super) const SUSPICIOUS: u8 = 8;
/// Checks that failed although they travelled alone, before all of them do.
pub(super) const STRIKES: u8 = 2;
/// A batch is slow from so many times what quick ones take,
const SLOW_FACTOR: u32 = 3;
/// but never below this: the scheduler alone costs as much.
const SLOW_FLOOR: Duration = Duration::from_millis(5);

/// So many quick batches make up for one that was not answered in time. It costs everybody in it a
/// decision, so one in five is enough to be set apart.
const PER_OVERDUE: u8 = 4;
const MAX_OVERDUE: u8 = SUSPICIOUS * PER_OVERDUE;
/// Quick batches that show that the service was there when another one departed that it never answered.
const WITNESSES: u64 = 2;
/// They have to be answered in the first of so many parts of its time: a service that hung, and came back
/// before the batch was given up, is no one's fault.
const EARLY: u32 = 4;
/// The time of a batch is looked at in so many steps.
const STEPS: u32 = 64;

/// What is remembered of one session and hook.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    is_apart: bool,
    slow_in_a_row: u8,
    /// Quick batches of the lane when the first of these slow ones was answered.
    quick_before: u64,
    /// Batches that were not answered in time, four for each, less those that were quick.
    overdue: u8,
    strikes: u8,
    good_in_a_row: u8,
}

/// The batches of a lane, as far as their sessions are judged by them.
#[derive(Debug)]
pub(super) struct Batches {
    quick: u64,
    /// How many there had been, now and then.
    history: VecDeque<(Instant, u64)>,
    step: Duration,
}

impl Batches {
    /// None yet. Their checks have this time limit.
    pub(super) fn new(time_limit: Duration) -> Self {
        Self {
            quick: 0,
            history: VecDeque::new(),
            step: time_limit / STEPS,
        }
    }

    /// A batch was answered. `usual` is what quick ones of the lane take. Tells whether it was slow.
    pub(super) fn answered(&mut self, took: Duration, usual: Duration, now: Instant) -> bool {
        let is_slow = is_slow(took, usual);
        if !is_slow {
            let last = self.history.back();
            if last.is_none_or(|(at, _)| now.saturating_duration_since(*at) >= self.step) {
                self.history.push_back((now, self.quick));
                if self.history.len() > STEPS as usize {
                    self.history.pop_front();
                }
            }
            self.quick += 1;
        }
        is_slow
    }

    /// Whether a batch that was not answered in time speaks against its sessions: others were answered.
    pub(super) fn blames(&self, departed_at: Instant, took: Duration, usual: Duration) -> bool {
        let witnesses = self.quick_by(departed_at + took / EARLY) - self.quick_by(departed_at);
        is_slow(took, usual) && witnesses >= WITNESSES
    }

    /// How many had been quick by then, give or take those of a step.
    fn quick_by(&self, then: Instant) -> u64 {
        let after = self.history.partition_point(|(at, _)| *at < then);
        self.history
            .get(after)
            .map_or(self.quick, |(_, quick)| *quick)
    }
}

fn is_slow(took: Duration, usual: Duration) -> bool {
    took > (usual * SLOW_FACTOR).max(SLOW_FLOOR)
}

impl Standing {
    /// Whether its checks travel in batches of their own.
    pub(super) fn is_apart(self) -> bool {
        self.is_apart
    }

    /// A batch with checks of the session was answered.
    pub(super) fn answered(&mut self, is_slow: bool, batches: &Batches) {
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
        self.overdue = self.overdue.saturating_sub(1);
        if self.is_apart {
            self.good_in_a_row = self.good_in_a_row.saturating_add(1);
            if self.good_in_a_row >= SUSPICIOUS {
                // Most of what was overdue is remembered: who begins again is soon recognised.
                *self = Self {
                    overdue: self.overdue,
                    ..Self::default()
                };
            }
        }
    }

    /// A batch with checks of the session was not answered in time, and whether that
    /// [speaks against it](Batches::blames).
    pub(super) fn timed_out(&mut self, blames: bool) {
        self.good_in_a_row = 0;
        if blames {
            self.overdue = (self.overdue + PER_OVERDUE).min(MAX_OVERDUE);
            self.is_apart |= self.overdue == MAX_OVERDUE;
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
    const LIMIT: Duration = Duration::from_secs(1);

    /// A session in a lane with others, given what batches with it take.
    fn judged(batches: &mut Batches, standing: &mut Standing, took: Duration, others: Duration) {
        let now = Instant::now();
        batches.answered(others, QUICK, now);
        let is_slow = batches.answered(took, QUICK, now);
        standing.answered(is_slow, batches);
    }

    #[test]
    fn who_is_always_in_slow_batches_travels_alone_until_they_are_quick() {
        let (mut batches, mut standing) = (Batches::new(LIMIT), Standing::default());
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
        let (mut batches, mut standing) = (Batches::new(LIMIT), Standing::default());
        for round in 0..200 {
            let took = if round % 8 == 0 { QUICK } else { SLOW };
            judged(&mut batches, &mut standing, took, QUICK);
        }
        assert!(!standing.is_apart());
    }

    #[test]
    fn a_slow_service_is_nobodys_fault() {
        let (mut batches, mut standing) = (Batches::new(LIMIT), Standing::default());
        for _ in 0..100 {
            judged(&mut batches, &mut standing, SLOW, SLOW);
        }
        assert!(!standing.is_apart());
        assert!(
            !batches.answered(QUICK * 4, Duration::ZERO, Instant::now()),
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

    #[test]
    fn a_batch_that_is_never_answered_speaks_against_its_sessions_if_others_are() {
        let begin = Instant::now();
        // The service answers 50 batches a second, but for these times.
        let (hung, back) = (2000, 2800);
        let blames = |departed_at, took| {
            let mut batches = Batches::new(LIMIT);
            let since = |millis| begin + Duration::from_millis(millis);
            for millis in (0..departed_at + took).step_by(20) {
                if !(hung..back).contains(&millis) {
                    batches.answered(QUICK, QUICK, since(millis));
                }
            }
            batches.blames(since(departed_at), Duration::from_millis(took), QUICK)
        };
        for departed_at in [0, 1000, 1900, 2900, 4000] {
            assert!(blames(departed_at, 1000), "{departed_at}");
        }
        for departed_at in [2000, 2300, 2500] {
            assert!(!blames(departed_at, 1000), "{departed_at}");
        }
        assert!(!blames(1000, 4), "it had no time");
    }

    #[test]
    fn who_has_one_batch_in_five_that_is_never_answered_travels_alone() {
        for (quick, is_apart) in [(0, true), (3, true), (4, false), (8, false)] {
            let (mut batches, mut standing) = (Batches::new(LIMIT), Standing::default());
            for _ in 0..100 {
                standing.timed_out(true);
                if standing.is_apart() {
                    break;
                }
                for _ in 0..quick {
                    judged(&mut batches, &mut standing, QUICK, QUICK);
                }
            }
            assert_eq!(standing.is_apart(), is_apart, "{quick} quick ones for each");
        }
    }

    #[test]
    fn who_hangs_again_is_recognised_sooner() {
        let (mut batches, mut standing) = (Batches::new(LIMIT), Standing::default());
        let mut hang = |standing: &mut Standing| {
            let mut times = 0;
            while !standing.is_apart() {
                standing.timed_out(true);
                times += 1;
            }
            for _ in 0..SUSPICIOUS {
                judged(&mut batches, standing, QUICK, QUICK);
            }
            assert!(!standing.is_apart());
            times
        };
        assert_eq!([hang(&mut standing), hang(&mut standing)], [8, 2]);
        standing.timed_out(false);
        standing.timed_out(false);
        assert!(!standing.is_apart(), "the service's own fault");
    }
}
