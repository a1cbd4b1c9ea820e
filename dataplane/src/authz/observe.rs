//! Sees every check come and go: counts exactly one outcome, ends its span, writes its log line.
//!
//! It sits outside of the deadline and of everything that can fail, so that nothing ends unseen; it
//! has no say in the outcome.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytestring::ByteString;
use gatekeeper::{Verdict, Why};
use pin_project_lite::pin_project;
use tidegate_telemetry::TRACE_TARGET;
use tokio::time::Instant;
use tower::Service;
use tracing::{Span, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::log_limit::LogLimit;

use super::{
    check::{Check, Who},
    counters::{Counters, HookCounters},
    decision::{Decision, Facts},
    decision_log::{DecisionLog, Line},
    failure::Failure,
    hook::{Hook, HookKind},
    mutations::Hints,
    shadow::Mode,
    wire::Outcome,
};

/// Observes the rest of the stack.
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    observer: Arc<Observer>,
    mode: Mode,
}

/// Where the observations of all hooks go.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) counters: Arc<Counters>,
    pub(super) log: DecisionLog,
    pub(super) hints: Hints,
    /// Spans of packets that were not traced.
    pub(super) retroactive: LogLimit,
}

impl<S> Observe<S> {
    /// Wraps the rest of the stack.
    pub(super) fn new(inner: S, observer: Arc<Observer>) -> Self {
        Self {
            inner,
            observer,
            mode: Mode::Enforce,
        }
    }

    /// What is decided in another mode is told, and not counted with what has an effect.
    pub(super) fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }
}

impl<S, H> Service<Check<H>> for Observe<S>
where
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>>,
    H: Hook,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut check: Check<H>) -> Self::Future {
        let span = check_span(H::KIND, &check.context.span);
        if let Some(traceparent) = tidegate_telemetry::traceparent(&span) {
            check.message.set_traceparent(traceparent);
        }
        // From here on the packet's span is of no use to anybody: the call belongs to the check.
        check.context.span = span.clone();
        let observation = Observation {
            observer: Arc::clone(&self.observer),
            hook: H::KIND,
            who: Arc::clone(&check.context.who),
            topic: check.context.topic.clone(),
            asked_at: check.context.asked_at,
            span,
            is_shadow: self.mode != Mode::Enforce,
            has_ended: false,
        };
        if !observation.is_shadow && !check.context.known.is_some() {
            observation.counters().asked.add(1);
        }
        ResponseFuture {
            inner: self.inner.call(check),
            observation,
        }
    }
}

/// A span of a check, with all that may be said about it.
macro_rules! check_span {
    (parent: $parent:expr, $hook:expr) => {
        info_span!(
            target: TRACE_TARGET,
            parent: $parent,
            "authz.check",
            tidegate.authz.hook = $hook.as_str(),
            tidegate.authz.outcome = Empty,
            tidegate.authz.policy = Empty,
            tidegate.authz.decision_id = Empty,
            tidegate.authz.queue_ms = Empty,
            tidegate.authz.batch_size = Empty,
            tidegate.authz.cached = Empty,
            tidegate.authz.mode = Empty,
            tidegate.authz.failure_action = Empty,
            tidegate.authz.failure.reason = Empty,
            tidegate.authz.retroactive = Empty,
            tidegate.authz.latency_ms = Empty,
            tidegate.session.id = Empty,
            messaging.client.id = Empty,
            error.type = Empty,
            otel.status_code = Empty,
            otel.status_description = Empty,
        )
    };
}

/// The span of a check, if the packet has one. Whether to sample was decided before.
fn check_span(hook: HookKind, packet: &Span) -> Span {
    if packet.is_disabled() {
        return Span::none();
    }
    check_span!(parent: packet, hook)
}

pin_project! {
    /// Future of [`Observe`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        observation: Observation,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(cx));
        this.observation.end(&outcome);
        Poll::Ready(outcome)
    }
}

/// One check under way. Ends when there is an outcome, or when it is dropped.
#[derive(Debug)]
struct Observation {
    observer: Arc<Observer>,
    hook: HookKind,
    who: Arc<Who>,
    topic: ByteString,
    asked_at: Instant,
    span: Span,
    is_shadow: bool,
    has_ended: bool,
}

impl Observation {
    fn end(&mut self, outcome: &Outcome) {
        self.has_ended = true;
        self.count(outcome);
        if self.span.is_disabled() && !is_allowed(outcome) {
            self.span = self.retroactive_span();
        }
        if !self.span.is_disabled() {
            self.record(outcome);
        }
        let ended_at = match outcome {
            Ok(decision) => decision.decided_at,
            Err(failure) => failure.failed_at,
        };
        let line = Line {
            hook: self.hook,
            who: &self.who,
            topic: &self.topic,
            latency: ended_at.saturating_duration_since(self.asked_at),
            is_shadow: self.is_shadow,
            span: &self.span,
        };
        self.observer.log.write(line, outcome);
        // The span ends here, not when the caller lets go of the future.
        self.span = Span::none();
    }

    fn count(&self, outcome: &Outcome) {
        let counters = self.counters();
        // Now, and not when it was decided: what the packets before it make it wait is felt, too.
        if !self.is_shadow {
            let durations = match outcome {
                Ok(decision) => match &decision.verdict {
                    _ if decision.facts.failure.is_some() => &counters.check_duration_failed,
                    Verdict::Allow(_) => &counters.check_duration,
                    Verdict::Deny(_) => &counters.check_duration_denied,
                    Verdict::Unavailable(_) => &counters.check_duration_failed,
                },
                Err(_) => &counters.check_duration_failed,
            };
            durations.record(self.asked_at.elapsed());
        }
        match outcome {
            Ok(_) if self.is_shadow => {}
            Ok(decision) => match (&decision.verdict, decision.facts.failure) {
                // Nobody decided, whatever became of the packet: whoever looks for failures is to find it.
                (_, Some(why)) => counters.add_failure(why),
                (Verdict::Allow(_), _) if decision.facts.cached => counters.allowed_cached.add(1),
                (Verdict::Allow(_), _) => counters.allowed.add(1),
                (Verdict::Deny(_), _) if decision.facts.cached => counters.denied_cached.add(1),
                (Verdict::Deny(_), _) => counters.denied.add(1),
                (Verdict::Unavailable(why), _) => counters.add_failure(*why),
            },
            Err(failure) => {
                if !self.is_shadow {
                    counters.add_failure(failure.cause.why());
                }
                self.observer.counters.protocol_errors.add(&failure.cause);
                self.observer.hints.tell(self.hook, &failure.cause);
            }
        }
    }

    /// The span of a check whose packet was not traced, so that every refusal can be found, as far as
    /// their number permits. It has no length: what it would have measured is over.
    fn retroactive_span(&self) -> Span {
        // First whether anybody traces at all: that is for nothing.
        if !tracing::enabled!(target: TRACE_TARGET, tracing::Level::INFO) {
            return Span::none();
        }
        if self.observer.retroactive.permit().is_none() {
            return Span::none();
        }
        let span = check_span!(parent: None, self.hook);
        let latency = self.asked_at.elapsed().as_secs_f64() * 1000.0;
        span.record("tidegate.authz.retroactive", true);
        span.record("tidegate.authz.latency_ms", latency);
        span.record("tidegate.session.id", self.who.session_id.as_str());
        span.record("messaging.client.id", self.who.client_id.as_str());
        span
    }

    fn record(&self, outcome: &Outcome) {
        let span = &self.span;
        if self.is_shadow {
            span.record("tidegate.authz.mode", "shadow");
        }
        match outcome {
            Ok(decision) => {
                let word = match &decision.verdict {
                    _ if decision.facts.failure.is_some() => "failure",
                    Verdict::Allow(_) => "allow",
                    Verdict::Deny(_) => "deny",
                    Verdict::Unavailable(_) => "failure",
                };
                span.record("tidegate.authz.outcome", word);
                if let Some(why) = decision.facts.failure {
                    record_failure(span, why);
                }
                record_facts(span, &decision.facts);
            }
            Err(failure) => {
                span.record("tidegate.authz.outcome", "failure");
                record_failure(span, failure.cause.why());
                let detail = tracing::field::display(&failure.cause);
                span.record("otel.status_description", detail);
                record_facts(span, &failure.facts);
            }
        }
    }

    fn counters(&self) -> &HookCounters {
        self.observer.counters.hook(self.hook)
    }
}

/// Whether somebody has said yes.
fn is_allowed(outcome: &Outcome) -> bool {
    let Ok(decision) = outcome else {
        return false;
    };
    matches!(decision.verdict, Verdict::Allow(_)) && decision.facts.failure.is_none()
}

fn record_failure(span: &Span, why: Why) {
    span.record("tidegate.authz.failure.reason", why.as_str());
    span.record("error.type", why.as_str());
    span.record("otel.status_code", "ERROR");
}

fn record_facts(span: &Span, facts: &Facts) {
    if facts.cached {
        span.record("tidegate.authz.cached", true);
    }
    if let Some(step) = facts.failure_action {
        span.record("tidegate.authz.failure_action", step.as_str());
    }
    if !facts.policy.is_empty() {
        span.record("tidegate.authz.policy", facts.policy.as_str());
    }
    if !facts.decision_id.is_empty() {
        span.record("tidegate.authz.decision_id", facts.decision_id.as_str());
    }
    span.record(
        "tidegate.authz.queue_ms",
        facts.queued.as_secs_f64() * 1000.0,
    );
    span.record("tidegate.authz.batch_size", facts.batch_size as i64);
    // The service chooses the names, so they cannot be declared beforehand.
    for (key, value) in &facts.annotations {
        span.set_attribute(format!("tidegate.authz.annotation.{key}"), value.clone());
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.has_ended {
            if !self.is_shadow {
                self.counters().cancelled.add(1);
            }
            self.span.record("tidegate.authz.outcome", "cancelled");
        }
    }
}

#[cfg(test)]
mod tests;
