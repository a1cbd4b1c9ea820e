//! The reference service is away, and comes back.

use std::time::Instant;

use tidegate_tests::{
    Client, Topology, Version, assert_eventually, both_versions,
    packet::Kind,
    process::Signal,
    topology::{login, unique},
    wait::eventually,
};

use crate::{expect_publish_failed, unavailable};

/// The ways in which the reference service can be away.
#[derive(Debug, Clone, Copy)]
enum Outage {
    Killed,
    Stopped,
}

impl Outage {
    const ALL: [Self; 2] = [Self::Killed, Self::Stopped];

    fn begin(self, topology: &mut Topology) {
        match self {
            Self::Killed => topology.reference_mut().kill(),
            Self::Stopped => topology.reference().signal(Signal::STOP),
        }
    }

    fn end(self, topology: &mut Topology) {
        match self {
            Self::Killed => topology.reference_mut().restart(),
            Self::Stopped => topology.reference().signal(Signal::CONT),
        }
    }
}

/// The recording broker and the reference service, which has little time to answer a PUBLISH or
/// SUBSCRIBE, so that a test need not wait for long.
fn impatient() -> Topology {
    Topology::recorded()
        .set("authz.publish.deadline", "300ms")
        .set("authz.subscribe.deadline", "300ms")
        .start()
}

both_versions!(connect_without_a_service_is_unavailable, |version| {
    for outage in Outage::ALL {
        let mut topology = Topology::recorded()
            .set("authz.connect.deadline", "300ms")
            .start();
        outage.begin(&mut topology);
        topology
            .try_connect(version, &login("alice"))
            .expect_refused(unavailable(version));
        assert_eq!(topology.recorder().connections(), 0, "{outage:?}");
    }
});

both_versions!(publish_without_a_service_is_never_a_success, |version| {
    for outage in Outage::ALL {
        let mut topology = impatient();
        let mut clients = [1, 2].map(|qos| (qos, topology.connect(version, "alice")));
        outage.begin(&mut topology);
        for (qos, alice) in &mut clients {
            let id = alice.publish(*qos, "alice/x", "lost");
            expect_publish_failed(alice, *qos, id);
        }
        assert_eq!(topology.recorder().topics(), [""; 0], "{outage:?}");
    }
});

both_versions!(publish_at_qos_0_without_a_service_is_dropped, |version| {
    for outage in Outage::ALL {
        let mut topology = impatient();
        let mut alice = topology.connect(version, "alice");
        outage.begin(&mut topology);
        alice.publish(0, "alice/x", "lost");
        alice.expect_nothing_before_pong();
        // What is sent behind it has its turn after it: by then it is decided.
        let id = alice.publish(1, "alice/x", "lost as well");
        expect_publish_failed(&mut alice, 1, id);
        outage.end(&mut topology);
        eventually_all_works(&topology, version);
        let lost = |topic: &String| topic == "alice/x";
        assert!(!topology.recorder().topics().iter().any(lost), "{outage:?}");
    }
});

#[test]
fn a_v5_session_outlives_an_outage() {
    for outage in Outage::ALL {
        let mut topology = impatient();
        let mut alice = topology.connect(Version::V5, "alice");
        outage.begin(&mut topology);
        for _ in 0..3 {
            let id = alice.publish(1, "alice/x", "lost");
            alice.expect_ack(Kind::Puback, id, 0x83);
        }
        outage.end(&mut topology);
        let back = Instant::now();
        assert_eventually!({
            let id = alice.publish(1, "alice/y", "arrives");
            alice.expect(Kind::Puback).codes() == [0] && id > 0
        });
        println!(
            "{outage:?}: a live session publishes again after {:?}",
            back.elapsed()
        );
        topology.recorder().wait_for(Kind::Publish, 1);
        assert_eq!(topology.recorder().topics(), ["alice/y"]);
    }
}

both_versions!(subscribe_without_a_service_ends_the_connection, |version| {
    for outage in Outage::ALL {
        let mut topology = impatient();
        let mut alice = topology.connect(version, "alice");
        outage.begin(&mut topology);
        alice.subscribe(&["alice/#"]);
        alice.expect_end(0x83);
        assert_eq!(topology.recorder().filters(), [""; 0], "{outage:?}");
    }
});

both_versions!(subscribe_without_a_service_can_be_refused, |version| {
    for outage in Outage::ALL {
        let mut topology = Topology::recorded()
            .set("authz.subscribe.deadline", "300ms")
            .set("authz.subscribe.on_failure", "reject")
            .start();
        let mut alice = topology.connect(version, "alice");
        outage.begin(&mut topology);
        let id = alice.subscribe(&["alice/#", "alice/x"]);
        alice.expect_suback(id, &[version.pick(0x80, 0x83); 2]);
        alice.expect_nothing_before_pong();
        assert_eq!(topology.recorder().filters(), [""; 0], "{outage:?}");
    }
});

#[test]
fn publish_without_a_service_can_end_a_v5_connection() {
    let mut topology = Topology::recorded()
        .set("authz.publish.deadline", "300ms")
        .set("authz.publish.on_failure", "disconnect")
        .start();
    let mut alice = topology.connect(Version::V5, "alice");
    topology.reference_mut().kill();
    alice.publish(1, "alice/x", "lost");
    alice.expect_end(0x83);
    assert_eq!(topology.recorder().topics(), [""; 0]);
}

both_versions!(unsubscribe_needs_no_service, |version| {
    let mut topology = impatient();
    let mut alice = topology.connect(version, "alice");
    topology.reference_mut().kill();
    alice.send(&tidegate_tests::Unsubscribe::new(9, &["alice/#"]));
    assert_eq!(alice.expect(Kind::Unsuback).id(), 9);
});

both_versions!(all_works_again_when_the_service_is_back, |version| {
    for outage in Outage::ALL {
        let mut topology = impatient();
        outage.begin(&mut topology);
        let mut refused = topology.open(version);
        refused.send(&login("alice"));
        refused.expect_refused(unavailable(version));
        outage.end(&mut topology);
        let back = Instant::now();
        eventually_all_works(&topology, version);
        println!(
            "{outage:?}: connects and publishes again after {:?}",
            back.elapsed()
        );
    }
});

/// New clients connect, publish and subscribe, sooner or later.
fn eventually_all_works(topology: &Topology, version: Version) {
    let topic = unique("alice/again");
    eventually("CONNECT, PUBLISH and SUBSCRIBE are allowed again", || {
        let mut alice = topology.try_connect(version, &login("alice"));
        expect_allowed(&mut alice, Kind::Connack)?;
        alice.publish(1, &topic, "");
        expect_allowed(&mut alice, Kind::Puback)?;
        alice.subscribe(&[&topic]);
        expect_allowed(&mut alice, Kind::Suback)
    });
    assert!(topology.recorder().topics().contains(&topic));
    assert!(topology.recorder().filters().contains(&topic));
}

/// The next packet, if it comes, is of the kind that is due, and no refusal.
fn expect_allowed(client: &mut Client, kind: Kind) -> Option<()> {
    let packet = client.try_next()?;
    (packet.kind() == kind && packet.codes()[0] < 3).then_some(())
}
