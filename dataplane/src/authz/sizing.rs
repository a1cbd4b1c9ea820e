//! How large a batch may get, from what batches of each size have cost.
//!
//! A batch is answered when its last check is. Many services loop over the checks, so a batch of 16
//! that cost a millisecond each takes 16 ms where 16 calls side by side would take one or two. As long
//! as a large call takes no more than twice the time of a single check, or is quick anyway, batching
//! is a gain; beyond that the checks are better spread over more calls.

use std::time::Duration;

use tokio::time::Instant;

/// A call this quick is never worth dividing.
const QUICK: Duration = Duration::from_millis(5);
/// After this time without a sample a size is tried again: services change.
const FORGET_AFTER: Duration = Duration::from_secs(10);
/// Samples per size. The best of them counts: a pause for once says nothing about the size.
const SAMPLES: usize = 4;
/// Sizes in steps of two: 1, 2 to 3, 4 to 7, and so on.
const STEPS: usize = 16;

/// What batches have cost, by size.
#[derive(Debug)]
pub(super) struct Sizing {
    max_items: usize,
    steps: [Step; STEPS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Step {
    recent: [Duration; SAMPLES],
    recorded: usize,
    last_at: Option<Instant>,
}

impl Sizing {
    /// Never above `max_items`.
    pub(super) fn new(max_items: usize) -> Self {
        Self {
            max_items,
            steps: [Step::default(); STEPS],
        }
    }

    /// Remembers a call that had the service to itself. Others tell how busy it is, not what a size
    /// costs, and would divide the batches of a service that needs them most.
    pub(super) fn record(&mut self, size: usize, took: Duration, now: Instant) {
        let index = size.max(1).ilog2() as usize;
        if let Some(step) = self.steps.get_mut(index) {
            step.record(took, now);
        }
    }

    /// The most checks that the next batch may have.
    pub(super) fn limit(&self, now: Instant) -> usize {
        let [single, larger @ ..] = &self.steps;
        let acceptable = single
            .best(now)
            .map_or(QUICK, |single| QUICK.max(single.saturating_mul(2)));
        let too_slow = larger
            .iter()
            .position(|step| step.best(now) > Some(acceptable));
        match too_slow {
            // At the index i are the sizes from 2 to the power of i + 1.
            Some(index) => self.max_items.min((2 << index) - 1),
            None => self.max_items,
        }
    }
}

impl Step {
    fn record(&mut self, took: Duration, now: Instant) {
        if !self.is_fresh(now) {
            self.recorded = 0;
        }
        self.recent[self.recorded % SAMPLES] = took;
        self.recorded += 1;
        self.last_at = Some(now);
    }

    /// The best of the recent samples; `None` while there are too few to judge.
    fn best(&self, now: Instant) -> Option<Duration> {
        if !self.is_fresh(now) || self.recorded < 2 {
            return None;
        }
        self.recent[..self.recorded.min(SAMPLES)]
            .iter()
            .min()
            .copied()
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.last_at
            .is_some_and(|last_at| now.saturating_duration_since(last_at) < FORGET_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs batches as large as permitted against a service with these costs, and tells the size
    /// on which it settles.
    fn settles_on(per_call: Duration, per_check: Duration) -> usize {
        let mut sizing = Sizing::new(64);
        let mut now = Instant::now();
        for size in std::iter::repeat_n(1, 4).chain(std::iter::repeat_n(64, 100)) {
            let size = size.min(sizing.limit(now));
            let took = per_call + per_check * u32::try_from(size).unwrap();
            now += took;
            sizing.record(size, took, now);
        }
        sizing.limit(now)
    }

    #[test]
    fn batches_stay_large_where_that_is_a_gain() {
        let (us, ms) = (Duration::from_micros, Duration::from_millis);
        assert_eq!(settles_on(us(60), us(2)), 64);
        assert_eq!(settles_on(us(500), us(20)), 64);
        assert_eq!(settles_on(ms(50), us(10)), 64, "a distant service");
    }

    #[test]
    fn batches_shrink_where_each_check_takes_its_time() {
        let (us, ms) = (Duration::from_micros, Duration::from_millis);
        assert_eq!(settles_on(us(200), us(100)), 31);
        assert_eq!(settles_on(us(200), ms(1)), 3);
        assert_eq!(settles_on(us(200), ms(20)), 1);
    }

    #[test]
    fn a_pause_for_once_changes_nothing_and_slowness_is_forgotten() {
        let mut sizing = Sizing::new(64);
        let now = Instant::now();
        let mut record = |ms| sizing.record(64, Duration::from_millis(ms), now);
        record(50);
        record(1);
        record(50);
        assert_eq!(sizing.limit(now), 64);
        for _ in 0..4 {
            sizing.record(64, Duration::from_millis(50), now);
        }
        assert_eq!(sizing.limit(now), 63);
        assert_eq!(sizing.limit(now + FORGET_AFTER), 64);
    }
}
