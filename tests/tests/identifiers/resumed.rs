//! A QoS 2 message that is sent again after a cut, to a service that has changed its mind.
//!
//! The broker holds the identifier from the first copy. After a refusal the client may use it for
//! something else; unless the gate had the broker release it, that would be taken for the first copy.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tidegate_proto::v1::{FailureCode, ReasonCode};
use tidegate_tests::{
    Answer, Client, Connect, Publish, Topology, Version, all_versions,
    packet::{Connack, Kind, ack},
    recorder::Reply,
    service::Hook,
};

/// A service that allows until it is told otherwise, and then answers like this for the topic
/// `first`.
fn change_of_mind(topology: &Topology, then: Answer) -> Arc<AtomicBool> {
    let changed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&changed);
    topology.service().answer_hook(Hook::Publish, move |check| {
        match check.topic() == "first" && flag.load(Ordering::SeqCst) {
            true => then.clone(),
            false => Answer::Allow,
        }
    });
    changed
}

fn first() -> Publish {
    Publish::new("first", "x").qos(2).id(7)
}

fn connect() -> Connect {
    Connect::new("device").resume()
}

/// Cut after PUBREC, and back.
fn cut_and_back(topology: &Topology, version: Version, changed: &AtomicBool) -> Client {
    let mut client = topology.join(version, &connect());
    client.send(&first());
    client.expect_ack(Kind::Pubrec, 7, 0);
    drop(client);
    changed.store(true, Ordering::SeqCst);
    topology.join(version, &connect())
}

#[test]
fn a_refused_redelivery_leaves_the_id_free_at_a_real_broker() {
    for (then, code) in [
        (Answer::deny(ReasonCode::NotAuthorized), 0x87),
        (Answer::Fail(FailureCode::Internal), 0x83),
    ] {
        println!("{then:?}");
        let topology = Topology::scripted().mosquitto(&[]).start();
        let changed = change_of_mind(&topology, then);
        let mut witness = topology.witness(&["first", "second"]);
        let mut client = cut_and_back(&topology, Version::V5, &changed);
        client.send(&first().dup());
        client.expect_ack(Kind::Pubrec, 7, code);
        // The first copy was allowed, and the broker had it: it is published now, if it was not.
        client.send(&Publish::new("second", "y").qos(2).id(7));
        client.complete(2, 7);
        witness.expect_publish("first", "x");
        witness.expect_publish("second", "y");
    }
}

// Where there is no refusal, the client goes on as if nothing had happened, and so does the broker.
all_versions!(a_dropped_redelivery_is_released_by_the_client, |version| {
    if version == Version::V5 {
        return;
    }
    let topology = Topology::scripted().mosquitto(&[]).start();
    let changed = change_of_mind(&topology, Answer::deny(ReasonCode::NotAuthorized));
    let mut witness = topology.witness(&["first", "second"]);
    let mut client = cut_and_back(&topology, version, &changed);
    client.send(&first().dup());
    client.complete(2, 7);
    client.send(&Publish::new("second", "y").qos(2).id(7));
    client.complete(2, 7);
    witness.expect_publish("first", "x");
    witness.expect_publish("second", "y");
});

// An allowed one is passed on as it is: the broker knows that it has it.
all_versions!(an_allowed_redelivery_is_passed_on, |version| {
    let topology = Topology::scripted().mosquitto(&[]).start();
    let changed = change_of_mind(&topology, Answer::Allow);
    let mut witness = topology.witness(&["first", "second"]);
    let mut client = cut_and_back(&topology, version, &changed);
    client.send(&first().dup());
    client.complete(2, 7);
    client.send(&Publish::new("second", "y").qos(2).id(7));
    client.complete(2, 7);
    witness.expect_publish("first", "x");
    witness.expect_publish("second", "y");
});

// The gate's PUBREL comes before its refusal, and its PUBCOMP is for the gate.
#[test]
fn the_gate_releases_before_it_refuses() {
    let topology = Topology::scripted().start();
    let recorder = topology.recorder();
    recorder.accept_with(Connack::new().session_present());
    recorder.reply_to(Kind::Pubrel, |_| Reply::Silence);
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::deny(ReasonCode::NotAuthorized));
    for code in [0x00, 0x92] {
        let index = recorder.connections();
        let mut client = topology.join(Version::V5, &connect());
        client.send(&first().dup());
        let seen = recorder.wait_for(Kind::Pubrel, index + 1);
        assert_eq!(seen[index].bytes(), ack(Kind::Pubrel, 7));
        client.expect_nothing_before_pong();
        let pubcomp = tidegate_tests::packet::Ack::new(Kind::Pubcomp, 7, code);
        recorder.send_packet(index, &pubcomp);
        client.expect_ack(Kind::Pubrec, 7, 0x87);
        client.expect_nothing_before_pong();
        client.leave();
        recorder.wait_closed(index);
        assert!(!recorder.kinds(index).contains(&Kind::Publish));
    }
}

// Without DUP, or without a session, the broker can't hold it: nothing is released.
#[test]
fn a_new_message_is_just_refused() {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::deny(ReasonCode::NotAuthorized));
    for (present, message) in [(false, first()), (false, first().dup()), (true, first())] {
        let connack = Connack::new();
        topology.recorder().accept_with(match present {
            true => connack.session_present(),
            false => connack,
        });
        let mut client = topology.join(Version::V5, &connect());
        client.send(&message);
        client.expect_ack(Kind::Pubrec, 7, 0x87);
        client.leave();
    }
    assert!(topology.recorder().packets(Kind::Pubrel).is_empty());
}
