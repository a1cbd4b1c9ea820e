//! What the decision pipeline has counted, read when somebody asks.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::authz::{Count, Counters, HookCounters, HookKind, WHYS};

use super::Labels;

/// Reads the pipeline's own counters.
#[derive(Debug)]
pub(super) struct Collected(pub(super) Arc<Counters>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        counter(
            encoder,
            "authz_checks",
            "Checks that ended, by outcome; `cancelled` is one that nobody waited for any more.",
            self.checks(),
        )?;
        let mut by_hook = |name, help, read: fn(&HookCounters) -> &Count| {
            counter(encoder, name, help, self.by_hook(read))
        };
        by_hook("authz_calls", "Calls to the service.", |hook| &hook.calls)?;
        by_hook(
            "authz_calls_failed",
            "Calls to the service without a readable response.",
            |hook| &hook.calls_failed,
        )?;
        by_hook(
            "authz_checks_sent",
            "Checks in calls to the service.",
            |hook| &hook.checks_sent,
        )?;
        by_hook(
            "authz_allows_outdated",
            "Allows that were not used because a directive had overtaken them.",
            |hook| &hook.outdated,
        )?;
        by_hook(
            "authz_lane_panics",
            "Panics of the lane: each is a bug.",
            |hook| &hook.panics,
        )?;
        self.encode_pending(encoder)?;
        counter(
            encoder,
            "authz_protocol_errors",
            "Offences of the service against the contract.",
            self.protocol_errors(),
        )
    }
}

impl Collected {
    fn hooks(&self) -> impl Iterator<Item = (HookKind, &HookCounters)> {
        let counters = &self.0;
        HookKind::ALL
            .into_iter()
            .map(|hook| (hook, counters.hook(hook)))
    }

    fn by_hook(&self, read: fn(&HookCounters) -> &Count) -> Vec<(Labels<1>, u64)> {
        self.hooks()
            .map(|(hook, counts)| ([("hook", hook.as_str())], read(counts).get()))
            .collect()
    }

    fn checks(&self) -> Vec<(Labels<3>, u64)> {
        let mut samples = Vec::new();
        for (hook, counts) in self.hooks() {
            let mut add = |outcome, reason, count| {
                let labels = [
                    ("hook", hook.as_str()),
                    ("outcome", outcome),
                    ("failure_reason", reason),
                ];
                samples.push((labels, count));
            };
            add("allow", "", counts.allowed.get());
            add("deny", "", counts.denied.get());
            add("cancelled", "", counts.cancelled.get());
            for why in WHYS {
                add("failure", why.as_str(), counts.failed(why));
            }
        }
        samples
    }

    fn protocol_errors(&self) -> Vec<(Labels<1>, u64)> {
        let errors = &self.0.protocol_errors;
        [
            ("unknown_item", &errors.unknown_item),
            ("missing_item", &errors.missing_item),
            ("duplicate_item", &errors.duplicate_item),
            ("unset_decision", &errors.unset_decision),
            ("illegal_deny", &errors.illegal_deny),
            ("illegal_allow", &errors.illegal_allow),
        ]
        .map(|(kind, count)| ([("kind", kind)], count.get()))
        .into()
    }

    fn encode_pending(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "authz_checks_pending",
            "Checks that have not ended.",
            None,
            MetricType::Gauge,
        )?;
        for (hook, counts) in self.hooks() {
            // The ends first: what ends meanwhile must not make it negative.
            let ended = counts.allowed.get()
                + counts.denied.get()
                + counts.cancelled.get()
                + counts.failures();
            let pending = counts.asked.get().saturating_sub(ended);
            let labels = [("hook", hook.as_str())];
            ConstGauge::new(pending).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn counter<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: Vec<(Labels<N>, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
