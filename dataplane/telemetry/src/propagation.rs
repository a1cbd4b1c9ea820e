//! Trace context across a gRPC call: W3C `traceparent` and `tracestate`, nothing else.

use crate::{TRACE_TARGET, traceparent::Traceparent};
use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tonic::metadata::{MetadataMap, MetadataValue};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Writes the context of `span` into the metadata of an outgoing call, and starts `span`.
///
/// If `span` is disabled, the call says that it is not sampled, lest the service begin a trace of
/// its own; if this process exports no spans at all, the service is left free to do so.
pub fn inject(span: &Span, metadata: &mut MetadataMap) {
    let context = span.context();
    let context = context.span().span_context().clone();
    let parent = if context.is_valid() {
        Traceparent::from(&context)
    } else if tracing::span_enabled!(target: TRACE_TARGET, Level::INFO) {
        Traceparent::unsampled()
    } else {
        return;
    };

    insert(metadata, TRACEPARENT, &parent.to_string());
    insert(metadata, TRACESTATE, &context.trace_state().header());
}

/// Makes the caller's span the parent of `span`.
///
/// Metadata without a valid `traceparent` leave `span` as it was. The caller's sampling decision is
/// obeyed: the child of an unsampled parent is never exported.
///
/// Call it before `span` is started, that is before it is entered, injected, linked to or logged
/// in; after that it does nothing.
pub fn extract_parent(span: &Span, metadata: &MetadataMap) {
    if let Some(traceparent) = get_traceparent(metadata) {
        set_parent_traceparent(span, traceparent, &get_tracestate(metadata));
    }
}

/// Whether the caller has sampled this call. A service that follows its callers builds a span only
/// then.
#[must_use]
pub fn is_sampled(metadata: &MetadataMap) -> bool {
    get_traceparent(metadata)
        .and_then(crate::remote_sampled)
        .unwrap_or(false)
}

/// The same as [`extract_parent`] for a context that came by another way, for instance with one
/// check of a batch. Invalid text is ignored; an empty `tracestate` is fine.
pub fn set_parent_traceparent(span: &Span, traceparent: &str, tracestate: &str) {
    if let Some(remote) = remote_context(traceparent, tracestate) {
        // An error means that the span is disabled or started; both are documented.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}

/// Links `span` to the span `to`, and starts `to`. A disabled span on either side makes it a no-op.
pub fn link(span: &Span, to: &Span) {
    span.add_link(to.context().span().span_context().clone());
}

/// Links `span` to a span of another process, for instance the one that an MQTT client names in its
/// user properties. Invalid text is ignored.
pub fn link_traceparent(span: &Span, traceparent: &str, tracestate: &str) {
    if let Some(remote) = remote_context(traceparent, tracestate) {
        span.add_link(remote);
    }
}

/// The `traceparent` that names `span` as parent, and starts `span`; `None` when it is disabled or
/// not sampled.
#[must_use]
pub fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    (context.is_valid() && context.is_sampled()).then(|| Traceparent::from(&context).to_string())
}

/// The trace id of `span`, 32 hex digits, and starts `span`; `None` when it is disabled.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

fn insert(metadata: &mut MetadataMap, key: &'static str, value: &str) {
    match MetadataValue::try_from(value) {
        Ok(value) if !value.is_empty() => {
            metadata.insert(key, value);
        }
        // Metadata may be a retry's: nothing stale may stay behind.
        _ => {
            metadata.remove(key);
        }
    }
}

/// The one `traceparent` of the metadata; of two, neither is to be trusted.
fn get_traceparent(metadata: &MetadataMap) -> Option<&str> {
    let mut values = metadata.get_all(TRACEPARENT).iter();
    let only = values.next()?;
    if values.next().is_some() {
        return None;
    }
    only.to_str().ok()
}

/// `tracestate` may be spread over several headers, which count as one list.
fn get_tracestate(metadata: &MetadataMap) -> String {
    let parts: Vec<_> = metadata
        .get_all(TRACESTATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    parts.join(",")
}

fn remote_context(traceparent: &str, tracestate: &str) -> Option<SpanContext> {
    let parent = Traceparent::parse(traceparent)?;
    // The specification: a bad tracestate must not spoil the traceparent.
    let state = tracestate.parse::<TraceState>().unwrap_or_default();
    Some(SpanContext::new(
        parent.trace_id,
        parent.span_id,
        parent.trace_flags(),
        true,
        state,
    ))
}

#[cfg(test)]
mod tests;
