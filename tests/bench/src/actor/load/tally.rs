//! What the load counts.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use super::Report;
use crate::{actor::Split, clock, histogram::Histogram};

/// Counters that all clients share, and the word that it is enough.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: [AtomicU64; 2],
    acked: AtomicU64,
    broken: AtomicU64,
    skipped: AtomicU64,
    latency: Mutex<Histogram>,
    is_over: AtomicBool,
}

impl Tally {
    pub(super) fn sent(&self, is_special: bool, packets: usize) {
        self.sent[usize::from(is_special)].fetch_add(packets as u64, Relaxed);
    }

    pub(super) fn acked(&self, packets: usize) {
        self.acked.fetch_add(packets as u64, Relaxed);
    }

    pub(super) fn broken(&self) {
        self.broken.fetch_add(1, Relaxed);
    }

    pub(super) fn skipped(&self, packets: u64) {
        self.skipped.fetch_add(packets, Relaxed);
    }

    pub(super) fn took(&self, ns: u64) {
        self.latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(ns);
    }

    /// From now on, nothing more is begun.
    pub(super) fn stop(&self) {
        self.is_over.store(true, Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    pub(super) fn report(&self) -> Report {
        Report {
            at_ns: clock::now_ns(),
            sent: Split {
                others: self.sent[0].load(Relaxed),
                special: self.sent[1].load(Relaxed),
            },
            acked: self.acked.load(Relaxed),
            broken: self.broken.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            latency: self
                .latency
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .to_sparse(),
        }
    }
}
