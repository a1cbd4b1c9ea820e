//! QoS 2 identifiers that the gate holds, because it said PUBREC and the broker knows nothing.

use gatekeeper::{Deny, DenyAction, Verdict, Version};

use crate::{
    packet::{PUBCOMP, PUBREC, PUBREL},
    scene::{BOTH, Scene},
    write,
};

/// A PUBLISH with QoS 2 that is acknowledged and dropped.
fn dropped(version: Version, id: u16) -> Scene {
    let mut scene = Scene::live(version);
    scene.client_publishes("bob/x", 2, id);
    let ticket = scene.asks_publish("bob/x");
    scene.answers(
        ticket,
        Verdict::Deny(Deny {
            action: DenyAction::Drop,
            ..Deny::default()
        }),
    );
    scene.client_gets(&write::ack(PUBREC, id));
    scene
}

/// [MQTT-2.2.1-5] [3.1.1: MQTT-2.3.1-6] [3.1.1: MQTT-4.3.3-2]
#[test]
fn the_gate_ends_the_flow_that_it_began() {
    for version in BOTH {
        let mut scene = dropped(version, 7);
        // [MQTT-4.3.3-11]
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.client_gets(&write::ack(PUBCOMP, 7));
    }
}

/// [MQTT-4.3.3-10]: until the PUBREL it is the same message, whatever is thought of it now.
/// [3.1.1: MQTT-4.3.3-2]
#[test]
fn a_repeated_message_is_acknowledged_again_and_goes_nowhere() {
    for version in BOTH {
        let mut scene = dropped(version, 7);
        scene.client_publishes("bob/x", 2, 7);
        scene.client_gets(&write::ack(PUBREC, 7));
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.client_gets(&write::ack(PUBCOMP, 7));
    }
}

/// [MQTT-4.3.3-12] [3.1.1: MQTT-2.3.1-3] [3.1.1: MQTT-4.3.3-2]
#[test]
fn the_identifier_is_free_after_the_pubcomp() {
    for version in BOTH {
        let mut scene = dropped(version, 7);
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.client_gets(&write::ack(PUBCOMP, 7));
        let packet = scene.client_publishes("alice/x", 2, 7);
        let ticket = scene.asks_publish("alice/x");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
        // This one is the broker's.
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.broker_gets(&write::ack(PUBREL, 7));
        scene.broker_sends(&write::ack(PUBCOMP, 7));
        scene.client_gets(&write::ack(PUBCOMP, 7));
    }
}

/// [MQTT-4.3.3-4] [MQTT-4.3.3-9]: nothing of the flow remains.
#[test]
fn a_refused_identifier_is_free_at_once_on_v5() {
    let mut scene = Scene::live(Version::V5);
    scene.client_publishes("bob/x", 2, 7);
    let ticket = scene.asks_publish("bob/x");
    scene.denies(ticket);
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));
    let packet = scene.client_publishes("alice/x", 2, 7);
    let ticket = scene.asks_publish("alice/x");
    scene.allows(ticket);
    scene.broker_gets(&packet);
}

#[test]
fn the_release_takes_its_turn_behind_undecided_messages() {
    let mut scene = dropped(Version::V311, 7);
    scene.client_publishes("a", 0, 0);
    let ticket = scene.asks_publish("a");
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.is_quiet();
    scene.denies(ticket);
    scene.client_gets(&write::ack(PUBCOMP, 7));
}

/// The broker may hold it from a former connection, and MQTT 3 has no word for what does not exist.
#[test]
fn a_release_for_what_the_gate_does_not_hold_is_the_brokers_affair() {
    let fresh = Scene::live(Version::V311);
    for mut scene in [
        Scene::resumed(Version::V311),
        Scene::resumed(Version::V5),
        fresh,
    ] {
        scene.client_sends(&write::ack(PUBREL, 9));
        scene.broker_gets(&write::ack(PUBREL, 9));
        scene.broker_sends(&write::ack(PUBCOMP, 9));
        scene.client_gets(&write::ack(PUBCOMP, 9));
    }
}

/// [MQTT-3.7.2-1]: 0x92, where nobody can hold it, and in its turn.
#[test]
fn a_release_for_what_nobody_holds_is_answered_by_the_gate() {
    let mut scene = Scene::live(Version::V5);
    scene.client_publishes("a", 0, 0);
    let ticket = scene.asks_publish("a");
    for _ in 0..2 {
        scene.client_sends(&write::ack(PUBREL, 9));
    }
    scene.is_quiet();
    scene.denies(ticket);
    for _ in 0..2 {
        scene.client_gets(&write::ack_code(PUBCOMP, 9, 0x92));
    }
    // It is free then [MQTT-2.2.1-3].
    scene.client_publishes("b", 1, 9);
    scene.asks_publish("b");
}

/// [MQTT-4.3.3-4]: a refused message has no PUBREL.
#[test]
fn a_release_for_a_refused_message_belongs_to_nothing() {
    let mut scene = Scene::live(Version::V5);
    scene.client_publishes("bob/x", 2, 7);
    let ticket = scene.asks_publish("bob/x");
    scene.denies(ticket);
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.client_gets(&write::ack_code(PUBCOMP, 7, 0x92));
}

/// A client's error, and the broker's affair.
#[test]
fn a_release_that_does_not_wait_for_its_pubrec_keeps_its_place() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 2, 7);
        let ticket = scene.asks_publish("a");
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.is_quiet();
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_gets(&write::ack(PUBREL, 7));
        for kind in [PUBREC, PUBCOMP] {
            scene.broker_sends(&write::ack(kind, 7));
            scene.client_gets(&write::ack(kind, 7));
        }
        scene.client_publishes("b", 2, 7);
        scene.asks_publish("b");
    }
}

/// Whatever was awaited: what the gate has to say behind it is not held up.
#[test]
fn a_pubcomp_without_a_pubrec_ends_the_waiting() {
    let mut scene = Scene::live(Version::V5);
    let packet = scene.client_publishes("a", 2, 7);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    scene.client_publishes("bob/x", 2, 8);
    let ticket = scene.asks_publish("bob/x");
    scene.denies(ticket);
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.broker_sends(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack_code(PUBREC, 8, 0x87));
}
