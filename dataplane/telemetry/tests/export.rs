//! Sampled spans arrive, and nothing else does.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod collector;

use collector::Collector;
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span as Received, span::SpanKind},
};
use tidegate_telemetry::{LogOptions, Options, Stats, TRACE_TARGET};
use tonic::metadata::MetadataMap;
use tracing::{Span, info, info_span};

const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const DEVICE: &str = "00-11111111111111111111111111111111-2222222222222222-01";

#[test]
fn sampled_spans_reach_the_collector_by_shutdown() {
    let collector = Collector::start();
    let telemetry = tidegate_telemetry::init(Options {
        service_name: "a-service",
        service_version: "1.2.3",
        otlp_endpoint: Some(collector.endpoint.clone()),
        log: LogOptions {
            // Loud on purpose: none of it may become a span.
            filter: "trace,h2=off,hyper=off,tower=off,tonic=off".to_owned(),
            ..LogOptions::default()
        },
    })
    .unwrap();
    assert!(telemetry.tracing_enabled());

    let setup = info_span!(target: TRACE_TARGET, "setup");
    let packet =
        info_span!(target: TRACE_TARGET, "PUBLISH", otel.kind = "server", mqtt.topic = "a/b");
    tidegate_telemetry::link(&packet, &setup);
    tidegate_telemetry::link_traceparent(&packet, DEVICE, "");
    let call = info_span!(target: TRACE_TARGET, parent: &packet, "authorize", otel.kind = "client");

    let mut metadata = MetadataMap::new();
    tidegate_telemetry::inject(&call, &mut metadata);
    let served = info_span!(target: TRACE_TARGET, "authz", otel.kind = "server");
    tidegate_telemetry::extract_parent(&served, &metadata);
    served.in_scope(|| info!("an event that is a log line only"));

    let unsampled = info_span!(target: TRACE_TARGET, "of an unsampled parent");
    tidegate_telemetry::set_parent_traceparent(&unsampled, UNSAMPLED, "");
    let foreign = info_span!("of another target");
    foreign.in_scope(|| ());

    let trace_id = tidegate_telemetry::trace_id(&packet).unwrap();
    drop((
        setup,
        packet,
        call,
        served,
        unsampled,
        foreign,
        Span::none(),
    ));
    let stats = telemetry.shutdown();

    let received = collector.received();
    let scopes = received.iter().flat_map(|resource| &resource.scope_spans);
    let spans: Vec<&Received> = scopes.flat_map(|scope| &scope.spans).collect();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["PUBLISH", "authorize", "authz", "setup"]);
    let expected = Stats {
        exported: 4,
        ..Stats::default()
    };
    assert_eq!(stats, expected);

    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (setup, packet) = (find("setup"), find("PUBLISH"));
    let (call, served) = (find("authorize"), find("authz"));
    assert_eq!(hex(&packet.trace_id), trace_id);
    assert_eq!(call.trace_id, packet.trace_id);
    assert_eq!(served.trace_id, packet.trace_id);
    assert_ne!(setup.trace_id, packet.trace_id);
    assert!(packet.parent_span_id.is_empty());
    assert_eq!(call.parent_span_id, packet.span_id);
    assert_eq!(served.parent_span_id, call.span_id);
    assert_eq!(served.kind(), SpanKind::Server);
    assert!(served.events.is_empty());

    let links: Vec<_> = packet
        .links
        .iter()
        .map(|link| hex(&link.trace_id))
        .collect();
    assert_eq!(links, [hex(&setup.trace_id), DEVICE[3..35].to_owned()]);
    assert_eq!(
        text(&packet.attributes, "mqtt.topic").as_deref(),
        Some("a/b")
    );
    let resource = &received[0].resource.as_ref().unwrap().attributes;
    assert_eq!(text(resource, "service.name").as_deref(), Some("a-service"));
    assert_eq!(text(resource, "service.version").as_deref(), Some("1.2.3"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of an attribute.
fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
