//! Receive Maximum on the way up: how many messages a client may have on the way at once
//! ([MQTT-3.3.4-7] seen from the server).

use tidegate_proto::v1::ReasonCode;
use tidegate_tests::{
    Answer, Client, Hold, Publish, Topology, Version,
    packet::{Ack, Connack, Encode as _, Kind, ack, property},
    recorder::Reply,
    service::Hook,
};

use crate::seen_behind_connect;

/// The recorder says that it takes two at once, and acknowledges none.
fn two_at_once() -> Topology {
    let topology = Topology::scripted().start();
    let connack = Connack::new().property(property::receive_maximum(2));
    topology.recorder().accept_with(connack);
    topology
        .recorder()
        .reply_to(Kind::Publish, |_| Reply::Silence);
    topology
}

fn send(client: &mut Client, messages: &[(u8, u16)]) {
    for &(qos, id) in messages {
        client.send_in_vain(&Publish::new("t", "x").qos(qos).id(id).encode(Version::V5));
    }
}

#[test]
fn one_too_many_ends_the_connection() {
    let topology = two_at_once();
    for messages in [
        [(1, 1), (1, 2), (1, 3)],
        [(2, 1), (2, 2), (2, 3)],
        [(1, 1), (2, 2), (1, 3)],
        [(2, 10), (1, 20), (2, 30)],
    ] {
        println!("{messages:?}");
        let mut client = topology.connect(Version::V5, "client");
        send(&mut client, &messages);
        client.expect_end(0x93);
        assert!(seen_behind_connect(&topology).len() <= 2);
    }
}

#[test]
fn qos_0_does_not_count() {
    let topology = two_at_once();
    let mut client = topology.connect(Version::V5, "client");
    send(&mut client, &[(1, 1), (0, 0), (0, 0), (2, 2), (0, 0)]);
    client.expect_nothing_before_pong();
    topology.recorder().wait_for(Kind::Publish, 5);
}

#[test]
fn an_acknowledgement_makes_room() {
    let topology = two_at_once();
    let mut client = topology.connect(Version::V5, "client");
    send(&mut client, &[(1, 1), (2, 2)]);
    topology.recorder().wait_for(Kind::Publish, 2);
    topology.recorder().send(0, ack(Kind::Puback, 1));
    client.expect_ack(Kind::Puback, 1, 0);
    send(&mut client, &[(1, 3)]);
    client.expect_nothing_before_pong();
    // Any code makes room.
    topology
        .recorder()
        .send_packet(0, &Ack::new(Kind::Puback, 3, 0x97));
    client.expect_ack(Kind::Puback, 3, 0x97);
    topology
        .recorder()
        .send_packet(0, &Ack::new(Kind::Pubrec, 2, 0x87));
    client.expect_ack(Kind::Pubrec, 2, 0x87);
    send(&mut client, &[(2, 4), (2, 2)]);
    client.expect_nothing_before_pong();
    topology.recorder().wait_for(Kind::Publish, 5);
}

#[test]
fn qos_2_takes_its_room_until_it_is_complete() {
    let topology = two_at_once();
    for complete in [false, true] {
        let index = topology.recorder().connections();
        let mut client = topology.connect(Version::V5, "client");
        send(&mut client, &[(2, 1), (2, 2)]);
        topology.recorder().wait_for(Kind::Publish, 2);
        topology.recorder().send(index, ack(Kind::Pubrec, 1));
        client.expect_ack(Kind::Pubrec, 1, 0);
        if complete {
            client.send_raw(&ack(Kind::Pubrel, 1));
            client.expect_ack(Kind::Pubcomp, 1, 0);
            send(&mut client, &[(2, 3)]);
            client.expect_nothing_before_pong();
        } else {
            send(&mut client, &[(2, 3)]);
            client.expect_end(0x93);
        }
    }
}

#[test]
fn what_is_denied_makes_room_at_once() {
    let topology = two_at_once();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::deny(ReasonCode::NotAuthorized));
    let mut client = topology.connect(Version::V5, "client");
    for id in 1..=10 {
        let (qos, kind) = match id % 2 {
            0 => (1, Kind::Puback),
            _ => (2, Kind::Pubrec),
        };
        send(&mut client, &[(qos, id)]);
        client.expect_ack(kind, id, 0x87);
    }
}

// The client counts from its sending, so undecided ones count as well.
#[test]
fn what_is_undecided_counts() {
    let topology = two_at_once();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
    let mut client = topology.connect(Version::V5, "client");
    send(&mut client, &[(1, 1), (1, 2), (1, 3)]);
    client.expect_end(0x93);
    hold.release();
    assert_eq!(seen_behind_connect(&topology), []);
}

#[test]
fn the_gate_has_a_limit_of_its_own() {
    let topology = Topology::scripted()
        .set("limits.receive_maximum", 1)
        .start();
    topology
        .recorder()
        .reply_to(Kind::Publish, |_| Reply::Silence);
    let mut client = topology.connect(Version::V5, "client");
    send(&mut client, &[(1, 1), (1, 2)]);
    client.expect_end(0x93);
}

// It has no Receive Maximum: a client may send as it likes, and is read as fast as is good.
#[test]
fn earlier_versions_have_none() {
    let topology = Topology::scripted()
        .set("limits.receive_maximum", 1)
        .start();
    for version in [Version::V31, Version::V311] {
        let mut client = topology.connect(version, "client");
        for id in 1..=50 {
            client.send(&Publish::new("t", "x").qos(1).id(id));
        }
        for id in 1..=50 {
            client.expect_ack(Kind::Puback, id, 0);
        }
    }
}
