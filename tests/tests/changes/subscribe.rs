//! Subscriptions: a lower QoS. Other filters are for mounts.

use tidegate_proto::v1::SubscribeAllow;
use tidegate_tests::{
    Answer, Check, Subscribe, Topology, Version, all_versions,
    packet::{Encode as _, Kind, property, suback},
    recorder::Reply,
    service::Hook,
};

use crate::{all_but, answer};

fn at_most(qos: u32) -> SubscribeAllow {
    SubscribeAllow {
        max_qos: Some(qos),
        ..SubscribeAllow::default()
    }
}

/// QoS that the client asks for, that the service allows, and that the broker hears.
const LOWERED: [(u8, u32, u8); 6] = [
    (2, 2, 2),
    (2, 1, 1),
    (2, 0, 0),
    (1, 1, 1),
    (1, 0, 0),
    (0, 0, 0),
];

all_versions!(a_permitted_qos_is_lowered, |version| {
    let topology = all_but("");
    let mut client = topology.connect(version, "client");
    for (index, (asked, allowed, heard)) in LOWERED.into_iter().enumerate() {
        println!("{asked} {allowed}");
        answer(&topology, Hook::Subscribe, at_most(allowed));
        client.send(&Subscribe::new(1).filter("a/#", asked));
        client.expect_suback(1, &[heard]);
        let seen = topology.recorder().wait_for(Kind::Subscribe, index + 1);
        let expected = Subscribe::new(1).filter("a/#", heard);
        assert_eq!(seen[index].bytes(), expected.encode(version));
    }
});

// The other bits, the other filters and the properties are the client's.
#[test]
fn only_the_qos_is_lowered() {
    let topology = all_but("");
    topology
        .service()
        .answer_hook(Hook::Subscribe, |check| match check {
            Check::Subscribe(check) if check.topic_filter == "lower" => at_most(0).into(),
            Check::Subscribe(check) if check.topic_filter == "no" => {
                Answer::deny(tidegate_proto::v1::ReasonCode::NotAuthorized)
            }
            _ => Answer::Allow,
        });
    let mut client = topology.connect(Version::V5, "client");
    let packet = |lowered: u8| {
        Subscribe::new(9)
            .property(property::subscription_identifier(5))
            .property(property::user("k", "v"))
            .filter("as/it/is", 0x2E)
            .filter("lower", 0x1C | lowered)
            .filter("$share/group/lower", 0x08 | lowered)
    };
    client.send(&packet(2).filter("no", 1).filter("lower", 1));
    client.expect_suback(9, &[2, 0, 0, 0x87, 0]);
    let seen = topology.recorder().packets(Kind::Subscribe).remove(0);
    assert_eq!(
        seen.bytes(),
        packet(0).filter("lower", 0).encode(Version::V5)
    );
}

// S9: what is granted is the broker's word.
#[test]
fn the_broker_may_grant_less_still() {
    let topology = all_but("");
    topology.recorder().reply_to(Kind::Subscribe, |packet| {
        Reply::Bytes(suback(Version::V5, packet.id(), &[0]))
    });
    answer(&topology, Hook::Subscribe, at_most(1));
    let mut client = topology.connect(Version::V5, "client");
    let id = client.subscribe(&["a"]);
    client.expect_suback(id, &[0]);
}

/// Expects that a SUBSCRIBE at QoS 1 comes to nothing, because nobody decided about it.
#[track_caller]
fn expect_failure(topology: &Topology, version: Version) {
    let mut client = topology.connect(version, "client");
    client.send(&Subscribe::new(1).filter("a", 1));
    client.expect_end(0x83);
    assert!(topology.recorder().filters().is_empty());
}

all_versions!(what_is_not_permitted_is_a_failure, |version| {
    let topology = all_but("subscribe_qos");
    for qos in 0..=1 {
        answer(&topology, Hook::Subscribe, at_most(qos));
        expect_failure(&topology, version);
    }
});

all_versions!(a_higher_qos_is_a_failure, |version| {
    let topology = all_but("");
    for qos in [2, 3, 256, u32::MAX] {
        answer(&topology, Hook::Subscribe, at_most(qos));
        expect_failure(&topology, version);
    }
});

// Without a mount there is no way back for deliveries.
all_versions!(another_filter_is_a_failure, |version| {
    let topology = all_but("");
    for filter in ["b", "a/b", "", "a"] {
        answer(&topology, Hook::Subscribe, Answer::Rewrite(filter.into()));
        expect_failure(&topology, version);
    }
});

// Where the operator prefers a refusal to the end, it is for that filter only.
#[test]
fn a_failure_can_be_told_filter_by_filter() {
    let topology = Topology::scripted()
        .set("authz.subscribe.on_failure", "reject")
        .set("authz.permit.subscribe_qos", false)
        .start();
    topology
        .service()
        .answer_hook(Hook::Subscribe, |check| match check.topic() {
            "bad" => at_most(0).into(),
            _ => Answer::Allow,
        });
    for version in [Version::V311, Version::V5] {
        let mut client = topology.connect(version, "client");
        let id = client.subscribe(&["good", "bad", "good"]);
        client.expect_suback(id, &[2, version.pick(0x80, 0x83), 2]);
    }
}
