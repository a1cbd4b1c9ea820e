//! QoS 2 messages that the broker may hold from a former connection and that are refused now.

use gatekeeper::{Fate, ReasonCode, Version, Why};

use crate::{
    packet::{PUBCOMP, PUBREC, PUBREL},
    scene::{Scene, publish, repeated},
    write,
};

/// A PUBLISH with DUP on a resumed session, being decided.
fn redelivered(version: Version) -> (Scene, gatekeeper::Ticket) {
    let mut scene = Scene::resumed(version);
    scene.client_sends(&repeated(&publish(version, "bob/x", 2, 7)));
    let ticket = scene.asks_publish("bob/x");
    (scene, ticket)
}

/// [MQTT-4.3.3-4]: the client will send no PUBREL, and may use the identifier for another message,
/// which the broker would take for the first copy of this one.
#[test]
fn the_broker_forgets_before_the_client_hears_the_refusal() {
    for code in [0x00, 0x92] {
        let (mut scene, ticket) = redelivered(Version::V5);
        scene.denies(ticket);
        scene.broker_gets(&write::ack(PUBREL, 7));
        assert_eq!(
            scene.fate(ticket),
            Some(Fate::Refused(ReasonCode::NOT_AUTHORIZED))
        );
        scene.broker_sends(&write::ack_code(PUBCOMP, 7, code));
        scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));

        let packet = scene.client_publishes("a", 2, 7);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.broker_gets(&write::ack(PUBREL, 7));
        // This one is the client's.
        scene.broker_sends(&write::ack(PUBCOMP, 7));
        scene.client_gets(&write::ack(PUBCOMP, 7));
    }
}

#[test]
fn a_failure_is_no_other_case() {
    let (mut scene, ticket) = redelivered(Version::V5);
    scene.fails(ticket, Why::Unavailable);
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.broker_sends(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x83));
}

/// [MQTT-4.6.0-3]
#[test]
fn later_pubrecs_wait_for_it() {
    let (mut scene, ticket) = redelivered(Version::V5);
    scene.client_publishes("bob/y", 2, 8);
    let later = scene.asks_publish("bob/y");
    scene.denies(later);
    scene.denies(ticket);
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.is_quiet();
    scene.broker_sends(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));
    scene.client_gets(&write::ack_code(PUBREC, 8, 0x87));
}

/// A copy gets the same answer, behind the first one; and what the client may not say yet, the gate
/// answers itself.
#[test]
fn copies_and_a_release_meanwhile() {
    let (mut scene, ticket) = redelivered(Version::V5);
    scene.denies(ticket);
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.client_sends(&repeated(&publish(Version::V5, "bob/x", 2, 7)));
    scene.is_quiet();
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.client_gets(&write::ack_code(PUBCOMP, 7, 0x92));
    scene.broker_sends(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));
}

/// Another message under the identifier that is being purged would be swallowed.
#[test]
fn the_identifier_is_busy_meanwhile() {
    let (mut scene, ticket) = redelivered(Version::V5);
    scene.denies(ticket);
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.client_publishes("a", 2, 7);
    scene.closes_with("client_violation", 0x82);
}

#[test]
fn a_refusal_that_the_gate_finds_itself_is_no_other_case() {
    let mut scene = Scene::resumed(Version::V5);
    let packet = write::Publish {
        topic: "a".to_owned(),
        qos: 2,
        dup: true,
        id: 7,
        properties: vec![0x01, 1],
        payload: vec![0xFF],
        ..write::Publish::default()
    };
    scene.client_sends(&packet.write(Version::V5));
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.broker_sends(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x99));
}

/// The broker has nothing of it on a new session, nor of one without DUP.
#[test]
fn what_the_broker_cannot_hold_is_refused_at_once() {
    let version = Version::V5;
    let packet = publish(version, "bob/x", 2, 7);
    for (mut scene, packet) in [
        (Scene::live(version), repeated(&packet)),
        (Scene::resumed(version), packet),
    ] {
        scene.client_sends(&packet);
        let ticket = scene.asks_publish("bob/x");
        scene.denies(ticket);
        scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));
    }
}

/// [3.1.1: MQTT-3.3.5-2]: the client hears a success and sends its PUBREL, and that is the broker's.
#[test]
fn on_v311_the_clients_own_release_is_forwarded() {
    let (mut scene, ticket) = redelivered(Version::V311);
    scene.denies(ticket);
    scene.client_gets(&write::ack(PUBREC, 7));
    assert_eq!(scene.fate(ticket), Some(Fate::Dropped));
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.broker_gets(&write::ack(PUBREL, 7));
    scene.broker_sends(&write::ack(PUBCOMP, 7));
    scene.client_gets(&write::ack(PUBCOMP, 7));
}

#[test]
fn on_v311_what_the_broker_cannot_hold_ends_at_the_gate() {
    let version = Version::V311;
    let packet = publish(version, "bob/x", 2, 7);
    for (mut scene, packet) in [
        (Scene::live(version), repeated(&packet)),
        (Scene::resumed(version), packet),
    ] {
        scene.client_sends(&packet);
        let ticket = scene.asks_publish("bob/x");
        scene.denies(ticket);
        scene.client_gets(&write::ack(PUBREC, 7));
        scene.client_sends(&write::ack(PUBREL, 7));
        scene.client_gets(&write::ack(PUBCOMP, 7));
    }
}

/// [MQTT-4.4.0-1] The first copy is completed by the broker, and the second one by the same.
#[test]
fn allowed_passes_as_it_is() {
    for version in crate::scene::BOTH {
        let (mut scene, ticket) = redelivered(version);
        scene.allows(ticket);
        scene.broker_gets(&repeated(&publish(version, "bob/x", 2, 7)));
        scene.broker_sends(&write::ack(PUBREC, 7));
        scene.client_gets(&write::ack(PUBREC, 7));
    }
}
