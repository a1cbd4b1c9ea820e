//! How long calls take, to know which checks are not worth sending any more.

use std::time::Duration;

/// Calls that are remembered.
const REMEMBERED: usize = 32;
/// Nothing is decided in less than this, over a network and with a timer of one millisecond.
const MIN_MARGIN: Duration = Duration::from_millis(5);

/// The recent calls of a lane.
#[derive(Debug)]
pub(super) struct Pace {
    recent: [Duration; REMEMBERED],
    /// Calls recorded in all.
    recorded: usize,
    max_margin: Duration,
    margin: Duration,
    quick: Duration,
}

impl Pace {
    /// For checks with this time limit.
    pub(super) fn new(time_limit: Duration) -> Self {
        // A service that has become slow must still be tried, or nobody sees it become quick again.
        let max_margin = time_limit / 4;
        Self {
            recent: [Duration::ZERO; REMEMBERED],
            recorded: 0,
            max_margin,
            margin: MIN_MARGIN.min(max_margin),
            quick: time_limit,
        }
    }

    /// Remembers a call that was answered.
    pub(super) fn record(&mut self, took: Duration) {
        self.recent[self.recorded % REMEMBERED] = took;
        self.recorded += 1;
        let mut recent = self.recent;
        let recent = &mut recent[..self.recorded.min(REMEMBERED)];
        let middle = recent.len() / 2;
        let (below, median, _) = recent.select_nth_unstable(middle);
        self.margin = (*median).max(MIN_MARGIN).min(self.max_margin);
        self.quick = *median;
        if !below.is_empty() {
            let (_, quartile, _) = below.select_nth_unstable(below.len() / 2);
            self.quick = *quartile;
        }
    }

    /// What the quicker calls take: the first quartile, so that up to three in four may be slow for
    /// a reason of their own.
    pub(super) fn quick(&self) -> Duration {
        self.quick
    }

    /// A check with less time left would be too late.
    pub(super) fn margin(&self) -> Duration {
        self.margin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_the_median_within_bounds() {
        let mut pace = Pace::new(Duration::from_secs(1));
        assert_eq!(pace.margin(), MIN_MARGIN);
        for ms in [1, 20, 30] {
            pace.record(Duration::from_millis(ms));
        }
        assert_eq!(pace.margin(), Duration::from_millis(20));
        for _ in 0..100 {
            pace.record(Duration::from_secs(10));
        }
        assert_eq!(pace.margin(), Duration::from_millis(250));
        for _ in 0..100 {
            pace.record(Duration::ZERO);
        }
        assert_eq!(pace.margin(), MIN_MARGIN);
    }

    #[test]
    fn a_short_time_limit_leaves_some_of_it() {
        let pace = Pace::new(Duration::from_millis(8));
        assert_eq!(pace.margin(), Duration::from_millis(2));
    }
}
