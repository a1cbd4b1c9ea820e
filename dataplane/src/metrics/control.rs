//! Directives and events: what comes of the service besides its answers, and what it is told.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

use crate::{authz::Epochs, control::Directive, events::Events, session::Budget};

use super::Labels;

/// What the watch of directives counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ControlMetrics {
    directives: Family<Labels<1>, Counter>,
    connected: Gauge,
}

impl ControlMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "control_directives",
            "Directives of the service, by kind",
            self.directives.clone(),
        );
        registry.register(
            "control_watch_connected",
            "Whether a watch of directives is open: 1 or 0",
            self.connected.clone(),
        );
        for kind in Directive::KINDS {
            let _ = self.directives.get_or_create(&[("kind", kind)]);
        }
    }

    /// A directive of this kind came.
    pub(crate) fn directive(&self, kind: &'static str) {
        self.directives.get_or_create(&[("kind", kind)]).inc();
    }

    /// Whether a watch is open.
    pub(crate) fn connected(&self, is_connected: bool) {
        self.connected.set(is_connected.into());
    }
}

/// What is read when somebody asks.
#[derive(Debug)]
pub(crate) struct Overseen {
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) failure_closes: Arc<Budget>,
    pub(crate) terminations: Arc<Budget>,
    pub(crate) events: Events,
}

impl Collector for Overseen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let fresh = u64::from(self.epochs.is_fresh());
        gauge(
            encoder,
            "control_watch_fresh",
            "Whether directives are known to reach this instance, or none are watched for: 1 or 0.",
            fresh,
        )?;
        let silence = self.epochs.silent_for();
        gauge(
            encoder,
            "control_watch_silence_seconds",
            "Time since something was heard of the watch of directives; 0 if there is none.",
            silence.map_or(0, |silence| silence.as_secs()),
        )?;
        gauge(
            encoder,
            "failure_closes_waiting",
            "Sessions that wait for their turn to end because nobody decided.",
            self.failure_closes.waiting() as u64,
        )?;
        gauge(
            encoder,
            "terminations_waiting",
            "Sessions that wait for their turn to end because the service wants it.",
            self.terminations.waiting() as u64,
        )?;
        if !self.events.is_enabled() {
            return Ok(());
        }
        let tally = self.events.tally();
        gauge(
            encoder,
            "events_queued",
            "Events that wait to be reported.",
            tally.queued,
        )?;
        counter(
            encoder,
            "events_reported",
            "Events that the service has taken.",
            tally.sent,
        )?;
        counter(
            encoder,
            "events_dropped",
            "Events that nobody will hear of.",
            tally.dropped,
        )
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}
