//! What spans and log lines a check leaves behind.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, mpsc},
};

use bytes::Bytes;
use opentelemetry::trace::{SpanId, SpanKind, Status, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tidegate_proto::v1;
use tidegate_telemetry::DECISION_TARGET;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, registry::Registry, util::SubscriberInitExt,
};

use super::*;
use crate::authz::{
    Authz, hook,
    testing::{
        self, publish,
        service::{Play, Scripted, Seen, allow_all, framed},
    },
};

/// Collects spans and the decision log of this thread.
struct Scene {
    provider: SdkTracerProvider,
    spans: Arc<Mutex<Vec<SpanData>>>,
    lines: Arc<Mutex<Vec<Line>>>,
    seen: mpsc::Receiver<Seen>,
    service: Scripted,
    authz: Authz,
    _subscriber: DefaultGuard,
}

type Line = (Level, HashMap<&'static str, String>);

impl Scene {
    async fn new(script: impl Fn(&Seen) -> Play + Send + Sync + 'static) -> Self {
        Self::with(script, |_| ()).await
    }

    async fn with(
        script: impl Fn(&Seen) -> Play + Send + Sync + 'static,
        change: impl FnOnce(&mut crate::authz::AuthzOptions),
    ) -> Self {
        let (spans, lines) = (Arc::default(), Arc::default());
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(Spans(Arc::clone(&spans)))
            .build();
        let exported = Targets::new().with_target(TRACE_TARGET, Level::INFO);
        let logged = Targets::new().with_target(DECISION_TARGET, Level::DEBUG);
        let subscriber = Registry::default()
            .with(
                tracing_opentelemetry::layer()
                    .with_tracer(provider.tracer("test"))
                    .with_context_activation(false)
                    .with_filter(exported),
            )
            .with(Lines(Arc::clone(&lines)).with_filter(logged))
            .set_default();
        let (see, seen) = mpsc::channel();
        let service = Scripted::each(move |call| {
            let play = script(&call);
            see.send(call).unwrap();
            play
        })
        .await;
        let mut options = testing::options([service.address]);
        change(&mut options);
        Self {
            provider,
            spans,
            lines,
            seen,
            service,
            authz: Authz::start(&options, v1::DataPlane::default()),
            _subscriber: subscriber,
        }
    }

    /// Asks at once for all topics, each within a span of its own if it is to be sampled.
    async fn ask(&self, topics: &[(&str, bool)]) {
        let asked: Vec<_> = topics
            .iter()
            .map(|(topic, is_sampled)| {
                let mut check = publish(topic);
                if *is_sampled {
                    check.context.span = info_span!(target: TRACE_TARGET, "PUBLISH");
                }
                self.authz.ask(check)
            })
            .collect();
        for answer in asked {
            answer.await;
        }
        // The span of the call ends in the task of the call.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.provider.force_flush().unwrap();
    }

    fn spans(&self, name: &str) -> Vec<SpanData> {
        let spans = self.spans.lock().unwrap();
        spans
            .iter()
            .filter(|span| span.name == name)
            .cloned()
            .collect()
    }

    fn only_line(&self) -> Line {
        let lines = self.lines.lock().unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }
}

const CALL: &str = "tidegate.authz.v1.AuthorizationService/AuthorizePublish";

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let attributes = span.attributes.iter();
    let mut values = attributes.filter(|attribute| attribute.key.as_str() == key);
    values.next().map(|attribute| attribute.value.to_string())
}

fn traceparent_of(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

fn deny(_: &Seen) -> Play {
    let mut result = testing::result(1, testing::no());
    let metadata = result.metadata.as_mut().unwrap();
    metadata.policy = "acl".to_owned();
    metadata.decision_id = "d-1".to_owned();
    metadata
        .annotations
        .insert("rule".to_owned(), "7".to_owned());
    let results = vec![result];
    let policy_revision = String::new();
    let response = v1::AuthorizePublishResponse {
        results,
        policy_revision,
    };
    Play::Answer(framed(&response), 0)
}

#[tokio::test]
async fn one_sampled_check_is_one_line_of_spans_into_the_service() {
    let scene = Scene::new(allow_all).await;
    scene.ask(&[("a", false), ("b", true), ("c", false)]).await;
    let [packet] = &scene.spans("PUBLISH")[..] else {
        panic!("one packet is sampled");
    };
    let [check] = &scene.spans("authz.check")[..] else {
        panic!("one check is sampled");
    };
    let [call] = &scene.spans(CALL)[..] else {
        panic!("one call was made");
    };
    assert_eq!(check.parent_span_id, packet.span_context.span_id());
    assert_eq!(call.parent_span_id, check.span_context.span_id());
    assert_eq!(call.span_kind, SpanKind::Client);
    assert_eq!(call.status, Status::Unset);
    assert_eq!(attribute(call, "rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(
        attribute(call, "rpc.response.status_code").as_deref(),
        Some("OK")
    );
    assert_eq!(
        attribute(check, "tidegate.authz.batch_size").as_deref(),
        Some("3")
    );
    assert_eq!(
        attribute(check, "tidegate.authz.outcome").as_deref(),
        Some("allow")
    );

    let seen = scene.seen.try_recv().unwrap();
    assert_eq!(seen.headers["traceparent"], traceparent_of(call).as_str());
    let carried = seen.request.checks.iter();
    let carried: Vec<_> = carried
        .map(|check| check.metadata.as_ref().unwrap().traceparent.as_str())
        .collect();
    assert_eq!(carried, ["", traceparent_of(check).as_str(), ""]);
}

#[tokio::test]
async fn several_sampled_checks_are_linked_to_a_call_of_its_own() {
    let scene = Scene::new(allow_all).await;
    scene.ask(&[("a", true), ("b", true), ("c", false)]).await;
    let [call] = &scene.spans(CALL)[..] else {
        panic!("one call was made");
    };
    assert_eq!(call.parent_span_id, SpanId::INVALID);
    let checks = scene.spans("authz.check");
    let mut expected: Vec<_> = checks
        .iter()
        .map(|check| check.span_context.span_id())
        .collect();
    let mut linked: Vec<_> = call
        .links
        .iter()
        .map(|link| link.span_context.span_id())
        .collect();
    expected.sort_by_key(|id| id.to_bytes());
    linked.sort_by_key(|id| id.to_bytes());
    assert_eq!(linked, expected);
    assert_eq!(linked.len(), 2);

    let seen = scene.seen.try_recv().unwrap();
    for check in &seen.request.checks[..2] {
        let carried = &check.metadata.as_ref().unwrap().traceparent;
        assert!(checks.iter().any(|check| traceparent_of(check) == *carried));
    }
}

#[tokio::test]
async fn what_is_not_sampled_leaves_no_span() {
    let scene = Scene::new(allow_all).await;
    scene.ask(&[("a", false), ("b", false)]).await;
    assert!(scene.spans.lock().unwrap().is_empty());
    let seen = scene.seen.try_recv().unwrap();
    // Either nothing, or the explicit word that it is not sampled.
    if let Some(traceparent) = seen.headers.get("traceparent") {
        assert!(traceparent.to_str().unwrap().ends_with("-00"));
    }
}

#[tokio::test]
async fn a_refusal_that_was_not_sampled_has_a_span_afterwards() {
    for (play, outcome) in [(None, "deny"), (Some(Play::OnlyStatus(13)), "failure")] {
        let scene = Scene::new(move |seen| play.clone().unwrap_or_else(|| deny(seen))).await;
        scene.ask(&[("secret/plans", false)]).await;
        let spans = scene.spans.lock().unwrap().clone();
        assert_eq!(spans.len(), 1, "{spans:?}");
        assert_eq!(spans[0].name, "authz.check");
        assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
        for (key, value) in [
            ("tidegate.authz.hook", "publish"),
            ("tidegate.authz.outcome", outcome),
            ("tidegate.authz.retroactive", "true"),
            ("tidegate.session.id", "session"),
            ("messaging.client.id", "client"),
        ] {
            let found = attribute(&spans[0], key);
            assert_eq!(found.as_deref(), Some(value), "{key}");
        }
        assert!(attribute(&spans[0], "tidegate.authz.latency_ms").is_some());
    }
}

#[tokio::test]
async fn spans_that_are_made_afterwards_are_bounded() {
    let scene = Scene::new(|_| Play::OnlyStatus(13)).await;
    scene.ask(&[("t", false); 1000]).await;
    let made = scene.spans("authz.check").len();
    // Ten at once, and ten a second.
    assert!((10..500).contains(&made), "{made}");
}

#[tokio::test]
async fn a_denial_is_no_error_and_is_logged() {
    let scene = Scene::new(deny).await;
    scene.ask(&[("secret/plans", true)]).await;
    let check = &scene.spans("authz.check")[0];
    assert_eq!(check.status, Status::Unset);
    for (key, value) in [
        ("tidegate.authz.hook", "publish"),
        ("tidegate.authz.outcome", "deny"),
        ("tidegate.authz.policy", "acl"),
        ("tidegate.authz.decision_id", "d-1"),
        ("tidegate.authz.annotation.rule", "7"),
    ] {
        assert_eq!(attribute(check, key).as_deref(), Some(value), "{key}");
    }
    let (level, line) = scene.only_line();
    assert_eq!(level, Level::INFO);
    for (field, value) in [
        ("outcome", "deny"),
        ("action", "publish"),
        ("user", "alice"),
        ("topic", "secret/plans"),
        ("client_id", "client"),
        ("policy", "acl"),
        ("decision_id", "d-1"),
    ] {
        assert_eq!(line.get(field).map(String::as_str), Some(value), "{field}");
    }
    assert!(line.contains_key("latency_ms"));
}

#[tokio::test]
async fn a_failure_is_an_error_and_a_warning() {
    let scene = Scene::new(|_| Play::OnlyStatus(13)).await;
    scene.ask(&[("t", true)]).await;
    let check = &scene.spans("authz.check")[0];
    assert!(matches!(check.status, Status::Error { .. }));
    assert_eq!(
        attribute(check, "error.type").as_deref(),
        Some("grpc_status")
    );
    assert_eq!(
        attribute(check, "tidegate.authz.failure.reason").as_deref(),
        Some("grpc_status")
    );
    let call = &scene.spans(CALL)[0];
    assert!(matches!(call.status, Status::Error { .. }));
    assert_eq!(
        attribute(call, "rpc.response.status_code").as_deref(),
        Some("INTERNAL")
    );
    let (level, line) = scene.only_line();
    assert_eq!(level, Level::WARN);
    assert_eq!(line["outcome"], "failure");
    assert_eq!(line["reason"], "grpc_status");
}

#[tokio::test]
async fn what_passes_undecided_is_a_failure_all_the_same() {
    let scene = Scene::with(allow_all, |options| {
        options.publish.on_failure.steps = vec![crate::authz::Step::Allow];
    });
    let scene = scene.await;
    scene.service.stop().await;
    scene.ask(&[("a", true)]).await;
    let counters = scene.authz.counters().hook(HookKind::Publish);
    assert_eq!(counters.failed(Why::Unavailable), 1);
    assert_eq!(counters.allowed.get(), 0);
    assert_eq!(counters.check_duration_failed.count(), 1);
    let [check] = &scene.spans("authz.check")[..] else {
        panic!("one check is sampled");
    };
    for (key, value) in [
        ("tidegate.authz.outcome", "failure"),
        ("tidegate.authz.failure_action", "allow"),
        ("tidegate.authz.failure.reason", "unavailable"),
        ("error.type", "unavailable"),
    ] {
        assert_eq!(attribute(check, key).as_deref(), Some(value), "{key}");
    }
    let (level, line) = scene.only_line();
    assert_eq!((level, &*line["reason"]), (Level::WARN, "unavailable"));
}

#[tokio::test]
async fn an_allow_is_logged_at_debug() {
    let scene = Scene::new(allow_all).await;
    scene.ask(&[("t", false)]).await;
    let (level, line) = scene.only_line();
    assert_eq!((level, line["outcome"].as_str()), (Level::DEBUG, "allow"));
}

#[tokio::test]
async fn a_flood_of_failures_is_told_and_not_repeated() {
    let scene = Scene::new(allow_all).await;
    scene.service.stop().await;
    for _ in 0..100 {
        scene.ask(&[("t", false)]).await;
    }
    let lines = scene.lines.lock().unwrap().len();
    assert!((10..100).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn a_password_is_nowhere() {
    let scene = Scene::new(allow_all).await;
    let canary = Bytes::from_static(b"canary-7f3a");
    let connect = Check::<hook::Connect> {
        message: testing::message(&v1::ConnectCheck {
            password: Some(canary.clone()),
            auth_data: Some(canary.clone()),
            ..v1::ConnectCheck::default()
        }),
        context: crate::authz::Context {
            span: info_span!(target: TRACE_TARGET, "CONNECT"),
            ..publish("").context
        },
    };
    let mut with_payload = publish("t");
    with_payload.message = testing::message(&v1::PublishCheck {
        payload: Some(canary),
        ..v1::PublishCheck::default()
    });
    scene.authz.ask(connect).await;
    scene.authz.ask(with_payload).await;
    scene.ask(&[("t", true)]).await;
    let shown = format!("{:?} {:?}", scene.spans, scene.lines);
    assert!(shown.contains("authz.check"));
    assert!(!shown.contains("canary"), "{shown}");
}

#[derive(Debug)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

struct Lines(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: tracing_subscriber::layer::Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = (*event.metadata().level(), fields.0);
        self.0.lock().unwrap().push(line);
    }
}

#[derive(Default)]
struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
