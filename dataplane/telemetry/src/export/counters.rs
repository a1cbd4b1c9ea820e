//! What became of the spans.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counters of sampled spans, shared between the exporter and whoever shows them.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Cells>);

/// Independent statistics, so relaxed ordering will do; only `queued` is more than that, and it is
/// changed by single atomic operations.
#[derive(Debug, Default)]
struct Cells {
    exported: AtomicU64,
    dropped: AtomicU64,
    queued: AtomicU64,
}

/// How many sampled spans have gone which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Accepted by the collector.
    pub exported: u64,
    /// Lost: the queue was full, or the collector was down, too slow, or refused them.
    pub dropped: u64,
    /// Ended, and waiting for export or on their way.
    pub queued: u64,
}

impl Counters {
    /// The numbers of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Stats {
        Stats {
            exported: self.0.exported.load(Relaxed),
            dropped: self.0.dropped.load(Relaxed),
            queued: self.0.queued.load(Relaxed),
        }
    }

    /// Takes a place in a queue of `limit`. If there is none the span counts as dropped.
    pub(crate) fn enqueue(&self, limit: u64) -> bool {
        if self.0.queued.fetch_add(1, Relaxed) < limit {
            return true;
        }
        self.0.queued.fetch_sub(1, Relaxed);
        self.0.dropped.fetch_add(1, Relaxed);
        false
    }

    /// The collector has taken a batch.
    pub(crate) fn exported(&self, spans: u64) {
        self.0.exported.fetch_add(self.settle(spans), Relaxed);
    }

    /// A batch is lost.
    pub(crate) fn dropped(&self, spans: u64) {
        self.0.dropped.fetch_add(self.settle(spans), Relaxed);
    }

    /// The exporter has ended: what still waits is lost. Returns how many that are.
    pub(crate) fn give_up(&self) -> u64 {
        let lost = self.0.queued.swap(0, Relaxed);
        self.0.dropped.fetch_add(lost, Relaxed);
        lost
    }

    /// Takes `spans` from the queue, and returns how many there were: none, if an export ends after
    /// its spans were given up.
    fn settle(&self, spans: u64) -> u64 {
        let take = |queued: u64| Some(queued.saturating_sub(spans));
        match self.0.queued.fetch_update(Relaxed, Relaxed, take) {
            Ok(queued) | Err(queued) => queued.min(spans),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_is_counted_once() {
        let counters = Counters::default();
        let admitted = (0..5).filter(|_| counters.enqueue(3)).count();
        assert_eq!(admitted, 3);

        counters.exported(1);
        assert_eq!(counters.snapshot().queued, 2);
        assert_eq!(counters.give_up(), 2);
        counters.dropped(1);
        counters.exported(1);
        let expected = Stats {
            exported: 1,
            dropped: 4,
            queued: 0,
        };
        assert_eq!(counters.snapshot(), expected);
    }
}
