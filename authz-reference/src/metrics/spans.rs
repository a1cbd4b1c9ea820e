//! Spans: how many reached the collector, and how many did not.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tidegate_telemetry::Counters;

/// Reads the exporter's own counters.
#[derive(Debug)]
pub(crate) struct Spans(pub(crate) Counters);

impl Collector for Spans {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let spans = self.0.snapshot();
        for (name, help, count) in [
            (
                "telemetry_spans_exported",
                "Spans that the collector has taken.",
                spans.exported,
            ),
            (
                "telemetry_spans_dropped",
                "Spans that are lost: the queue was full, or the collector did not take them.",
                spans.dropped,
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        let metric = encoder.encode_descriptor(
            "telemetry_spans_queued",
            "Spans that wait for export, or are on their way.",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(spans.queued).encode(metric)
    }
}
