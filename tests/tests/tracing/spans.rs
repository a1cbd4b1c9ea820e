//! What is in a trace: the spans, from the packet to the service and its store, and what they say.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tempfile::TempDir;
use tidegate_tests::{
    Topology, assert_eventually, both_versions,
    collector::{Collector, Span},
    packet::Kind,
};

use super::{GATE, SERVICE};

/// A packet that was asked about, as its trace has to tell it.
struct Told {
    /// Name of the root span.
    packet: &'static str,
    method: &'static str,
    outcome: &'static str,
}

const PACKETS: [Told; 4] = [
    told("mqtt.connect", "AuthorizeConnect", "allow"),
    told("mqtt.publish", "AuthorizePublish", "allow"),
    told("mqtt.publish", "AuthorizePublish", "deny"),
    told("mqtt.subscribe", "AuthorizeSubscribe", "allow"),
];

const fn told(packet: &'static str, method: &'static str, outcome: &'static str) -> Told {
    Told {
        packet,
        method,
        outcome,
    }
}

both_versions!(packet_check_call_and_service_say_the_same, |version| {
    let topology = Topology::real().collector().start();
    let mut alice = topology.connect(version, "alice");
    let id = alice.publish(1, "alice/x", "allowed");
    alice.complete(1, id);
    let id = alice.publish(1, "bob/x", "refused");
    alice.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
    let id = alice.subscribe(&["alice/x"]);
    alice.expect_suback(id, &[2]);
    for told in PACKETS {
        assert_tells(topology.collector(), &told);
    }
});

#[track_caller]
fn assert_tells(collector: &Collector, told: &Told) {
    let Told {
        packet,
        method,
        outcome,
    } = *told;
    let what = format!("{method} with outcome {outcome}");
    let server = collector.eventually(&what, |trace| {
        let mut found = trace.find(SERVICE, SpanKind::Server, method);
        found
            .find(|span| span.text("tidegate.authz.outcome") == Some(outcome))
            .cloned()
    });
    // By its id: what a log line or an exemplar leads to.
    let path: Vec<Span> = tidegate_tests::wait::eventually(&format!("the trace of {what}"), || {
        let trace = collector.trace(&server.trace_id);
        Some(trace.lineage(&server)?.into_iter().cloned().collect())
    });
    let shape: Vec<_> = path
        .iter()
        .map(|span| (span.service.as_str(), span.kind(), span.name.as_str()))
        .collect();
    let [server, call, check, root] = path.as_slice() else {
        panic!("{shape:?}");
    };
    assert_eq!(
        shape[..2],
        [
            (SERVICE, SpanKind::Server, server.name.as_str()),
            (GATE, SpanKind::Client, server.name.as_str()),
        ]
    );
    assert_eq!(shape[2], (GATE, SpanKind::Internal, "authz.check"));
    assert_eq!(shape[3], (GATE, SpanKind::Server, packet));

    assert_eq!(root.text("messaging.system"), Some("mqtt"));
    assert!(root.text("messaging.client.id").is_some(), "{root:?}");
    for span in [server, call] {
        assert_eq!(span.text("rpc.system.name"), Some("grpc"), "{what}");
        assert_eq!(span.text("rpc.response.status_code"), Some("OK"), "{what}");
        assert_eq!(span.number("tidegate.authz.batch_size"), Some(1), "{what}");
    }
    assert_eq!(check.text("tidegate.authz.outcome"), Some(outcome));
    for key in ["tidegate.authz.policy", "tidegate.authz.decision_id"] {
        let said = server.text(key);
        assert!(said.is_some_and(|said| !said.is_empty()), "no {key}");
        assert_eq!(check.text(key), said, "{key} of {what}");
    }
}

// What a slow login waits for is in its trace.
both_versions!(
    the_store_and_the_password_are_in_the_trace_of_a_connect,
    |version| {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("users.db");
        let sources: Vec<toml::Value> = vec!["sqlite".into()];
        let topology = Topology::real()
            .collector()
            .set_service("users.sources", sources)
            .set_service("users.sqlite.path", file.to_str().unwrap())
            .start();
        // Both would make the tables.
        assert_eventually!(
            topology
                .reference()
                .log()
                .contains("the user database can be asked")
        );
        topology.reference().import_users();
        let _alice = topology.connect(version, "alice");

        let query = topology.collector().eventually("a query", |trace| {
            let query = trace
                .find(SERVICE, SpanKind::Client, "SELECT users")
                .next()?;
            let server = trace.parent(query)?;
            let mut verifications = trace.find(SERVICE, SpanKind::Internal, "verify password");
            verifications.find(|span| span.parent_span_id == server.span_id)?;
            assert_eq!(server.kind(), SpanKind::Server);
            assert!(server.name.contains("AuthorizeConnect"), "{}", server.name);
            let lineage = trace.lineage(query)?;
            assert_eq!(lineage.last()?.name, "mqtt.connect");
            Some(query.clone())
        });
        assert_eq!(query.text("db.system.name"), Some("sqlite"));
        assert_eq!(query.text("db.collection.name"), Some("users"));
    }
);
