//! Message Expiry Interval, and the other thing that a message says about itself: the form of its
//! payload.

use std::time::Duration;

use gatekeeper::{Deadlines, Fate, Rules, Ticket, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::Scene,
    write::{self, Publish},
};

const V5: Version = Version::V5;

fn patient(rules: &mut Rules) {
    rules.deadlines = Deadlines {
        publish: Duration::from_secs(60),
        ..Deadlines::default()
    };
}

/// A message that expires after so many seconds.
fn expiring(qos: u8, seconds: u32) -> Publish {
    let mut properties = write::text_property(0x03, "text/plain");
    properties.push(0x02);
    properties.extend(seconds.to_be_bytes());
    properties.extend([0x26, 0, 1, b'k', 0, 1, b'v']);
    Publish {
        topic: "a".to_owned(),
        qos,
        id: 7,
        properties,
        payload: b"payload".to_vec(),
        ..Publish::default()
    }
}

fn asked(scene: &mut Scene, packet: &Publish) -> Ticket {
    scene.client_sends(&packet.write(V5));
    scene.asks_publish("a")
}

/// [MQTT-3.3.2-6]: whole seconds in the gate are taken away, and nothing else is changed.
#[test]
fn the_time_in_the_gate_is_subtracted() {
    for (waited, left) in [(0, 30), (999, 30), (1000, 29), (1999, 29), (29_999, 1)] {
        for qos in 0..3 {
            let mut scene = Scene::live_with(V5, patient);
            let ticket = asked(&mut scene, &expiring(qos, 30));
            scene.passes(Duration::from_millis(waited));
            scene.allows(ticket);
            scene.broker_gets(&expiring(qos, left).write(V5));
            assert_eq!(scene.fate(ticket), Some(Fate::Forwarded));
        }
    }
}

/// [MQTT-3.3.2-5] [MQTT-4.3.3-13]: it is not delivered; the client has no part in it, so it hears a
/// success, to the end.
#[test]
fn a_message_whose_time_is_up_goes_nowhere() {
    for (seconds, waited) in [(30, 30_000), (1, 1_000), (1, 50_000), (0, 1_000)] {
        for qos in 0..3 {
            let mut scene = Scene::live_with(V5, patient);
            let ticket = asked(&mut scene, &expiring(qos, seconds));
            scene.passes(Duration::from_millis(waited));
            scene.allows(ticket);
            match qos {
                1 => scene.client_gets(&write::ack(PUBACK, 7)),
                2 => {
                    scene.client_gets(&write::ack(PUBREC, 7));
                    scene.client_sends(&write::ack(PUBREL, 7));
                    scene.client_gets(&write::ack(PUBCOMP, 7));
                }
                _ => {}
            }
            assert_eq!(scene.fate(ticket), Some(Fate::Expired));
        }
    }
}

/// An interval of 0 is the broker's affair as long as nobody waited.
#[test]
fn an_interval_of_0_passes_as_it_is() {
    let mut scene = Scene::live_with(V5, patient);
    let ticket = asked(&mut scene, &expiring(1, 0));
    scene.passes(Duration::from_millis(999));
    scene.allows(ticket);
    scene.broker_gets(&expiring(1, 0).write(V5));
}

/// The broker may hold the first copy, and waits for its PUBREL.
#[test]
fn an_expired_message_of_a_former_connection_is_still_released() {
    let mut scene = Scene::resumed_with(V5, patient);
    let packet = Publish {
        dup: true,
        ..expiring(2, 1)
    };
    let ticket = asked(&mut scene, &packet);
    scene.passes(Duration::from_secs(2));
    scene.allows(ticket);
    scene.client_gets(&write::ack(PUBREC, 7));
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.broker_gets(&write::ack(PUBREL, 7));
}

#[test]
fn a_denial_is_a_denial_however_late() {
    let mut scene = Scene::live_with(V5, patient);
    let ticket = asked(&mut scene, &expiring(1, 1));
    scene.passes(Duration::from_secs(2));
    scene.denies(ticket);
    scene.client_gets(&write::ack_code(PUBACK, 7, 0x87));
}

/// The alias is resolved, and the interval stands elsewhere then.
#[test]
fn the_interval_is_found_behind_a_resolved_alias() {
    let mut scene = Scene::live_with(V5, patient);
    let plain = expiring(1, 30);
    let packet = Publish {
        properties: [&[0x23, 0, 1], plain.properties.as_slice()].concat(),
        ..plain
    };
    let ticket = asked(&mut scene, &packet);
    scene.passes(Duration::from_secs(5));
    scene.allows(ticket);
    scene.broker_gets(&expiring(1, 25).write(V5));
}

/// A message with a Payload Format Indicator.
fn said_to_be(indicator: u8, qos: u8, payload: &[u8]) -> Vec<u8> {
    Publish {
        topic: "a".to_owned(),
        qos,
        id: 7,
        properties: vec![0x01, indicator],
        payload: payload.to_vec(),
        ..Publish::default()
    }
    .write(V5)
}

/// [MQTT-3.3.2-4]: 0x99, and nobody is asked. There is no way to say it of QoS 0.
#[test]
fn a_payload_that_is_not_the_utf8_it_is_said_to_be() {
    for (qos, kind) in [(0, None), (1, Some(PUBACK)), (2, Some(PUBREC))] {
        let mut scene = Scene::live(V5);
        scene.client_sends(&said_to_be(1, qos, &[b'a', 0xC3]));
        if let Some(kind) = kind {
            scene.client_gets(&write::ack_code(kind, 7, 0x99));
        }
        assert_eq!(scene.unasked(), ["payload_format"]);
    }
}

/// [MQTT-4.6.0-2]
#[test]
fn its_refusal_takes_its_turn() {
    let mut scene = Scene::live(V5);
    scene.client_publishes("bob/x", 1, 6);
    let ticket = scene.asks_publish("bob/x");
    scene.client_sends(&said_to_be(1, 1, &[0xFF]));
    scene.is_quiet();
    scene.denies(ticket);
    scene.client_gets(&write::ack_code(PUBACK, 6, 0x87));
    scene.client_gets(&write::ack_code(PUBACK, 7, 0x99));
}

#[test]
fn any_other_payload_passes() {
    let lenient = |rules: &mut Rules| rules.check_payload_format = false;
    for (change, packet) in [
        (None, said_to_be(1, 1, "a\0ü".as_bytes())),
        (None, said_to_be(1, 1, &[])),
        (None, said_to_be(0, 1, &[0xFF])),
        (Some(lenient), said_to_be(1, 1, &[0xFF])),
    ] {
        let mut scene = match change {
            Some(change) => Scene::live_with(V5, change),
            None => Scene::live(V5),
        };
        scene.client_sends(&packet);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
    }
}
