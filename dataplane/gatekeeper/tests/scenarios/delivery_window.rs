//! A broker that sends more than the client's Receive Maximum allows [MQTT-3.3.4-9]: what is too much
//! waits at the gate.

use std::time::Duration;

use gatekeeper::{Rules, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{ALL, Scene, publish, repeated},
    write::{self, Connect, PINGREQ, PINGRESP, Publish},
};

const V5: Version = Version::V5;

/// A session whose client has this Receive Maximum.
fn takes(maximum: u8) -> Scene {
    takes_with(maximum, |_| {})
}

fn takes_with(maximum: u8, change: impl FnOnce(&mut Rules)) -> Scene {
    let connect = Connect {
        properties: vec![0x21, 0, maximum],
        ..Connect::default()
    };
    Scene::with(V5, change).connected(&connect, &[])
}

fn message(qos: u8, id: u16) -> Vec<u8> {
    publish(V5, "a", qos, id)
}

impl Scene {
    fn client_takes(&mut self, packet: &[u8]) {
        self.broker_sends(packet);
        self.client_gets(packet);
    }

    fn waits(&mut self, packet: &[u8]) {
        self.broker_sends(packet);
        self.is_quiet();
    }

    fn client_says(&mut self, kind: u8, id: u16) {
        let ack = write::ack(kind, id);
        self.client_sends(&ack);
        self.broker_gets(&ack);
    }
}

/// [MQTT-3.3.4-9] [MQTT-4.6.0-5]: and comes in its order.
#[test]
fn what_is_too_much_comes_when_there_is_room() {
    let mut scene = takes(2);
    scene.client_takes(&message(1, 1));
    scene.client_takes(&message(2, 2));
    for id in 3..=6 {
        scene.waits(&message(1, id));
    }
    scene.client_says(PUBACK, 1);
    scene.client_gets(&message(1, 3));
    scene.client_says(PUBACK, 3);
    scene.client_gets(&message(1, 4));
    scene.client_says(PUBACK, 4);
    scene.client_gets(&message(1, 5));
    scene.client_says(PUBACK, 5);
    scene.client_gets(&message(1, 6));
    scene.client_says(PUBACK, 6);
    scene.client_takes(&message(1, 7));
}

/// §4.9: a PUBREC is not the end of a flow, unless it refuses.
#[test]
fn a_message_with_qos_2_counts_until_its_pubcomp() {
    let mut scene = takes(1);
    scene.client_takes(&message(2, 1));
    scene.waits(&message(2, 2));
    scene.client_says(PUBREC, 1);
    scene.is_quiet();
    // All but PUBLISH passes.
    scene.client_takes(&write::ack(PUBREL, 1));
    scene.client_says(PUBCOMP, 1);
    scene.client_gets(&message(2, 2));
    scene.waits(&message(1, 3));
    let refusal = write::ack_code(PUBREC, 2, 0x97);
    scene.client_sends(&refusal);
    scene.broker_gets(&refusal);
    scene.client_gets(&message(1, 3));
}

/// [MQTT-4.9.0-3]
#[test]
fn nothing_but_publish_waits() {
    let mut scene = takes(1);
    scene.client_takes(&message(1, 1));
    scene.waits(&message(1, 2));
    let packet = scene.client_subscribes(1, &["b"]);
    let ticket = scene.asks_subscribe(&["b"]);
    scene.allows(ticket);
    scene.broker_gets(&packet);
    scene.client_takes(&write::suback(V5, 1, &[1]));
    scene.client_sends(&PINGREQ);
    scene.broker_gets(&PINGREQ);
    scene.client_takes(&PINGRESP);
    let packet = scene.client_publishes("c", 1, 1);
    let ticket = scene.asks_publish("c");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    scene.client_takes(&write::ack(PUBACK, 1));
}

/// [MQTT-3.3.4-9]: QoS 0 does not count, but overtakes nothing that waits.
#[test]
fn what_stands_behind_waits_too() {
    let mut scene = takes(1);
    scene.client_takes(&message(1, 1));
    scene.client_takes(&message(0, 0));
    scene.waits(&message(1, 2));
    let behind = publish(V5, "b", 0, 0);
    scene.waits(&behind);
    scene.client_says(PUBACK, 1);
    scene.client_gets(&message(1, 2));
    scene.client_gets(&behind);
    scene.client_takes(&message(0, 0));
}

/// It is the same delivery: the client answers it once, and its identifier counts once.
#[test]
fn what_is_sent_again_counts_once() {
    let mut scene = takes(1);
    scene.client_takes(&message(1, 1));
    scene.client_takes(&repeated(&message(1, 1)));
    scene.waits(&message(1, 2));
    scene.waits(&repeated(&message(1, 1)));
    scene.client_says(PUBACK, 1);
    scene.client_gets(&message(1, 2));
    scene.client_says(PUBACK, 2);
    scene.client_gets(&repeated(&message(1, 1)));
    // An acknowledgement of nothing makes no room.
    scene.waits(&message(1, 3));
    scene.client_says(PUBACK, 9);
    scene.client_says(PUBACK, 1);
    scene.client_gets(&message(1, 3));
}

/// [MQTT-3.3.2-6]
#[test]
fn the_time_at_the_gate_counts() {
    let expires = |id: u16, seconds: u8| {
        let packet = Publish {
            topic: "a".to_owned(),
            qos: 1,
            id,
            properties: vec![0x02, 0, 0, 0, seconds],
            ..Publish::default()
        };
        packet.write(V5)
    };
    let mut scene = takes(1);
    scene.client_takes(&expires(1, 9));
    scene.waits(&expires(2, 9));
    scene.waits(&expires(3, 3));
    scene.passes(Duration::from_millis(4_900));
    scene.client_says(PUBACK, 1);
    scene.client_gets(&expires(2, 5));
    scene.client_says(PUBACK, 2);
    scene.client_gets(&expires(3, 0));
}

/// There are as many as identifiers, so nothing can be too much.
#[test]
fn without_a_maximum_nothing_waits() {
    for version in ALL {
        let mut scene = Scene::live(version);
        for id in 1..=2_000 {
            scene.client_takes(&publish(version, "a", 1 + (id % 2) as u8, id));
        }
    }
}

/// What a broker may fill the gate with is bounded, by number and by bytes.
#[test]
fn a_broker_that_goes_on_and_on_ends_the_session() {
    let mut scene = takes(1);
    scene.client_takes(&message(1, 1));
    for id in 2..=1_025 {
        scene.waits(&message(1, id));
    }
    scene.broker_sends(&message(1, 1_026));
    scene.closes_with("broker_violation", 0x80);

    let mut scene = takes_with(1, |rules| rules.limits.window_bytes = 90);
    scene.client_takes(&message(1, 1));
    let large = |id: u16| {
        let packet = Publish {
            topic: "a".to_owned(),
            qos: 1,
            id,
            payload: vec![b'p'; 90],
            ..Publish::default()
        };
        packet.write(V5)
    };
    scene.waits(&large(2));
    scene.broker_sends(&large(3));
    scene.closes_with("broker_violation", 0x80);
}

/// A broker may send as much with QoS 0 as it likes, and nobody is owed any of it.
#[test]
fn with_qos_0_what_is_too_much_is_dropped() {
    let mut scene = takes_with(1, |rules| rules.limits.window_bytes = 1);
    scene.client_takes(&message(1, 1));
    scene.waits(&message(1, 2));
    scene.broker_sends(&message(0, 0));
    assert_eq!(scene.undeliverable(), 1);
    scene.client_says(PUBACK, 1);
    scene.client_gets(&message(1, 2));
    scene.client_takes(&message(0, 0));
}

/// Its later messages would go under a name that the client never heard, or has for another.
#[test]
fn a_new_topic_alias_is_not_dropped() {
    let aliased = |topic: &str| {
        let packet = Publish {
            topic: topic.to_owned(),
            properties: vec![0x23, 0, 1],
            ..Publish::default()
        };
        packet.write(V5)
    };
    let mut scene = takes_with(1, |rules| rules.limits.window_bytes = 1);
    scene.client_takes(&message(1, 1));
    scene.waits(&message(1, 2));
    scene.broker_sends(&aliased(""));
    assert_eq!(scene.undeliverable(), 1);
    scene.broker_sends(&aliased("a"));
    scene.closes_with("broker_violation", 0x80);
}

/// The broker still has it, and sends it again on the next connection.
#[test]
fn what_waits_at_the_end_is_forgotten() {
    let mut scene = takes(1);
    scene.client_takes(&message(1, 1));
    scene.waits(&message(1, 2));
    scene.client_leaves();
    scene.closes("client_gone");

    let mut scene = takes(1);
    scene.client_takes(&message(1, 1));
    scene.waits(&message(1, 2));
    scene.broker_leaves();
    scene.closes("broker_gone");
}
