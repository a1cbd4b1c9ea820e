//! No answer means no, and is told as "not now" instead of "no".

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::{Duration, Instant};

use tidegate_proto::v1::FailureCode;
use tidegate_tests::{
    Answer, Client, Connect, Hold, Topology, Version, all_versions, assert_eventually,
    both_versions,
    packet::Kind,
    process::Signal,
    rogue::{Manner, Rogue},
    service::Hook,
    topology::{login, unique},
    wait::eventually,
};
use tonic::Code;

/// A CONNECT that nobody decided about: server unavailable.
fn unavailable(version: Version) -> u8 {
    version.pick(0x03, 0x88)
}

/// What a PUBLISH that nobody decided about is answered: v5 says so, the others can only close.
fn expect_publish_failed(client: &mut Client, qos: u8, id: u16) {
    match (client.version(), qos) {
        (_, 0) => {}
        (Version::V31 | Version::V311, _) => client.expect_closed(),
        (Version::V5, 1) => client.expect_ack(Kind::Puback, id, 0x83),
        (Version::V5, _) => client.expect_ack(Kind::Pubrec, id, 0x83),
    }
}

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

/// Everything that a service may answer and that is no decision.
fn rubbish() -> Vec<Answer> {
    let statuses = (1..=16).map(|code| Answer::Status(Code::from_i32(code)));
    let failures = [
        FailureCode::Unspecified,
        FailureCode::Internal,
        FailureCode::DependencyUnavailable,
        FailureCode::Timeout,
    ];
    [
        Answer::Unset,
        Answer::Missing,
        Answer::Twice,
        Answer::Stray,
        Answer::Rewrite("root".into()),
    ]
    .into_iter()
    .chain(failures.map(Answer::Fail))
    .chain(statuses)
    .collect()
}

all_versions!(a_rubbish_answer_to_connect_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    for answer in rubbish() {
        println!("{answer:?}");
        let busy = matches!(answer, Answer::Status(Code::ResourceExhausted));
        let said = answer.clone();
        topology.service().answer(move |_| said.clone());
        let mut client = topology.try_connect(version, &Connect::new("client"));
        match busy {
            true => {
                client.expect_refused_with_any(&[unavailable(version), version.pick(0x03, 0x89)])
            }
            false => client.expect_refused(unavailable(version)),
        }
        assert_eq!(topology.recorder().connections(), 0, "{answer:?}");
    }
});

all_versions!(a_rubbish_answer_to_a_will_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    let connect = Connect::new("client").will(tidegate_tests::Publish::new("w", "boo"));
    for answer in [
        Answer::Unset,
        Answer::Missing,
        Answer::Twice,
        Answer::Stray,
        Answer::Status(Code::Internal),
    ] {
        println!("{answer:?}");
        let said = answer.clone();
        topology
            .service()
            .answer_hook(Hook::Publish, move |_| said.clone());
        topology
            .try_connect(version, &connect)
            .expect_refused(unavailable(version));
        assert_eq!(topology.recorder().connections(), 0, "{answer:?}");
    }
});

all_versions!(a_rubbish_answer_to_publish_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    for answer in rubbish() {
        println!("{answer:?}");
        for qos in 1..=2 {
            let said = answer.clone();
            topology
                .service()
                .answer_hook(Hook::Publish, move |_| said.clone());
            let mut client = topology.connect(version, "client");
            let id = client.publish(qos, "t", "lost");
            expect_publish_failed(&mut client, qos, id);
        }
        assert_eq!(topology.recorder().topics(), [""; 0], "{answer:?}");
    }
});

all_versions!(a_rubbish_answer_to_subscribe_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    for answer in rubbish() {
        println!("{answer:?}");
        let said = answer.clone();
        topology
            .service()
            .answer_hook(Hook::Subscribe, move |_| said.clone());
        let mut client = topology.connect(version, "client");
        client.subscribe(&["a", "b"]);
        client.expect_end(0x83);
        assert_eq!(topology.recorder().filters(), [""; 0], "{answer:?}");
    }
});

#[test]
fn one_bad_result_does_not_spoil_its_batch() {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |check| match check.topic() {
            "unset" => Answer::Unset,
            "missing" => Answer::Missing,
            "twice" => Answer::Twice,
            "stray" => Answer::Stray,
            _ => Answer::Allow,
        });
    let mut client = topology.connect(Version::V5, "client");
    let topics = [
        "a", "unset", "b", "missing", "c", "twice", "d", "stray", "e",
    ];
    let ids = topics.map(|topic| (topic, client.publish(1, topic, "")));
    for (topic, id) in ids {
        client.expect_ack(Kind::Puback, id, if topic.len() == 1 { 0 } else { 0x83 });
    }
    assert_eq!(topology.recorder().topics(), ["a", "b", "c", "d", "e"]);
}

both_versions!(one_undecided_filter_can_be_refused, |version| {
    let topology = Topology::scripted()
        .set("authz.subscribe.on_failure", "reject")
        .start();
    topology
        .service()
        .answer_hook(Hook::Subscribe, |check| match check.topic() {
            "missing" => Answer::Missing,
            _ => Answer::Allow,
        });
    let mut client = topology.connect(version, "client");
    let id = client.subscribe(&["a", "missing", "b"]);
    client.expect_suback(id, &[2, version.pick(0x80, 0x83), 2]);
    assert_eq!(topology.recorder().filters(), ["a", "b"]);
});

// MQTT 3.1 has no code for a filter that nobody decided about, and a positive one would be a lie.
#[test]
fn an_undecided_filter_ends_a_connection_of_31() {
    let topology = Topology::scripted()
        .set("authz.subscribe.on_failure", "reject")
        .start();
    topology
        .service()
        .answer_hook(Hook::Subscribe, |_| Answer::Missing);
    let mut client = topology.connect(Version::V31, "client");
    client.subscribe(&["a"]);
    client.expect_closed();
    assert!(topology.recorder().filters().is_empty());
}

/// A check that would fail for ever is denied, so that the client does not come back in a loop.
#[test]
fn an_invalid_check_is_denied() {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::Fail(FailureCode::InvalidCheck));
    let mut client = topology.connect(Version::V5, "client");
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, 0x87);
}

all_versions!(a_session_without_its_state_is_ended, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer_hook(Hook::Publish, |_| {
        Answer::Fail(FailureCode::SessionStateInvalid)
    });
    let mut client = topology.connect(version, "client");
    client.publish(1, "t", "");
    client.expect_end(0x98);
});

both_versions!(whatever_is_not_a_service_decides_nothing, |version| {
    for manner in Manner::ALL {
        let rogue = Rogue::start(manner);
        let topology = Topology::scripted()
            .service_at(rogue.endpoint())
            .set("authz.connect.deadline", "500ms")
            .start();
        topology
            .try_connect(version, &Connect::new("client"))
            .expect_refused(unavailable(version));
        assert!(rogue.visits() > 0, "{manner:?}");
        assert_eq!(topology.recorder().connections(), 0, "{manner:?}");
    }
});

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
