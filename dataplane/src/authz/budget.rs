//! How many calls may be made on top, to find out which check makes calls fail.

use std::sync::atomic::{AtomicU32, Ordering};

/// One call in so many may be such a one,
const CALLS_PER_EXTRA: u32 = 10;
/// and so many at a time.
const MAX_EXTRA: u32 = 64;

/// The budget of a lane.
#[derive(Debug)]
pub(super) struct Budget {
    /// In tenths of a call.
    tokens: AtomicU32,
}

/// What one batch may use of it.
#[derive(Debug)]
pub(super) struct Trips<'a> {
    budget: &'a Budget,
    left: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            tokens: AtomicU32::new(MAX_EXTRA * CALLS_PER_EXTRA),
        }
    }
}

impl Budget {
    /// A call with so many checks departs: it adds to the budget. Enough to find one check among them,
    /// 2·log2(n) calls, is the most that it may use.
    pub(super) fn trips(&self, checks: usize) -> Trips<'_> {
        let _ = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                (tokens < MAX_EXTRA * CALLS_PER_EXTRA).then_some(tokens + 1)
            });
        Trips {
            budget: self,
            left: 2 * checks.next_power_of_two().ilog2(),
        }
    }
}

impl Trips<'_> {
    /// Takes two calls, one for each half, if they are there.
    pub(super) fn take_two(&mut self) -> bool {
        let cost = 2 * CALLS_PER_EXTRA;
        let is_there = self.left >= 2
            && self
                .budget
                .tokens
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                    tokens.checked_sub(cost)
                })
                .is_ok();
        if is_there {
            self.left -= 2;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_batch_may_look_for_one_check() {
        let budget = Budget::default();
        let mut trips = budget.trips(64);
        let calls = std::iter::repeat_with(|| trips.take_two()).take_while(|there| *there);
        assert_eq!(calls.count(), 6, "halves of 64, 32, 16, 8, 4 and 2");
        assert!(!budget.trips(1).take_two());
    }

    #[test]
    fn a_tenth_of_the_calls_at_most_and_some_at_once() {
        let budget = Budget::default();
        let extra: usize = (0..1000)
            .map(|_| {
                let mut trips = budget.trips(64);
                std::iter::repeat_with(|| trips.take_two())
                    .take_while(|there| *there)
                    .count()
                    * 2
            })
            .sum();
        assert!((90..=100 + MAX_EXTRA as usize).contains(&extra), "{extra}");
    }
}
