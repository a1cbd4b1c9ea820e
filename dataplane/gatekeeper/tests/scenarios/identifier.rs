//! Packet identifiers in use: one space for PUBLISH, SUBSCRIBE and UNSUBSCRIBE, and a busy one means
//! the same message or nothing.

use gatekeeper::Version;

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{BOTH, Scene, publish, subscribe},
    write,
};

/// A session in which 7 is in use, by each kind of packet and in each state.
fn busy(version: Version) -> Vec<Scene> {
    let mut scenes: Vec<Scene> = (0..9).map(|_| Scene::live(version)).collect();
    let [
        undecided_one,
        undecided_two,
        forwarded_one,
        forwarded_two,
        received,
        releasing,
        subscribed,
        asked,
        left,
    ] = scenes.as_mut_slice()
    else {
        panic!("nine of them");
    };
    for (scene, qos) in [(undecided_one, 1), (undecided_two, 2)] {
        scene.client_publishes("a", qos, 7);
        scene.asks_publish("a");
    }
    for (scene, qos) in [
        (&mut *forwarded_one, 1),
        (&mut *forwarded_two, 2),
        (&mut *received, 2),
        (&mut *releasing, 2),
    ] {
        let packet = scene.client_publishes("a", qos, 7);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
    }
    for scene in [&mut *received, &mut *releasing] {
        scene.broker_sends(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
    }
    releasing.client_sends(&write::ack(PUBREL, 7));
    releasing.broker_gets(&write::ack(PUBREL, 7));
    let packet = subscribed.client_subscribes(7, &["a"]);
    let ticket = subscribed.asks_subscribe(&["a"]);
    subscribed.allows(ticket);
    subscribed.broker_gets(&packet);
    asked.client_subscribes(7, &["a"]);
    asked.asks_subscribe(&["a"]);
    let packet = write::unsubscribe(version, 7, &["a"]);
    left.client_sends(&packet);
    left.broker_gets(&packet);
    scenes
}

/// [MQTT-2.2.1-3] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.3.3-6] [3.1.1: MQTT-2.3.1-2]
/// [3.1.1: MQTT-4.3.2-1] [3.1.1: MQTT-4.3.3-1]: there are brokers that release the second of two messages.
#[test]
fn a_busy_identifier_is_used_for_nothing_else() {
    for version in BOTH {
        for packet in [
            publish(version, "b", 1, 7),
            publish(version, "b", 2, 7),
            subscribe(version, 7, &["b"]),
            subscribe(version, 7, &["a"]),
            write::unsubscribe(version, 7, &["a"]),
        ] {
            for mut scene in busy(version) {
                scene.client_sends(&packet);
                scene.closes_after_cancels("client_violation", 0x82);
            }
        }
    }
}

/// Another QoS, RETAIN or payload is another message.
#[test]
fn the_same_topic_is_not_the_same_message() {
    let first = write::Publish {
        topic: "a".to_owned(),
        qos: 2,
        id: 7,
        payload: b"payload".to_vec(),
        ..write::Publish::default()
    };
    let others = [
        write::Publish {
            qos: 1,
            dup: true,
            ..first.clone()
        },
        write::Publish {
            retain: true,
            dup: true,
            ..first.clone()
        },
        write::Publish {
            payload: b"another".to_vec(),
            dup: true,
            ..first.clone()
        },
        write::Publish {
            payload: Vec::new(),
            dup: true,
            ..first.clone()
        },
    ];
    for version in BOTH {
        for other in &others {
            let mut scene = Scene::live(version);
            scene.client_sends(&first.write(version));
            scene.asks_publish("a");
            scene.client_sends(&other.write(version));
            scene.closes_after_cancels("client_violation", 0x82);
        }
    }
    let other = write::Publish {
        properties: write::text_property(0x03, "text/plain"),
        dup: true,
        ..first.clone()
    };
    let mut scene = Scene::live(Version::V5);
    scene.client_sends(&first.write(Version::V5));
    scene.asks_publish("a");
    scene.client_sends(&other.write(Version::V5));
    scene.closes_after_cancels("client_violation", 0x82);
}

/// [MQTT-2.2.1-3]: free with the last acknowledgement, whoever made it.
#[test]
fn an_answered_identifier_is_free() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        for round in 0..2 {
            let packet = scene.client_publishes("a", 1, 7);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
            scene.broker_sends(&write::ack(PUBACK, 7));
            scene.client_gets(&write::ack(PUBACK, 7));

            let packet = scene.client_publishes("b", 2, 7);
            let ticket = scene.asks_publish("b");
            scene.allows(ticket);
            scene.broker_gets(&packet);
            scene.broker_sends(&write::ack(PUBREC, 7));
            scene.client_gets(&write::ack(PUBREC, 7));
            scene.client_sends(&write::ack(PUBREL, 7));
            scene.broker_gets(&write::ack(PUBREL, 7));
            scene.broker_sends(&write::ack(PUBCOMP, 7));
            scene.client_gets(&write::ack(PUBCOMP, 7));

            let packet = scene.client_subscribes(7, &["c"]);
            let ticket = scene.asks_subscribe(&["c"]);
            if round == 0 {
                scene.allows(ticket);
                scene.broker_gets(&packet);
                scene.broker_sends(&write::suback(version, 7, &[0]));
                scene.client_gets(&write::suback(version, 7, &[0]));
            } else {
                scene.denies_with(ticket, 0x80);
                scene.client_gets(&write::suback(version, 7, &[0x80]));
            }

            let packet = write::unsubscribe(version, 7, &["c"]);
            scene.client_sends(&packet);
            scene.broker_gets(&packet);
            scene.broker_sends(&write::unsuback(version, 7, 1));
            scene.client_gets(&write::unsuback(version, 7, 1));
        }
    }
}

/// [MQTT-4.6.0-2]: while the gate's own refusal waits for its turn, the client has not heard it.
#[test]
fn a_refused_identifier_is_busy_until_the_client_hears_of_it() {
    let mut scene = Scene::live(Version::V5);
    let packet = scene.client_publishes("a", 1, 6);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    scene.client_publishes("bob/x", 1, 7);
    let ticket = scene.asks_publish("bob/x");
    scene.denies(ticket);
    scene.client_publishes("b", 1, 7);
    scene.closes_with("client_violation", 0x82);
}

/// An answer that nobody waits for is passed on, and changes nothing.
#[test]
fn acknowledgements_of_the_broker_that_nobody_waits_for() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 2, 7);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        for (kind, id) in [
            (PUBACK, 7),
            (PUBCOMP, 7),
            (PUBACK, 9),
            (PUBREC, 9),
            (PUBCOMP, 9),
        ] {
            scene.broker_sends(&write::ack(kind, id));
            scene.client_gets(&write::ack(kind, id));
        }
        scene.client_repeats(&packet);
        scene.broker_sends(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
        scene.client_publishes("b", 2, 7);
        scene.closes_with("client_violation", 0x82);
    }
}
