//! What the broker does not offer, and said so in its CONNACK: whoever asks for it all the same has not
//! listened.

use gatekeeper::Version;

use crate::{
    scene::Scene,
    write::{self, Connect, Publish},
};

const V5: Version = Version::V5;

/// A session whose CONNACK had this property.
fn without(property: u8) -> Scene {
    Scene::with(V5, |_| {}).connected(&Connect::default(), &[property, 0])
}

/// [MQTT-3.2.2-11]
#[test]
fn qos_above_the_maximum() {
    for qos in [1, 2] {
        let mut scene = without(0x24);
        scene.client_publishes("a", qos, 7);
        scene.closes_with("client_violation", 0x9B);
    }
    let mut scene = without(0x24);
    scene.client_publishes("a", 0, 0);
    scene.asks_publish("a");

    let mut scene = Scene::with(V5, |_| {}).connected(&Connect::default(), &[0x24, 1]);
    scene.client_publishes("a", 1, 7);
    scene.asks_publish("a");
    scene.client_publishes("a", 2, 8);
    scene.closes_after_cancels("client_violation", 0x9B);
}

/// [MQTT-3.2.2-14], a deletion too.
#[test]
fn retain_where_it_is_not_available() {
    for payload in [b"x".to_vec(), Vec::new()] {
        let packet = Publish {
            topic: "a".to_owned(),
            retain: true,
            payload,
            ..Publish::default()
        };
        let mut scene = without(0x25);
        scene.client_sends(&packet.write(V5));
        scene.closes_with("client_violation", 0x9A);
    }
}

/// §3.2.2.3.11 to §3.2.2.3.13
#[test]
fn subscriptions_that_are_not_available() {
    for (property, filter, code) in [
        (0x28, "a/#", 0xA2),
        (0x28, "+", 0xA2),
        (0x28, "$share/g/+", 0xA2),
        (0x2A, "$share/g/a", 0x9E),
        (0x2A, "$share/h/$share/g/a", 0x9E),
    ] {
        let mut scene = without(property);
        scene.client_subscribes(7, &["a", filter]);
        scene.closes_with("client_violation", code);
    }
    for property in [0x28, 0x2A] {
        let mut scene = without(property);
        scene.client_subscribes(7, &["a", "$shared/a"]);
        scene.asks_subscribe(&["a", "$shared/a"]);
    }
}

/// §3.2.2.3.12
#[test]
fn a_subscription_identifier_where_there_are_none() {
    let packet = write::packet(0x82, &[0, 7, 2, 0x0B, 1, 0, 1, b'a', 0]);
    let mut scene = without(0x29);
    scene.client_sends(&packet);
    scene.closes_with("client_violation", 0xA1);
    let mut scene = Scene::live(V5);
    scene.client_sends(&packet);
    scene.asks_subscribe(&["a"]);
}

/// Nobody is kept from leaving.
#[test]
fn an_unsubscribe_may_name_what_is_not_available() {
    let mut scene = without(0x28);
    let packet = write::unsubscribe(V5, 7, &["a/#"]);
    scene.client_sends(&packet);
    scene.broker_gets(&packet);
}
