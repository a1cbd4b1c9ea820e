//! Dials of the broker: what comes of them, and how long it takes.

use std::{fmt, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::Labels;

/// What may come of a dial: a connection, the step that failed, or that it was given up: for its time was over, or
/// because its client left.
const RESULTS: [&str; 7] = [
    "ok", "dns", "connect", "tls", "upgrade", "timeout", "dropped",
];

/// Bounds of the histogram, in seconds.
const BOUNDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What is counted of dials. Clones count together.
#[derive(Clone)]
pub struct DialMetrics {
    dials: Family<Labels<1>, Counter>,
    duration: Histogram,
}

impl Default for DialMetrics {
    fn default() -> Self {
        let dials = Family::<Labels<1>, Counter>::default();
        for result in RESULTS {
            let _ = dials.get_or_create(&[("result", result)]);
        }
        Self {
            dials,
            duration: Histogram::new(BOUNDS),
        }
    }
}

impl DialMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "broker_dials",
            "Attempts to connect to the broker, by what came of them",
            self.dials.clone(),
        );
        registry.register(
            "broker_dial_duration_seconds",
            "From the beginning of a dial to a connection that MQTT can be spoken on",
            self.duration.clone(),
        );
    }

    /// There is a connection, after this time.
    pub(crate) fn ready(&self, after: Duration) {
        self.dials.get_or_create(&[("result", "ok")]).inc();
        self.duration.observe(after.as_secs_f64());
    }

    /// There is none: one of the results but `ok`.
    pub(crate) fn failed(&self, result: &'static str) {
        self.dials.get_or_create(&[("result", result)]).inc();
    }

    #[cfg(test)]
    pub(crate) fn count(&self, result: &'static str) -> u64 {
        self.dials.get_or_create(&[("result", result)]).get()
    }
}

impl fmt::Debug for DialMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialMetrics").finish_non_exhaustive()
    }
}
