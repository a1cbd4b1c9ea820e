//! Topic aliases of the uplink end at the gate (MQTT 5.0 §3.3.2.3.4).

use gatekeeper::{Rules, Version};

use crate::{
    packet::PUBACK,
    scene::Scene,
    write::{self, Connect, Publish},
};

/// A PUBLISH with QoS 1 and an alias.
fn with_alias(topic: &str, alias: u16, id: u16) -> Publish {
    let [high, low] = alias.to_be_bytes();
    Publish {
        topic: topic.to_owned(),
        qos: 1,
        id,
        properties: vec![0x26, 0, 1, b'k', 0, 1, b'v', 0x23, high, low],
        ..Publish::default()
    }
}

/// What the broker gets of it.
fn resolved(topic: &str, id: u16) -> Vec<u8> {
    let properties = vec![0x26, 0, 1, b'k', 0, 1, b'v'];
    let publish = Publish {
        properties,
        ..with_alias(topic, 1, id)
    };
    publish.write(Version::V5)
}

fn scene() -> Scene {
    Scene::live(Version::V5)
}

#[test]
fn the_broker_gets_topics_and_no_aliases() {
    let mut scene = scene();
    scene.client_sends(&with_alias("alice/x", 1, 1).write(Version::V5));
    let ticket = scene.asks_publish("alice/x");
    scene.allows(ticket);
    scene.broker_gets(&resolved("alice/x", 1));
    // [MQTT-3.3.2-12]
    scene.client_sends(&with_alias("", 1, 2).write(Version::V5));
    let ticket = scene.asks_publish("alice/x");
    scene.allows(ticket);
    scene.broker_gets(&resolved("alice/x", 2));
}

/// [MQTT-3.3.2-12]: the client believes that the alias exists.
#[test]
fn a_denied_message_has_set_its_alias_all_the_same() {
    let mut scene = scene();
    scene.client_sends(&with_alias("bob/x", 1, 1).write(Version::V5));
    let ticket = scene.asks_publish("bob/x");
    scene.denies(ticket);
    scene.client_gets(&write::ack_code(PUBACK, 1, 0x87));
    // Judged on its own, by the topic that it means.
    scene.client_sends(&with_alias("", 1, 2).write(Version::V5));
    let ticket = scene.asks_publish("bob/x");
    scene.allows(ticket);
    scene.broker_gets(&resolved("bob/x", 2));
}

#[test]
fn an_alias_means_what_it_meant_when_the_packet_came() {
    let mut scene = scene();
    for (topic, id) in [("a", 1), ("", 2), ("b", 3), ("", 4)] {
        scene.client_sends(&with_alias(topic, 1, id).write(Version::V5));
    }
    let tickets = ["a", "a", "b", "b"].map(|topic| scene.asks_publish(topic));
    for ticket in tickets.into_iter().rev() {
        scene.is_quiet();
        scene.allows(ticket);
    }
    for (topic, id) in [("a", 1), ("a", 2), ("b", 3), ("b", 4)] {
        scene.broker_gets(&resolved(topic, id));
    }
}

/// §3.3.4
#[test]
fn an_alias_that_was_never_set_is_a_protocol_error() {
    let mut scene = scene();
    scene.client_sends(&with_alias("", 1, 1).write(Version::V5));
    scene.closes_with("client_violation", 0x82);
}

/// [MQTT-3.3.2-8] [MQTT-3.3.2-9]
/// [MQTT-3.2.2-17] [MQTT-3.2.2-18]
#[test]
fn an_alias_of_0_or_above_the_maximum_is_invalid() {
    for alias in [0, 33, u16::MAX] {
        let mut scene = scene();
        scene.client_sends(&with_alias("a", alias, 1).write(Version::V5));
        scene.closes_with("client_violation", 0x94);
    }
    let none = |rules: &mut Rules| rules.limits.topic_alias_maximum = 0;
    let mut scene = Scene::live_with(Version::V5, none);
    scene.client_sends(&with_alias("a", 1, 1).write(Version::V5));
    scene.closes_with("client_violation", 0x94);
}

/// §3.3.2.1
#[test]
fn neither_topic_nor_alias_is_a_protocol_error() {
    let mut scene = scene();
    scene.client_sends(&Publish::default().write(Version::V5));
    scene.closes_with("client_violation", 0x82);
}

/// [MQTT-3.2.2-15]: it was small enough until its alias was resolved.
#[test]
fn what_an_alias_makes_too_large_for_the_broker_is_refused() {
    let mut scene = Scene::new(Version::V5).connected(&Connect::default(), &[0x27, 0, 0, 0, 70]);
    let topic = "alice/".repeat(8);
    scene.client_sends(&with_alias(&topic, 1, 1).write(Version::V5));
    let ticket = scene.asks_publish(&topic);
    scene.allows(ticket);
    scene.broker_gets(&resolved(&topic, 1));
    let larger = Publish {
        payload: vec![b'p'; 30],
        ..with_alias("", 1, 2)
    };
    scene.client_sends(&larger.write(Version::V5));
    let ticket = scene.asks_publish(&topic);
    scene.allows(ticket);
    scene.is_quiet();
    // 0x97 for 0x95, behind the broker's own.
    scene.broker_sends(&write::ack(PUBACK, 1));
    scene.client_gets(&write::ack(PUBACK, 1));
    scene.client_gets(&write::ack_code(PUBACK, 2, 0x97));
}

#[test]
fn what_is_larger_than_was_agreed_ends_the_session() {
    let mut scene = Scene::new(Version::V5).connected(&Connect::default(), &[0x27, 0, 0, 0, 70]);
    scene.client_publishes(&"alice/".repeat(12), 0, 0);
    scene.closes_with("client_violation", 0x95);
}
