//! No packet with a code that it may not carry ever leaves the gate, whatever service, broker and
//! client come up with: every code there is, in every place, on every version. The tables here are
//! the tests' own [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
//! [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.2-1].

use gatekeeper::{Action, Deny, DenyAction, ReasonCode, Rules, Verdict, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, body},
    scene::{ALL, Scene},
    write::{self, Connect, Publish},
};

/// Of MQTT 5.0, by packet type: what a server may say.
fn server_may_say(kind: u8) -> &'static [u8] {
    match kind {
        2 => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
            0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
        4 | 5 => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        6 | 7 => &[0x00, 0x92],
        9 => &[
            0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
        ],
        11 => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
        14 => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
            0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
        _ => &[],
    }
}

/// And what a client may say, as which the broker knows the gate.
fn client_may_say(kind: u8) -> &'static [u8] {
    match kind {
        4 | 5 => &[0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        6 | 7 => &[0x00, 0x92],
        14 => &[
            0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
        ],
        _ => &[],
    }
}

/// The codes in a packet, and nothing else of it. On 3.x only CONNACK and SUBACK have any.
fn codes(version: Version, bytes: &[u8]) -> Vec<u8> {
    let kind = bytes[0] >> 4;
    let body = body(bytes).expect("a packet");
    let behind_properties = || {
        // Short sections only.
        let start = if version == Version::V5 {
            3 + usize::from(body[2])
        } else {
            2
        };
        body[start..].to_vec()
    };
    match (kind, version.is_v3()) {
        (2, _) => vec![body[1]],
        (9, _) | (11, false) => behind_properties(),
        (4..=7, false) => vec![body.get(2).copied().unwrap_or(0)],
        (14, false) => vec![body.first().copied().unwrap_or(0)],
        _ => vec![],
    }
}

/// Whether the client of this version may get the packet.
fn client_may_get(version: Version, bytes: &[u8], live: bool) {
    let kind = bytes[0] >> 4;
    assert!(live || kind == 2, "{bytes:02x?} before the CONNACK");
    assert!(kind != 14 || version == Version::V5, "a DISCONNECT on 3.x");
    for code in codes(version, bytes) {
        let legal = match (kind, version) {
            (_, Version::V5) => server_may_say(kind).contains(&code),
            (2, _) => code <= 5,
            (9, Version::V31) => code <= 2,
            (9, _) => [0, 1, 2, 0x80].contains(&code),
            _ => true,
        };
        assert!(legal, "{bytes:02x?} to a client of {version:?}");
    }
    if kind == 2 {
        let body = body(bytes).expect("a packet");
        assert!(body[0] == 0 || body[1] == 0, "Session Present, and refused");
    }
}

fn broker_may_get(version: Version, bytes: &[u8]) {
    let kind = bytes[0] >> 4;
    for code in codes(version, bytes) {
        let legal = version.is_v3() || client_may_say(kind).contains(&code);
        assert!(legal, "{bytes:02x?} to a broker of {version:?}");
    }
}

/// Judges all that the gate has done. Whether it ended the session, and what it wrote to the client.
fn judge(scene: &mut Scene, mut live: bool) -> (Option<&'static str>, Vec<Vec<u8>>) {
    let version = scene.version;
    let mut end = None;
    let mut written = Vec::new();
    for action in scene.everything() {
        assert_eq!(end, None, "{action:?} after the end");
        match action {
            Action::ToClient(bytes) => {
                client_may_get(version, &bytes, live);
                live |= bytes[0] == 0x20 && body(&bytes).is_some_and(|body| body[1] == 0);
                written.push(bytes.to_vec());
            }
            Action::ToBroker(admitted) => broker_may_get(version, &admitted.into_bytes()),
            Action::Close(reason) => end = Some(reason.as_str()),
            _ => {}
        }
    }
    (end, written)
}

fn denials() -> impl Iterator<Item = Verdict> {
    let codes = std::iter::once(None).chain((0..=0xFF).map(|code| Some(ReasonCode::new(code))));
    codes.flat_map(|code| {
        [
            DenyAction::Configured,
            DenyAction::Reject,
            DenyAction::Disconnect,
            DenyAction::Drop,
        ]
        .map(|action| {
            Verdict::Deny(Deny {
                code,
                action,
                ..Deny::default()
            })
        })
    })
}

#[test]
fn a_denied_connect_is_one_connack() {
    for version in ALL {
        for will in [None, Some(("w".to_owned(), 1, true))] {
            for denial in denials() {
                let connect = Connect {
                    will: will.clone(),
                    ..Connect::default()
                };
                let mut scene = Scene::new(version);
                scene.client_sends(&connect.write(version));
                let mut ticket = scene.asks_connect();
                let mut reason = "connect_denied";
                if will.is_some() {
                    scene.allows(ticket);
                    ticket = scene.asks_will("w");
                    reason = "will_denied";
                }
                scene.answers(ticket, denial.clone());
                let (end, written) = judge(&mut scene, false);
                assert_eq!((end, written.len()), (Some(reason), 1), "{denial:?}");
                // A denial is never heard as a success.
                assert_ne!(codes(version, &written[0]), [0], "{denial:?}");
            }
        }
    }
}

/// Both defaults of the operator.
const STRICTNESS: [fn(&mut Rules); 2] = [
    |_| {},
    |rules| {
        rules.on_publish_denied = gatekeeper::OnDenied::Disconnect;
        rules.on_publish_denied_v3 = gatekeeper::OnDeniedV3::Disconnect;
        rules.on_subscribe_denied = gatekeeper::OnDenied::Disconnect;
    },
];

#[test]
fn a_denied_publish() {
    for version in ALL {
        for rules in STRICTNESS {
            for qos in 0..=2 {
                for denial in denials() {
                    let mut scene = Scene::live_with(version, rules);
                    scene.client_publishes("a", qos, 1);
                    let ticket = scene.asks_publish("a");
                    scene.answers(ticket, denial);
                    judge(&mut scene, true);
                }
            }
        }
    }
}

#[test]
fn a_denied_subscription() {
    for version in ALL {
        for rules in STRICTNESS {
            for in_part in [false, true] {
                for denial in denials() {
                    let mut scene = Scene::live_with(version, rules);
                    scene.client_subscribes(1, &["a", "b"]);
                    let ticket = scene.asks_subscribe(&["a", "b"]);
                    scene.answers(ticket, denial.clone());
                    let (mut end, _) = judge(&mut scene, true);
                    if end.is_none() {
                        if in_part {
                            scene.allows(ticket.filter(1));
                        } else {
                            scene.answers(ticket.filter(1), denial);
                        }
                        end = judge(&mut scene, true).0;
                    }
                    if end.is_none() && in_part {
                        scene.broker_sends(&write::suback(version, 1, &[0]));
                        judge(&mut scene, true);
                    }
                }
            }
        }
    }
}

/// [MQTT-3.2.2-8] [3.1.1: MQTT-3.2.2-6]
#[test]
fn every_code_in_the_brokers_connack() {
    for version in ALL {
        for code in 0..=0xFF {
            for present in [false, true] {
                for old_shape in [false, true] {
                    let connect = Connect {
                        clean: false,
                        ..Connect::default()
                    };
                    let mut scene = Scene::new(version).greeted(&connect);
                    let bytes = match old_shape {
                        true => vec![0x20, 2, present.into(), code],
                        false => write::connack(version, present, code, &[]),
                    };
                    scene.broker_sends(&bytes);
                    let (end, written) = judge(&mut scene, false);
                    assert_eq!(written.len(), 1);
                    let accepted = codes(version, &written[0]) == [0];
                    let trusted = !old_shape || version.is_v3();
                    assert_eq!(accepted, code == 0 && trusted, "{bytes:02x?}");
                    let fault = match version {
                        Version::V5 if old_shape => code == 0 || present,
                        Version::V5 => !server_may_say(2).contains(&code),
                        Version::V31 | Version::V311 => code > 5,
                    } || present && code > 0;
                    let expected = match (fault, accepted) {
                        (true, _) => Some("broker_violation"),
                        (_, true) => None,
                        (_, false) => Some("broker_refused"),
                    };
                    if !(old_shape && version == Version::V5) {
                        assert_eq!(end, expected, "{bytes:02x?}");
                    }
                }
            }
        }
    }
}

/// Each leg has its own table. A code outside of it is the broker's fault, or the client's, but for
/// refusals of the broker, which become others, and 0x10 of the client, which becomes 0x00.
#[test]
fn every_code_in_the_acknowledgements() {
    let live = || Scene::live(Version::V5);
    for code in 0..=0xFF {
        // Of the client's messages.
        for (kind, qos) in [(PUBACK, 1), (PUBREC, 2), (PUBCOMP, 2)] {
            let mut scene = live();
            let packet = scene.client_publishes("a", qos, 1);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
            if kind == PUBCOMP {
                let pubrec = write::ack(PUBREC, 1);
                scene.broker_sends(&pubrec);
                scene.client_gets(&pubrec);
                let pubrel = write::ack(PUBREL, 1);
                scene.client_sends(&pubrel);
                scene.broker_gets(&pubrel);
            }
            scene.broker_sends(&write::ack_code(kind, 1, code));
            let (end, _) = judge(&mut scene, true);
            let tolerated = kind != PUBCOMP && code >= 0x80;
            let fault = !server_may_say(kind).contains(&code) && !tolerated;
            assert_eq!(
                end,
                fault.then_some("broker_violation"),
                "{kind} {code:#04x}"
            );
        }
        let mut scene = live();
        let packet = scene.client_publishes("a", 2, 1);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        let pubrec = write::ack(PUBREC, 1);
        scene.broker_sends(&pubrec);
        scene.client_gets(&pubrec);
        scene.client_sends(&write::ack_code(PUBREL, 1, code));
        let (end, written) = judge(&mut scene, true);
        is_a_client_fault(end, &written, client_may_say(PUBREL).contains(&code));

        // Of the broker's.
        for (kind, qos) in [(PUBACK, 1), (PUBREC, 2), (PUBCOMP, 2)] {
            let mut scene = live();
            delivers(&mut scene, qos);
            if kind == PUBCOMP {
                let pubrec = write::ack(PUBREC, 9);
                scene.client_sends(&pubrec);
                scene.broker_gets(&pubrec);
                let pubrel = write::ack(PUBREL, 9);
                scene.broker_sends(&pubrel);
                scene.client_gets(&pubrel);
            }
            scene.client_sends(&write::ack_code(kind, 9, code));
            let (end, written) = judge(&mut scene, true);
            let tolerated = kind != PUBCOMP && code == 0x10;
            let legal = client_may_say(kind).contains(&code) || tolerated;
            is_a_client_fault(end, &written, legal);
        }
        let mut scene = live();
        delivers(&mut scene, 2);
        let pubrec = write::ack(PUBREC, 9);
        scene.client_sends(&pubrec);
        scene.broker_gets(&pubrec);
        scene.broker_sends(&write::ack_code(PUBREL, 9, code));
        let (end, _) = judge(&mut scene, true);
        let fault = !server_may_say(PUBREL).contains(&code);
        assert_eq!(end, fault.then_some("broker_violation"), "{code:#04x}");
    }
}

/// Mosquitto 2.0.11 refuses a message that is too large for it with 0x95. The client hears a code that
/// it can understand, and all else that the packet says.
#[test]
fn a_refusal_of_the_broker_in_the_wrong_words_is_one() {
    let why = write::text_property(0x1F, "no");
    let explained = |code: u8| [&[0, 1, code][..], &section(&why)].concat();
    for (kind, qos) in [(PUBACK, 1), (PUBREC, 2)] {
        for (body, expected) in [
            (vec![0, 1, 0x95], vec![0, 1, 0x97]),
            (vec![0, 1, 0xFF, 0], vec![0, 1, 0x87]),
            (explained(0x88), explained(0x80)),
        ] {
            let mut scene = Scene::live(Version::V5);
            let packet = scene.client_publishes("a", qos, 1);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
            scene.broker_sends(&write::packet(kind << 4, &body));
            scene.client_gets(&write::packet(kind << 4, &expected));
            // The identifier is free.
            scene.client_publishes("b", qos, 1);
            let ticket = scene.asks_publish("b");
            scene.denies(ticket);
            scene.client_gets(&write::ack_code(kind, 1, 0x87));
        }
    }
    for version in ALL {
        let mut scene = Scene::live(version);
        let packet = scene.client_subscribes(1, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.allows(ticket);
        scene.allows(ticket.filter(1));
        scene.broker_gets(&packet);
        scene.broker_sends(&write::suback(version, 1, &[1, 0x95]));
        let told = match version {
            // Which has no word for it.
            Version::V31 => 1,
            Version::V311 => 0x80,
            Version::V5 => 0x97,
        };
        scene.client_gets(&write::suback(version, 1, &[1, told]));
    }
    let unsuback = |codes: &[u8]| write::packet(0xB0, &[&[0, 1], &*section(&why), codes].concat());
    let mut scene = Scene::live(Version::V5);
    let packet = write::unsubscribe(Version::V5, 1, &["a", "b"]);
    scene.client_sends(&packet);
    scene.broker_gets(&packet);
    scene.broker_sends(&unsuback(&[0x11, 0x97]));
    scene.client_gets(&unsuback(&[0x11, 0x80]));

    let mut scene = Scene::live(Version::V5);
    let body = [&[0x88][..], &section(&why)].concat();
    scene.broker_sends(&write::packet(0xE0, &body));
    let body = [&[0x80][..], &section(&why)].concat();
    scene.client_gets(&write::packet(0xE0, &body));
    scene.closes("broker_disconnect");
}

/// 0x10 is for servers to say, and a success.
#[test]
fn a_client_that_knows_of_no_subscribers() {
    let why = write::text_property(0x1F, "ok");
    for (kind, qos) in [(PUBACK, 1), (PUBREC, 2)] {
        let mut scene = Scene::live(Version::V5);
        delivers(&mut scene, qos);
        scene.client_sends(&write::ack_code(kind, 9, 0x10));
        scene.broker_gets(&write::ack(kind, 9));

        let explained = |code| write::packet(kind << 4, &[&[0, 9, code], &*section(&why)].concat());
        let mut scene = Scene::live(Version::V5);
        delivers(&mut scene, qos);
        scene.client_sends(&explained(0x10));
        scene.broker_gets(&explained(0));
    }
}

fn section(properties: &[u8]) -> Vec<u8> {
    write::section(Version::V5, properties)
}

fn delivers(scene: &mut Scene, qos: u8) {
    let packet = Publish {
        topic: "a".to_owned(),
        qos,
        id: 9,
        ..Publish::default()
    }
    .write(Version::V5);
    scene.broker_sends(&packet);
    scene.client_gets(&packet);
}

/// An illegal code of a client is a protocol error, 0x82.
fn is_a_client_fault(end: Option<&str>, written: &[Vec<u8>], legal: bool) {
    if legal {
        assert_eq!((end, written.len()), (None, 0));
    } else {
        assert_eq!(end, Some("client_violation"));
        assert_eq!(written, [[0xE0, 2, 0x82, 0]]);
    }
}

#[test]
fn every_code_in_suback_and_unsuback() {
    for version in ALL {
        for code in 0..=0xFF {
            let mut scene = Scene::live(version);
            let packet = scene.client_subscribes(1, &["a", "b"]);
            let ticket = scene.asks_subscribe(&["a", "b"]);
            scene.allows(ticket);
            scene.allows(ticket.filter(1));
            scene.broker_gets(&packet);
            scene.broker_sends(&write::suback(version, 1, &[0, code]));
            let (end, _) = judge(&mut scene, true);
            let fault = match version {
                Version::V5 => !server_may_say(9).contains(&code),
                Version::V31 | Version::V311 => ![0, 1, 2].contains(&code),
            } && code < 0x80;
            assert_eq!(end, fault.then_some("broker_violation"), "{code:#04x}");
        }
    }
    for code in 0..=0xFF {
        let mut scene = Scene::live(Version::V5);
        let packet = write::unsubscribe(Version::V5, 1, &["a"]);
        scene.client_sends(&packet);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::packet(0xB0, &[0, 1, 0, code]));
        let (end, _) = judge(&mut scene, true);
        let fault = !server_may_say(11).contains(&code) && code < 0x80;
        assert_eq!(end, fault.then_some("broker_violation"), "{code:#04x}");
    }
}

#[test]
fn every_code_in_a_disconnect() {
    for version in ALL {
        for code in 0..=0xFF {
            let mut scene = Scene::live(version);
            scene.broker_sends(&write::disconnect(version, code));
            let (end, written) = judge(&mut scene, true);
            let legal = server_may_say(14).contains(&code) || code >= 0x80;
            let expected = match version {
                Version::V5 if legal => "broker_disconnect",
                _ => "broker_violation",
            };
            assert_eq!(end, Some(expected), "{code:#04x}");
            assert_eq!(written.len(), usize::from(version == Version::V5));

            let mut scene = Scene::live(version);
            scene.client_sends(&write::disconnect(version, code));
            let legal = version.is_v3() || client_may_say(14).contains(&code);
            let (end, written) = judge(&mut scene, true);
            if legal {
                assert_eq!((end, written.len()), (Some("client_disconnect"), 0));
            } else {
                is_a_client_fault(end, &written, false);
            }
        }
    }
}
