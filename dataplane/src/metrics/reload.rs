//! Configurations: the one in force, and those that were refused.

use std::{
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Labels;

/// What is counted of reloads.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReloadMetrics {
    reloads: Family<Labels<1>, Counter>,
    successful: Gauge,
    succeeded_at: Gauge<f64, AtomicU64>,
}

impl ReloadMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "config_reloads",
            "Configurations that were read again, by what became of them",
            self.reloads.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "Whether the last configuration that was read is in force: 1 or 0",
            self.successful.clone(),
        );
        registry.register(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read, in Unix time",
            self.succeeded_at.clone(),
        );
        for outcome in ["applied", "refused"] {
            let _ = self.reloads.get_or_create(&[("outcome", outcome)]);
        }
        self.in_force();
    }

    /// A configuration was read again and is in force.
    pub(crate) fn applied(&self) {
        self.reloads.get_or_create(&[("outcome", "applied")]).inc();
        self.in_force();
    }

    /// A configuration was read again and refused.
    pub(crate) fn refused(&self) {
        self.reloads.get_or_create(&[("outcome", "refused")]).inc();
        self.successful.set(0);
    }

    fn in_force(&self) {
        self.successful.set(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.succeeded_at
            .set(now.map_or(0.0, |now| now.as_secs_f64().floor()));
    }
}
