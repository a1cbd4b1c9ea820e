//! The decision log: who wanted what, and what came of it. Never a password, never a payload.

use std::time::Duration;

use gatekeeper::Verdict;
use tidegate_telemetry::DECISION_TARGET;
use tracing::{Level, Span, debug, event_enabled, info, warn};

use crate::log_limit::LogLimit;

use super::{
    check::Who,
    failure::{Failure, shortened},
    hook::HookKind,
    ladder::Step,
    options,
    wire::Outcome,
};

/// Writes the decision log. Allows at DEBUG or INFO, denials at INFO, failures at WARN.
#[derive(Debug)]
pub(super) struct DecisionLog {
    allows_at_info: bool,
    denials: LogLimit,
    failures: LogLimit,
}

/// What a line says besides the outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) hook: HookKind,
    pub(super) who: &'a Who,
    pub(super) topic: &'a str,
    /// From the check's arrival in the stack to the answer.
    pub(super) latency: Duration,
    /// Whether it has no effect.
    pub(super) is_shadow: bool,
    /// Gives the line its trace id.
    pub(super) span: &'a Span,
}

/// One line; the common fields first.
macro_rules! write {
    ($macro:ident, $outcome:literal, $line:expr, $($field:tt)*) => {
        $macro!(
            target: DECISION_TARGET,
            parent: $line.span,
            outcome = $outcome,
            action = $line.hook.as_str(),
            user = $line.who.username.as_deref(),
            topic = not_empty($line.topic),
            principal = not_empty(&$line.who.principal),
            client_id = $line.who.client_id.as_str(),
            session = $line.who.session_id.as_str(),
            latency_ms = milliseconds($line.latency),
            mode = $line.is_shadow.then_some("shadow"),
            $($field)*
        )
    };
}

impl DecisionLog {
    /// A log with these settings.
    pub(super) fn new(settings: &options::DecisionLog) -> Self {
        Self {
            allows_at_info: settings.allows_at_info,
            denials: LogLimit::new(settings.denials_per_second),
            failures: LogLimit::new(settings.failures_per_second),
        }
    }

    /// Whether an allow that nobody traces has a line. Asked as for an event: the filter of the logs refuses
    /// whatever is none.
    pub(super) fn tells_allows(&self) -> bool {
        self.allows_at_info || event_enabled!(target: DECISION_TARGET, Level::DEBUG)
    }

    /// Writes the line of a check that ended.
    pub(super) fn write(&self, line: Line<'_>, outcome: &Outcome) {
        match outcome {
            Ok(decision) => match &decision.verdict {
                Verdict::Allow(_) => {
                    // The service has just told who a connecting client is.
                    let given = decision.identity.as_ref();
                    let given = given.map(|identity| identity.principal.as_str());
                    let policy = not_empty(&decision.facts.policy);
                    let decision_id = not_empty(&decision.facts.decision_id);
                    if let Some(step @ (Step::Allow | Step::ServeStale)) =
                        decision.facts.failure_action
                    {
                        // Nobody decided this one: it is a failure, whatever became of it.
                        let Some(suppressed) = self.failures.permit() else {
                            return;
                        };
                        write!(
                            warn,
                            "allow",
                            line,
                            policy,
                            decision_id,
                            reason = decision.facts.failure.map(gatekeeper::Why::as_str),
                            failure_action = step.as_str(),
                            suppressed = not_zero(suppressed),
                        );
                    } else if self.allows_at_info {
                        write!(
                            info,
                            "allow",
                            line,
                            policy,
                            decision_id,
                            given_principal = given
                        );
                    } else {
                        write!(
                            debug,
                            "allow",
                            line,
                            policy,
                            decision_id,
                            given_principal = given
                        );
                    }
                }
                Verdict::Deny(deny) => {
                    let Some(suppressed) = self.denials.permit() else {
                        return;
                    };
                    write!(
                        info,
                        "deny",
                        line,
                        reason = deny.code.map(tracing::field::display),
                        detail = deny.reason_string.as_deref().map(shortened),
                        policy = not_empty(&decision.facts.policy),
                        decision_id = not_empty(&decision.facts.decision_id),
                        suppressed = not_zero(suppressed),
                    );
                }
                Verdict::Unavailable(why) => self.failure(line, why.as_str(), None),
            },
            Err(failure) => self.failure(line, failure.cause.why().as_str(), Some(failure)),
        }
    }

    fn failure(&self, line: Line<'_>, reason: &'static str, failure: Option<&Failure>) {
        let Some(suppressed) = self.failures.permit() else {
            return;
        };
        write!(
            warn,
            "failure",
            line,
            reason,
            detail = failure.map(|failure| tracing::field::display(&failure.cause)),
            policy = failure.and_then(|failure| not_empty(&failure.facts.policy)),
            decision_id = failure.and_then(|failure| not_empty(&failure.facts.decision_id)),
            suppressed = not_zero(suppressed),
        );
    }
}

fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn not_zero(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
