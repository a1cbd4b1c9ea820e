//! Against a real OpenTelemetry layer, with a subscriber that lives for one test.

use super::*;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{info_span, subscriber::DefaultGuard};
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, registry::Registry, util::SubscriberInitExt,
};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn export() -> DefaultGuard {
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("test"))
        .with_context_activation(false)
        .with_filter(Targets::new().with_target(TRACE_TARGET, Level::INFO));
    Registry::default().with(layer).set_default()
}

fn span() -> Span {
    info_span!(target: TRACE_TARGET, "a span")
}

fn metadata(headers: &[(&'static str, &str)]) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (key, value) in headers {
        metadata.append(*key, value.parse().unwrap());
    }
    metadata
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a str> {
    metadata.get(key).map(|value| value.to_str().unwrap())
}

#[test]
fn what_is_injected_can_be_extracted() {
    let _exporting = export();
    let client = span();
    let mut call = MetadataMap::new();
    inject(&client, &mut call);
    assert_eq!(text(&call, TRACEPARENT), traceparent(&client).as_deref());
    assert!(is_sampled(&call));

    let server = span();
    extract_parent(&server, &call);
    assert_eq!(trace_id(&server), trace_id(&client));
    assert_ne!(traceparent(&server), traceparent(&client));
    assert_eq!(trace_id(&client).unwrap().len(), 32);
}

#[test]
fn tracestate_is_one_list_and_travels_on() {
    let _exporting = export();
    let span = span();
    extract_parent(
        &span,
        &metadata(&[
            (TRACEPARENT, SAMPLED),
            (TRACESTATE, "a=1"),
            (TRACESTATE, "b=2"),
        ]),
    );
    let mut call = MetadataMap::new();
    inject(&span, &mut call);
    assert_eq!(text(&call, TRACESTATE), Some("a=1,b=2"));
}

#[test]
fn a_bad_tracestate_does_not_spoil_the_traceparent() {
    let _exporting = export();
    let span = span();
    set_parent_traceparent(&span, SAMPLED, "no list at all");
    assert_eq!(trace_id(&span).unwrap(), &SAMPLED[3..35]);
}

#[test]
fn an_unsampled_parent_is_obeyed() {
    let _exporting = export();
    let call = metadata(&[(TRACEPARENT, UNSAMPLED)]);
    assert!(!is_sampled(&call));

    let server = span();
    extract_parent(&server, &call);
    assert_eq!(traceparent(&server), None);
    assert_eq!(trace_id(&server).unwrap(), &UNSAMPLED[3..35]);
    let mut onward = MetadataMap::new();
    inject(&server, &mut onward);
    assert!(!is_sampled(&onward));
}

#[test]
fn rubbish_leaves_the_span_its_own_trace() {
    let _exporting = export();
    for call in [
        metadata(&[]),
        metadata(&[(TRACEPARENT, "rubbish")]),
        metadata(&[(TRACEPARENT, SAMPLED), (TRACEPARENT, SAMPLED)]),
    ] {
        assert!(!is_sampled(&call));
        let span = span();
        extract_parent(&span, &call);
        link_traceparent(&span, "rubbish", "");
        assert_ne!(trace_id(&span).unwrap(), &SAMPLED[3..35]);
        assert!(traceparent(&span).is_some());
    }
}

#[test]
fn a_started_span_keeps_its_parent() {
    let _exporting = export();
    let span = span();
    let before = trace_id(&span);
    set_parent_traceparent(&span, SAMPLED, "");
    assert_eq!(trace_id(&span), before);
}

#[test]
fn a_call_without_a_span_says_that_it_is_not_sampled() {
    let _exporting = export();
    let mut call = metadata(&[(TRACESTATE, "stale=1")]);
    inject(&Span::none(), &mut call);
    let sent = text(&call, TRACEPARENT).unwrap();
    assert_eq!(crate::remote_sampled(sent), Some(false));
    assert_eq!(text(&call, TRACESTATE), None);
}

#[test]
fn a_disabled_span_is_harmless() {
    let _exporting = export();
    let none = Span::none();
    extract_parent(&none, &metadata(&[(TRACEPARENT, SAMPLED)]));
    link(&none, &span());
    link(&span(), &none);
    assert_eq!(traceparent(&none), None);
    assert_eq!(trace_id(&none), None);
}

#[test]
fn other_targets_are_not_exported() {
    let _exporting = export();
    assert_eq!(trace_id(&info_span!("of this module")), None);
}
