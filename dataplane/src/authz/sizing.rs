//! How large a batch may get, found by trying.
//!
//! A batch is answered when its last check is. Many services loop over the checks, so a batch of 20
//! that cost a millisecond each takes 20 ms where 20 calls side by side would take one or two. But a
//! service that is short of processor time takes long, too, and smaller batches only add to its
//! burden. The two can't be told apart by how long a call takes; they can by what smaller batches do
//! to the throughput. So when calls are slow, half the size is tried for a moment, and kept if clearly
//! more checks are answered in the same time. Larger sizes are tried again now and then, and kept
//! unless they cost throughput, for they are the cheaper ones.

use std::time::Duration;

use tokio::time::Instant;

/// The size to begin with, if it may be so large. Above it, services gain little, and who shares a batch with a
/// slow check is held up by it; so it is left only if that pays.
const START: usize = 64;
/// Calls this quick are never worth dividing.
const QUICK: Duration = Duration::from_millis(2);
/// A measurement takes at least this many calls, and this long: on a machine that others use, shorter ones differ by
/// more than the sizes do.
const EPOCH: (usize, Duration) = (16, Duration::from_millis(200));
/// A smaller size is kept if it answers this many times the checks. A service that loops over them answers up to
/// twice as many.
const CLEAR_GAIN: f64 = 1.5;
/// A larger size is kept if it answers at least this share of the checks.
const NO_LOSS: f64 = 0.9;
/// The wait before a smaller size is tried again in vain; it doubles each time.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The wait before a larger size is tried.
const GROW_AFTER: Duration = Duration::from_secs(2);

/// The size of batches, and what is known about it.
#[derive(Debug)]
pub(super) struct Sizing {
    max_items: usize,
    limit: usize,
    /// Calls that left before this were made under another limit.
    changed_at: Option<Instant>,
    epoch: Epoch,
    trial: Option<Trial>,
    pause: Duration,
    shrink_at: Option<Instant>,
    grow_at: Option<Instant>,
}

/// A size on trial, and what it has to be better than.
#[derive(Debug, Clone, Copy)]
struct Trial {
    limit_before: usize,
    rate_before: f64,
}

/// A stretch of calls under one limit.
#[derive(Debug, Default)]
struct Epoch {
    since: Option<Instant>,
    calls: usize,
    checks: usize,
    took: Duration,
}

impl Sizing {
    /// Never above `max_items`.
    pub(super) fn new(max_items: usize) -> Self {
        Self {
            max_items,
            limit: max_items.min(START),
            changed_at: None,
            epoch: Epoch::default(),
            trial: None,
            pause: PAUSE.0,
            shrink_at: None,
            grow_at: None,
        }
    }

    /// The most checks that the next batch may have.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes note of a call that was answered at `now`.
    pub(super) fn record(&mut self, size: usize, took: Duration, now: Instant) {
        let left_at = now.checked_sub(took).unwrap_or(now);
        if self
            .changed_at
            .is_some_and(|changed_at| left_at < changed_at)
        {
            return;
        }
        if let Some(seen) = self.epoch.record(size, took, now) {
            self.epoch = Epoch::default();
            self.judge(&seen, now);
        }
    }

    fn judge(&mut self, seen: &Seen, now: Instant) {
        let due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        match self.trial.take() {
            Some(trial) if self.limit < trial.limit_before => {
                if seen.rate >= trial.rate_before * CLEAR_GAIN {
                    self.pause = PAUSE.0;
                    self.grow_at = Some(now + GROW_AFTER);
                } else {
                    self.set(trial.limit_before, now);
                    self.shrink_at = Some(now + self.pause);
                    self.pause = (self.pause * 2).min(PAUSE.1);
                }
            }
            Some(trial) => {
                if seen.is_slow() && seen.rate < trial.rate_before * NO_LOSS {
                    self.set(trial.limit_before, now);
                }
                self.grow_at = Some(now + GROW_AFTER);
            }
            None if self.limit < self.max_items && due(self.grow_at) => {
                self.try_out((self.limit * 2).min(self.max_items), seen, now);
            }
            None if seen.is_slow() && due(self.shrink_at) => {
                // Half of what they are, not of what they may be.
                self.try_out(seen.mean_size.div_ceil(2), seen, now);
            }
            None => {}
        }
    }

    fn try_out(&mut self, limit: usize, seen: &Seen, now: Instant) {
        self.trial = Some(Trial {
            limit_before: self.limit,
            rate_before: seen.rate,
        });
        self.set(limit, now);
    }

    fn set(&mut self, limit: usize, now: Instant) {
        self.limit = limit.clamp(1, self.max_items);
        self.changed_at = Some(now);
    }
}

/// What an epoch has shown.
#[derive(Debug)]
struct Seen {
    /// Checks answered per second.
    rate: f64,
    mean_size: usize,
    mean_took: Duration,
}

impl Seen {
    fn is_slow(&self) -> bool {
        self.mean_size > 1 && self.mean_took > QUICK
    }
}

impl Epoch {
    /// Adds a call. Yields what was seen once that is enough.
    fn record(&mut self, size: usize, took: Duration, now: Instant) -> Option<Seen> {
        // From answer to answer, so that calls side by side count as such.
        let since = *self.since.get_or_insert(now);
        let elapsed = now - since;
        if elapsed.is_zero() {
            return None;
        }
        self.calls += 1;
        self.checks += size;
        self.took += took;
        if self.calls < EPOCH.0 || elapsed < EPOCH.1 {
            return None;
        }
        let calls = u32::try_from(self.calls).unwrap_or(u32::MAX);
        Some(Seen {
            rate: self.checks as f64 / elapsed.as_secs_f64(),
            mean_size: self.checks / self.calls,
            mean_took: self.took / calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u32 = 20;

    /// How long a call of this size takes, and how long after the last one it is answered, in a lane
    /// that always has a window of checks under way.
    type Service = fn(u32) -> (Duration, Duration);

    /// Loops over the checks of a call, 1 ms each, any number of calls side by side.
    fn looping(size: u32) -> (Duration, Duration) {
        let took = Duration::from_micros(200) + Duration::from_millis(1) * size;
        (took, took * size / WINDOW)
    }

    /// Has one core: 2 ms of it for a call, 50 µs for a check.
    fn busy(size: u32) -> (Duration, Duration) {
        let cost = Duration::from_millis(2) + Duration::from_micros(50) * size;
        (cost * WINDOW.div_ceil(size), cost)
    }

    /// Answers at once.
    fn quick(size: u32) -> (Duration, Duration) {
        let took = Duration::from_micros(60) + Duration::from_micros(2) * size;
        (took, took * size / WINDOW)
    }

    /// The share of time, in percent, that is spent at each size.
    fn time_at(service: Service, time: Duration) -> Vec<(usize, f64)> {
        let mut sizing = Sizing::new(64);
        let begin = Instant::now();
        let mut now = begin;
        let mut shares = vec![Duration::ZERO; 65];
        while now < begin + time {
            let size = sizing.limit().min(WINDOW as usize);
            let (took, interval) = service(u32::try_from(size).unwrap());
            now += interval;
            shares[size] += interval;
            sizing.record(size, took, now);
        }
        let total = (now - begin).as_secs_f64();
        let shares = shares.into_iter().map(|share| share.as_secs_f64() / total);
        shares
            .enumerate()
            .filter(|(_, share)| *share > 0.05)
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn batches_stay_large_where_calls_are_quick() {
        let shares = time_at(quick, Duration::from_secs(10));
        assert_eq!(shares.len(), 1, "{shares:?}");
        assert_eq!(shares[0].0, WINDOW as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_stay_large_where_the_service_is_short_of_processor_time() {
        let shares = time_at(busy, Duration::from_secs(60));
        assert_eq!(shares.len(), 1, "{shares:?}");
        assert_eq!(shares[0].0, WINDOW as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_shrink_where_each_check_takes_its_time() {
        let shares = time_at(looping, Duration::from_secs(10));
        let small: f64 = shares
            .iter()
            .filter(|(size, _)| *size <= 3)
            .map(|(_, share)| share)
            .sum();
        assert!(small > 0.7, "{shares:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_has_become_quick_gets_large_batches_again() {
        let mut sizing = Sizing::new(64);
        let mut now = Instant::now();
        let mut serve = |service: Service, time: Duration| {
            let end = now + time;
            while now < end {
                let size = sizing.limit().min(WINDOW as usize);
                let (took, interval) = service(u32::try_from(size).unwrap());
                now += interval;
                sizing.record(size, took, now);
            }
            sizing.limit()
        };
        assert!(serve(looping, Duration::from_secs(5)) <= 6);
        assert_eq!(serve(quick, Duration::from_secs(20)), 64);
    }
}
