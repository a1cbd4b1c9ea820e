//! Subscriptions: to own topics and to foreign ones.

use tidegate_tests::{
    Subscribe, Topology, Unsubscribe, all_versions, packet::Kind, topology::unique,
};

use crate::not_granted;

all_versions!(filters_are_granted_and_refused_one_by_one, |version| {
    let topology = Topology::shared();
    let (own, foreign) = (unique("alice/x") + "/#", unique("bob/x") + "/#");
    let refused = not_granted(version);
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&own, &foreign]);
    alice.expect_suback(id, &[2, refused]);
    let id = alice.subscribe(&[&foreign, &own]);
    alice.expect_suback(id, &[refused, 2]);
    let id = alice.subscribe(&[&foreign, &own, &foreign, &own]);
    alice.expect_suback(id, &[refused, 2, refused, 2]);
});

all_versions!(requested_qos_is_granted_per_filter, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    let packet = (0..=2).fold(Subscribe::new(1), |packet, qos| {
        packet.filter(unique("alice/x"), qos)
    });
    alice.send(&packet);
    alice.expect_suback(1, &[0, 1, 2]);
});

all_versions!(refused_filters_deliver_nothing, |version| {
    let topology = Topology::shared();
    let topic = unique("bob/x");
    let mut witness = topology.witness(&[&topic]);
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&topic, "bob/#"]);
    alice.expect_suback(id, &[not_granted(version); 2]);
    let mut bob = topology.connect(version, "bob");
    bob.publish(0, &topic, "secret");
    witness.expect_publish(&topic, "secret");
    alice.expect_nothing_before_pong();
});

all_versions!(a_filter_that_covers_too_much_is_refused, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    for filter in ["#", "+/x", "+/#", "+", "/#", "$SYS/#", "alice2/#"] {
        let id = alice.subscribe(&[filter]);
        alice.expect_suback(id, &[not_granted(version)]);
    }
});

all_versions!(a_share_is_judged_by_its_inner_filter, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[
        &format!("$share/group/{topic}"),
        "$share/group/bob/#",
        "$share/alice/bob/#",
    ]);
    let refused = not_granted(version);
    alice.expect_suback(id, &[2, refused, refused]);
    alice.publish(0, &topic, "shared");
    alice.expect_publish(&topic, "shared");
});

// [MQTT-3.10.4-2] [3.1.1: MQTT-3.10.4-2]
all_versions!(unsubscribe_ends_a_subscription, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&topic]);
    alice.expect_suback(id, &[2]);
    alice.send(&Unsubscribe::new(50, &[&topic]));
    assert_eq!(alice.expect(Kind::Unsuback).id(), 50);
    let id = alice.publish(1, &topic, "nobody listens any more");
    alice.complete(1, id);
    alice.expect_nothing_before_pong();
});

all_versions!(leaving_a_foreign_filter_is_never_refused, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    alice.send(&Unsubscribe::new(50, &["bob/#"]));
    let codes = alice.expect(Kind::Unsuback).codes();
    assert_eq!(codes, version.pick(vec![], vec![0x11]));
});
