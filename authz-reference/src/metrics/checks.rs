//! Checks: how they ended, by which rule, how long the calls took and how many came together.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::Labels;

const SECONDS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
];
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Rules that are labels. What comes behind a further colon (the name of a role) is not part of one; a rule that is not
/// here counts as `other`.
const RULES: [&str; 27] = [
    "password",
    "jwt",
    "http",
    "http-token",
    "go-auth",
    "certificate",
    "anonymous",
    "own-prefix",
    "grant:user",
    "grant:role",
    "superuser",
    "unknown-user-or-password",
    "disabled",
    "user-name",
    "user-gone",
    "client-id",
    "auth-method",
    "dollar-topic",
    "response-topic",
    "grant-retain",
    "grant-qos",
    "invalid-check",
    "session-state-invalid",
    "session-state-too-large",
    "overloaded",
    "users-unavailable",
    "internal",
];
/// What several rules begin with, and are told as.
const KINDS: [(&str, &str); 2] = [("token-", "token"), ("certificate-", "certificate")];
const OTHER: &str = "other";

/// Handles of one hook.
#[derive(Debug, Clone)]
pub(crate) struct HookMetrics {
    hook: &'static str,
    checks: Family<Labels<3>, Counter>,
    duration: Histogram,
    size: Histogram,
}

/// The results of one call. One look-up for each way in which they ended, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Tally(Vec<(&'static str, &'static str, u64)>);

pub(super) fn register(registry: &mut Registry) -> [HookMetrics; 3] {
    let checks = Family::default();
    registry.register(
        "checks",
        "Checks, by how they ended and the rule that decided",
        checks.clone(),
    );
    let make: fn() -> Histogram = || Histogram::new(SECONDS);
    let durations = Family::<Labels<1>, _, _>::new_with_constructor(make);
    registry.register_with_unit(
        "call_duration",
        "From a call's arrival to its answer",
        Unit::Seconds,
        durations.clone(),
    );
    let make: fn() -> Histogram = || Histogram::new(SIZES);
    let sizes = Family::<Labels<1>, _, _>::new_with_constructor(make);
    registry.register("batch_size", "Checks in one call", sizes.clone());
    ["connect", "publish", "subscribe"].map(|hook| HookMetrics {
        hook,
        checks: checks.clone(),
        duration: durations.get_or_create(&[("hook", hook)]).clone(),
        size: sizes.get_or_create(&[("hook", hook)]).clone(),
    })
}

impl HookMetrics {
    /// A call has been answered.
    #[allow(clippy::cast_precision_loss, reason = "batches are small")]
    pub(crate) fn answered(&self, tally: &Tally, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        let mut size = 0;
        for (outcome, rule, count) in &tally.0 {
            size += count;
            let labels = [("hook", self.hook), ("outcome", *outcome), ("rule", *rule)];
            self.checks.get_or_create(&labels).inc_by(*count);
        }
        self.size.observe(size as f64);
    }
}

impl Tally {
    /// One result.
    pub(crate) fn add(&mut self, outcome: &'static str, rule: &str) {
        // Most checks of a call end like one before: a comparison of two short texts.
        let like = |entry: &(&str, &str, u64)| entry.0 == outcome && is_of(rule, entry.1);
        let place = self.0.iter().position(like).or_else(|| {
            let label = label(rule);
            let same = |entry: &(&str, &str, u64)| entry.0 == outcome && entry.1 == label;
            self.0.iter().position(same)
        });
        match place.and_then(|place| self.0.get_mut(place)) {
            Some((.., count)) => *count += 1,
            None => self.0.push((outcome, label(rule), 1)),
        }
    }
}

fn is_of(rule: &str, label: &str) -> bool {
    rule.strip_prefix(label)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn label(rule: &str) -> &'static str {
    let known = RULES.iter().find(|label| is_of(rule, label));
    let kind = || KINDS.iter().find(|(begin, _)| rule.starts_with(begin));
    known
        .copied()
        .or_else(|| kind().map(|(_, label)| *label))
        .unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_are_no_labels() {
        let mut tally = Tally::default();
        for rule in [
            "own-prefix",
            "grant:role:ops",
            "grant:role:dev",
            "own-prefix",
            "grant:roles",
            "x",
        ] {
            tally.add("allow", rule);
        }
        tally.add("deny", "own-prefix");
        tally.add("deny", "token-expired");
        let expected = [
            ("allow", "own-prefix", 2),
            ("allow", "grant:role", 2),
            ("allow", OTHER, 2),
            ("deny", "own-prefix", 1),
            ("deny", "token", 1),
        ];
        assert_eq!(tally.0, expected);
    }
}
