//! What the service bounds when it lets a client in.

use tidegate_proto::v1::{ConnectAllow, SessionLimits};
use tidegate_tests::{
    Answer, Client, Connect, Topology, Version,
    packet::Kind,
    service::{Change, Hook},
};

fn limited(version: Version, limits: SessionLimits) -> (Topology, Client) {
    let topology = Topology::scripted().start();
    topology.service().answer_hook(Hook::Connect, move |_| {
        Answer::Change(Change::Connect(Box::new(ConnectAllow {
            limits: Some(limits),
            ..ConnectAllow::default()
        })))
    });
    let client = topology.join(version, &Connect::new("alice"));
    (topology, client)
}

#[test]
fn one_subscription_too_many_is_refused() {
    for version in [Version::V311, Version::V5] {
        let limits = SessionLimits {
            max_subscriptions: 1,
            ..SessionLimits::default()
        };
        let (topology, mut alice) = limited(version, limits);
        let id = alice.subscribe(&["a"]);
        alice.expect_suback(id, &[2]);
        let id = alice.subscribe(&["b"]);
        alice.expect_suback(id, &[version.pick(0x80, 0x97)]);
        assert_eq!(topology.recorder().filters(), ["a"]);
    }
}

#[test]
fn a_packet_that_is_too_large_ends_the_session() {
    for version in [Version::V311, Version::V5] {
        let limits = SessionLimits {
            max_packet_size: 100,
            ..SessionLimits::default()
        };
        let (topology, mut alice) = limited(version, limits);
        let id = alice.publish(1, "a", [0; 50]);
        alice.complete(1, id);
        alice.publish(1, "a", [0; 100]);
        alice.expect_end(0x95);
        assert_eq!(topology.recorder().packets(Kind::Publish).len(), 1);
    }
}

/// More than the rate is not refused: it comes later.
#[test]
fn a_rate_is_back_pressure() {
    let limits = SessionLimits {
        publish_per_second: 50,
        ..SessionLimits::default()
    };
    let (topology, mut alice) = limited(Version::V5, limits);
    let started_at = std::time::Instant::now();
    for _ in 0..100 {
        alice.publish(0, "a", "x");
    }
    topology.recorder().wait_for(Kind::Publish, 100);
    // The burst is one second's worth: the other half takes another second.
    assert!(started_at.elapsed().as_millis() >= 900);
    alice.expect_nothing_before_pong();
}
