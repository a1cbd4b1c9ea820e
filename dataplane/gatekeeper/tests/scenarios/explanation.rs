//! Reason strings: only for those who want them, and only within the size that they take.

use gatekeeper::{Deny, DenyAction, ReasonCode, Verdict, Version};

use crate::{
    packet::{PUBACK, PUBREC},
    scene::{Scene, disconnect},
    write::{self, Connect, section, text_property},
};

const V5: Version = Version::V5;

fn because(reason: &str, action: DenyAction) -> Verdict {
    Verdict::Deny(Deny {
        code: Some(ReasonCode::QUOTA_EXCEEDED),
        reason_string: Some(reason.into()),
        action,
        server_reference: None,
    })
}

/// The properties of a refusal that explains itself.
fn explained(reason: &str) -> Vec<u8> {
    section(V5, &text_property(0x1F, reason))
}

fn connected(properties: &[u8]) -> Scene {
    let connect = Connect {
        properties: properties.to_vec(),
        ..Connect::default()
    };
    Scene::new(V5).connected(&connect, &[])
}

/// A PUBLISH with QoS 1 or 2, denied for this reason.
fn denied(scene: &mut Scene, qos: u8, reason: &str) {
    scene.client_publishes("a", qos, 1);
    let ticket = scene.asks_publish("a");
    scene.answers(ticket, because(reason, DenyAction::Reject));
}

fn subscribe_denied(scene: &mut Scene, reason: &str) {
    scene.client_subscribes(1, &["a"]);
    let ticket = scene.asks_subscribe(&["a"]);
    scene.answers(ticket, because(reason, DenyAction::Reject));
}

#[test]
fn a_refusal_says_why() {
    let mut scene = connected(&[]);
    for (qos, first) in [(1, 0x40), (2, 0x50)] {
        denied(&mut scene, qos, "later");
        let body = [&[0, 1, 0x97], explained("later").as_slice()].concat();
        scene.client_gets(&write::packet(first, &body));
    }
    subscribe_denied(&mut scene, "later");
    let body = [&[0, 1], explained("later").as_slice(), &[0x97]].concat();
    scene.client_gets(&write::packet(0x90, &body));

    scene.client_publishes("a", 0, 0);
    let ticket = scene.asks_publish("a");
    scene.answers(ticket, because("enough", DenyAction::Disconnect));
    let body = [&[0x97], explained("enough").as_slice()].concat();
    scene.client_gets(&write::packet(0xE0, &body));
    scene.closes("publish_denied");
}

#[test]
fn the_first_reason_stands_for_all_filters() {
    let mut scene = connected(&[]);
    scene.client_subscribes(1, &["a", "b"]);
    let ticket = scene.asks_subscribe(&["a", "b"]);
    scene.answers(ticket.filter(1), because("second", DenyAction::Reject));
    scene.answers(ticket, because("first", DenyAction::Reject));
    let body = [&[0, 1], explained("first").as_slice(), &[0x97, 0x97]].concat();
    scene.client_gets(&write::packet(0x90, &body));
}

/// [MQTT-3.1.2-29]: not on acknowledgements, but on CONNACK and DISCONNECT.
#[test]
fn a_client_that_wants_no_reasons_gets_none_but_at_the_end() {
    let mut scene = connected(&[0x17, 0]);
    denied(&mut scene, 1, "later");
    scene.client_gets(&write::ack_code(PUBACK, 1, 0x97));
    denied(&mut scene, 2, "later");
    scene.client_gets(&write::ack_code(PUBREC, 1, 0x97));
    subscribe_denied(&mut scene, "later");
    scene.client_gets(&write::suback(V5, 1, &[0x97]));

    scene.client_publishes("a", 0, 0);
    let ticket = scene.asks_publish("a");
    scene.answers(ticket, because("enough", DenyAction::Disconnect));
    let body = [&[0x97], explained("enough").as_slice()].concat();
    scene.client_gets(&write::packet(0xE0, &body));
    scene.closes("publish_denied");
}

/// [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3]
/// [MQTT-3.1.2-24]
#[test]
fn a_reason_that_makes_the_packet_too_large_is_left_out() {
    let mut scene = connected(&[0x27, 0, 0, 0, 40]);
    let long = "r".repeat(40);
    denied(&mut scene, 1, &long);
    scene.client_gets(&write::ack_code(PUBACK, 1, 0x97));
    denied(&mut scene, 2, &long);
    scene.client_gets(&write::ack_code(PUBREC, 1, 0x97));
    subscribe_denied(&mut scene, &long);
    scene.client_gets(&write::suback(V5, 1, &[0x97]));

    scene.client_publishes("a", 0, 0);
    let ticket = scene.asks_publish("a");
    scene.answers(ticket, because(&long, DenyAction::Disconnect));
    scene.client_gets(&disconnect(0x97));
    scene.closes("publish_denied");
}

/// [MQTT-3.2.2-19]
#[test]
fn a_connack_is_not_too_large_either() {
    let connect = Connect {
        properties: vec![0x27, 0, 0, 0, 40],
        ..Connect::default()
    };
    for (reason, connack) in [
        (
            "no".to_owned(),
            write::connack(V5, false, 0x97, &text_property(0x1F, "no")),
        ),
        ("r".repeat(40), write::connack(V5, false, 0x97, &[])),
    ] {
        let mut scene = Scene::new(V5);
        scene.client_sends(&connect.write(V5));
        let ticket = scene.asks_connect();
        scene.answers(ticket, because(&reason, DenyAction::Configured));
        scene.client_gets(&connack);
        scene.closes("connect_denied");
    }
}

#[test]
fn a_reason_that_no_packet_can_carry_is_left_out() {
    for reason in ["r".repeat(65_536), "a\0b".to_owned()] {
        let mut scene = connected(&[]);
        denied(&mut scene, 1, &reason);
        scene.client_gets(&write::ack_code(PUBACK, 1, 0x97));
        subscribe_denied(&mut scene, &reason);
        scene.client_gets(&write::suback(V5, 1, &[0x97]));
        scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        scene.answers(ticket, because(&reason, DenyAction::Disconnect));
        scene.client_gets(&disconnect(0x97));
        scene.closes("publish_denied");
    }
}

#[test]
fn a_merged_suback_keeps_the_brokers_properties_if_they_fit() {
    let reason = text_property(0x1F, "the broker's");
    for (size, kept) in [(100, true), (20, false)] {
        let mut scene = connected(&[0x27, 0, 0, 0, size]);
        scene.client_subscribes(1, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.allows(ticket);
        scene.denies(ticket.filter(1));
        scene.broker_gets(&crate::scene::subscribe(V5, 1, &["a"]));
        let suback = |properties: &[u8], codes: &[u8]| {
            let body = [&[0, 1], section(V5, properties).as_slice(), codes].concat();
            write::packet(0x90, &body)
        };
        scene.broker_sends(&suback(&reason, &[1]));
        let properties = if kept { reason.as_slice() } else { &[] };
        scene.client_gets(&suback(properties, &[1, 0x87]));
    }
}

#[test]
fn there_are_no_reasons_on_v311() {
    let mut scene = Scene::live(Version::V311);
    denied(&mut scene, 1, "later");
    scene.client_gets(&write::ack(PUBACK, 1));
    subscribe_denied(&mut scene, "later");
    scene.client_gets(&write::suback(Version::V311, 1, &[0x80]));
}
