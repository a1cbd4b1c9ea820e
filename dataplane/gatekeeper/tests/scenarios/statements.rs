//! Normative statements about single packets that no other story shows: mostly what the gate has to leave as it is.

use gatekeeper::{ConnectAllow, Version};

use crate::{
    packet::{self, Packet},
    scene::{BOTH, Scene, publish},
    write::{self, Connect, PINGREQ, PINGRESP, Publish, section, text, text_property},
};

const V5: Version = Version::V5;

fn user_property(key: &str, value: &str) -> Vec<u8> {
    [vec![0x26], text(key), text(value)].concat()
}

/// [MQTT-3.1.3-5] [3.1.1: MQTT-3.1.3-5]
#[test]
fn letters_and_digits_make_a_client_identifier() {
    let all: String = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
    for version in BOTH {
        for id in ["0", "z", &all[..23], &all[20..43], &all[39..]] {
            let connect = Connect {
                client_id: id.to_owned(),
                ..Connect::default()
            }
            .write(version);
            let mut scene = Scene::new(version);
            scene.client_sends(&connect);
            let ticket = scene.asks_about_connect(|question| assert_eq!(question.client_id, id));
            scene.allows(ticket);
            scene.dials();
            scene.broker_is_reached();
            scene.broker_gets(&connect);
        }
    }
}

/// [MQTT-3.1.3-10]: also where the CONNECT is written anew.
#[test]
fn the_user_properties_of_a_will_stay_in_their_order() {
    let properties = [
        user_property("b", "1"),
        text_property(0x03, "text/plain"),
        user_property("a", "2"),
        user_property("b", "1"),
    ]
    .concat();
    let connect = |id: &str| {
        let parts = [
            text("MQTT"),
            // A will with QoS 1.
            vec![5, 0b0000_1110, 0, 0, 0],
            text(id),
            section(V5, &properties),
            text("alice/gone"),
            text("gone"),
        ];
        write::packet(0x10, &parts.concat())
    };
    for broker_client_id in [None, Some("alice/c")] {
        let mut scene = Scene::new(V5);
        scene.client_sends(&connect("c"));
        let ticket = scene.asks_connect();
        let allow = ConnectAllow {
            broker_client_id: broker_client_id.map(Into::into),
            ..ConnectAllow::default()
        };
        scene.allows_connect(ticket, allow);
        let will = scene.asks_will("alice/gone");
        scene.allows(will);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect(broker_client_id.unwrap_or("c")));
    }
}

/// [MQTT-3.2.2-9]: Maximum QoS, and what else the broker cannot do.
#[test]
fn what_the_broker_cannot_do_is_told() {
    const CANNOT: [u8; 5] = [0x24, 0x25, 0x28, 0x29, 0x2A];

    let connect = Connect::default().write(V5);
    let mut scene = Scene::new(V5);
    scene.client_sends(&connect);
    let ticket = scene.asks_connect();
    scene.allows(ticket);
    scene.dials();
    scene.broker_is_reached();
    scene.broker_gets(&connect);
    let properties = CANNOT.map(|id| [id, 0]).concat();
    scene.broker_sends(&write::connack(V5, false, 0, &properties));
    let connack = scene.client_gets_connack(0);
    let Some(Packet::Connack { properties, .. }) = packet::read(V5, &connack) else {
        panic!("{connack:02x?}");
    };
    for id in CANNOT {
        assert_eq!(packet::property(&properties, id), Some(&[0][..]), "{id:#x}");
    }
}

/// [MQTT-3.2.2-10]
#[test]
fn a_broker_without_qos_2_takes_subscriptions_with_any() {
    for maximum in [0, 1] {
        let mut scene = Scene::new(V5).connected(&Connect::default(), &[0x24, maximum]);
        let packet = write::subscribe(V5, 7, &[("a", 0), ("b", 1), ("c", 2)]);
        scene.client_sends(&packet);
        let ticket = scene.asks_subscribe(&["a", "b", "c"]);
        for index in 0..3 {
            scene.allows(ticket.filter(index));
        }
        scene.broker_gets(&packet);
        let answer = write::suback(V5, 7, &[0, maximum.min(1), maximum]);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}

/// [MQTT-3.2.2-12] [MQTT-3.2.2-13]: only the broker knows, before its CONNACK.
#[test]
fn a_will_that_is_too_much_for_the_broker_is_refused() {
    let connect = Connect {
        will: Some(("alice/gone".to_owned(), 2, true)),
        ..Connect::default()
    }
    .write(V5);
    for code in [0x9A, 0x9B] {
        let mut scene = Scene::new(V5);
        scene.client_sends(&connect);
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        let will = scene.asks_will("alice/gone");
        scene.allows(will);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
        let connack = write::connack(V5, false, code, &[]);
        scene.broker_sends(&connack);
        scene.client_gets(&connack);
        scene.closes("broker_refused");
    }
}

/// [MQTT-3.3.2-7]: though the session goes on.
#[test]
fn aliases_end_with_their_connection() {
    let alias = vec![0x23, 0, 1];
    let named = Publish {
        topic: "a".to_owned(),
        properties: alias.clone(),
        ..Publish::default()
    };
    let nameless = Publish {
        properties: alias,
        ..Publish::default()
    };
    let mut scene = Scene::resumed(V5);
    for packet in [&named, &nameless] {
        scene.client_sends(&packet.write(V5));
        let ticket = scene.asks_publish("a");
        scene.denies(ticket);
    }
    scene.client_leaves();
    scene.closes("client_gone");

    let mut scene = Scene::resumed(V5);
    scene.client_sends(&nameless.write(V5));
    scene.closes_with("client_violation", 0x82);
}

/// Payload Format Indicator, Response Topic, Correlation Data, User Properties, Content Type:
/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20].
/// [MQTT-3.3.4-3] [MQTT-3.3.4-4]: all Subscription Identifiers of a delivery.
#[test]
fn messages_keep_what_they_carry_in_both_directions() {
    let carried = [
        user_property("b", "1"),
        vec![0x01, 1],
        text_property(0x08, "reply/to"),
        [vec![0x09], text([0, 0xFF])].concat(),
        user_property("a", ""),
        text_property(0x03, "text/plain"),
        user_property("b", "1"),
    ];
    let message = |topic: &str, more: &[u8]| {
        let message = Publish {
            topic: topic.to_owned(),
            qos: 1,
            retain: true,
            id: 7,
            properties: [&carried.concat(), more].concat(),
            payload: b"payload".to_vec(),
            ..Publish::default()
        };
        message.write(V5)
    };
    // As it is, and with an alias that ends at the gate.
    for more in [&[][..], &[0x23, 0, 1]] {
        let mut scene = Scene::live(V5);
        scene.client_sends(&message("a", more));
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&message("a", &[]));
    }
    let identifiers = [0x0B, 1, 0x0B, 0xFF, 0xFF, 0xFF, 0x7F, 0x0B, 2];
    let mut scene = Scene::live(V5);
    let delivery = message("a", &identifiers);
    scene.broker_sends(&delivery);
    scene.client_gets(&delivery);
}

/// [MQTT-3.3.4-8] [MQTT-3.3.4-10] [MQTT-4.9.0-3]
#[test]
fn who_may_not_publish_may_say_all_else() {
    let receive_maximum = vec![0x21, 0, 1];
    let connect = Connect {
        properties: receive_maximum.clone(),
        ..Connect::default()
    };
    let mut scene = Scene::new(V5).connected(&connect, &receive_maximum);
    let packet = scene.client_publishes("a", 1, 1);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    let delivery = publish(V5, "down", 1, 1);
    scene.broker_sends(&delivery);
    scene.client_gets(&delivery);
    // Neither of the two is acknowledged in what follows.
    let packet = scene.client_publishes("b", 0, 0);
    let ticket = scene.asks_publish("b");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    let packet = scene.client_subscribes(2, &["down"]);
    let ticket = scene.asks_subscribe(&["down"]);
    scene.allows(ticket);
    scene.broker_gets(&packet);
    let packet = write::unsubscribe(V5, 3, &["a"]);
    scene.client_sends(&packet);
    scene.broker_gets(&packet);
    scene.client_sends(&PINGREQ);
    scene.broker_gets(&PINGREQ);
    for answer in [
        write::suback(V5, 2, &[1]),
        write::unsuback(V5, 3, 1),
        PINGRESP.to_vec(),
        publish(V5, "down", 0, 0),
    ] {
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}

/// [MQTT-3.9.2-2]: the gate has made the packet larger than the broker did.
#[test]
fn a_merged_suback_leaves_out_user_properties_that_do_not_fit() {
    let properties = user_property("key", "value");
    for (size, kept) in [(22, true), (21, false)] {
        let connect = Connect {
            properties: vec![0x27, 0, 0, 0, size],
            ..Connect::default()
        };
        let mut scene = Scene::new(V5).connected(&connect, &[]);
        scene.client_subscribes(1, &["a", "b", "c", "d"]);
        let ticket = scene.asks_subscribe(&["a", "b", "c", "d"]);
        scene.allows(ticket);
        for index in 1..4 {
            scene.denies(ticket.filter(index));
        }
        scene.broker_gets(&crate::scene::subscribe(V5, 1, &["a"]));
        let suback = |properties: &[u8], codes: &[u8]| {
            let body = [&[0, 1], section(V5, properties).as_slice(), codes].concat();
            write::packet(0x90, &body)
        };
        scene.broker_sends(&suback(&properties, &[1]));
        let left = if kept { properties.as_slice() } else { &[] };
        scene.client_gets(&suback(left, &[1, 0x87, 0x87, 0x87]));
    }
}

/// [MQTT-3.10.4-5] [MQTT-3.11.3-1] [3.1.1: MQTT-3.10.4-5]: the broker's word, in its order.
#[test]
fn an_unsuback_passes_with_all_its_codes() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = write::unsubscribe(version, 7, &["a", "never subscribed", "b"]);
        scene.client_sends(&packet);
        scene.broker_gets(&packet);
        let codes: &[u8] = match version {
            Version::V31 | Version::V311 => &[],
            V5 => &[0, 0x00, 0x11, 0x87],
        };
        let answer = write::packet(0xB0, &[&[0, 7], codes].concat());
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}
