//! When a batch may leave: the arithmetic of "batch while in flight", without a clock or a queue.
//!
//! There are two limits on the calls in flight. The hard one is never passed. The soft one makes a
//! batch wait for company as long as there are calls to wait for: it starts at one, so that traffic
//! turns into batches by itself, and grows when that one call cannot carry the traffic, which shows
//! in batches that are full or that had to leave over the limit. It shrinks when batches hardly wait:
//! every call costs both sides more than every check does.

use std::time::Duration;

use tokio::time::Instant;

/// Calls in a row that hardly waited before the soft limit shrinks by one.
const CALM_CALLS: u32 = 16;

/// The limits of one lane.
#[derive(Debug)]
pub(super) struct Permits {
    soft: usize,
    soft_max: usize,
    hard: usize,
    overflow_wait: Duration,
    calm: u32,
}

/// Whether a batch may leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Yes.
    Open(Leave),
    /// No, but at this time; earlier if a call ends or the batch fills.
    ShutUntil(Instant),
    /// No, not before a call ends.
    Shut,
}

/// What let a batch leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It could not grow any more.
    Full,
    /// There was a soft permit.
    Free,
    /// Its first check had waited long enough behind other calls.
    Overflow,
}

impl Permits {
    /// Limits that start at one call and never pass `hard`.
    pub(super) fn new(soft_max: usize, hard: usize, overflow_wait: Duration) -> Self {
        let hard = hard.max(1);
        Self {
            soft: 1,
            soft_max: soft_max.clamp(1, hard),
            hard,
            overflow_wait,
            calm: 0,
        }
    }

    /// The service may want fewer calls in flight than are configured.
    pub(super) fn set_hard(&mut self, hard: usize) {
        self.hard = hard.max(1);
    }

    /// Whether a batch may leave whose first check has waited since `since`.
    pub(super) fn gate(
        &self,
        is_full: bool,
        since: Instant,
        in_flight: usize,
        now: Instant,
    ) -> Gate {
        if in_flight >= self.hard {
            return Gate::Shut;
        }
        if is_full {
            return Gate::Open(Leave::Full);
        }
        if in_flight < self.soft.min(self.hard) {
            return Gate::Open(Leave::Free);
        }
        let overflow_at = since + self.overflow_wait;
        if now >= overflow_at {
            return Gate::Open(Leave::Overflow);
        }
        Gate::ShutUntil(overflow_at)
    }

    /// Learns from a batch that leaves, after its first check waited for `waited`, beside `in_flight`
    /// other calls.
    pub(super) fn left(&mut self, leave: Leave, waited: Duration, in_flight: usize) {
        match leave {
            Leave::Full | Leave::Overflow => {
                self.calm = 0;
                if in_flight >= self.soft {
                    self.soft = (self.soft + 1).min(self.soft_max);
                }
            }
            Leave::Free if waited < self.overflow_wait / 4 => {
                self.calm += 1;
                if self.calm == CALM_CALLS {
                    self.calm = 0;
                    self.soft = (self.soft - 1).max(1);
                }
            }
            Leave::Free => self.calm = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(1);

    fn permits() -> Permits {
        Permits::new(8, 64, WAIT)
    }

    #[test]
    fn idle_leaves_at_once() {
        let now = Instant::now();
        assert_eq!(permits().gate(false, now, 0, now), Gate::Open(Leave::Free));
    }

    #[test]
    fn a_batch_waits_behind_a_call_until_the_overflow() {
        let now = Instant::now();
        assert_eq!(
            permits().gate(false, now, 1, now),
            Gate::ShutUntil(now + WAIT)
        );
        assert_eq!(
            permits().gate(false, now, 1, now + WAIT),
            Gate::Open(Leave::Overflow)
        );
    }

    #[test]
    fn a_full_batch_waits_for_nothing_but_the_hard_limit() {
        let now = Instant::now();
        assert_eq!(permits().gate(true, now, 63, now), Gate::Open(Leave::Full));
        assert_eq!(permits().gate(true, now, 64, now), Gate::Shut);
        assert_eq!(permits().gate(false, now, 64, now + WAIT), Gate::Shut);
    }

    #[test]
    fn the_soft_limit_grows_under_load_and_shrinks_in_calm() {
        let mut permits = permits();
        for _ in 0..100 {
            permits.left(Leave::Overflow, WAIT, permits.soft);
        }
        assert_eq!(permits.soft, 8);
        // Neither a full batch below the limit nor a batch that waited says anything.
        permits.left(Leave::Full, Duration::ZERO, 2);
        permits.left(Leave::Free, WAIT / 2, 7);
        assert_eq!(permits.soft, 8);
        for _ in 0..CALM_CALLS * 20 {
            permits.left(Leave::Free, Duration::ZERO, 0);
        }
        assert_eq!(permits.soft, 1);
    }

    #[test]
    fn limits_of_zero_still_let_something_through() {
        let now = Instant::now();
        let permits = Permits::new(0, 0, WAIT);
        assert_eq!(permits.gate(false, now, 0, now), Gate::Open(Leave::Free));
    }
}
