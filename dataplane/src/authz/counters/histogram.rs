//! Measures in fixed buckets.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets of a histogram, but for the last one, which has no bound.
const BOUNDED: usize = 15;

/// What a histogram measures.
pub trait Scale {
    /// Upper bounds of the buckets, ascending.
    const BOUNDS: [u64; BOUNDED];
    /// How many of them make one unit as it is told.
    const PER_UNIT: f64;
}

/// Durations, kept in microseconds and told in seconds. Finer at the low end than the semantic conventions,
/// which start at 5 ms.
#[derive(Debug)]
pub struct Durations;

impl Scale for Durations {
    const BOUNDS: [u64; BOUNDED] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
        1_000_000, 2_500_000, 5_000_000,
    ];
    const PER_UNIT: f64 = 1e6;
}

/// Checks in a batch.
#[derive(Debug)]
pub struct Checks;

impl Scale for Checks {
    const BOUNDS: [u64; BOUNDED] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256];
    const PER_UNIT: f64 = 1.0;
}

/// Bytes of a batch, from 128 B to 4 MiB.
#[derive(Debug)]
pub struct Bytes;

impl Scale for Bytes {
    const BOUNDS: [u64; BOUNDED] = {
        let mut bounds = [0; BOUNDED];
        let mut index = 0;
        while index < BOUNDED {
            bounds[index] = 128 << index;
            index += 1;
        }
        bounds[BOUNDED - 1] = 4 << 20;
        bounds
    };
    const PER_UNIT: f64 = 1.0;
}

/// How often measures fell into each bucket. To add one costs two atomic additions.
#[derive(Debug)]
pub struct Histogram<S = Durations> {
    /// The last one has no bound.
    buckets: [AtomicU64; BOUNDED + 1],
    sum: AtomicU64,
    scale: PhantomData<S>,
}

impl<S> Default for Histogram<S> {
    fn default() -> Self {
        Self {
            buckets: Default::default(),
            sum: AtomicU64::default(),
            scale: PhantomData,
        }
    }
}

impl Histogram<Durations> {
    /// Adds a duration.
    pub(in crate::authz) fn record(&self, duration: Duration) {
        self.record_many(duration, 1);
    }

    /// Adds a duration so many times, for the price of one.
    pub(in crate::authz) fn record_many(&self, duration: Duration, times: u64) {
        self.add_many(
            u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            times,
        );
    }
}

impl<S: Scale> Histogram<S> {
    /// Adds one, in the unit of the bounds.
    pub(in crate::authz) fn add(&self, measure: u64) {
        self.add_many(measure, 1);
    }

    fn add_many(&self, measure: u64, times: u64) {
        let index = S::BOUNDS.partition_point(|bound| *bound < measure);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(times, Ordering::Relaxed);
        }
        self.sum
            .fetch_add(measure.saturating_mul(times), Ordering::Relaxed);
    }

    /// Upper bound (in seconds, checks or bytes) and count of each bucket, not cumulated; the last bound
    /// is infinite.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = S::BOUNDS.iter().map(|bound| *bound as f64 / S::PER_UNIT);
        let counts = self
            .buckets
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        bounds.chain([f64::INFINITY]).zip(counts).collect()
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets().iter().map(|(_, count)| count).sum()
    }

    /// All of them together, in seconds, checks or bytes.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / S::PER_UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_bounds_it() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 5_000_000, 5_000_001] {
            histogram.record(Duration::from_micros(micros));
        }
        let filled: Vec<_> = histogram.buckets();
        let filled = filled.into_iter().filter(|(_, count)| *count > 0);
        assert_eq!(
            filled.collect::<Vec<_>>(),
            [(0.0001, 2), (0.00025, 1), (5.0, 1), (f64::INFINITY, 1)]
        );
        assert_eq!(histogram.count(), 5);
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [Durations::BOUNDS, Checks::BOUNDS, Bytes::BOUNDS] {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
        let sizes = Histogram::<Bytes>::default();
        sizes.add(4 << 20);
        let filled = sizes.buckets().into_iter().find(|(_, count)| *count > 0);
        assert_eq!(filled, Some((4_194_304.0, 1)));
        assert_eq!(sizes.sum(), 4_194_304.0);
    }
}
