//! The services, and the collector.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
};
use tidegate_proto::v1::{
    AuthorizePublishRequest, CheckMetadata, PublishCheck, PublishResult, ReasonCode, Session,
    authorization_service_client::AuthorizationServiceClient, publish_result::Decision,
};
use tidegate_tests::{
    Answer, Hold, background,
    collector::Collector,
    rogue::{Manner, Rogue},
    service::{Hook, Scripted},
};
use tonic::{Code, Status};

/// Asks the service about some topics in one call, with item ids 1, 2 and so on.
fn ask(service: &Scripted, topics: &[&str]) -> Result<Vec<PublishResult>, Status> {
    let checks = topics
        .iter()
        .zip(1..)
        .map(|(&topic, item_id)| PublishCheck {
            metadata: Some(CheckMetadata {
                item_id,
                ..CheckMetadata::default()
            }),
            session: Some(Session::default()),
            topic: topic.to_owned(),
            ..PublishCheck::default()
        });
    let request = AuthorizePublishRequest {
        data_plane: None,
        checks: checks.collect(),
    };
    background::block_on(async {
        let mut client = AuthorizationServiceClient::connect(service.endpoint())
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(client
            .authorize_publish(request)
            .await?
            .into_inner()
            .results)
    })
}

fn item_ids(results: &[PublishResult]) -> Vec<u32> {
    results
        .iter()
        .map(|result| result.metadata.as_ref().unwrap().item_id)
        .collect()
}

#[test]
fn scripted_service_allows_everything_at_first() {
    let service = Scripted::start();
    let results = ask(&service, &["a", "b"]).unwrap();
    assert_eq!(item_ids(&results), [1, 2]);
    assert!(
        results
            .iter()
            .all(|result| matches!(result.decision, Some(Decision::Allow(_))))
    );
    assert_eq!(service.checks()[1].topic(), "b");
    assert_eq!(
        (service.calls()[0].hook, service.calls()[0].size),
        (Hook::Publish, 2)
    );
}

#[test]
fn scripted_service_says_what_the_script_says() {
    let service = Scripted::start();
    service.answer(|check| match check.topic() {
        "deny" => Answer::deny(ReasonCode::QuotaExceeded),
        "unset" => Answer::Unset,
        "missing" => Answer::Missing,
        "twice" => Answer::Twice,
        "stray" => Answer::Stray,
        "status" => Answer::Status(Code::DataLoss),
        _ => Answer::Allow,
    });
    let results = ask(&service, &["deny", "unset", "missing", "twice", "stray"]).unwrap();
    assert_eq!(item_ids(&results), [1, 2, 4, 4, 5 ^ 0x4000_0000]);
    assert!(matches!(&results[0].decision, Some(Decision::Deny(deny)) if deny.reason_code == 0x97));
    assert_eq!(results[1].decision, None);
    assert_eq!(
        ask(&service, &["x", "status"]).unwrap_err().code(),
        Code::DataLoss
    );
}

#[test]
fn scripted_service_holds_answers_back() {
    let service = Scripted::start();
    let hold = Hold::new();
    let held = hold.clone();
    service.answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&service, &["x"]));
        service.wait_for(Hook::Publish, 1);
        assert!(!asking.is_finished());
        hold.release();
        assert_eq!(item_ids(&asking.join().unwrap().unwrap()), [1]);
    });
}

#[test]
fn scripted_service_goes_and_comes_back() {
    let mut service = Scripted::start();
    service.stop();
    assert_eq!(ask(&service, &["x"]).unwrap_err().code(), Code::Unavailable);
    service.restart();
    assert!(ask(&service, &["x"]).is_ok());
}

#[test]
fn rogues_are_no_service() {
    for manner in [
        Manner::Reset,
        Manner::Close,
        Manner::Garbage,
        Manner::OldHttp,
    ] {
        let rogue = Rogue::start(manner);
        let answer: Result<_, Status> = background::block_on(async {
            let mut client = AuthorizationServiceClient::connect(rogue.endpoint())
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            client
                .authorize_publish(AuthorizePublishRequest::default())
                .await
        });
        assert!(answer.is_err(), "{manner:?} answered {answer:?}");
        assert!(rogue.visits() > 0);
    }
}

#[test]
fn collector_finds_its_way_through_a_trace() {
    let collector = Collector::start();
    export(
        &collector,
        "front",
        &[(1, 0, SpanKind::Internal), (2, 1, SpanKind::Client)],
    );
    export(&collector, "back", &[(3, 2, SpanKind::Server)]);
    collector.eventually("three generations", |trace| {
        let server = trace.find("back", SpanKind::Server, "span 3").next()?;
        let lineage = trace.lineage(server)?;
        let names: Vec<_> = lineage.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["span 3", "span 2", "span 1"]);
        assert_eq!(lineage[1].service, "front");
        Some(())
    });
    assert_eq!(collector.wait_for(3).len(), 3);
}

fn export(collector: &Collector, service: &str, spans: &[(u8, u8, SpanKind)]) {
    let id = |id: u8| if id == 0 { vec![] } else { vec![id; 8] };
    let spans = spans.iter().map(|&(own, parent, kind)| Span {
        trace_id: vec![7; 16],
        span_id: id(own),
        parent_span_id: id(parent),
        name: format!("span {own}"),
        kind: kind.into(),
        ..Span::default()
    });
    let service_name = KeyValue {
        key: "service.name".into(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(service.into())),
        }),
        ..KeyValue::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![service_name],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    background::block_on(async {
        let mut client = TraceServiceClient::connect(collector.endpoint())
            .await
            .unwrap();
        client.export(request).await.unwrap();
    });
}
