//! Configurations and certificates that were read again.

use std::{
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Labels;

/// What reloads count.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReloadMetrics {
    configurations: Family<Labels<1>, Counter>,
    successful: Gauge,
    succeeded_at: Gauge<f64, AtomicU64>,
    certificates: Family<Labels<1>, Counter>,
}

impl ReloadMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "config_reloads",
            "Configurations that were read again, by what became of them",
            metrics.configurations.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "Whether the last configuration that was read is in force: 1 or 0",
            metrics.successful.clone(),
        );
        registry.register(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read, in Unix time",
            metrics.succeeded_at.clone(),
        );
        registry.register(
            "tls_reloads",
            "Certificate files that were read again, by what became of them",
            metrics.certificates.clone(),
        );
        for outcome in ["applied", "refused"] {
            let _ = metrics
                .configurations
                .get_or_create(&[("outcome", outcome)]);
            let _ = metrics.certificates.get_or_create(&[("outcome", outcome)]);
        }
        metrics.in_force();
        metrics
    }

    /// A configuration was read again.
    pub(crate) fn configuration(&self, is_applied: bool) {
        self.configurations
            .get_or_create(&outcome(is_applied))
            .inc();
        if is_applied {
            self.in_force();
        } else {
            self.successful.set(0);
        }
    }

    /// The files of TLS were read again.
    pub(crate) fn certificate(&self, is_applied: bool) {
        self.certificates.get_or_create(&outcome(is_applied)).inc();
    }

    fn in_force(&self) {
        self.successful.set(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.succeeded_at
            .set(now.map_or(0.0, |now| now.as_secs_f64().floor()));
    }
}

fn outcome(is_applied: bool) -> Labels<1> {
    [("outcome", if is_applied { "applied" } else { "refused" })]
}
