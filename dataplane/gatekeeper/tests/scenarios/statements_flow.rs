//! Normative statements about flows and their order that no other story shows: mostly what the gate
//! has to leave as it is.

use std::time::Duration;

use gatekeeper::Version;

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{BOTH, Scene},
    write::{self, Publish},
};

const V5: Version = Version::V5;

/// [MQTT-4.3.2-5] [3.1.1: MQTT-2.3.1-3] [3.1.1: MQTT-4.3.2-2]: whatever its DUP flag says.
#[test]
fn behind_its_puback_an_identifier_means_a_new_message() {
    for version in BOTH {
        for dup in [false, true] {
            let mut scene = Scene::live(version);
            for topic in ["first", "second"] {
                let packet = Publish {
                    topic: topic.to_owned(),
                    qos: 1,
                    dup: dup && topic == "second",
                    id: 7,
                    ..Publish::default()
                }
                .write(version);
                scene.client_sends(&packet);
                let ticket = scene.asks_publish(topic);
                scene.allows(ticket);
                scene.broker_gets(&packet);
                scene.broker_sends(&write::ack(PUBACK, 7));
                scene.client_gets(&write::ack(PUBACK, 7));
            }
        }
    }
}

/// [MQTT-4.3.3-7]
#[test]
fn a_message_that_has_left_does_not_expire() {
    let packet = Publish {
        topic: "a".to_owned(),
        qos: 2,
        id: 7,
        properties: vec![0x02, 0, 0, 0, 1],
        ..Publish::default()
    }
    .write(V5);
    let mut scene = Scene::live(V5);
    scene.client_sends(&packet);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    for step in [PUBREC, PUBREL, PUBCOMP] {
        scene.passes(Duration::from_secs(5));
        let ack = write::ack(step, 7);
        if step == PUBREL {
            scene.client_sends(&ack);
            scene.broker_gets(&ack);
        } else {
            scene.broker_sends(&ack);
            scene.client_gets(&ack);
        }
    }
}

/// [MQTT-4.3.3-9] [MQTT-4.4.0-2]: the identifier is free, and the next message is another one.
#[test]
fn what_the_broker_refuses_is_over() {
    for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
        let mut scene = Scene::live(V5);
        for topic in ["first", "second"] {
            let packet = scene.client_publishes(topic, qos, 7);
            let ticket = scene.asks_publish(topic);
            scene.allows(ticket);
            scene.broker_gets(&packet);
            let refusal = write::ack_code(kind, 7, 0x97);
            scene.broker_sends(&refusal);
            scene.client_gets(&refusal);
        }
    }
}

/// [MQTT-4.6.0-4] [3.1.1: MQTT-4.6.0-4]
#[test]
fn releases_leave_in_their_order() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        for id in [1, 2] {
            let packet = scene.client_publishes("a", 2, id);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
        }
        for id in [1, 2] {
            scene.broker_sends(&write::ack(PUBREC, id));
            scene.client_gets(&write::ack(PUBREC, id));
        }
        scene.client_sends(&write::ack(PUBREL, 1));
        scene.broker_gets(&write::ack(PUBREL, 1));
        // One that has to wait goes no other way.
        scene.client_publishes("b", 0, 0);
        let ticket = scene.asks_publish("b");
        scene.client_sends(&write::ack(PUBREL, 2));
        scene.is_quiet();
        scene.denies(ticket);
        scene.broker_gets(&write::ack(PUBREL, 2));
        for id in [1, 2] {
            scene.broker_sends(&write::ack(PUBCOMP, id));
            scene.client_gets(&write::ack(PUBCOMP, id));
        }
    }
}

/// [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1]: with the identifiers that it had, in its order, and
/// with its DUP flag. [3.1.1: MQTT-3.3.1-1] [3.1.1: MQTT-4.4.0-1] [3.1.1: MQTT-4.6.0-1]
#[test]
fn what_is_sent_again_after_a_reconnect_is_passed_on() {
    for version in BOTH {
        let again = |topic: &str, qos, id| {
            let packet = Publish {
                topic: topic.to_owned(),
                qos,
                dup: true,
                id,
                ..Publish::default()
            };
            packet.write(version)
        };
        let mut scene = Scene::resumed(version);
        let packets = [
            again("a", 1, 3),
            again("b", 2, 2),
            again("a", 1, 1),
            write::ack(PUBREL, 4),
        ];
        for packet in &packets {
            scene.client_sends(packet);
        }
        let tickets = ["a", "b", "a"].map(|topic| scene.asks_publish(topic));
        for ticket in tickets.into_iter().rev() {
            scene.is_quiet();
            scene.allows(ticket);
        }
        for packet in &packets {
            scene.broker_gets(packet);
        }
        for packet in [
            again("down", 1, 3),
            again("down", 2, 2),
            write::ack(PUBREL, 4),
        ] {
            scene.broker_sends(&packet);
            scene.client_gets(&packet);
        }
    }
}
