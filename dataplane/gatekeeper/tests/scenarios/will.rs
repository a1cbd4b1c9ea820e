//! Wills: what is refused unasked, what the service changes, and what becomes of them in the end.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use gatekeeper::{
    Allow, CloseReason, ConnectAllow, Fate, PublishChanges, Rules, Ticket, UserProperty, Verdict,
    Version, Why,
};

use crate::{
    scene::{ALL, Scene},
    write::{self, Connect, text_property},
};

fn will_on(topic: &str) -> Connect {
    Connect {
        will: Some((topic.to_owned(), 1, false)),
        ..Connect::default()
    }
}

/// The code of the version.
fn pick(version: Version, v3: u8, v5: u8) -> u8 {
    if version == Version::V5 { v5 } else { v3 }
}

fn user(key: &str, value: &str) -> Vec<u8> {
    [text_property(0x26, key), write::text(value)].concat()
}

fn pair(key: &str, value: &str) -> UserProperty {
    UserProperty {
        key: key.into(),
        value: value.into(),
    }
}

/// Brokers give such topics meanings of their own.
#[test]
fn a_will_for_the_broker_itself_is_refused_unasked() {
    for version in ALL {
        for topic in ["$SYS/a", "$CONTROL/x", "$share/g/a", "$"] {
            let mut scene = Scene::new(version);
            scene.client_sends(&will_on(topic).write(version));
            scene.client_gets(&write::connack(version, false, pick(version, 5, 0x90), &[]));
            scene.closes("will_denied");

            let mut scene = Scene::with(version, |rules| rules.allow_dollar_wills = true);
            scene.client_sends(&will_on(topic).write(version));
            let ticket = scene.asks_connect();
            scene.allows(ticket);
            let will = scene.asks_will(topic);
            scene.denies(will);
            scene.client_gets_connack(pick(version, 5, 0x87));
            scene.closes("will_denied");
        }
        Scene::new(version).greeted(&will_on("a/$b"));
    }
}

/// As for a PUBLISH: well formed, and not accepted.
#[test]
fn a_will_on_a_topic_of_too_many_levels_is_refused() {
    for version in ALL {
        let mut scene = Scene::with(version, |rules| rules.limits.max_topic_levels = 2);
        scene.client_sends(&will_on("a/b/c").write(version));
        scene.client_gets(&write::connack(version, false, pick(version, 5, 0x90), &[]));
        scene.closes("client_violation");
    }
}

/// §3.1.3.2.3
#[test]
fn a_will_that_is_not_the_text_it_is_said_to_be() {
    let will = |indicator: u8, payload: &[u8]| Connect {
        will_properties: vec![0x01, indicator],
        will_payload: payload.to_vec(),
        ..will_on("a")
    };
    let mut scene = Scene::new(Version::V5);
    scene.client_sends(&will(1, b"\xFF").write(Version::V5));
    scene.client_gets(&write::connack(Version::V5, false, 0x99, &[]));
    scene.closes("client_violation");

    Scene::new(Version::V5).greeted(&will(0, b"\xFF"));
    Scene::new(Version::V5).greeted(&will(1, "ü".as_bytes()));
    let trusting = |rules: &mut Rules| rules.check_payload_format = false;
    Scene::with(Version::V5, trusting).greeted(&will(1, b"\xFF"));
}

/// Those of the CONNECT and of its will count together: they are one packet.
#[test]
fn user_properties_of_a_connect_are_bounded() {
    let few = |rules: &mut Rules| rules.limits.max_user_properties = 3;
    let small = |rules: &mut Rules| rules.limits.max_user_property_bytes = 21;
    for (own, wills, legal) in [(0, 3, true), (3, 0, true), (2, 2, false), (4, 0, false)] {
        let connect = Connect {
            properties: user("k", "v").repeat(own),
            will_properties: user("k", "v").repeat(wills),
            ..will_on("a")
        };
        for change in [few as fn(&mut Rules), small] {
            let scene = Scene::with(Version::V5, change);
            if legal {
                scene.greeted(&connect);
                continue;
            }
            let mut scene = scene;
            scene.client_sends(&connect.write(Version::V5));
            scene.client_gets(&write::connack(Version::V5, false, 0x97, &[]));
            scene.closes("client_violation");
        }
    }
}

/// [MQTT-3.1.3-9]: permission was asked for now, and not for some day.
#[test]
fn the_delay_of_a_will_has_a_bound() {
    let delayed = |seconds: u8| Connect {
        properties: vec![0x11, 0, 0, 1, 0],
        will_properties: [&[0x18, 0, 0, 0, seconds], user("k", "v").as_slice()].concat(),
        ..will_on("a")
    };
    for (asked, sent) in [(100, 60), (60, 60), (5, 5)] {
        let mut scene = Scene::with(Version::V5, |rules| rules.limits.max_will_delay = 60);
        scene.client_sends(&delayed(asked).write(Version::V5));
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        let will = scene.asks_will("a");
        scene.allows(will);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&delayed(sent).write(Version::V5));
    }
}

/// [MQTT-3.1.3-9]: a will goes out when its session ends, and there are brokers that forget it then.
#[test]
fn a_will_does_not_outlast_its_session() {
    const NEVER: u32 = u32::MAX;

    let connect = |expiry: Option<u32>, delay: u32| {
        let with = |id: u8, value: u32| [&[id], &value.to_be_bytes()[..]].concat();
        Connect {
            properties: expiry.map_or(vec![], |expiry| with(0x11, expiry)),
            will_properties: [user("k", "v"), with(0x18, delay)].concat(),
            ..will_on("a")
        }
    };
    for (expiry, delay, sent) in [
        // Mosquitto waits, and its own tests want it to.
        (None, 30, 30),
        (Some(0), 30, 30),
        (Some(10), 30, 10),
        (Some(30), 30, 30),
        (Some(60), 30, 30),
        (Some(NEVER), NEVER, NEVER),
        (None, 0, 0),
    ] {
        let (mut scene, will) = asked(Version::V5, &connect(expiry, delay));
        scene.answers(will, allow(PublishChanges::default()));
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect(expiry, sent).write(Version::V5));
    }
    // What counts is the session that the broker is asked for.
    let mut scene = Scene::with(Version::V5, |rules| rules.limits.max_session_expiry = 20);
    scene.client_sends(&connect(Some(60), 30).write(Version::V5));
    let ticket = scene.asks_connect();
    let shorter = ConnectAllow {
        max_session_expiry: Some(15),
        ..ConnectAllow::default()
    };
    scene.allows_connect(ticket, shorter);
    let will = scene.asks_will("a");
    scene.allows(will);
    scene.dials();
    scene.broker_is_reached();
    scene.broker_gets(&connect(Some(15), 15).write(Version::V5));
}

/// [MQTT-3.1.2-8] [MQTT-3.14.4-3]: only 0x00 takes the will back, and there are brokers that drop it
/// with any code but 0x04.
#[test]
fn a_client_that_leaves_because_of_a_failure_leaves_its_will() {
    let expiry = [0x11, 0, 0, 0, 9];
    let why = text_property(0x1F, "broken");
    let packet = |code: u8, properties: &[&[u8]]| {
        let section = write::section(Version::V5, &properties.concat());
        write::packet(0xE0, &[&[code], section.as_slice()].concat())
    };
    for will in [true, false] {
        let connect = Connect {
            properties: vec![0x11, 0, 0, 0, 60],
            will: will.then(|| ("a".to_owned(), 1, false)),
            ..Connect::default()
        };
        for code in (0x80..=0x83).chain([0x90]).chain(0x93..=0x99) {
            for (sent, forwarded) in [
                (vec![0xE0, 1, code], packet(4, &[])),
                (packet(code, &[]), packet(4, &[])),
                (packet(code, &[&why, &user("k", "v")]), packet(4, &[])),
                (packet(code, &[&why, &expiry]), packet(4, &[&expiry])),
            ] {
                let mut scene = Scene::new(Version::V5).connected(&connect, &[]);
                scene.client_sends(&sent);
                scene.broker_gets(if will { &forwarded } else { &sent });
                scene.closes("client_disconnect");
            }
        }
        for code in [0, 4] {
            let sent = packet(code, &[&why, &expiry]);
            let mut scene = Scene::new(Version::V5).connected(&connect, &[]);
            scene.client_sends(&sent);
            scene.broker_gets(&sent);
            scene.closes("client_disconnect");
        }
    }
}

/// The will is being asked about.
fn asked(version: Version, connect: &Connect) -> (Scene, Ticket) {
    let mut scene = Scene::new(version);
    scene.client_sends(&connect.write(version));
    let ticket = scene.asks_connect();
    scene.allows(ticket);
    let (topic, ..) = connect.will.as_ref().expect("it has one");
    let will = scene.asks_will(topic);
    (scene, will)
}

fn allow(changes: PublishChanges) -> Verdict {
    Verdict::Allow(Allow::Publish(Some(Box::new(changes))))
}

#[test]
fn the_service_changes_a_will() {
    for version in ALL {
        let (mut scene, will) = asked(version, &will_on("a"));
        let changes = PublishChanges {
            topic: Some("tenant/a".into()),
            payload: Some(Bytes::from_static(b"other")),
            retain: Some(true),
            ..PublishChanges::default()
        };
        scene.answers(will, allow(changes));
        scene.dials();
        scene.broker_is_reached();
        let expected = Connect {
            will: Some(("tenant/a".to_owned(), 1, true)),
            will_payload: b"other".to_vec(),
            ..Connect::default()
        };
        scene.broker_gets(&expected.write(version));
        assert_eq!(scene.fate(will), Some(Fate::Forwarded));

        // As it was asked for.
        let (mut scene, will) = asked(version, &will_on("a"));
        scene.answers(will, allow(PublishChanges::default()));
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&will_on("a").write(version));
    }
}

#[test]
fn the_service_changes_the_properties_of_a_will() {
    let connect = |properties: &[&[u8]], payload: &[u8]| Connect {
        properties: vec![0x11, 0, 0, 0, 9],
        will_properties: properties.concat(),
        will_payload: payload.to_vec(),
        ..will_on("a")
    };
    let delay = [0x18, 0, 0, 0, 5];
    let before = [&[0x01, 1][..], &user("a", "1"), &delay, &user("b", "2")];
    let (mut scene, will) = asked(Version::V5, &connect(&before, b"text"));
    let changes = PublishChanges {
        payload: Some(Bytes::from_static(b"\xFF")),
        user_property_keys_to_remove: vec!["a".into()],
        user_properties_to_add: vec![pair("c", "3")],
        ..PublishChanges::default()
    };
    scene.answers(will, allow(changes));
    scene.dials();
    scene.broker_is_reached();
    let after = [&delay[..], &user("b", "2"), &user("c", "3")];
    scene.broker_gets(&connect(&after, b"\xFF").write(Version::V5));

    let (mut scene, will) = asked(Version::V5, &connect(&before, b"text"));
    let changes = PublishChanges {
        payload: Some(Bytes::from_static(b"")),
        payload_format_indicator: Some(true),
        ..PublishChanges::default()
    };
    scene.answers(will, allow(changes));
    scene.dials();
    scene.broker_is_reached();
    let after = [before[1], before[2], before[3], &[0x01, 1][..]];
    scene.broker_gets(&connect(&after, b"").write(Version::V5));
}

/// Neither the old will nor the new one may stand.
#[test]
fn a_change_that_is_not_mqtt_is_a_failure() {
    let long = ByteString::from("x".repeat(65_536));
    let topic = |topic: &str| PublishChanges {
        topic: Some(topic.into()),
        ..PublishChanges::default()
    };
    let payload = |payload: Vec<u8>, indicator| PublishChanges {
        payload: Some(Bytes::from(payload)),
        payload_format_indicator: indicator,
        ..PublishChanges::default()
    };
    let adds = |property| PublishChanges {
        user_properties_to_add: vec![property],
        ..PublishChanges::default()
    };
    let everywhere = [
        topic(""),
        topic("a/#"),
        topic("a\0"),
        topic("a\u{9F}"),
        topic(&long),
        topic(&"/".repeat(201)),
        // A will has two bytes for the length of its payload.
        payload(vec![b'x'; 65_536], None),
        payload(vec![0xFF], Some(true)),
        PublishChanges {
            payload_format_indicator: Some(true),
            ..PublishChanges::default()
        },
        adds(pair("a", "\0")),
        adds(pair(&long, "")),
        PublishChanges {
            user_properties_to_add: vec![pair("a", "b"); 129],
            ..PublishChanges::default()
        },
        // A deletion out of a message.
        PublishChanges {
            retain: Some(true),
            ..payload(Vec::new(), None)
        },
    ];
    let on_3x = [
        adds(pair("a", "b")),
        payload(b"text".to_vec(), Some(false)),
        PublishChanges {
            user_property_keys_to_remove: vec!["a".into()],
            ..PublishChanges::default()
        },
    ];
    for version in ALL {
        let on_3x = on_3x.iter().filter(|_| version.is_v3());
        for changes in everywhere.iter().chain(on_3x) {
            let (mut scene, will) = asked(version, &will_on("a"));
            scene.answers(will, allow(changes.clone()));
            scene.client_gets_connack(pick(version, 3, 0x88));
            let reason = scene.closes("will_undecided");
            assert_eq!(reason, CloseReason::WillUndecided(Why::InvalidMutation));
            assert_eq!(scene.fate(will), Some(Fate::Closed));
        }
    }
}

/// The gate does not prefix it: it was the service that chose the mount.
#[test]
fn the_will_of_a_mounted_session_goes_where_the_service_says() {
    for version in ALL {
        let mut scene = Scene::new(version);
        scene.client_sends(&will_on("a").write(version));
        let ticket = scene.asks_connect();
        let mounted = ConnectAllow {
            mount: Some("tenant/".into()),
            ..ConnectAllow::default()
        };
        scene.allows_connect(ticket, mounted);
        let will = scene.asks_will("a");
        scene.allows(will);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&will_on("a").write(version));
    }
}

/// What becomes of the will when the session ends.
mod fate {
    use super::*;

    fn suppresses(reason: &'static str) -> impl FnOnce(&mut Rules) {
        move |rules| {
            rules.suppress_will_on = vec![reason];
            rules.deadlines.linger = Duration::ZERO;
        }
    }

    fn live(version: Version, connect: &Connect, reason: &'static str) -> Scene {
        Scene::with(version, suppresses(reason)).connected(connect, &[])
    }

    /// The broker is told that there is nothing to publish.
    fn broker_is_told(scene: &mut Scene) {
        let goodbye: &[u8] = match scene.version {
            Version::V31 | Version::V311 => &[0xE0, 0],
            Version::V5 => &[0xE0, 2, 0, 0],
        };
        scene.broker_gets(goodbye);
    }

    /// An ending, what the logs call it, and what the client hears.
    type Ending = (&'static str, u8, fn(&mut Scene));

    const ENDINGS: [Ending; 6] = [
        ("client_gone", 0, Scene::client_leaves),
        ("drain", 0x8B, Scene::drain_begins),
        ("client_stalled", 0x97, Scene::client_stalls),
        ("client_violation", 0x82, |scene| {
            let second = Connect::default().write(scene.version);
            scene.client_sends(&second);
        }),
        ("broker_violation", 0x80, |scene| {
            let second = write::connack(scene.version, false, 0, &[]);
            scene.broker_sends(&second);
        }),
        ("publish_denied", 0x87, |scene| {
            scene.client_publishes("a", 0, 0);
            let ticket = scene.asks_publish("a");
            let deny = gatekeeper::Deny {
                action: gatekeeper::DenyAction::Disconnect,
                ..gatekeeper::Deny::default()
            };
            scene.answers(ticket, Verdict::Deny(deny));
        }),
    ];

    fn ends(scene: &mut Scene, reason: &str, code: u8) {
        if code == 0 {
            scene.closes(reason);
        } else {
            scene.closes_with(reason, code);
        }
    }

    /// [MQTT-3.1.2-8], and the operator's deviation from it [MQTT-3.14.4-3].
    #[test]
    fn it_is_published_unless_the_operator_has_named_the_ending() {
        for version in ALL {
            for (reason, code, end) in ENDINGS {
                let mut scene = live(version, &will_on("a"), reason);
                end(&mut scene);
                broker_is_told(&mut scene);
                ends(&mut scene, reason, code);

                // No will, no word about it.
                let mut scene = live(version, &Connect::default(), reason);
                end(&mut scene);
                ends(&mut scene, reason, code);

                // Another ending, and the will is published.
                let mut scene = live(version, &will_on("a"), "keep_alive_timeout");
                end(&mut scene);
                ends(&mut scene, reason, code);
            }
        }
    }

    #[test]
    fn silence_can_be_named_too() {
        for version in ALL {
            let connect = Connect {
                keep_alive: 10,
                ..will_on("a")
            };
            let mut scene = live(version, &connect, "keep_alive_timeout");
            scene.passes(Duration::from_millis(7_500));
            scene.broker_gets(&write::PINGREQ);
            scene.broker_sends(&write::PINGRESP);
            scene.passes(Duration::from_millis(7_500));
            broker_is_told(&mut scene);
            scene.closes_with("keep_alive_timeout", 0x8D);
        }
    }

    /// A will that the service did not let through cannot be suppressed.
    #[test]
    fn a_dropped_will_needs_no_word() {
        for version in ALL {
            let mut scene = Scene::with(version, suppresses("drain"));
            scene.client_sends(&will_on("a").write(version));
            let ticket = scene.asks_connect();
            let allow = ConnectAllow {
                drop_will: true,
                ..ConnectAllow::default()
            };
            scene.allows_connect(ticket, allow);
            scene.dials();
            scene.broker_is_reached();
            scene.broker_gets_connect();
            scene.broker_sends(&write::connack(version, false, 0, &[]));
            scene.client_gets_connack(0);
            scene.drain_begins();
            scene.closes_with("drain", 0x8B);
        }
    }

    /// The client's own DISCONNECT says what it wants, once.
    #[test]
    fn after_the_clients_own_disconnect_nothing_is_added() {
        for version in ALL {
            let mut scene = live(version, &will_on("a"), "client_disconnect");
            scene.client_sends(&write::disconnect(version, 0));
            scene.broker_gets(&write::disconnect(version, 0));
            scene.closes("client_disconnect");
        }
        let mut scene = live(Version::V5, &will_on("a"), "client_disconnect");
        scene.client_sends(&write::disconnect(Version::V5, 4));
        scene.broker_gets(&write::disconnect(Version::V5, 4));
        scene.closes("client_disconnect");
    }

    #[test]
    fn a_broker_that_has_gone_is_not_spoken_to() {
        for version in ALL {
            let mut scene = live(version, &will_on("a"), "broker_gone");
            scene.broker_leaves();
            scene.closes("broker_gone");
        }
        let mut scene = live(Version::V5, &will_on("a"), "broker_disconnect");
        scene.broker_sends(&[0xE0, 2, 0x8E, 0]);
        scene.client_gets(&[0xE0, 2, 0x8E, 0]);
        scene.closes("broker_disconnect");
    }

    /// The broker may have accepted already.
    #[test]
    fn it_is_suppressed_before_the_connack_as_well() {
        for version in ALL {
            let mut scene = Scene::with(version, suppresses("client_gone")).greeted(&will_on("a"));
            scene.client_leaves();
            broker_is_told(&mut scene);
            scene.closes("client_gone");

            let mut scene = Scene::with(version, suppresses("drain")).greeted(&will_on("a"));
            scene.client_leaves();
            scene.closes("client_gone");
        }
    }
}
