//! The service ends a session: in any phase, at once, and in words that the client's version has.

use std::time::Duration;

use gatekeeper::{Fate, Version};

use crate::{
    scene::{ALL, BOTH, Scene, disconnect, publish},
    write::{self, Connect, text_property},
};

/// Code that the service wants, and what it becomes in DISCONNECT, CONNACK, and CONNACK of 3.x.
const CODES: [(u8, u8, u8, u8); 8] = [
    (0x98, 0x98, 0x87, 5),
    (0x87, 0x87, 0x87, 5),
    (0x97, 0x97, 0x97, 3),
    (0x9C, 0x9C, 0x9C, 3),
    // A server may not say these in a DISCONNECT.
    (0x8A, 0x98, 0x8A, 5),
    (0x86, 0x98, 0x86, 4),
    (0x88, 0x98, 0x88, 3),
    // All is well, it would say.
    (0x00, 0x98, 0x87, 5),
];

/// [MQTT-3.14.2-1]; MQTT 3.x has no DISCONNECT of a server.
#[test]
fn a_live_session_hears_a_code_that_a_server_may_say() {
    for version in ALL {
        for (code, told, ..) in CODES {
            let mut scene = Scene::live(version);
            scene.service_terminates(code, None);
            scene.closes_with("revoked", told);
        }
    }
}

/// [MQTT-3.2.0-1] [MQTT-3.14.0-1]
#[test]
fn before_its_connack_a_client_hears_a_connack() {
    for version in ALL {
        for (code, _, connack, v3) in CODES {
            let told = if version == Version::V5 { connack } else { v3 };
            let end = |scene: &mut Scene| {
                scene.client_gets_connack(told);
                scene.closes("revoked");
            };
            let connect = Connect::default();

            let mut scene = Scene::new(version);
            scene.client_sends(&connect.write(version));
            let ticket = scene.asks_connect();
            scene.service_terminates(code, None);
            scene.cancels(ticket);
            end(&mut scene);
            assert_eq!(scene.fate(ticket), Some(Fate::Closed));
            // Whatever comes now: it comes to nothing.
            scene.allows(ticket);

            let mut scene = Scene::new(version);
            scene.client_sends(&connect.write(version));
            let ticket = scene.asks_connect();
            scene.allows(ticket);
            scene.dials();
            scene.service_terminates(code, None);
            end(&mut scene);

            let mut scene = Scene::new(version).greeted(&connect);
            scene.service_terminates(code, None);
            end(&mut scene);
        }
    }
}

/// There is no form in which to answer.
#[test]
fn before_its_connect_a_client_hears_nothing() {
    let mut scene = Scene::new(Version::V5);
    scene.service_terminates(0x98, Some("no"));
    scene.closes("revoked");
}

/// [MQTT-3.1.2-29] [MQTT-3.14.2-3]
#[test]
fn the_reason_is_told_to_those_who_want_it_and_have_room() {
    const REQUEST_PROBLEM_INFORMATION: [u8; 2] = [0x17, 0];
    const MAXIMUM_PACKET_SIZE: [u8; 5] = [0x27, 0, 0, 0, 45];

    let v5 = Version::V5;
    let client = |properties: &[u8]| Connect {
        properties: properties.to_vec(),
        ..Connect::default()
    };
    let long = "r".repeat(60);
    for (properties, reason, is_told) in [
        (&[][..], "no", true),
        (&REQUEST_PROBLEM_INFORMATION, "no", false),
        (&MAXIMUM_PACKET_SIZE, "no", true),
        (&MAXIMUM_PACKET_SIZE, &long, false),
    ] {
        let property = text_property(0x1F, reason);
        let mut scene = Scene::new(v5).connected(&client(properties), &[]);
        scene.service_terminates(0x98, Some(reason));
        let expected = match is_told {
            true => write::packet(0xE0, &[&[0x98], &*write::section(v5, &property)].concat()),
            false => disconnect(0x98).to_vec(),
        };
        scene.client_gets(&expected);
        scene.closes("revoked");

        let mut scene = Scene::new(v5).greeted(&client(properties));
        scene.service_terminates(0x8A, Some(reason));
        let explanation = if is_told { &property[..] } else { &[] };
        scene.client_gets(&write::connack(v5, false, 0x8A, explanation));
        scene.closes("revoked");
    }
}

#[test]
fn nothing_of_what_waits_is_released() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 1, 1);
        let first = scene.asks_publish("a");
        scene.client_publishes("b", 1, 2);
        let second = scene.asks_publish("b");
        scene.client_subscribes(3, &["c"]);
        let third = scene.asks_subscribe(&["c"]);
        // Decided, and not its turn.
        scene.allows(second);
        scene.service_terminates(0x98, None);
        scene.cancels(first);
        scene.cancels(third);
        scene.closes_with("revoked", 0x98);
        for ticket in [first, second, third] {
            assert_eq!(scene.fate(ticket), Some(Fate::Closed));
        }
        scene.allows(first);
        scene.allows(third);
    }
}

/// A client that leaves by itself has time for what it said; one that is thrown out has none.
#[test]
fn it_ends_a_session_that_is_leaving() {
    for version in BOTH {
        let leave: [fn(&mut Scene); 3] = [
            |scene| scene.client_sends(&[0xE0, 0]),
            Scene::client_leaves,
            Scene::drain_begins,
        ];
        for leaves in leave {
            let mut scene = Scene::live(version);
            scene.client_publishes("a", 0, 0);
            let ticket = scene.asks_publish("a");
            leaves(&mut scene);
            scene.service_terminates(0x98, None);
            scene.cancels(ticket);
            scene.closes_with("revoked", 0x98);
        }
    }
}

#[test]
fn it_comes_to_nothing_after_the_end() {
    let mut scene = Scene::live(Version::V5);
    scene.broker_leaves();
    scene.closes("broker_gone");
    scene.service_terminates(0x98, None);
    scene.service_wants_a_recheck();
    scene.permit_comes();
    scene.passes(Duration::from_secs(100));
    scene.is_quiet();
}

/// [MQTT-3.1.2-8], unless the operator wants no will after it [MQTT-3.14.4-3].
#[test]
fn the_will_is_published_or_not_as_the_operator_wants() {
    let connect = Connect {
        will: Some(("w".to_owned(), 0, false)),
        ..Connect::default()
    };
    for version in ALL {
        for suppresses in [false, true] {
            let rules = |rules: &mut gatekeeper::Rules| {
                rules
                    .suppress_will_on
                    .extend(suppresses.then_some("revoked"));
            };
            let goodbye: &[u8] = match version {
                Version::V5 => &[0xE0, 2, 0, 0],
                _ => &[0xE0, 0],
            };
            let mut scene = Scene::with(version, rules).connected(&connect, &[]);
            scene.service_terminates(0x98, None);
            if suppresses {
                scene.broker_gets(goodbye);
            }
            scene.closes_with("revoked", 0x98);

            let mut scene = Scene::with(version, rules).greeted(&connect);
            scene.service_terminates(0x87, None);
            if suppresses {
                scene.broker_gets(goodbye);
            }
            scene.client_gets_connack(if version == Version::V5 { 0x87 } else { 5 });
            scene.closes("revoked");
        }
    }
}

/// One of many waits for its turn to hear of it, and is out of the game meanwhile.
#[test]
fn one_of_many_is_silenced_at_once_and_ended_in_its_turn() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.withholds_permits();
        scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.service_terminates_in_turn(0x87);
        scene.cancels(ticket);
        scene.wants_to_close("revoked");
        assert_eq!(scene.fate(ticket), Some(Fate::Closed));
        scene.allows(ticket);
        scene.client_publishes("b", 0, 0);
        scene.broker_sends(&publish(version, "c", 0, 0));
        scene.service_terminates_in_turn(0x87);
        scene.passes(Duration::from_secs(30));
        scene.is_quiet();
        scene.permit_comes();
        scene.closes_with("revoked", 0x87);
    }
}

/// Before its CONNACK a session is none yet: it is refused at once.
#[test]
fn one_of_many_that_is_only_beginning_needs_no_turn() {
    for version in ALL {
        let mut scene = Scene::new(version);
        scene.withholds_permits();
        scene.client_sends(&Connect::default().write(version));
        let ticket = scene.asks_connect();
        scene.service_terminates_in_turn(0x87);
        scene.cancels(ticket);
        scene.client_gets_connack(if version == Version::V5 { 0x87 } else { 5 });
        scene.closes("revoked");
    }
}
