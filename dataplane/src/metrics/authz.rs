//! What the decision pipeline has counted, read when somebody asks.

mod encode;
mod endpoints;

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Unit};

use crate::authz::{Count, Counters, HookCounters, HookKind, ShadowOutcome, Step, WHYS};

use self::encode::{Measured, counter, gauge, histogram};
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
        self.encode_counters(encoder)?;
        self.encode_gauges(encoder)?;
        self.encode_histograms(encoder)?;
        counter(
            encoder,
            "authz_protocol_errors",
            "Offences of the service against the contract.",
            self.protocol_errors(),
        )?;
        endpoints::encode(encoder, &self.0.endpoints())
    }
}

impl Collected {
    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut by_hook = |name, help, read: fn(&HookCounters) -> &Count| {
            let samples = self.by_hook(|hook| read(hook).get());
            counter(encoder, name, help, samples)
        };
        by_hook("authz_calls", "Calls to the service.", |hook| &hook.calls)?;
        by_hook(
            "authz_calls_failed",
            "Calls to the service without a readable response.",
            |hook| &hook.calls_failed,
        )?;
        by_hook(
            "authz_call_retries",
            "Calls that were made a second time.",
            |hook| &hook.retries,
        )?;
        by_hook(
            "authz_retry_budget_exhausted",
            "Calls that were not made a second time, for too many were.",
            |hook| &hook.retry_budget_exhausted,
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
        )
    }

    fn encode_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut by_hook = |name, help, read: fn(&HookCounters) -> u64| {
            gauge(encoder, name, help, self.by_hook(read))
        };
        by_hook(
            "authz_checks_pending",
            "Checks that have not ended.",
            |hook| {
                // The ends first: what ends meanwhile must not make it negative.
                let ended = hook.ended();
                hook.asked.get().saturating_sub(ended)
            },
        )?;
        by_hook(
            "authz_calls_in_flight",
            "Calls to the service that have not ended.",
            |hook| {
                let ended = hook.calls_ended.get();
                hook.calls.get().saturating_sub(ended)
            },
        )?;
        by_hook(
            "authz_capacity_remaining",
            "Checks for which there is room in the queue, fewer if they are large.",
            |hook| hook.room.get(),
        )?;
        let kept = u64::try_from(self.0.cache.entries()).unwrap_or(u64::MAX);
        gauge(
            encoder,
            "authz_cache_entries",
            "Decisions that are kept.",
            vec![([], kept)],
        )?;
        gauge(
            encoder,
            "authz_deadline_seconds",
            "Longest time from the arrival of a check to its decision, as of new sessions.",
            self.by_hook(|hook| hook.deadline.get()),
        )?;
        gauge(
            encoder,
            "authz_throttle_probability",
            "Share of checks that are refused unasked, as of the last one that might have been.",
            self.by_hook(|hook| hook.throttle_probability.get()),
        )
    }

    fn encode_histograms(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        histogram(
            encoder,
            "authz_check_duration",
            "From the arrival of a check to the moment when its outcome is applied.",
            Some(Unit::Seconds),
            self.check_durations(),
        )?;
        let mut by_hook = |name, help, unit, read: fn(&HookCounters) -> Measured| {
            histogram(encoder, name, help, unit, self.by_hook(read))
        };
        by_hook(
            "authz_queue_duration",
            "From the arrival of a check to its departure.",
            Some(Unit::Seconds),
            |hook| Measured::from(&hook.queue_duration),
        )?;
        by_hook(
            "authz_batch_size",
            "Checks in a call to the service.",
            None,
            |hook| Measured::from(&hook.batch_size),
        )?;
        by_hook(
            "authz_batch",
            "Size of the message of a call to the service.",
            Some(Unit::Bytes),
            |hook| Measured::from(&hook.batch_bytes),
        )
    }

    fn hooks(&self) -> impl Iterator<Item = (HookKind, &HookCounters)> {
        let counters = &self.0;
        HookKind::ALL
            .into_iter()
            .map(|hook| (hook, counters.hook(hook)))
    }

    fn by_hook<T>(&self, read: impl Fn(&HookCounters) -> T) -> Vec<(Labels<1>, T)> {
        self.hooks()
            .map(|(hook, counts)| ([("hook", hook.as_str())], read(counts)))
            .collect()
    }

    fn checks(&self) -> Vec<(Labels<5>, u64)> {
        let mut samples = Vec::new();
        for (hook, counts) in self.hooks() {
            let mut add = |outcome, reason, cached, count| {
                let labels = [
                    ("hook", hook.as_str()),
                    ("outcome", outcome),
                    ("failure_reason", reason),
                    ("cached", cached),
                    ("mode", counts.mode()),
                ];
                samples.push((labels, count));
            };
            add("allow", "", "false", counts.allowed.get());
            add("allow", "", "true", counts.allowed_cached.get());
            add("deny", "", "false", counts.denied.get());
            add("deny", "", "true", counts.denied_cached.get());
            add("skipped", "", "false", counts.skipped.get());
            add("cancelled", "", "false", counts.cancelled.get());
            for why in WHYS {
                add("failure", why.as_str(), "false", counts.failed(why));
            }
        }
        samples
    }

    fn check_durations(&self) -> Vec<(Labels<2>, Measured)> {
        let samples = self.hooks().flat_map(|(hook, counts)| {
            [
                ("allow", &counts.check_duration),
                ("deny", &counts.check_duration_denied),
                ("failure", &counts.check_duration_failed),
            ]
            .map(|(outcome, durations)| {
                let labels = [("hook", hook.as_str()), ("outcome", outcome)];
                (labels, Measured::from(durations))
            })
        });
        samples.collect()
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
            ("illegal_reason_code", &errors.illegal_reason_code),
            ("illegal_action", &errors.illegal_action),
            ("illegal_mutation", &errors.illegal_mutation),
            ("illegal_allow", &errors.illegal_allow),
        ]
        .map(|(kind, count)| ([("kind", kind)], count.get()))
        .into()
    }
}
