//! Spans and the decision log.
//!
//! The caller has decided what is sampled; nothing is built for the rest. A call's span continues
//! the trace in the call's metadata. A check that belongs to another trace, as all but one do in
//! a batch, gets a span of its own there, so that every packet's trace reaches into this service.

use tidegate_proto::v1::CheckMetadata;
use tidegate_telemetry::{
    DECISION_TARGET, TRACE_TARGET, extract_parent, is_sampled, link, remote_sampled,
    set_parent_traceparent,
};
use tonic::metadata::MetadataMap;
use tracing::{Span, debug, field, info, info_span, warn};

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Connect,
    Publish,
    Subscribe,
}

impl Hook {
    /// The action in the decision log and the name of a check's span.
    fn action(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Connect => "tidegate.authz.v1.AuthorizationService/AuthorizeConnect",
            Self::Publish => "tidegate.authz.v1.AuthorizationService/AuthorizePublish",
            Self::Subscribe => "tidegate.authz.v1.AuthorizationService/AuthorizeSubscribe",
        }
    }
}

/// One call and its place in a trace.
#[derive(Debug)]
pub(crate) struct Call {
    hook: Hook,
    span: Span,
    trace_id: Option<String>,
}

impl Call {
    /// Builds the server span, if the caller samples.
    pub(crate) fn begin(hook: Hook, metadata: &MetadataMap, batch_size: usize) -> Self {
        if !is_sampled(metadata) {
            return Self {
                hook,
                span: Span::none(),
                trace_id: None,
            };
        }
        let span = info_span!(
            target: TRACE_TARGET,
            parent: None,
            "call",
            otel.name = hook.method(),
            otel.kind = "server",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = hook.method(),
            rpc.response.status_code = field::Empty,
            tidegate.authz.batch_size = batch_size as i64,
            tidegate.authz.outcome = field::Empty,
            tidegate.authz.policy = field::Empty,
            tidegate.authz.decision_id = field::Empty,
            error.r#type = field::Empty,
        );
        extract_parent(&span, metadata);
        let traceparent = metadata
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        let trace_id = traceparent.and_then(trace_id).map(str::to_owned);
        Self {
            hook,
            span,
            trace_id,
        }
    }

    /// The server span; disabled when unsampled.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Notes that the caller gets an answer.
    pub(crate) fn answered(&self) {
        self.span.record("rpc.response.status_code", "OK");
    }

    /// The span for one check: none, the call's own, or one in the check's trace.
    pub(crate) fn check_span(&self, check: Option<&CheckMetadata>) -> Span {
        let Some(check) = check else {
            return Span::none();
        };
        if !remote_sampled(&check.traceparent).unwrap_or(false) {
            return Span::none();
        }
        if trace_id(&check.traceparent) == self.trace_id.as_deref() {
            return self.span.clone();
        }
        let span = info_span!(
            target: TRACE_TARGET,
            parent: None,
            "check",
            otel.name = self.hook.action(),
            otel.status_code = field::Empty,
            tidegate.authz.outcome = field::Empty,
            tidegate.authz.policy = field::Empty,
            tidegate.authz.decision_id = field::Empty,
            error.r#type = field::Empty,
        );
        set_parent_traceparent(&span, &check.traceparent, &check.tracestate);
        link(&span, &self.span);
        span
    }
}

/// The span of a password verification within that of a check: most of a CONNECT's time, and on
/// a busy service most of that is waiting.
pub(crate) fn verification_span(check: &Span) -> Span {
    if check.is_disabled() {
        return Span::none();
    }
    info_span!(target: TRACE_TARGET, parent: check, "verify password")
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allow,
    Deny,
    Failure,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Failure => "failure",
        }
    }
}

/// One decision, for log and span.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    pub(crate) id: &'a str,
    pub(crate) outcome: Outcome,
    /// The rule that decided, or the kind of failure.
    pub(crate) rule: &'a str,
    pub(crate) user: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) session_id: &'a str,
    /// Topic or filter; none at CONNECT.
    pub(crate) topic: Option<&'a str>,
    /// What only operators may read.
    pub(crate) detail: Option<String>,
}

impl Decision<'_> {
    /// Records the decision in the check's span and writes the log line. A denial is a good
    /// answer; only a failure is an error of the span.
    pub(crate) fn report(&self, call: &Call, span: &Span) {
        span.record("tidegate.authz.outcome", self.outcome.as_str());
        span.record("tidegate.authz.policy", self.rule);
        span.record("tidegate.authz.decision_id", self.id);
        if self.outcome == Outcome::Failure {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", self.rule);
        }
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    target: DECISION_TARGET,
                    parent: span,
                    outcome = self.outcome.as_str(),
                    action = call.hook.action(),
                    user = clip(self.user),
                    topic = self.topic.map(clip),
                    policy = self.rule,
                    detail = self.detail.as_deref(),
                    client_id = clip(self.client_id),
                    session_id = clip(self.session_id),
                    decision_id = self.id,
                )
            };
        }
        match self.outcome {
            Outcome::Allow => line!(debug),
            Outcome::Deny => line!(info),
            Outcome::Failure => line!(warn),
        }
    }
}

/// What a client may put into one field of a log line.
pub(crate) fn clip(text: &str) -> &str {
    const MAX_LOGGED_BYTES: usize = 256;
    &text[..text.floor_char_boundary(MAX_LOGGED_BYTES)]
}

/// The trace id within a `traceparent` that has been found valid.
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.get(3..35)
}
