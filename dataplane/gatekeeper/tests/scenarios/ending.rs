//! How sessions end, and what the client hears then.

use std::time::Duration;

use gatekeeper::{ConnectAllow, Deny, DenyAction, Verdict, Version};

use crate::{
    packet::PUBACK,
    scene::{ALL, Scene, deny, disconnect},
    write::{self, Connect},
};

/// [MQTT-3.14.4-3]
/// [MQTT-3.14.4-2] [3.1.1: MQTT-3.14.4-1] [3.1.1: MQTT-3.14.4-3]
#[test]
fn a_disconnect_is_passed_on() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_sends(&write::packet(0xE0, &[]));
        scene.broker_gets(&[0xE0, 0]);
        scene.closes("client_disconnect");
    }
}

/// [MQTT-3.14.2-1]
#[test]
fn the_codes_of_a_client_pass_and_those_of_a_server_do_not() {
    for code in 0..=0xFF {
        let mut scene = Scene::live(Version::V5);
        let packet = write::disconnect(Version::V5, code);
        scene.client_sends(&packet);
        if matches!(code, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99) {
            scene.broker_gets(&packet);
            scene.closes("client_disconnect");
        } else {
            scene.closes_with("client_violation", 0x82);
        }
    }
}

/// §3.14.2.2.2
#[test]
fn a_session_expiry_is_not_raised_from_0() {
    let goodbye = [0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9];
    let mut scene = Scene::live(Version::V5);
    scene.client_sends(&goodbye);
    scene.closes_with("client_violation", 0x82);

    let keeps = Connect {
        properties: vec![0x11, 0, 0, 0, 60],
        ..Connect::default()
    };
    let mut scene = Scene::new(Version::V5).connected(&keeps, &[]);
    scene.client_sends(&goodbye);
    scene.broker_gets(&goodbye);
    scene.closes("client_disconnect");
}

/// What was read before the end is still decided about, for a while.
#[test]
fn a_client_that_leaves_has_its_last_messages_decided() {
    for version in ALL {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        scene.client_leaves();
        scene.is_quiet();
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.closes("client_gone");
    }
}

#[test]
fn a_client_that_leaves_is_not_waited_for_longer_than_that() {
    for version in ALL {
        let mut scene = Scene::live_with(version, |rules| {
            rules.deadlines.linger = Duration::from_millis(300);
        });
        scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        scene.client_leaves();
        scene.passes(Duration::from_millis(299));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.cancels(ticket);
        scene.closes("client_gone");
    }
}

/// [MQTT-3.1.2-8]: without a DISCONNECT, so that the broker publishes the will.
/// [3.1.1: MQTT-3.1.2-8]
#[test]
fn an_idle_client_that_leaves_is_gone_at_once() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_leaves();
        scene.closes("client_gone");
    }
}

#[test]
fn a_disconnect_in_the_line_outlives_the_connection_it_came_on() {
    for version in ALL {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        let goodbye = write::disconnect(version, 0);
        scene.client_sends(&goodbye);
        scene.client_leaves();
        scene.drain_begins();
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_gets(&goodbye);
        scene.closes("client_disconnect");
    }
}

#[test]
fn a_drain_ends_idle_sessions_at_once_and_the_others_soon() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.drain_begins();
        scene.closes_with("drain", 0x8B);

        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.drain_begins();
        assert!(!scene.reads_client());
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.closes_with("drain", 0x8B);

        let mut scene = Scene::live_with(version, |rules| {
            rules.deadlines.linger = Duration::from_millis(300);
        });
        scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.drain_begins();
        scene.passes(Duration::from_millis(300));
        scene.cancels(ticket);
        scene.closes_with("drain", 0x8B);
    }
}

#[test]
fn a_session_ends_when_the_service_says_so() {
    for version in ALL {
        let mut scene = Scene::new(version);
        let connect = Connect::default().write(version);
        scene.client_sends(&connect);
        let ticket = scene.asks_connect();
        let expires_at = Some(scene.now() + Duration::from_secs(60));
        scene.allows_connect(
            ticket,
            ConnectAllow {
                expires_at,
                ..ConnectAllow::default()
            },
        );
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
        scene.broker_sends(&write::connack(version, false, 0, &[]));
        scene.client_gets_connack(0);
        scene.passes(Duration::from_millis(59_999));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.closes_with("expired", 0xA0);
    }
}

#[test]
fn a_broker_that_goes_takes_the_client_with_it() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.broker_leaves();
        scene.cancels(ticket);
        scene.closes("broker_gone");
    }
}

/// [MQTT-3.14.4-1]; on MQTT 3.1.1 no server has a DISCONNECT.
/// [MQTT-3.1.4-3] [MQTT-4.13.2-1]
#[test]
fn the_brokers_disconnect_is_passed_on() {
    let packet = [0xE0, 2, 0x8E, 0];
    let mut scene = Scene::live(Version::V5);
    scene.broker_sends(&packet);
    scene.client_gets(&packet);
    scene.closes("broker_disconnect");

    let mut scene = Scene::live(Version::V311);
    scene.broker_sends(&[0xE0, 0]);
    scene.closes("broker_violation");
}

#[test]
fn a_client_that_takes_nothing_is_ended() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_stalls();
        scene.closes_with("client_stalled", 0x97);
    }
}

/// As one that answers no PINGREQ: the client is told, where there is a word for it.
#[test]
fn a_broker_that_takes_nothing_is_left() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.broker_stalls();
        scene.closes_with("broker_unresponsive", 0x80);

        let mut scene = Scene::new(version).greeted(&Connect::default());
        scene.broker_stalls();
        let unavailable = if version == Version::V5 { 0x88 } else { 3 };
        scene.client_gets_connack(unavailable);
        scene.closes("broker_unresponsive");
    }
}

/// [MQTT-3.2.0-2]
#[test]
fn what_no_broker_sends_ends_the_session() {
    for version in ALL {
        for packet in [
            write::connack(version, false, 0, &[]),
            write::packet(0xF0, &[]),
            write::packet(0xC0, &[]),
            write::ack_code(PUBACK, 0, 0),
        ] {
            let mut scene = Scene::live(version);
            scene.broker_sends(&packet);
            scene.closes_with("broker_violation", 0x80);
        }
    }
}

#[test]
fn nothing_is_done_after_the_end() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.broker_leaves();
        scene.cancels(ticket);
        scene.closes("broker_gone");
        scene.allows(ticket);
        scene.client_leaves();
        scene.broker_leaves();
        scene.drain_begins();
        scene.client_stalls();
        scene.broker_is_reached();
        scene.client_publishes("a", 1, 2);
        scene.passes(Duration::from_secs(3600));
        assert!(!scene.reads_client());
        scene.is_quiet();
    }
}

#[test]
fn the_code_of_a_violation_is_told_where_there_is_a_word_for_it() {
    let mut scene = Scene::live(Version::V5);
    scene.client_sends(&Connect::default().write(Version::V5));
    scene.client_gets(&disconnect(0x82));
    scene.closes("client_violation");
}

/// [3.1.1: MQTT-3.14.1-1] [MQTT-3.14.1-1]: no flags, and no body where there is none.
#[test]
fn a_malformed_disconnect() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_sends(&[0xE1, 0]);
        scene.closes_with("client_violation", 0x81);
    }
    for version in [Version::V31, Version::V311] {
        let mut scene = Scene::live(version);
        scene.client_sends(&[0xE0, 1, 0]);
        scene.closes("client_violation");
    }
}

/// [MQTT-3.14.4-1]: nothing follows a DISCONNECT.
#[test]
fn what_follows_a_disconnect_is_not_looked_at() {
    for version in ALL {
        for rest in [&[0x30, 3, 0, 1, b'a'][..], &[0x00], &[0xE0, 0], &[0xC0, 0]] {
            let mut scene = Scene::live(version);
            let packet = scene.client_publishes("a", 0, 0);
            let ticket = scene.asks_publish("a");
            let goodbye = write::disconnect(version, 0);
            scene.client_sends(&[goodbye.as_slice(), rest].concat());
            assert!(!scene.reads_client());
            scene.allows(ticket);
            scene.broker_gets(&packet);
            scene.broker_gets(&goodbye);
            scene.closes("client_disconnect");
        }
    }
}

/// §4.11, table 3-10: the broker's private name stays behind, and a code that stands only in table
/// 2-6 is put right.
#[test]
fn the_brokers_disconnect_is_passed_on_without_its_reference() {
    let reason = write::text_property(0x1F, "because");
    let reference = write::text_property(0x1C, "node-7.internal");
    let packet = |code: u8, properties: &[u8]| {
        let section = write::section(Version::V5, properties);
        write::packet(0xE0, &[&[code], section.as_slice()].concat())
    };
    let both = [reference, reason.clone()].concat();
    for (pass, properties) in [(false, &reason), (true, &both)] {
        let mut scene = Scene::live_with(Version::V5, |rules| rules.pass_server_reference = pass);
        scene.broker_sends(&packet(0x9C, &both));
        scene.client_gets(&packet(0x9C, properties));
        scene.closes("broker_disconnect");
    }
    let mut scene = Scene::live(Version::V5);
    scene.broker_sends(&packet(0x8C, &reason));
    scene.client_gets(&packet(0x87, &reason));
    scene.closes("broker_disconnect");
}

/// [MQTT-3.14.2-2]: it is for a client to say.
#[test]
fn a_broker_does_not_speak_of_session_expiry() {
    let mut scene = Scene::live(Version::V5);
    scene.broker_sends(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9]);
    scene.closes_with("broker_violation", 0x80);
}

/// [MQTT-3.14.2-3]
#[test]
fn an_explanation_gives_way_to_the_clients_size() {
    let connect = Connect {
        properties: vec![0x27, 0, 0, 0, 24],
        ..Connect::default()
    };
    for (reason, reference, told) in [
        ("0123456789", None, vec![0x1F]),
        ("01234567890123456789", None, vec![]),
        ("01234567890123456789", Some("b"), vec![0x1C]),
        ("x", Some("01234567890123456789"), vec![]),
    ] {
        let mut scene = Scene::new(Version::V5).connected(&connect, &[]);
        scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        scene.answers(
            ticket,
            Verdict::Deny(Deny {
                reason_string: Some(reason.into()),
                server_reference: reference.map(Into::into),
                action: DenyAction::Disconnect,
                ..deny(0x9C)
            }),
        );
        scene.client_gets_disconnect(0x9C, &told);
        scene.closes("publish_denied");
    }
}
