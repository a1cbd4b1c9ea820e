//! Calls for several packets at once, each of which has a trace of its own.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tidegate_tests::{
    Topology, Version,
    collector::{Span, Trace},
    process::Signal,
};

use super::{GATE, SERVICE};

/// More than there may be calls under way: some have to share one.
const MESSAGES: usize = 100;

#[test]
fn a_batch_is_linked_with_every_packet_that_is_in_it() {
    let topology = Topology::real()
        .collector()
        .set("authz.publish.deadline", "30s")
        .start();
    let mut alice = topology.connect(Version::V5, "alice");
    // While the service is stopped no call ends, so what comes has to gather.
    topology.reference().signal(Signal::STOP);
    let ids: Vec<_> = (0..MESSAGES)
        .map(|_| alice.publish(1, "alice/x", "one of many"))
        .collect();
    topology.reference().signal(Signal::CONT);
    for id in ids {
        alice.complete(1, id);
    }
    let size = topology
        .collector()
        .eventually("a batch and all that it is linked with", |trace| {
            let mut calls = trace.find(GATE, SpanKind::Client, "AuthorizePublish");
            calls.find_map(|call| linked(trace, call))
        });
    println!("{size} packets in a batch");
}

/// The number of packets of a call that has several, all of them with their trace over both programs.
fn linked(trace: &Trace, call: &Span) -> Option<usize> {
    let size = call.links.len();
    if size < 2 {
        return None;
    }
    assert!(call.is_root(), "{call:?}");
    assert_eq!(
        call.number("tidegate.authz.batch_size"),
        i64::try_from(size).ok()
    );
    let children = trace.of(&call.trace_id);
    let server = children.find(SERVICE, SpanKind::Server, "").next()?;
    assert_eq!(server.parent_span_id, call.span_id);
    for link in &call.links {
        let own = trace.of(&link.trace_id);
        let check = own
            .spans()
            .iter()
            .find(|span| span.span_id == link.span_id)?;
        assert_eq!(check.name, "authz.check");
        assert_eq!(own.parent(check)?.name, "mqtt.publish");
        // The service continues the trace of the packet, and says which call it came by.
        let there = own
            .spans()
            .iter()
            .find(|span| span.service == SERVICE && span.parent_span_id == check.span_id)?;
        assert!(there.links_to(server), "{there:?}");
        assert_eq!(there.text("tidegate.authz.outcome"), Some("allow"));
        let id = "tidegate.authz.decision_id";
        assert_eq!(there.text(id), check.text(id));
    }
    Some(size)
}
