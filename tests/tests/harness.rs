//! The harness itself: what the other suites trust is shown here, without Tidegate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{net::SocketAddr, process::Command};

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
    Answer, Client, Connect, Hold, Publish, Subscribe, Unsubscribe, Version, all_versions,
    background,
    collector::Collector,
    gate::Settings,
    mosquitto::{CommandLine, Mosquitto},
    packet::{Connack, Encode as _, Kind, ack, property},
    process::Program,
    recorder::{Recorder, Reply},
    rogue::{Manner, Rogue},
    service::{Hook, Scripted},
};
use tonic::{Code, Status};

fn connected(address: SocketAddr, version: Version) -> Client {
    let mut client = Client::open(address, version);
    client.send(&Connect::new("harness"));
    client.expect_connack(0);
    client
}

all_versions!(client_speaks_with_a_real_broker, |version| {
    let broker = Mosquitto::start();
    let mut client = connected(broker.address(), version);
    let id = client.subscribe(&["a/#", "b"]);
    client.expect_suback(id, &[2, 2]);
    for qos in 0..=2 {
        let id = client.publish(qos, "c", "nobody listens");
        client.complete(qos, id);
    }
    client.publish(0, "a/b", "somebody listens");
    client.expect_publish("a/b", "somebody listens");
    client.send(&Unsubscribe::new(99, &["a/#"]));
    assert_eq!(client.expect(Kind::Unsuback).id(), 99);
    client.publish(0, "a/b", "not any more");
    client.expect_nothing_before_pong();
});

all_versions!(a_real_broker_is_content_with_bytes_one_by_one, |version| {
    let broker = Mosquitto::start();
    let mut client = Client::open(broker.address(), version);
    let will = Publish::new("w", "will").qos(1).retain();
    let connect = Connect::new("id")
        .login("u", "p")
        .will(will)
        .keep_alive(60)
        .resume();
    client.send_in_pieces(&connect.encode(version), 1);
    let connack = client.expect_connack(0);
    assert!(!connack.session_present());
    client.send_in_pieces(&Subscribe::new(5).filter("a", 1).encode(version), 1);
    client.expect_suback(5, &[1]);
});

all_versions!(a_client_that_goes_away_leaves_its_will, |version| {
    let broker = Mosquitto::start();
    let mut witness = connected(broker.address(), version);
    let id = witness.subscribe(&["w"]);
    witness.expect_suback(id, &[2]);
    let mut client = Client::open(broker.address(), version);
    client.send(&Connect::new("other").will(Publish::new("w", "gone").qos(2)));
    client.expect_connack(0);
    drop(client);
    witness.expect_publish("w", "gone");
});

all_versions!(command_line_clients_reach_a_real_broker, |version| {
    let broker = Mosquitto::start();
    let anybody = CommandLine::new(broker.address(), version).login("u", "p");
    let subscriber = anybody.subscribe(2, "a/#");
    for qos in 0..=2 {
        let message = format!("at {qos}");
        assert!(anybody.publish(qos, "a/b", &message));
        subscriber.wait_for("a/b", &message);
    }
    assert_eq!(subscriber.messages(), ["a/b at 0", "a/b at 1", "a/b at 2"]);
});

all_versions!(recorder_answers_like_a_broker_and_remembers, |version| {
    let recorder = Recorder::start();
    let mut client = connected(recorder.address(), version);
    for qos in 0..=2 {
        let id = client.publish(qos, "t", format!("at {qos}"));
        client.complete(qos, id);
    }
    let id = client.subscribe(&["a", "b"]);
    client.expect_suback(id, &[2, 2]);
    client.expect_nothing_before_pong();
    client.send(&Unsubscribe::new(7, &["a", "b"]));
    assert_eq!(
        client.expect(Kind::Unsuback).codes(),
        version.pick(vec![], vec![0, 0])
    );
    drop(client);
    recorder.wait_closed(0);
    assert_eq!(recorder.topics(), ["t", "t", "t"]);
    assert_eq!(recorder.filters(), ["a", "b"]);
    assert_eq!(recorder.packets(Kind::Publish)[1].payload(), b"at 1");
    assert_eq!(recorder.packets(Kind::Connect)[0].client_id(), "harness");
});

all_versions!(recorder_can_refuse_and_be_silent, |version| {
    let recorder = Recorder::start();
    recorder.reply_with(|packet| match packet.kind() {
        Kind::Connect if packet.client_id() == "refused" => Reply::Close(vec![0x20, 2, 0, 5]),
        Kind::Publish => Reply::Silence,
        _ => Reply::Usual,
    });
    let mut refused = Client::open(recorder.address(), version);
    refused.send(&Connect::new("refused"));
    refused.expect_refused(5);

    let mut client = connected(recorder.address(), version);
    client.publish(1, "t", "");
    client.expect_nothing_before_pong();
    recorder.send(1, ack(Kind::Puback, 1));
    client.expect_ack(Kind::Puback, 1, 0);
    recorder.close(1);
    client.expect_closed();
});

all_versions!(recorder_speaks_the_version_of_its_peer, |version| {
    let recorder = Recorder::start();
    let connack = Connack::new()
        .session_present()
        .property(property::receive_maximum(7));
    recorder.accept_with(connack);
    let mut client = Client::open(recorder.address(), version);
    client.send(&Connect::new("harness").unclean().keep_alive(60));
    let connack = client.expect_connack(0);
    assert_eq!(connack.session_present(), version != Version::V31);
    let told = connack.number(property::RECEIVE_MAXIMUM);
    assert_eq!(told, version.pick(None, Some(7)));
    let connect = recorder.connection(0).remove(0);
    assert_eq!((connect.clean_start(), connect.keep_alive()), (false, 60));

    recorder.send_packet(0, &Publish::new("t", "x").qos(2).id(9));
    client.expect_publish("t", "x");
    recorder.wait_for(Kind::Pubcomp, 1);
    let id = client.subscribe(&["a"]);
    client.expect_suback(id, &[2]);
    assert_eq!(recorder.packets(Kind::Subscribe)[0].options(), [2]);
    let kinds = [Kind::Connect, Kind::Pubrec, Kind::Pubcomp, Kind::Subscribe];
    assert_eq!(recorder.kinds(0), kinds);

    recorder.reply_to(Kind::Publish, |_| Reply::Silence);
    client.publish(1, "t", "");
    client.expect_nothing_before_pong();
    recorder.reply_as_usual();
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, 0);
});

all_versions!(packets_that_come_in_between_are_put_by, |version| {
    let recorder = Recorder::start();
    recorder.reply_to(Kind::Pubrec, move |packet| {
        let in_between = Publish::new("other", "y").encode(version);
        Reply::Bytes([in_between, ack(Kind::Pubrel, packet.id())].concat())
    });
    let mut client = connected(recorder.address(), version);
    recorder.send_packet(0, &Publish::new("t", "x").qos(2).id(9));
    client.expect_publish("t", "x");
    client.expect_publish("other", "y");
    client.expect_nothing_before_pong();
});

all_versions!(a_real_broker_takes_more_configuration, |version| {
    let broker = Mosquitto::start_with(&["max_packet_size 100".to_owned()]);
    let mut client = connected(broker.address(), version);
    client.send_in_vain(&Publish::new("t", [b'x'; 100]).encode(version));
    client.drain();
    broker.wait_left("harness");
});

#[test]
fn settings_reach_into_lists() {
    let settings = Settings::for_gate("mqtt://127.0.0.1:1", "http://127.0.0.1:2")
        .set("listeners.0.name", "renamed")
        .set("listeners.0.attributes.tenant", "one");
    let text = settings.to_string();
    for line in ["name = \"renamed\"", "tenant = \"one\""] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
#[should_panic(expected = "there is no place for listeners.1.name")]
fn settings_do_not_make_lists_longer() {
    let _ = Settings::for_gate("", "").set("listeners.1.name", "second");
}

#[test]
fn packets_tell_their_properties() {
    let recorder = Recorder::start();
    let mut client = connected(recorder.address(), Version::V5);
    let publish = Publish::new("t", "payload")
        .property(property::topic_alias(3))
        .property(property::user("key", "value"))
        .property(property::response_topic("r"));
    client.send(&publish);
    let seen = recorder.wait_for(Kind::Publish, 1).remove(0);
    assert_eq!(
        seen.properties()
            .iter()
            .map(|found| found.id)
            .collect::<Vec<_>>(),
        [0x23, 0x26, 0x08]
    );
    assert_eq!(seen.properties()[0].value, [0, 3]);
    assert_eq!(seen.payload(), b"payload");
}

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

#[test]
fn programs_are_heard_signalled_and_waited_for() {
    let script = "trap 'echo bye; exit 7' TERM; echo to stdout; echo to stderr >&2; while :; do sleep 0.01; done";
    let mut program = Program::start("shell", Command::new("sh").args(["-c", script]));
    program.wait_for("it greets", |line| (line == "to stdout").then_some(()));
    program.wait_for("it greets again", |line| {
        (line == "to stderr").then_some(())
    });
    assert!(program.is_running());
    program.signal(tidegate_tests::process::Signal::TERM);
    assert_eq!(program.wait_exit().code(), Some(7));
    assert!(program.output().contains("bye"));
}
