//! Answers that do not come in time.

use std::time::{Duration, Instant};

use tidegate_tests::{
    Answer, Connect, Hold, Topology, Version, both_versions, packet::Kind, service::Hook,
};

use crate::unavailable;

/// A deadline is kept by the gate, whatever the service and its connection do.
#[test]
fn an_allow_that_comes_too_late_is_worth_nothing() {
    let topology = Topology::scripted()
        .set("authz.publish.deadline", "1s")
        .start();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer_hook(Hook::Publish, move |check| match check.topic() {
            "late" => Answer::Allow.held_by(&held),
            _ => Answer::Allow,
        });
    let mut client = topology.connect(Version::V5, "client");
    let asked = Instant::now();
    let id = client.publish(1, "late", "");
    client.expect_ack(Kind::Puback, id, 0x83);
    println!("a deadline of 1s was told after {:?}", asked.elapsed());
    hold.release();
    let id = client.publish(1, "in time", "");
    client.expect_ack(Kind::Puback, id, 0);
    assert_eq!(topology.recorder().topics(), ["in time"]);
}

both_versions!(a_connect_that_is_never_decided_is_unavailable, |version| {
    let topology = Topology::scripted()
        .set("authz.connect.deadline", "200ms")
        .start();
    let hold = Hold::new();
    topology
        .service()
        .answer(move |_| Answer::Allow.held_by(&hold));
    topology
        .try_connect(version, &Connect::new("client"))
        .expect_refused(unavailable(version));
    assert_eq!(topology.recorder().connections(), 0);
});

/// One lane must not wait for another: CONNECT, PUBLISH and SUBSCRIBE have connections of their own.
#[test]
fn a_hook_that_hangs_does_not_stop_the_others() {
    let topology = Topology::scripted()
        .set("authz.publish.deadline", "20s")
        .start();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
    let mut stuck: Vec<_> = (0..20)
        .map(|_| topology.connect(Version::V5, "client"))
        .collect();
    for client in &mut stuck {
        for _ in 0..20 {
            client.publish(1, "t", "");
        }
    }
    topology.service().wait_for(Hook::Publish, 1);
    let mut other = topology.connect(Version::V5, "other");
    let id = other.subscribe(&["a"]);
    other.expect_suback(id, &[2]);
    hold.release();
    for client in &mut stuck {
        for id in 1..=20 {
            client.expect_ack(Kind::Puback, id, 0);
        }
    }
}

/// Not a proof that a deadline is exact, only that the default ones are in force at all.
#[test]
fn default_deadlines_are_in_force() {
    let topology = Topology::scripted().start();
    let hold = Hold::new();
    let mut client = topology.connect(Version::V5, "client");
    topology
        .service()
        .answer(move |_| Answer::Allow.held_by(&hold));
    let asked = Instant::now();
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, 0x83);
    let waited = asked.elapsed();
    println!("the default deadline of PUBLISH, 1s, was told after {waited:?}");
    assert!(
        waited >= Duration::from_millis(500),
        "gave up after {waited:?}"
    );
}
