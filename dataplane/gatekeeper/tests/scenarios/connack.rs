//! The broker's CONNACK, and brokers that have none.

use std::time::Duration;

use gatekeeper::Version;

use crate::{
    packet::{self, Packet},
    scene::{ALL, SPARE_CLIENT_ID, Scene},
    write::{self, Connect, text_property},
};

const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;

/// A session that waits for its broker's answer.
fn greeted(version: Version, connect: &Connect) -> Scene {
    let mut scene = dialling(version, connect);
    scene.broker_is_reached();
    let id = match connect.client_id.as_str() {
        "" => SPARE_CLIENT_ID,
        id => id,
    };
    let sent = Connect {
        client_id: id.to_owned(),
        ..connect.clone()
    };
    scene.broker_gets(&sent.write(version));
    scene
}

fn dialling(version: Version, connect: &Connect) -> Scene {
    let mut scene = Scene::new(version);
    scene.client_sends(&connect.write(version));
    let ticket = scene.asks_connect();
    scene.allows(ticket);
    scene.dials();
    scene
}

/// The properties that the client gets for those of the broker.
fn properties(connect: &Connect, broker: &[u8]) -> packet::Properties {
    let mut scene = greeted(Version::V5, connect);
    scene.broker_sends(&write::connack(Version::V5, false, 0, broker));
    let connack = scene.client_gets_connack(0);
    match packet::read(Version::V5, &connack) {
        Some(Packet::Connack { properties, .. }) => properties,
        other => panic!("{other:?}"),
    }
}

/// The code of a failure.
fn unavailable(version: Version) -> Vec<u8> {
    let code = if version == Version::V5 { 0x88 } else { 3 };
    write::connack(version, false, code, &[])
}

/// [MQTT-3.2.2-1]
#[test]
fn on_v311_it_passes_byte_by_byte() {
    for present in [false, true] {
        let connack = write::connack(Version::V311, present, 0, &[]);
        let mut scene = greeted(Version::V311, &Connect::default());
        scene.broker_sends(&connack);
        scene.client_gets(&connack);
    }
}

/// [MQTT-3.2.2-15] [MQTT-3.2.2-17]: the gate says what the gate terminates, in the place of the
/// broker's word.
#[test]
fn on_v5_the_gate_puts_its_own_limits_in() {
    let user = [0x26, 0, 1, b'k', 0, 1, b'v'];
    let broker = [
        &[0x21, 0, 9, TOPIC_ALIAS_MAXIMUM, 0, 7][..],
        &user,
        &[MAXIMUM_PACKET_SIZE, 0, 0, 0, 100, 0x2A, 0],
    ]
    .concat();
    let expected = [
        (0x21, vec![0, 9]),
        (TOPIC_ALIAS_MAXIMUM, vec![0, 32]),
        (0x26, vec![0, 1, b'k', 0, 1, b'v']),
        (MAXIMUM_PACKET_SIZE, vec![0, 0, 0, 100]),
        (0x2A, vec![0]),
    ];
    assert_eq!(properties(&Connect::default(), &broker), expected);
}

#[test]
fn the_smaller_packet_size_holds() {
    let found = |broker: &[u8]| {
        let properties = properties(&Connect::default(), broker);
        let size = packet::property(&properties, MAXIMUM_PACKET_SIZE).unwrap();
        u32::from_be_bytes(size.try_into().unwrap())
    };
    let own = 1024 * 1024;
    assert_eq!(found(&[]), own);
    assert_eq!(found(&[MAXIMUM_PACKET_SIZE, 0, 0, 1, 0]), 256);
    assert_eq!(found(&[MAXIMUM_PACKET_SIZE, 1, 0, 0, 0]), own);
}

/// [MQTT-3.2.2-16]
#[test]
fn a_name_that_the_gate_gave_is_told() {
    const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;

    let nameless = Connect {
        client_id: String::new(),
        ..Connect::default()
    };
    let named = properties(&nameless, &[]);
    let id = packet::property(&named, ASSIGNED_CLIENT_IDENTIFIER);
    assert_eq!(id, Some(write::text(SPARE_CLIENT_ID).as_slice()));
    let named = properties(&Connect::default(), &[]);
    assert_eq!(packet::property(&named, ASSIGNED_CLIENT_IDENTIFIER), None);
}

/// [MQTT-3.2.2-7]
#[test]
fn a_refusal_of_the_broker_passes_and_ends_the_session() {
    for code in 1..=5 {
        let connack = write::connack(Version::V311, false, code, &[]);
        let mut scene = greeted(Version::V311, &Connect::default());
        scene.broker_sends(&connack);
        scene.client_gets(&connack);
        scene.closes("broker_refused");
    }
    let reason = text_property(0x1F, "because");
    let connack = write::connack(Version::V5, false, 0x9F, &reason);
    let mut scene = greeted(Version::V5, &Connect::default());
    scene.broker_sends(&connack);
    scene.client_gets(&connack);
    scene.closes("broker_refused");
}

/// Of a broker that does not speak MQTT 5.0.
#[test]
fn a_refusal_in_the_older_form_is_translated() {
    for (old, new) in [(1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87)] {
        let mut scene = greeted(Version::V5, &Connect::default());
        scene.broker_sends(&[0x20, 2, 0, old]);
        scene.client_gets(&write::connack(Version::V5, false, new, &[]));
        scene.closes("broker_refused");
    }
}

/// [MQTT-3.2.0-1] [MQTT-3.2.2-6] [MQTT-3.2.2-8]
#[test]
fn what_is_no_answer_to_a_connect_is_the_brokers_fault() {
    for version in ALL {
        for answer in [
            crate::scene::publish(version, "a", 0, 0),
            write::PINGRESP.to_vec(),
            write::connack(
                version,
                true,
                if version == Version::V5 { 0x87 } else { 5 },
                &[],
            ),
            write::connack(version, false, 0x42, &[]),
            write::packet(0x20, &[2, 0]),
            write::packet(0x21, &[0, 0]),
            write::packet(0xC0, &[]),
        ] {
            let mut scene = greeted(version, &Connect::default());
            scene.broker_sends(&answer);
            scene.client_gets(&unavailable(version));
            scene.closes("broker_violation");
        }
    }
    // A success without properties cannot be trusted.
    let mut scene = greeted(Version::V5, &Connect::default());
    scene.broker_sends(&[0x20, 2, 0, 0]);
    scene.client_gets(&unavailable(Version::V5));
    scene.closes("broker_violation");
}

#[test]
fn a_broker_that_is_not_there() {
    for version in ALL {
        let mut scene = dialling(version, &Connect::default());
        scene.broker_is_not_reached();
        scene.client_gets(&unavailable(version));
        scene.closes("broker_unreachable");

        let mut scene = greeted(version, &Connect::default());
        scene.broker_leaves();
        scene.client_gets(&unavailable(version));
        scene.closes("broker_gone");
    }
}

/// From dialling to the CONNACK.
#[test]
fn a_broker_that_takes_too_long() {
    for version in ALL {
        let mut scene = dialling(version, &Connect::default());
        scene.passes(Duration::from_secs(10));
        scene.client_gets(&unavailable(version));
        scene.closes("broker_timeout");

        let mut scene = dialling(version, &Connect::default());
        scene.passes(Duration::from_secs(6));
        scene.broker_is_reached();
        scene.broker_gets(&Connect::default().write(version));
        scene.passes(Duration::from_millis(3_999));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.client_gets(&unavailable(version));
        scene.closes("broker_timeout");
    }
}

#[test]
fn the_client_is_not_read_before_its_answer() {
    for version in ALL {
        let mut scene = greeted(version, &Connect::default());
        assert!(!scene.reads_client());
        scene.client_publishes("a", 0, 0);
        scene.is_quiet();
        scene.client_leaves();
        scene.closes("client_gone");
    }
}
