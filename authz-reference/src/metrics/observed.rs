//! What is read when somebody asks.

use std::{fmt, sync::Arc, time::UNIX_EPOCH};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{control::hub::Hub, hashing::HashingPool, server::tls::Tls};

/// Where to look.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) hub: Hub,
    pub(crate) pool: HashingPool,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Collector for Observed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (running, waiting) = self.pool.load();
        let workers = self.pool.workers();
        let gauges = [
            (
                "hashing_running",
                "Password checks that are being made.",
                running as u64,
            ),
            (
                "hashing_waiting",
                "Password checks that wait for a worker.",
                waiting as u64,
            ),
            (
                "hashing_workers",
                "Password checks that may be made at once.",
                workers as u64,
            ),
            (
                "control_watches",
                "Watches of directives that are open.",
                self.hub.watches() as u64,
            ),
        ];
        for (name, help, value) in gauges {
            gauge(encoder, name, help, value)?;
        }
        if let Some(tls) = &self.tls {
            let expires = tls.expires().duration_since(UNIX_EPOCH);
            gauge(
                encoder,
                "tls_certificate_not_after_timestamp_seconds",
                "When the certificate of the server ends to be valid, in Unix time.",
                expires.map_or(0, |expires| expires.as_secs()),
            )?;
        }
        let counts = self.hub.counts();
        let mut directives = encoder.encode_descriptor(
            "control_directives",
            "Directives that were given, by kind.",
            None,
            MetricType::Counter,
        )?;
        for (kind, count) in [
            ("invalidate", counts.invalidate),
            ("recheck", counts.recheck),
            ("terminate", counts.terminate),
        ] {
            let labels = [("kind", kind)];
            ConstCounter::new(count).encode(directives.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}
