//! What the decision pipeline has counted, read when somebody asks.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::authz::{Count, Counters, HookCounters, HookKind, ShadowOutcome, Step, WHYS};

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
            "authz_lane_panics",
            "Panics of the lane: each is a bug.",
            |hook| &hook.panics,
        )?;
        by_hook(
            "authz_cache_hits",
            "Checks that were answered by an earlier decision of their session.",
            |hook| &hook.cache_hits,
        )?;
        by_hook(
            "authz_cache_misses",
            "Checks that were asked though decisions are kept.",
            |hook| &hook.cache_misses,
        )?;
        by_hook(
            "authz_checks_skipped",
            "Checks that were not asked, for the hook is off.",
            |hook| &hook.skipped,
        )?;
        let evictions = vec![([], self.0.cache.evictions.get())];
        counter(
            encoder,
            "authz_cache_evictions",
            "Decisions that made room for others.",
            evictions,
        )?;
        counter(
            encoder,
            "authz_failure_action",
            "What became of checks that nobody decided.",
            self.failure_actions(),
        )?;
        counter(
            encoder,
            "authz_shadow_checks",
            "What would have become of packets, were it enforced.",
            self.shadow_checks(),
        )?;
        let mut entries = encoder.encode_descriptor(
            "authz_cache_entries",
            "Decisions that are kept.",
            None,
            MetricType::Gauge,
        )?;
        let kept = u64::try_from(self.0.cache.entries()).unwrap_or(u64::MAX);
        ConstGauge::new(kept).encode(entries.encode_family::<[(&str, &str); 0]>(&[])?)?;
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

    fn failure_actions(&self) -> Vec<(Labels<2>, u64)> {
        let samples = self.hooks().flat_map(|(hook, counts)| {
            Step::ALL.map(|step| {
                let labels = [("hook", hook.as_str()), ("action", step.as_str())];
                (labels, counts.failure_action(step).get())
            })
        });
        samples.collect()
    }

    fn shadow_checks(&self) -> Vec<(Labels<2>, u64)> {
        let hooks = self.hooks();
        let may = hooks.filter(|(hook, _)| matches!(hook, HookKind::Publish | HookKind::Subscribe));
        let samples = may.flat_map(|(hook, counts)| {
            ShadowOutcome::ALL.map(|outcome| {
                let labels = [("hook", hook.as_str()), ("outcome", outcome.as_str())];
                (labels, counts.shadow(outcome).get())
            })
        });
        samples.collect()
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
