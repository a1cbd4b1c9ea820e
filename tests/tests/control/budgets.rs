//! Ends that would make many come back at once.

use tidegate_proto::v1::{FailureCode, session_selector::Selector};
use tidegate_tests::{
    Answer, Connect, Topology, Version,
    packet::Kind,
    service::{Hook, choosing},
};

use super::{terminate, watching};

/// One end per second: the second client is silent until its turn, and nothing of it passes.
#[test]
fn those_who_end_because_nobody_decided_end_in_turns() {
    let topology = Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .set("authz.failure_closes_per_second", 1)
        .start();
    let metrics = topology.gate().metrics();
    let mut clients = ["a", "b", "c"].map(|name| topology.join(Version::V5, &Connect::new(name)));
    topology
        .service()
        .answer_hook(Hook::Subscribe, |_| Answer::Fail(FailureCode::Internal));
    let ended_before = std::time::Instant::now();
    for client in &mut clients {
        client.subscribe(&["x"]);
        client.publish(0, "behind", "x");
    }
    for client in &mut clients {
        client.expect_end(0x83);
    }
    assert!(ended_before.elapsed().as_millis() >= 900);
    assert!(topology.recorder().packets(Kind::Publish).is_empty());
    metrics.wait_for("tidegate_failure_closes_waiting", &[], 0);
}

#[test]
fn who_leaves_meanwhile_leaves_the_line() {
    let topology = Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .set("authz.failure_closes_per_second", 1)
        .start();
    let metrics = topology.gate().metrics();
    let mut clients: Vec<_> = (0..20)
        .map(|n| topology.join(Version::V5, &Connect::new(format!("c{n}"))))
        .collect();
    topology
        .service()
        .answer_hook(Hook::Subscribe, |_| Answer::Fail(FailureCode::Internal));
    for client in &mut clients {
        client.subscribe(&["x"]);
    }
    topology.service().wait_for(Hook::Subscribe, 20);
    drop(clients);
    metrics.wait_for("tidegate_failure_closes_waiting", &[], 0);
    metrics.wait_for("tidegate_sessions_open", &[], 0);
}

#[test]
fn many_who_are_ended_by_the_service_end_in_turns_and_are_silent_meanwhile() {
    let topology = watching()
        .set("authz.control.terminations_per_second", 1)
        .start();
    let metrics = topology.gate().metrics();
    metrics.wait_for("tidegate_control_watch_connected", &[], 1);
    let mut clients = ["a", "b", "c"].map(|name| topology.join(Version::V5, &Connect::new(name)));
    topology
        .service()
        .push(&terminate("1", choosing(Selector::SelectAll(true))));
    metrics.wait_for(
        "tidegate_control_directives_total",
        &[("kind", "terminate")],
        1,
    );
    for client in &mut clients {
        client.expect_end(0x98);
    }
    metrics.wait_for("tidegate_terminations_waiting", &[], 0);
}
