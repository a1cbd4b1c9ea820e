//! One trace over both programs, and no secret in any of it.
//!
//! With `JAEGER_QUERY_URL` these tests read from a Jaeger v2 what the programs have sent there (`tests/jaeger/run`
//! starts one); without it, from a collector in their own process. They say which.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "tracing/batches.rs"]
mod batches;
#[path = "tracing/spans.rs"]
mod spans;

use std::time::Instant;

use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use tidegate_tests::{
    Connect, Publish, Topology, Version, both_versions,
    collector::{Collector, Span, Trace, hex},
    packet::Kind,
    process::Signal,
    reference::password,
    rogue::{Manner, Rogue},
    topology::{login, unique},
};

const GATE: &str = "tidegate";
const SERVICE: &str = "tidegate-authz";

/// Waits for the spans from a call of the service up to the packet that it is about:
/// server span, client span, …, root.
#[track_caller]
fn path_of(collector: &Collector, method: &str) -> Vec<Span> {
    collector.eventually(&format!("a trace from a packet to {method}"), |trace| {
        let server = trace.find(SERVICE, SpanKind::Server, method).next()?;
        Some(trace.lineage(server)?.into_iter().cloned().collect())
    })
}

/// Asserts the shape: proxy span → client span → server span, under one trace id.
#[track_caller]
fn assert_crosses_both(path: &[Span]) {
    let shape: Vec<_> = path
        .iter()
        .map(|span| (span.service.as_str(), span.kind()))
        .collect();
    assert!(path.len() >= 3, "{shape:?}");
    assert_eq!(shape[0], (SERVICE, SpanKind::Server), "{shape:?}");
    assert_eq!(shape[1], (GATE, SpanKind::Client), "{shape:?}");
    assert!(
        shape[2..].iter().all(|(service, _)| *service == GATE),
        "{shape:?}"
    );
    assert!(path.iter().all(|span| span.trace_id == path[0].trace_id));
}

both_versions!(every_hook_gives_one_trace_over_both, |version| {
    let topology = Topology::real().collector().start();
    let mut alice = topology.connect(version, "alice");
    let id = alice.publish(1, "alice/x", "traced");
    alice.complete(1, id);
    let id = alice.subscribe(&["alice/x"]);
    alice.expect_suback(id, &[2]);

    let connect = path_of(topology.collector(), "AuthorizeConnect");
    let publish = path_of(topology.collector(), "AuthorizePublish");
    let subscribe = path_of(topology.collector(), "AuthorizeSubscribe");
    for path in [&connect, &publish, &subscribe] {
        assert_crosses_both(path);
    }
    let setup = &connect[0].trace_id;
    for packet in [&publish, &subscribe] {
        let root = packet.last().expect("a path has a root");
        assert_ne!(&root.trace_id, setup, "a packet has a trace of its own");
        let linked = root.links.iter().any(|link| &link.trace_id == setup);
        assert!(
            linked,
            "{} does not link to the trace of its connection",
            root.name
        );
    }
});

both_versions!(a_will_is_asked_in_the_trace_of_its_connect, |version| {
    let topology = Topology::real().collector().start();
    let connect = login("alice").will(Publish::new("alice/x", "gone"));
    topology.try_connect(version, &connect).expect_connack(0);
    let connect = path_of(topology.collector(), "AuthorizeConnect");
    let will = path_of(topology.collector(), "AuthorizePublish");
    assert_crosses_both(&will);
    assert_eq!(connect[0].trace_id, will[0].trace_id);
});

// A denial is a decision: it is in the trace, but it is no error. Its log line names the trace.
both_versions!(a_denied_message_is_traced_without_an_error, |version| {
    let topology = Topology::real().collector().start();
    let mut alice = topology.connect(version, "alice");
    let id = alice.publish(1, "bob/x", "never");
    alice.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
    let path = path_of(topology.collector(), "AuthorizePublish");
    assert_crosses_both(&path);
    for span in &path {
        let status = span.status.clone().unwrap_or_default();
        assert_ne!(status.code(), StatusCode::Error, "{}", span.name);
    }
    let outcome = |span: &Span| span.text("tidegate.authz.outcome") == Some("deny");
    assert!(
        path.iter().any(outcome),
        "no span says that it was a denial: {path:?}"
    );
    let trace_id = hex(&path[0].trace_id);
    let log = topology.gate().log();
    assert!(
        log.contains(&trace_id),
        "no log line names the trace {trace_id}:\n{log}"
    );
});

#[test]
fn a_failure_is_an_error() {
    let mut topology = Topology::real().collector().start();
    let mut alice = topology.connect(Version::V5, "alice");
    topology.reference_mut().kill();
    let id = alice.publish(1, "alice/x", "lost");
    alice.expect_ack(Kind::Puback, id, 0x83);
    topology
        .collector()
        .eventually("a failed PUBLISH", |trace| {
            let failed = |span: &&Span| {
                let status = span.status.clone().unwrap_or_default();
                span.service == GATE && status.code() == StatusCode::Error
            };
            trace.spans().iter().find(failed).map(|_| ())
        });
}

/// However the checks were batched, the trace of each packet crosses into the service.
#[test]
fn every_message_of_a_burst_has_a_trace_over_both() {
    const MESSAGES: usize = 50;
    let topology = Topology::real().collector().start();
    let mut alice = topology.connect(Version::V5, "alice");
    let ids: Vec<_> = (0..MESSAGES)
        .map(|_| alice.publish(1, "alice/x", "one of many"))
        .collect();
    for id in ids {
        alice.complete(1, id);
    }
    topology
        .collector()
        .eventually("a trace over both for every message", |trace| {
            let crossed = publish_roots(trace).filter(|root| {
                let spans = trace.of(&root.trace_id);
                spans.spans().iter().any(|span| span.service == SERVICE)
            });
            (crossed.count() == MESSAGES).then_some(())
        });
}

/// The root spans of PUBLISH packets.
fn publish_roots(trace: &Trace) -> impl Iterator<Item = &Span> {
    trace
        .spans()
        .iter()
        .filter(|span| {
            span.service == GATE && span.is_root() && span.name.to_lowercase().contains("publish")
        })
        .filter(|span| span.kind() != SpanKind::Client)
}

#[test]
fn an_unsampled_message_leaves_no_span() {
    let mut topology = Topology::real()
        .collector()
        .set("telemetry.trace_sample_ratio.publish", 0.0)
        .start();
    let mut alice = topology.connect(Version::V5, "alice");
    for _ in 0..20 {
        let id = alice.publish(1, "alice/x", "unsampled");
        alice.complete(1, id);
    }
    end(&mut topology);
    let trace = topology
        .collector()
        .eventually("the trace of the CONNECT", |trace| {
            trace
                .find(SERVICE, SpanKind::Server, "AuthorizeConnect")
                .next()
                .map(|_| trace.clone())
        });
    assert_eq!(publish_roots(&trace).count(), 0, "{}", trace.outline());
    assert_eq!(
        trace
            .find(SERVICE, SpanKind::Server, "AuthorizePublish")
            .count(),
        0,
        "{}",
        trace.outline()
    );
}

/// Ends both programs, which send what they still have to send.
fn end(topology: &mut Topology) {
    let asked = Instant::now();
    topology.gate_mut().program().signal(Signal::TERM);
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
    let gate = asked.elapsed();
    assert_eq!(topology.reference_mut().terminate().code(), Some(0));
    println!(
        "the gate ended in {gate:?}, the service in {:?}",
        asked.elapsed() - gate
    );
}

both_versions!(no_secret_is_in_any_span_or_log_line, |version| {
    const PAYLOAD: &str = "payload-canary-91c4";
    const WRONG: &str = "wrong-canary-77aa";
    let mut topology = Topology::real().collector().start();
    let will = |topic: &str| Publish::new(topic, PAYLOAD);
    let mut alice = topology.try_connect(version, &login("alice").will(will("alice/x")));
    alice.expect_connack(0);
    let id = alice.publish(1, "alice/x", PAYLOAD);
    alice.complete(1, id);
    let id = alice.publish(1, "bob/x", PAYLOAD);
    alice.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
    topology
        .try_connect(version, &login("alice").will(will("bob/x")))
        .drain();
    topology
        .try_connect(
            version,
            &Connect::new(unique("client")).login("alice", WRONG),
        )
        .drain();
    // A user may take the field for the name for that of the password, too.
    topology
        .try_connect(
            version,
            &Connect::new(unique("client")).login("bob", password("alice")),
        )
        .drain();

    path_of(topology.collector(), "AuthorizePublish");
    end(&mut topology);
    let exported = format!("{:#?}", topology.collector().spans());
    let logs = topology.gate().log() + &topology.reference().log();
    let payload = PAYLOAD.as_bytes();
    for secret in [PAYLOAD, WRONG, &password("alice"), &format!("{payload:?}")] {
        assert!(!exported.contains(secret), "{secret} was exported");
        assert!(!logs.contains(secret), "{secret} was logged");
    }
});

both_versions!(a_collector_that_is_away_changes_nothing, |version| {
    let black_hole = Rogue::start(Manner::Silence);
    for endpoint in ["http://127.0.0.1:1".to_owned(), black_hole.endpoint()] {
        let mut topology = Topology::real().collector_at(&endpoint).start();
        let mut witness = topology.witness(&["alice/x"]);
        let mut alice = topology.connect(version, "alice");
        for _ in 0..100 {
            let id = alice.publish(1, "alice/x", "all the same");
            alice.complete(1, id);
            witness.expect_publish("alice/x", "all the same");
        }
        drop(alice);
        println!("with the collector at {endpoint}:");
        end(&mut topology);
    }
});
