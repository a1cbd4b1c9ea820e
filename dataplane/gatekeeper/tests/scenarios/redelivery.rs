//! The same message once more on the same connection, as clients of MQTT 3 send it when they are
//! impatient.

use gatekeeper::{Fate, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{BOTH, Scene},
    write,
};

/// [MQTT-4.3.2-4] QoS 1 may arrive twice: every copy is asked about, and acknowledged.
#[test]
fn every_copy_with_qos_1_is_a_message() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 1, 7);
        let first = scene.asks_publish("a");
        let copy = scene.client_repeats(&packet);
        let second = scene.asks_about_publish(|question| assert!(question.dup));
        scene.allows(first);
        scene.broker_gets(&packet);
        scene.allows(second);
        scene.broker_gets(&copy);
        for _ in 0..2 {
            scene.broker_sends(&write::ack(PUBACK, 7));
            scene.client_gets(&write::ack(PUBACK, 7));
        }
        scene.client_publishes("b", 2, 7);
        scene.asks_publish("b");
    }
}

/// [MQTT-2.2.1-3]: the second acknowledgement would be taken for that of another message, which may
/// come to nothing.
#[test]
fn an_identifier_is_busy_until_every_copy_is_acknowledged() {
    for version in BOTH {
        let twice = || {
            let mut scene = Scene::live(version);
            let packet = scene.client_publishes("a", 1, 7);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
            let copy = scene.client_repeats(&packet);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&copy);
            scene.broker_sends(&write::ack(PUBACK, 7));
            scene.client_gets(&write::ack(PUBACK, 7));
            scene
        };
        let mut scene = twice();
        scene.client_publishes("b", 1, 7);
        scene.closes_with("client_violation", 0x82);

        let mut scene = twice();
        scene.broker_sends(&write::ack(PUBACK, 7));
        scene.client_gets(&write::ack(PUBACK, 7));
        scene.client_publishes("b", 1, 7);
        scene.asks_publish("b");
    }
}

/// [MQTT-4.3.3-10]: the service is asked once, the broker gets it once, and the client hears PUBREC as
/// often as it spoke.
#[test]
fn a_copy_of_what_is_undecided_is_absorbed() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 2, 7);
        let ticket = scene.asks_publish("a");
        scene.client_repeats(&packet);
        scene.client_sends(&packet);
        scene.allows(ticket);
        scene.broker_gets(&packet);
        assert_eq!(scene.fate(ticket), Some(Fate::Forwarded));
        scene.broker_sends(&write::ack(PUBREC, 7));
        for _ in 0..3 {
            scene.client_gets(&write::ack(PUBREC, 7));
        }
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.broker_gets(&write::ack(PUBREL, 7));
        scene.broker_sends(&write::ack(PUBCOMP, 7));
        scene.client_gets(&write::ack(PUBCOMP, 7));
    }
}

#[test]
fn a_copy_of_what_is_at_the_broker_is_absorbed() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 2, 7);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.client_repeats(&packet);
        scene.is_quiet();
        scene.broker_sends(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
        // Known now, so the gate can say it itself.
        scene.client_repeats(&packet);
        scene.client_gets(&write::ack(PUBREC, 7));
    }
}

/// A success is repeated as the success that it was: a client that is told 0x80 or above takes its
/// message for refused, and the identifier for free [MQTT-4.3.3-4].
#[test]
fn a_copy_hears_the_brokers_code() {
    for code in [0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] {
        let mut scene = Scene::live(Version::V5);
        let packet = scene.client_publishes("a", 2, 7);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.client_repeats(&packet);
        scene.is_quiet();
        let pubrec = write::ack_code(PUBREC, 7, code);
        scene.broker_sends(&pubrec);
        scene.client_gets(&pubrec);
        scene.client_gets(&pubrec);
    }
}

/// An alias does not make it another message, and another alias does not either.
#[test]
fn a_copy_is_known_by_its_topic_whatever_its_alias() {
    let version = Version::V5;
    let mut scene = Scene::live(version);
    let named = write::Publish {
        topic: "a".to_owned(),
        qos: 2,
        id: 7,
        properties: vec![0x23, 0, 1],
        ..write::Publish::default()
    };
    let by_alias = write::Publish {
        topic: String::new(),
        dup: true,
        ..named.clone()
    };
    let plain = write::Publish {
        properties: Vec::new(),
        ..named.clone()
    };
    scene.client_sends(&named.write(version));
    let ticket = scene.asks_publish("a");
    scene.client_sends(&by_alias.write(version));
    scene.client_sends(&plain.write(version));
    scene.allows(ticket);
    scene.broker_gets(&plain.write(version));
    scene.broker_sends(&write::ack(PUBREC, 7));
    for _ in 0..3 {
        scene.client_gets(&write::ack(PUBREC, 7));
    }
}

/// [MQTT-4.6.0-3]: a repeated PUBREC stands where the repeated PUBLISH stood.
#[test]
fn a_repeated_pubrec_takes_its_turn() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let first = scene.client_publishes("a", 2, 1);
        let second = scene.client_publishes("a", 2, 2);
        scene.client_repeats(&first);
        scene.client_publishes("a", 2, 3);
        let [one, two, three] = [1, 2, 3].map(|_| scene.asks_publish("a"));
        scene.denies(three);
        scene.allows(two);
        scene.allows(one);
        scene.broker_gets(&first);
        scene.broker_gets(&second);
        scene.broker_sends(&write::ack(PUBREC, 1));
        scene.client_gets(&write::ack(PUBREC, 1));
        scene.is_quiet();
        scene.broker_sends(&write::ack(PUBREC, 2));
        scene.client_gets(&write::ack(PUBREC, 2));
        scene.client_gets(&write::ack(PUBREC, 1));
        match version {
            Version::V5 => scene.client_gets(&write::ack_code(PUBREC, 3, 0x87)),
            Version::V31 | Version::V311 => scene.client_gets(&write::ack(PUBREC, 3)),
        }
    }
}

/// Refused by the gate or by the broker: all copies hear the same.
#[test]
fn a_copy_of_what_is_refused_hears_the_same() {
    let mut scene = Scene::live(Version::V5);
    let packet = scene.client_publishes("bob/x", 2, 7);
    let ticket = scene.asks_publish("bob/x");
    scene.client_repeats(&packet);
    scene.denies_with(ticket, 0x97);
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x97));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x97));

    let packet = scene.client_publishes("a", 2, 7);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    scene.client_repeats(&packet);
    scene.broker_sends(&write::ack_code(PUBREC, 7, 0x91));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x91));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x91));
    // Over, so it is a new message [MQTT-4.3.3-9].
    scene.client_publishes("a", 2, 7);
    scene.asks_publish("a");
}

/// [MQTT-4.3.3-6] A message is not sent again behind its PUBREL.
#[test]
fn no_copy_follows_the_release() {
    for version in BOTH {
        for released in [true, false] {
            let mut scene = Scene::live(version);
            let packet = scene.client_publishes("a", 2, 7);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
            scene.broker_sends(&write::ack(PUBREC, 7));
            scene.client_gets(&write::ack(PUBREC, 7));
            if !released {
                // It has to wait.
                scene.client_publishes("b", 0, 0);
                scene.asks_publish("b");
            }
            scene.client_sends(&write::ack(PUBREL, 7));
            if released {
                scene.broker_gets(&write::ack(PUBREL, 7));
            }
            scene.client_repeats(&packet);
            scene.closes_after_cancels("client_violation", 0x82);
        }
    }
}

/// The next message must not take it for its own.
#[test]
fn a_repeated_pubrec_does_not_outlive_the_pubcomp() {
    let mut scene = Scene::live(Version::V311);
    let first = scene.client_publishes("a", 2, 1);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&first);
    let second = scene.client_publishes("a", 2, 2);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&second);
    scene.broker_sends(&write::ack(PUBREC, 2));
    scene.client_gets(&write::ack(PUBREC, 2));
    scene.client_repeats(&second);
    // It waits for the PUBREC of the first, which the broker owes.
    scene.client_sends(&write::ack(PUBREL, 2));
    scene.broker_gets(&write::ack(PUBREL, 2));
    scene.broker_sends(&write::ack(PUBCOMP, 2));
    scene.client_gets(&write::ack(PUBCOMP, 2));
    scene.broker_sends(&write::ack(PUBREC, 1));
    scene.client_gets(&write::ack(PUBREC, 1));
    scene.is_quiet();
}

/// Copies take room in the line, whoever is being waited for.
#[test]
fn copies_are_bounded_by_the_window() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.limits.window_packets = 3);
        let packet = scene.client_publishes("a", 2, 7);
        scene.asks_publish("a");
        scene.client_repeats(&packet);
        assert!(scene.reads_client());
        scene.client_repeats(&packet);
        assert!(!scene.reads_client());
    }
}
