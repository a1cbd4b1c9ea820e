//! Latencies, counted in buckets that are at most 1/32 wide of what they hold.

use serde::{Deserialize, Serialize};

/// Buckets per doubling.
const STEPS: u64 = 32;
/// Doublings that are told apart: up to 2^41 ns, about half an hour.
const DOUBLINGS: u64 = 37;

/// Counts of latencies in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

/// A histogram on the wire between processes: the buckets that are not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sparse(Vec<(usize, u64)>);

impl Default for Histogram {
    fn default() -> Self {
        let buckets = usize::try_from(STEPS * DOUBLINGS).unwrap_or(0);
        Self {
            counts: vec![0; buckets],
        }
    }
}

impl Histogram {
    /// Counts one latency. What is longer than half an hour counts as half an hour.
    pub(crate) fn record(&mut self, ns: u64) {
        let index = bucket(ns).min(self.counts.len() - 1);
        self.counts[index] += 1;
    }

    /// The latency in nanoseconds that this share of all (0 to 1) does not pass. `None`: there is none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.counts.iter().sum();
        if total == 0 {
            return None;
        }
        let rank = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(middle(index))
    }

    /// What came since an earlier state of the same histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let pairs = self.counts.iter().zip(&earlier.counts);
        Self {
            counts: pairs.map(|(now, then)| now.saturating_sub(*then)).collect(),
        }
    }

    pub(crate) fn to_sparse(&self) -> Sparse {
        let filled = self.counts.iter().copied().enumerate();
        Sparse(filled.filter(|(_, count)| *count > 0).collect())
    }
}

impl From<&Sparse> for Histogram {
    fn from(sparse: &Sparse) -> Self {
        let mut histogram = Self::default();
        for (index, count) in &sparse.0 {
            if let Some(bucket) = histogram.counts.get_mut(*index) {
                *bucket += count;
            }
        }
        histogram
    }
}

/// Below `STEPS` each value has a bucket of its own; above, each doubling has `STEPS` of them.
fn bucket(ns: u64) -> usize {
    if ns < STEPS {
        return usize::try_from(ns).unwrap_or(0);
    }
    let doubling = u64::from(ns.ilog2() - STEPS.ilog2());
    let step = (ns >> doubling) - STEPS;
    usize::try_from((doubling + 1) * STEPS + step).unwrap_or(usize::MAX)
}

fn middle(index: usize) -> f64 {
    let index = index as u64;
    if index < STEPS {
        return index as f64;
    }
    let doubling = index / STEPS - 1;
    let low = (STEPS + index % STEPS) << doubling;
    low as f64 + (1_u64 << doubling) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        for us in 1..=10_000 {
            histogram.record(us * 1_000);
        }
        for (share, truth) in [(0.5, 5_000_000.0), (0.99, 9_900_000.0), (1.0, 10_000_000.0)] {
            let found = histogram.quantile(share).unwrap();
            assert!((found / truth - 1.0).abs() < 0.04, "{share}: {found}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn every_value_has_a_bucket_that_it_lies_in() {
        let mut values: Vec<u64> = (0..41).map(|bits| 1 << bits).collect();
        values.extend([31, 33, 63, 65, 1_000_003, (1 << 41) + 1]);
        for value in values {
            let found = middle(bucket(value));
            assert!(
                (found - value as f64).abs() <= value as f64 / 32.0 + 0.5,
                "{value}: {found}"
            );
        }
        let mut longest = Histogram::default();
        longest.record(u64::MAX);
        assert!(longest.quantile(0.5).is_some());
    }

    #[test]
    fn what_is_sent_is_what_arrives() {
        let mut early = Histogram::default();
        early.record(17);
        let mut late = early.clone();
        late.record(40_000);
        let arrived = Histogram::from(&late.to_sparse());
        assert_eq!(arrived.to_sparse(), late.to_sparse());
        assert_eq!(arrived.since(&early).to_sparse().0.len(), 1);
    }
}
