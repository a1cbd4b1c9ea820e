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
        let ticket = scene.asks_publish("bob/x");
        scene.allows(ticket);
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

#[test]
fn a_release_for_what_nobody_holds_is_the_brokers_affair() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_sends(&write::ack(PUBREL, 9));
        scene.broker_gets(&write::ack(PUBREL, 9));
    }
}

/// The broker has the first copy, and would never deliver it without its PUBREL.
#[test]
fn a_repeated_message_that_is_now_denied_is_still_released() {
    let v311 = Version::V311;
    let mut scene = Scene::live(v311);
    let mut packet = scene.client_publishes("a", 2, 7);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    packet[0] |= 8;
    scene.client_sends(&packet);
    let ticket = scene.asks_publish("a");
    scene.denies(ticket);
    scene.broker_sends(&write::ack(PUBREC, 7));
    scene.client_gets(&write::ack(PUBREC, 7));
    scene.client_gets(&write::ack(PUBREC, 7));
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.broker_sends(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack(PUBCOMP, 7));
}
