//! CONNECT: asked about, and its will, before the broker is even dialled; refused in words that the
//! client has.

use std::time::Duration;

use gatekeeper::{ConnectAllow, Deny, ReasonCode, Verdict, Version, Why};

use crate::{
    scene::{ALL, BOTH, SPARE_CLIENT_ID, Scene, deny},
    write::{self, Connect, PINGREQ},
};

/// The code of the version.
fn pick(version: Version, v311: u8, v5: u8) -> u8 {
    match version {
        Version::V31 | Version::V311 => v311,
        Version::V5 => v5,
    }
}

fn with_will() -> Connect {
    Connect {
        will: Some(("alice/gone".to_owned(), 1, true)),
        ..Connect::default()
    }
}

/// [MQTT-3.1.4-4]: parse, ask, dial, CONNECT, CONNACK.
/// [MQTT-3.1.4-5] [3.1.1: MQTT-3.1.4-3] [3.1.1: MQTT-3.1.4-4]
#[test]
fn allowed_reaches_the_broker_byte_by_byte() {
    for version in ALL {
        let mut scene = Scene::new(version);
        let connect = Connect {
            username: Some(String::new()),
            password: Some("secret".to_owned()),
            keep_alive: 60,
            ..Connect::default()
        };
        scene.client_sends(&connect.write(version));
        let ticket = scene.asks_about_connect(|question| {
            assert_eq!(question.client_id, "c");
            assert!(!question.client_id_assigned);
            // There, and empty.
            assert_eq!(question.username.as_deref(), Some(""));
            let password = question.password.as_ref().map(|word| &**word.expose());
            assert_eq!(password, Some(&b"secret"[..]));
            assert_eq!(question.keep_alive, 60);
            assert!(question.clean_start && question.will.is_none());
        });
        scene.allows(ticket);
        scene.dials();
        scene.is_quiet();
        scene.broker_is_reached();
        scene.broker_gets(&connect.write(version));
        scene.broker_sends(&write::connack(version, false, 0, &[]));
        scene.client_gets_connack(0);
        assert!(scene.reads_client());
    }
}

/// [MQTT-3.1.3-8] [MQTT-3.1.4-2] [3.1.1: MQTT-3.1.3-9]
#[test]
fn denied_is_told_and_the_broker_hears_nothing() {
    for version in ALL {
        for (code, v311, v5) in [
            (None, 5, 0x87),
            (Some(0x80), 5, 0x80),
            (Some(0x81), 5, 0x81),
            (Some(0x85), 2, 0x85),
            (Some(0x86), 4, 0x86),
            (Some(0x87), 5, 0x87),
            (Some(0x88), 3, 0x88),
            (Some(0x89), 3, 0x89),
            (Some(0x8A), 5, 0x8A),
            (Some(0x8B), 3, 0x88),
            (Some(0x97), 3, 0x97),
            (Some(0x98), 5, 0x87),
            (Some(0x9C), 3, 0x9C),
            (Some(0x9F), 3, 0x9F),
            (Some(0xA0), 5, 0x87),
            (Some(0x00), 5, 0x87),
        ] {
            let mut scene = Scene::new(version);
            scene.client_sends(&Connect::default().write(version));
            let ticket = scene.asks_connect();
            scene.answers(
                ticket,
                Verdict::Deny(Deny {
                    code: code.map(ReasonCode::new),
                    ..Deny::default()
                }),
            );
            let code = pick(version, v311, v5);
            scene.client_gets(&write::connack(version, false, code, &[]));
            scene.closes("connect_denied");
        }
    }
}

/// §4.11
#[test]
fn a_client_may_be_sent_elsewhere() {
    let mut scene = Scene::new(Version::V5);
    scene.client_sends(&Connect::default().write(Version::V5));
    let ticket = scene.asks_connect();
    scene.answers(
        ticket,
        Verdict::Deny(Deny {
            server_reference: Some("other".into()),
            ..deny(0x9D)
        }),
    );
    let reference = write::text_property(0x1C, "other");
    scene.client_gets(&write::connack(Version::V5, false, 0x9D, &reference));
    scene.closes("connect_denied");
}

/// A failure is never heard as a denial.
#[test]
fn a_failure_says_come_back_later() {
    for version in ALL {
        for (why, v311, v5) in [
            (Why::Unavailable, 3, 0x88),
            (Why::Timeout, 3, 0x88),
            (Why::GrpcStatus, 3, 0x88),
            (Why::ServiceFailure, 3, 0x88),
            (Why::SessionStateInvalid, 3, 0x88),
            (Why::MissingResult, 3, 0x88),
            (Why::InvalidResult, 3, 0x88),
            (Why::InvalidMutation, 3, 0x88),
            (Why::ShuttingDown, 3, 0x88),
            (Why::Overloaded, 3, 0x89),
            (Why::QueueFull, 3, 0x89),
            (Why::ExpiredInQueue, 3, 0x89),
            (Why::Throttled, 3, 0x89),
            // The same CONNECT would fail for ever.
            (Why::InvalidCheck, 5, 0x87),
            (Why::TooLarge, 5, 0x87),
        ] {
            for connect in [Connect::default(), with_will()] {
                let mut scene = Scene::new(version);
                scene.client_sends(&connect.write(version));
                let mut ticket = scene.asks_connect();
                let mut reason = "connect_undecided";
                if connect.will.is_some() {
                    scene.allows(ticket);
                    ticket = scene.asks_will("alice/gone");
                    reason = "will_undecided";
                }
                scene.fails(ticket, why);
                let code = pick(version, v311, v5);
                scene.client_gets(&write::connack(version, false, code, &[]));
                scene.closes(reason);
            }
        }
    }
}

#[test]
fn no_verdict_in_time_is_a_failure() {
    for version in ALL {
        let mut scene = Scene::new(version);
        scene.client_sends(&Connect::default().write(version));
        let ticket = scene.asks_connect();
        scene.passes(Duration::from_millis(4_999));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.cancels(ticket);
        let code = pick(version, 3, 0x88);
        scene.client_gets(&write::connack(version, false, code, &[]));
        scene.closes("connect_undecided");
        scene.allows(ticket);
        scene.is_quiet();
    }
}

/// [MQTT-3.1.2-8]: a will is a PUBLISH that is made at CONNECT.
#[test]
fn a_will_is_asked_about_once_the_connect_is_allowed() {
    for version in ALL {
        let mut scene = Scene::new(version);
        let connect = with_will().write(version);
        scene.client_sends(&connect);
        let ticket = scene.asks_about_connect(|question| {
            let will = question.will.as_ref().expect("it has one");
            assert_eq!(will.topic, "alice/gone");
            assert!(will.retain && !will.dup);
        });
        scene.allows(ticket);
        let will = scene.asks_will("alice/gone");
        scene.is_quiet();
        scene.allows(will);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
    }
}

#[test]
fn a_denied_will_refuses_the_connect() {
    for version in ALL {
        for (code, v311, v5) in [(0x87, 5, 0x87), (0x90, 5, 0x90), (0x99, 5, 0x99)] {
            let mut scene = Scene::new(version);
            scene.client_sends(&with_will().write(version));
            let ticket = scene.asks_connect();
            scene.allows(ticket);
            let will = scene.asks_will("alice/gone");
            scene.denies_with(will, code);
            let code = pick(version, v311, v5);
            scene.client_gets(&write::connack(version, false, code, &[]));
            scene.closes("will_denied");
        }
    }
}

#[test]
fn a_will_has_a_deadline_of_its_own() {
    for version in ALL {
        let mut scene = Scene::new(version);
        scene.client_sends(&with_will().write(version));
        let ticket = scene.asks_connect();
        scene.passes(Duration::from_secs(4));
        scene.allows(ticket);
        let will = scene.asks_will("alice/gone");
        scene.passes(Duration::from_millis(4_999));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.cancels(will);
        scene.client_gets_connack(pick(version, 3, 0x88));
        scene.closes("will_undecided");
    }
}

/// Nothing but the identifier changes.
/// [MQTT-3.1.3-1] [3.1.1: MQTT-3.1.3-1]
#[test]
fn the_client_identifier_is_replaced_and_nothing_else() {
    for version in ALL {
        let original = Connect {
            username: Some("alice".to_owned()),
            password: Some("secret".to_owned()),
            keep_alive: 60,
            properties: vec![0x11, 0, 0, 0, 60, 0x26, 0, 1, b'k', 0, 1, b'v', 0x21, 0, 9],
            ..with_will()
        };
        let mut scene = Scene::new(version);
        scene.client_sends(&original.write(version));
        let ticket = scene.asks_connect();
        let allow = ConnectAllow {
            broker_client_id: Some("alice/c".into()),
            ..ConnectAllow::default()
        };
        scene.allows_connect(ticket, allow);
        let will = scene.asks_will("alice/gone");
        scene.allows(will);
        scene.dials_as("alice/c");
        scene.broker_is_reached();
        let replaced = Connect {
            client_id: "alice/c".to_owned(),
            ..original
        };
        scene.broker_gets(&replaced.write(version));
    }
}

/// [MQTT-1.5.4-2]: what the service asks for is looked at before anybody is dialled.
#[test]
fn a_client_identifier_that_is_none_is_a_failure() {
    for version in ALL {
        for id in ["x".repeat(65_536), "a\0b".to_owned()] {
            let mut scene = Scene::new(version);
            scene.client_sends(&Connect::default().write(version));
            let ticket = scene.asks_connect();
            let allow = ConnectAllow {
                broker_client_id: Some(id.into()),
                ..ConnectAllow::default()
            };
            scene.allows_connect(ticket, allow);
            scene.client_gets_connack(pick(version, 3, 0x88));
            scene.closes("connect_undecided");
        }
    }
}

/// [MQTT-3.1.3-6]
/// [3.1.1: MQTT-3.1.3-6]
#[test]
fn a_nameless_client_gets_a_name() {
    for version in BOTH {
        let nameless = Connect {
            client_id: String::new(),
            ..Connect::default()
        };
        let mut scene = Scene::new(version);
        scene.client_sends(&nameless.write(version));
        let ticket = scene.asks_about_connect(|question| {
            assert_eq!(question.client_id, SPARE_CLIENT_ID);
            assert!(question.client_id_assigned);
        });
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        let named = Connect {
            client_id: SPARE_CLIENT_ID.to_owned(),
            ..nameless
        };
        scene.broker_gets(&named.write(version));
    }
}

/// [3.1.1: MQTT-3.1.3-8]: there is no session that it could come back to.
/// [3.1.1: MQTT-3.1.3-7]
#[test]
fn a_nameless_client_with_a_session_to_keep_is_refused_on_v311() {
    let nameless = Connect {
        client_id: String::new(),
        clean: false,
        ..Connect::default()
    };
    let mut scene = Scene::new(Version::V311);
    scene.client_sends(&nameless.write(Version::V311));
    scene.client_gets(&[0x20, 2, 0, 2]);
    scene.closes("client_identifier_rejected");

    let mut scene = Scene::new(Version::V5);
    scene.client_sends(&nameless.write(Version::V5));
    let ticket = scene.asks_connect();
    scene.denies(ticket);
    scene.client_gets_connack(0x87);
    scene.closes("connect_denied");
}

/// [MQTT-4.12.0-1]
#[test]
fn enhanced_authentication_is_refused_unasked() {
    let connect = Connect {
        properties: write::text_property(0x15, "SCRAM-SHA-256"),
        ..Connect::default()
    };
    let mut scene = Scene::new(Version::V5);
    scene.client_sends(&connect.write(Version::V5));
    scene.client_gets(&write::connack(Version::V5, false, 0x8C, &[]));
    scene.closes("bad_authentication_method");
}

/// [MQTT-3.1.2-2], in a form that the client can read.
/// [3.1.1: MQTT-3.1.2-2]
#[test]
fn levels_that_are_not_spoken() {
    for (name, level) in [
        ("MQTT", 0),
        ("MQTT", 3),
        ("MQIsdp", 2),
        ("MQIsdp", 4),
        ("MQIsdp", 0x83),
        ("MQTT", 0x84),
        ("MQTT", 0xFF),
    ] {
        let mut scene = Scene::new(Version::V311);
        scene.client_sends(&of_level(name, level));
        scene.client_gets(&[0x20, 2, 0, 1]);
        scene.closes("unsupported_version");
    }
    for (name, level) in [("MQTT", 6), ("MQTT", 0x7F), ("MQIsdp", 5)] {
        let mut scene = Scene::new(Version::V5);
        scene.client_sends(&of_level(name, level));
        scene.client_gets(&[0x20, 3, 0, 0x84, 0]);
        scene.closes("unsupported_version");
    }
}

/// [MQTT-3.1.2-1]
/// [3.1.1: MQTT-3.1.2-1]
#[test]
fn another_protocol() {
    let mut scene = Scene::new(Version::V311);
    scene.client_sends(&of_level("HTTP", 4));
    scene.closes("not_mqtt");
}

fn of_level(name: &str, level: u8) -> Vec<u8> {
    let body = [write::text(name), vec![level, 2, 0, 0], write::text("c")].concat();
    write::packet(0x10, &body)
}

/// [MQTT-3.1.0-1]
/// [3.1.1: MQTT-3.1.0-1]
#[test]
fn anything_but_a_connect_is_closed_for_without_a_word() {
    for bytes in [
        PINGREQ.to_vec(),
        crate::scene::publish(Version::V311, "a", 0, 0),
        write::disconnect(Version::V5, 0),
    ] {
        let mut scene = Scene::new(Version::V5);
        scene.client_sends(&bytes);
        scene.closes("not_mqtt");
    }
    for bytes in [
        &[0x00][..],
        b"GET / HTTP/1.1\r\n",
        // The beginning of TLS.
        &[0x16, 3, 1],
        &[0x20, 2, 0, 0],
        &[0x1F, 0],
        // Too large, and no CONNECT.
        &[0x30, 0xFF, 0xFF, 0xFF, 0x7F],
        &[0x10, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
        let mut scene = Scene::new(Version::V5);
        scene.client_sends(bytes);
        scene.closes("not_mqtt");
    }
}

/// [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-16] [MQTT-4.13.1-1]
/// [MQTT-3.1.2-13] [MQTT-3.1.2-17] [MQTT-3.1.4-1] [3.1.1: MQTT-3.1.2-3] [3.1.1: MQTT-3.1.2-11]
/// [3.1.1: MQTT-3.1.2-13] [3.1.1: MQTT-3.1.2-14] [3.1.1: MQTT-3.1.2-15] [3.1.1: MQTT-3.1.2-18]
/// [3.1.1: MQTT-3.1.2-19] [3.1.1: MQTT-3.1.4-1] [3.1.1: MQTT-4.8.0-1]
#[test]
fn a_malformed_connect_is_answered_on_v5_only() {
    for version in ALL {
        let good = Connect::default().write(version);
        let flags_at = if version == Version::V31 { 11 } else { 9 };
        let mut all = Vec::new();
        // On MQTT 3.1 the last one counts as not set.
        let announced: &[u8] = if version == Version::V31 {
            &[]
        } else {
            &[0x82]
        };
        for flags in [&[0x03, 0x0A, 0x22, 0x1E], announced].concat() {
            let mut bytes = good.clone();
            bytes[flags_at] = flags;
            all.push(bytes);
        }
        let mut trailing = good.clone();
        trailing[1] += 1;
        trailing.push(0);
        all.push(trailing);
        for bytes in all {
            let mut scene = Scene::new(version);
            scene.client_sends(&bytes);
            if version == Version::V5 {
                scene.client_gets(&write::connack(version, false, 0x81, &[]));
            }
            scene.closes("client_violation");
        }
    }
}

/// [3.1.1: MQTT-3.1.2-22]; legal since MQTT 5.0.
#[test]
fn a_password_without_a_name() {
    let token = Connect {
        password: Some("token".to_owned()),
        ..Connect::default()
    };
    let mut scene = Scene::new(Version::V311);
    scene.client_sends(&token.write(Version::V311));
    scene.closes("client_violation");

    let mut scene = Scene::new(Version::V5);
    scene.client_sends(&token.write(Version::V5));
    let ticket = scene.asks_about_connect(|question| {
        assert!(question.username.is_none() && question.password.is_some());
    });
    scene.denies(ticket);
    scene.client_gets_connack(0x87);
    scene.closes("connect_denied");
}

/// §3.1.2.11.3, §3.1.2.11.4, §3.1.2.11.10, §2.2.2.2
#[test]
fn properties_of_a_connect() {
    for (code, properties) in [
        (0x82, &[0x21, 0, 0][..]),
        (0x82, &[0x27, 0, 0, 0, 0]),
        (0x82, &[0x17, 2]),
        (0x82, &[0x16, 0, 1, b'x']),
        (0x82, &[0x21, 0, 1, 0x21, 0, 1]),
        (0x81, &[0x23, 0, 1]),
        (0x81, &[0x7F]),
    ] {
        let connect = Connect {
            properties: properties.to_vec(),
            ..Connect::default()
        };
        let mut scene = Scene::new(Version::V5);
        scene.client_sends(&connect.write(Version::V5));
        scene.client_gets(&write::connack(Version::V5, false, code, &[]));
        scene.closes("client_violation");
    }
}

#[test]
fn a_will_on_what_is_no_topic_name() {
    for topic in ["", "a/#", "a\0"] {
        for version in ALL {
            let connect = Connect {
                will: Some((topic.to_owned(), 0, false)),
                ..Connect::default()
            };
            let mut scene = Scene::new(version);
            scene.client_sends(&connect.write(version));
            if version == Version::V5 {
                scene.client_gets_connack(0x81);
            }
            scene.closes("client_violation");
        }
    }
}

#[test]
fn no_complete_connect_in_time() {
    let mut scene = Scene::new(Version::V5);
    scene.client_sends(&Connect::default().write(Version::V5)[..10]);
    scene.passes(Duration::from_millis(9_999));
    scene.is_quiet();
    scene.passes(Duration::from_millis(1));
    scene.closes("handshake_timeout");
}

/// Before there is a CONNECT there is no form in which to answer.
#[test]
fn a_connect_larger_than_the_operator_allows() {
    let mut scene = Scene::with(Version::V5, |rules| rules.limits.max_connect_size = 100);
    scene.client_sends(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]);
    scene.closes("client_violation");
}

/// §3.1.4: legal, and nothing is asked about it before the CONNACK.
#[test]
fn packets_behind_the_connect_wait() {
    for version in ALL {
        let mut scene = Scene::new(version);
        let connect = Connect::default().write(version);
        let publish = crate::scene::publish(version, "a", 0, 0);
        let pipelined = [&connect, publish.as_slice(), &PINGREQ].concat();
        scene.client_sends(&pipelined);
        let ticket = scene.asks_connect();
        assert!(!scene.reads_client());
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
        scene.is_quiet();
        scene.broker_sends(&write::connack(version, false, 0, &[]));
        scene.client_gets_connack(0);
        let ticket = scene.asks_publish("a");
        scene.broker_gets(&PINGREQ);
        scene.allows(ticket);
        scene.broker_gets(&publish);
    }
}

/// [MQTT-3.1.4-6]
/// [3.1.1: MQTT-3.1.4-5]
#[test]
fn packets_behind_a_denied_connect_are_not_looked_at() {
    for version in ALL {
        let mut scene = Scene::new(version);
        let connect = Connect::default().write(version);
        let pipelined = [connect, crate::scene::publish(version, "a", 0, 0)].concat();
        scene.client_sends(&pipelined);
        let ticket = scene.asks_connect();
        scene.denies(ticket);
        scene.client_gets_connack(pick(version, 5, 0x87));
        scene.closes("connect_denied");
    }
}

/// Up to a successful CONNACK nothing but a CONNACK [MQTT-3.14.0-1].
#[test]
fn a_violation_behind_the_connect_comes_to_light_after_the_connack() {
    for version in ALL {
        let mut scene = Scene::new(version);
        let connect = Connect::default().write(version);
        scene.client_sends(&[&connect, &[0x36, 0][..]].concat());
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
        scene.broker_sends(&write::connack(version, false, 0, &[]));
        scene.client_gets_connack(0);
        scene.closes_with("client_violation", 0x81);
    }
}

/// [MQTT-3.14.0-1] [MQTT-3.2.0-1]: whatever stands behind a CONNECT that comes to nothing, a CONNACK
/// is all that is said.
#[test]
fn nothing_is_said_about_what_stands_behind_a_connect_that_fails() {
    for version in ALL {
        for rest in [
            &[0x36, 0][..],
            &[0x00, 0xFF],
            &[0xE0, 0],
            &[0xF0, 0],
            &PINGREQ,
            &Connect::default().write(version),
        ] {
            let begun = || {
                let mut scene = Scene::new(version);
                scene.client_sends(&[&Connect::default().write(version), rest].concat());
                let ticket = scene.asks_connect();
                (scene, ticket)
            };
            let (mut scene, ticket) = begun();
            scene.denies(ticket);
            scene.client_gets_connack(pick(version, 5, 0x87));
            scene.closes("connect_denied");

            let (mut scene, ticket) = begun();
            scene.fails(ticket, Why::Unavailable);
            scene.client_gets_connack(pick(version, 3, 0x88));
            scene.closes("connect_undecided");

            let (mut scene, ticket) = begun();
            scene.allows(ticket);
            scene.dials();
            scene.broker_is_reached();
            scene.broker_gets(&Connect::default().write(version));
            scene.broker_sends(&write::connack(version, false, pick(version, 5, 0x87), &[]));
            scene.client_gets_connack(pick(version, 5, 0x87));
            scene.closes("broker_refused");
        }
    }
}

/// [MQTT-3.1.4-5]: it may be gone again before it is answered, and says so.
#[test]
fn a_disconnect_behind_the_connect_has_its_turn() {
    for version in ALL {
        let mut scene = Scene::new(version);
        let connect = Connect::default().write(version);
        let goodbye = write::disconnect(version, 0);
        scene.client_sends(&[connect.clone(), goodbye.clone()].concat());
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
        scene.broker_sends(&write::connack(version, false, 0, &[]));
        scene.client_gets_connack(0);
        scene.broker_gets(&goodbye);
        scene.closes("client_disconnect");
    }
}

/// [MQTT-4.12.0-7]: an AUTH out of turn is found when its turn comes, and before a CONNECT it is no
/// first packet at all.
#[test]
fn an_auth_that_nobody_asked_for() {
    let method = write::text_property(0x15, "SCRAM");
    let auth = |code: u8| {
        let section = write::section(Version::V5, &method);
        write::packet(0xF0, &[&[code], section.as_slice()].concat())
    };
    for version in ALL {
        let mut scene = Scene::new(version);
        scene.client_sends(&auth(0x18));
        scene.closes("not_mqtt");
    }
    for bytes in [auth(0x18), auth(0x19), auth(0x00), vec![0xF0, 0]] {
        let mut scene = Scene::new(Version::V5);
        let connect = Connect::default().write(Version::V5);
        scene.client_sends(&[connect.clone(), bytes].concat());
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
        scene.broker_sends(&write::connack(Version::V5, false, 0, &[]));
        scene.client_gets_connack(0);
        scene.closes_with("client_violation", 0x82);
    }
    for version in [Version::V31, Version::V311] {
        let mut scene = Scene::live(version);
        scene.client_sends(&auth(0x18));
        scene.closes("client_violation");
    }
    let mut scene = Scene::live(Version::V5);
    scene.client_sends(&[0xF1, 0]);
    scene.closes_with("client_violation", 0x81);
}

#[test]
fn a_client_that_leaves_while_it_is_decided_about_is_forgotten() {
    for version in ALL {
        let mut scene = Scene::new(version);
        scene.client_sends(&with_will().write(version));
        let ticket = scene.asks_connect();
        scene.client_leaves();
        scene.cancels(ticket);
        scene.closes("client_gone");
        scene.allows(ticket);

        let mut scene = Scene::new(version);
        scene.client_sends(&with_will().write(version));
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        let will = scene.asks_will("alice/gone");
        scene.client_leaves();
        scene.cancels(will);
        scene.closes("client_gone");

        let mut scene = Scene::new(version);
        scene.client_sends(&Connect::default().write(version));
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        scene.dials();
        scene.client_leaves();
        scene.closes("client_gone");
    }
}

#[test]
fn a_drain_turns_new_clients_away() {
    let mut scene = Scene::new(Version::V5);
    scene.drain_begins();
    scene.closes("drain");
    for version in ALL {
        let mut scene = Scene::new(version);
        scene.client_sends(&Connect::default().write(version));
        let ticket = scene.asks_connect();
        scene.drain_begins();
        scene.cancels(ticket);
        scene.client_gets_connack(pick(version, 3, 0x88));
        scene.closes("drain");
    }
}
