//! What the service and the operator change in a CONNECT: the broker hears it, and nothing else
//! changes. A change that would not be MQTT is a failure, and nobody is dialled.

use bytes::Bytes;
use gatekeeper::{ConnectAllow, Resume, Rules, Secret, Version};

use crate::{
    scene::{ALL, Scene},
    write::{self, Connect},
};

fn secret(bytes: impl Into<Vec<u8>>) -> Option<Secret> {
    Some(Secret::new(Bytes::from(bytes.into())))
}

fn everything() -> Connect {
    Connect {
        keep_alive: 60,
        clean: false,
        will: Some(("alice/gone".to_owned(), 1, true)),
        username: Some("alice".to_owned()),
        password: Some("secret".to_owned()),
        properties: vec![0x26, 0, 1, b'k', 0, 1, b'v', 0x21, 0, 9],
        ..Connect::default()
    }
}

/// The broker gets `expected` for `asked`.
fn becomes(
    version: Version,
    change: impl FnOnce(&mut Rules),
    asked: &Connect,
    allow: ConnectAllow,
    expected: &Connect,
) {
    let mut scene = Scene::with(version, change);
    scene.client_sends(&asked.write(version));
    let ticket = scene.asks_connect();
    scene.allows_connect(ticket, allow);
    if let Some((topic, ..)) = &expected.will {
        let will = scene.asks_will(topic);
        scene.allows(will);
    }
    scene.dials();
    scene.broker_is_reached();
    scene.broker_gets(&expected.write(version));
}

/// Nobody is dialled for it.
fn fails(version: Version, asked: &Connect, allow: ConnectAllow) {
    let mut scene = Scene::new(version);
    scene.client_sends(&asked.write(version));
    let ticket = scene.asks_connect();
    scene.allows_connect(ticket, allow);
    scene.client_gets_connack(if version == Version::V5 { 0x88 } else { 3 });
    scene.closes("connect_undecided");
}

/// [MQTT-3.1.2-16] to [MQTT-3.1.2-19]: the flags say what is there.
#[test]
fn the_broker_hears_other_credentials() {
    for version in ALL {
        let allow = ConnectAllow {
            broker_username: Some("gate".into()),
            broker_password: secret("other"),
            ..ConnectAllow::default()
        };
        for asked in [everything(), Connect::default()] {
            let expected = Connect {
                username: Some("gate".to_owned()),
                password: Some("other".to_owned()),
                ..asked.clone()
            };
            becomes(version, |_| {}, &asked, allow.clone(), &expected);
        }
        let only_name = ConnectAllow {
            broker_username: Some("".into()),
            ..ConnectAllow::default()
        };
        let expected = Connect {
            username: Some(String::new()),
            ..everything()
        };
        becomes(version, |_| {}, &everything(), only_name, &expected);
    }
}

/// [3.1.1: MQTT-3.1.2-22]; legal since MQTT 5.0.
#[test]
fn a_password_needs_a_user_name_on_3x() {
    let allow = ConnectAllow {
        broker_password: secret("other"),
        ..ConnectAllow::default()
    };
    let expected = Connect {
        password: Some("other".to_owned()),
        ..Connect::default()
    };
    for version in ALL {
        if version == Version::V5 {
            becomes(
                version,
                |_| {},
                &Connect::default(),
                allow.clone(),
                &expected,
            );
        } else {
            fails(version, &Connect::default(), allow.clone());
        }
    }
}

/// [MQTT-1.5.4-2] and the length of a string.
#[test]
fn credentials_that_no_packet_can_carry_are_a_failure() {
    let long = "x".repeat(65_536);
    for version in ALL {
        for name in ["a\0", "a\u{1}", &long] {
            let allow = ConnectAllow {
                broker_username: Some(name.into()),
                ..ConnectAllow::default()
            };
            fails(version, &everything(), allow);
        }
        let allow = ConnectAllow {
            broker_password: secret(long.clone()),
            ..ConnectAllow::default()
        };
        fails(version, &everything(), allow);
        let longest = ConnectAllow {
            broker_password: secret("x".repeat(65_535)),
            ..ConnectAllow::default()
        };
        let expected = Connect {
            password: Some("x".repeat(65_535)),
            ..everything()
        };
        becomes(version, |_| {}, &everything(), longest, &expected);
    }
}

/// [3.1.1: MQTT-3.1.3-7] [3.1.1: MQTT-3.1.3-8] [MQTT-3.1.3-6]: the broker may choose a name, where
/// there is such a thing.
#[test]
fn no_client_identifier_where_that_is_legal() {
    let allow = |clean| ConnectAllow {
        broker_client_id: Some("".into()),
        force_clean_start: clean,
        ..ConnectAllow::default()
    };
    let named = Connect {
        clean: false,
        ..Connect::default()
    };
    let nameless = |clean| Connect {
        client_id: String::new(),
        clean,
        ..Connect::default()
    };
    fails(Version::V31, &Connect::default(), allow(false));
    fails(Version::V311, &named, allow(false));
    becomes(Version::V311, |_| {}, &named, allow(true), &nameless(true));
    becomes(Version::V5, |_| {}, &named, allow(false), &nameless(false));
}

/// The will is neither asked about nor sent.
#[test]
fn a_will_can_be_dropped() {
    for version in ALL {
        let allow = ConnectAllow {
            drop_will: true,
            ..ConnectAllow::default()
        };
        let expected = Connect {
            will: None,
            ..everything()
        };
        becomes(version, |_| {}, &everything(), allow, &expected);
    }
}

/// Nobody gets the subscriptions of an earlier session.
#[test]
fn a_clean_start_can_be_forced() {
    let expected = Connect {
        clean: true,
        ..everything()
    };
    for version in ALL {
        let allow = ConnectAllow {
            force_clean_start: true,
            ..ConnectAllow::default()
        };
        becomes(version, |_| {}, &everything(), allow, &expected);
        let force = |rules: &mut Rules| rules.resume = Resume::ForceClean;
        let allow = ConnectAllow::default();
        becomes(version, force, &everything(), allow, &expected);
    }
}

fn lasting(seconds: u32) -> Connect {
    Connect {
        properties: [&[0x21, 0, 9, 0x11][..], &seconds.to_be_bytes()].concat(),
        clean: false,
        ..Connect::default()
    }
}

/// [MQTT-3.1.2-23]
#[test]
fn the_session_expiry_is_lowered() {
    for (asked, operator, service, sent) in [
        (100, u32::MAX, None, 100),
        (100, 60, None, 60),
        (100, 60, Some(30), 30),
        (100, 30, Some(60), 30),
        (100, u32::MAX, Some(0), 0),
        (20, 60, Some(30), 20),
        (u32::MAX, 60, None, 60),
    ] {
        let allow = ConnectAllow {
            max_session_expiry: service,
            ..ConnectAllow::default()
        };
        let rules = |rules: &mut Rules| rules.limits.max_session_expiry = operator;
        becomes(Version::V5, rules, &lasting(asked), allow, &lasting(sent));
    }
    // Who asks for none gets none.
    let allow = ConnectAllow {
        max_session_expiry: Some(0),
        ..ConnectAllow::default()
    };
    becomes(Version::V5, |_| {}, &everything(), allow, &everything());
}

/// 3.x has two lengths: until the connection ends, and for ever.
#[test]
fn a_session_of_no_length_is_a_clean_one_on_3x() {
    for version in [Version::V31, Version::V311] {
        for (bound, clean) in [(0, true), (1, false)] {
            let expected = Connect {
                clean,
                ..everything()
            };
            let allow = ConnectAllow {
                max_session_expiry: Some(bound),
                ..ConnectAllow::default()
            };
            becomes(version, |_| {}, &everything(), allow, &expected);
            let rules = |rules: &mut Rules| rules.limits.max_session_expiry = bound;
            let allow = ConnectAllow::default();
            becomes(version, rules, &everything(), allow, &expected);
        }
    }
}

/// [MQTT-3.1.2-27]: what is delivered is written anew.
#[test]
fn a_mounted_session_gets_no_topic_aliases() {
    let aliases = |properties: &[u8]| Connect {
        properties: properties.to_vec(),
        ..Connect::default()
    };
    let asked = aliases(&[0x22, 0, 8, 0x21, 0, 9]);
    let allow = |mount: &str| ConnectAllow {
        mount: Some(mount.into()),
        ..ConnectAllow::default()
    };
    let expected = aliases(&[0x21, 0, 9]);
    becomes(Version::V5, |_| {}, &asked, allow("tenant/"), &expected);
    becomes(Version::V5, |_| {}, &asked, ConnectAllow::default(), &asked);
    for version in ALL {
        for mount in ["", "tenant", "te+nt/", "#/", "a\0/", "$SYS/"] {
            fails(version, &Connect::default(), allow(mount));
        }
    }
}

/// All at once: every field in its place.
#[test]
fn everything_can_change_at_once() {
    for version in ALL {
        let allow = ConnectAllow {
            broker_client_id: Some("tenant/c".into()),
            broker_username: Some("gate".into()),
            broker_password: secret("other"),
            drop_will: true,
            force_clean_start: true,
            max_session_expiry: Some(5),
            ..ConnectAllow::default()
        };
        let asked = Connect {
            properties: lasting(9).properties,
            ..everything()
        };
        let expected = Connect {
            client_id: "tenant/c".to_owned(),
            username: Some("gate".to_owned()),
            password: Some("other".to_owned()),
            will: None,
            clean: true,
            properties: lasting(5).properties,
            ..everything()
        };
        becomes(version, |_| {}, &asked, allow, &expected);
    }
}

/// The session's length was agreed on with both sides, and not in the same words.
mod goodbye {
    use super::*;

    fn leaves(asked: &Connect, bound: Option<u32>) -> Scene {
        let mut scene = Scene::new(Version::V5);
        scene.client_sends(&asked.write(Version::V5));
        let ticket = scene.asks_connect();
        let allow = ConnectAllow {
            max_session_expiry: bound,
            ..ConnectAllow::default()
        };
        scene.allows_connect(ticket, allow);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets_connect();
        scene.broker_sends(&write::connack(Version::V5, false, 0, &[]));
        scene.client_gets_connack(0);
        scene
    }

    fn goodbye(seconds: u32) -> Vec<u8> {
        let properties = [&[0x11][..], &seconds.to_be_bytes()].concat();
        write::packet(0xE0, &[&[0, 5][..], &properties].concat())
    }

    /// [MQTT-3.14.2-2], §3.14.2.2.2
    #[test]
    fn the_interval_of_a_disconnect_keeps_to_the_bound() {
        for (said, bound, heard) in [
            (50, None, goodbye(50)),
            (0, None, goodbye(0)),
            (u32::MAX, None, goodbye(u32::MAX)),
            (50, Some(60), goodbye(50)),
            (80, Some(60), goodbye(60)),
            (200, Some(60), goodbye(60)),
            // The broker was told 0, and would take any for a raise.
            (80, Some(0), vec![0xE0, 2, 0, 0]),
            (0, Some(0), vec![0xE0, 2, 0, 0]),
        ] {
            let mut scene = leaves(&lasting(100), bound);
            scene.client_sends(&goodbye(said));
            scene.broker_gets(&heard);
            scene.closes("client_disconnect");
        }
    }

    /// Judged by what the client itself has asked for.
    #[test]
    fn it_is_not_raised_from_0() {
        for asked in [Connect::default(), lasting(0)] {
            for bound in [None, Some(0), Some(60)] {
                let mut scene = leaves(&asked, bound);
                scene.client_sends(&goodbye(1));
                scene.closes_with("client_violation", 0x82);
                let mut scene = leaves(&asked, bound);
                scene.client_sends(&goodbye(0));
                scene.broker_gets(&goodbye(0));
                scene.closes("client_disconnect");
            }
        }
    }
}
