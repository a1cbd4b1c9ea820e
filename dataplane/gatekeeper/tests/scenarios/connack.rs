//! The broker's CONNACK, and brokers that have none.

use std::time::Duration;

use gatekeeper::{ConnectAllow, Rules, Version};

use crate::{
    packet::{self, Packet},
    scene::{ALL, BOTH, SPARE_CLIENT_ID, Scene},
    write::{self, Connect, text_property},
};

const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
const SERVER_KEEP_ALIVE: u8 = 0x13;
const RECEIVE_MAXIMUM: u8 = 0x21;
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

/// The same under other rules, and after this allow of the service.
fn properties_with(
    rules: impl FnOnce(&mut Rules),
    connect: &Connect,
    allow: ConnectAllow,
    broker: &[u8],
) -> packet::Properties {
    let mut scene = Scene::with(Version::V5, rules);
    scene.client_sends(&connect.write(Version::V5));
    let ticket = scene.asks_connect();
    scene.allows_connect(ticket, allow);
    scene.dials();
    scene.broker_is_reached();
    scene.broker_gets_connect();
    scene.broker_sends(&write::connack(Version::V5, false, 0, broker));
    let connack = scene.client_gets_connack(0);
    match packet::read(Version::V5, &connack) {
        Some(Packet::Connack { properties, .. }) => properties,
        other => panic!("{other:?}"),
    }
}

fn number(properties: &packet::Properties, id: u8) -> Option<u32> {
    let value = packet::property(properties, id)?;
    Some(
        value
            .iter()
            .fold(0, |all, byte| all << 8 | u32::from(*byte)),
    )
}

/// The code of a failure.
fn unavailable(version: Version) -> Vec<u8> {
    let code = if version == Version::V5 { 0x88 } else { 3 };
    write::connack(version, false, code, &[])
}

/// [3.1.1: MQTT-3.2.2-2] [3.1.1: MQTT-3.2.2-3]: whether there is a session is the broker's word.
#[test]
fn on_v311_it_passes_byte_by_byte() {
    for present in [false, true] {
        let connack = write::connack(Version::V311, present, 0, &[]);
        let connect = Connect {
            clean: !present,
            ..Connect::default()
        };
        let mut scene = greeted(Version::V311, &connect);
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
/// [MQTT-3.1.3-7]
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
/// [3.1.1: MQTT-3.2.2-5]
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
/// [MQTT-3.2.2-1] [3.1.1: MQTT-3.2.0-1] [3.1.1: MQTT-3.2.2-4]
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

/// [MQTT-3.3.4-7] [MQTT-4.9.0-1]: never more than the broker takes.
#[test]
fn the_smaller_receive_maximum_holds() {
    let found = |broker: &[u8]| {
        let rules = |rules: &mut Rules| rules.limits.receive_maximum = 20;
        let found = properties_with(rules, &Connect::default(), ConnectAllow::default(), broker);
        number(&found, RECEIVE_MAXIMUM)
    };
    assert_eq!(found(&[]), Some(20));
    assert_eq!(found(&[RECEIVE_MAXIMUM, 0, 10]), Some(10));
    assert_eq!(found(&[RECEIVE_MAXIMUM, 0, 30]), Some(20));
}

/// [MQTT-3.2.2-21] [MQTT-3.2.2-22]: the bound of the operator, or what the broker wants below it.
#[test]
fn the_keep_alive_has_a_bound() {
    for (asked, broker, bound, sent, told) in [
        (0, None, 60, 60, Some(60)),
        (100, None, 60, 60, Some(60)),
        (60, None, 60, 60, None),
        (10, None, 60, 10, None),
        (100, Some(30), 60, 60, Some(30)),
        (100, Some(90), 60, 60, Some(60)),
        (100, Some(0), 60, 60, Some(60)),
        (10, Some(30), 60, 10, Some(30)),
        (10, Some(90), 60, 10, Some(60)),
        (0, None, 0, 0, None),
        (100, Some(90), 0, 100, Some(90)),
    ] {
        let connect = Connect {
            keep_alive: asked,
            ..Connect::default()
        };
        let mut scene = Scene::with(Version::V5, |rules| rules.limits.max_keep_alive = bound);
        scene.client_sends(&connect.write(Version::V5));
        let ticket = scene.asks_about_connect(|question| assert_eq!(question.keep_alive, asked));
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        assert_eq!(scene.broker_gets_connect().keep_alive, sent);
        let broker = broker.map_or(vec![], |seconds| vec![SERVER_KEEP_ALIVE, 0, seconds]);
        scene.broker_sends(&write::connack(Version::V5, false, 0, &broker));
        let connack = scene.client_gets_connack(0);
        let Some(Packet::Connack { properties, .. }) = packet::read(Version::V5, &connack) else {
            panic!("{connack:02x?}");
        };
        assert_eq!(number(&properties, SERVER_KEEP_ALIVE), told);
    }
    // On 3.x there is no way to tell.
    for version in [Version::V31, Version::V311] {
        let mut scene = Scene::with(version, |rules| rules.limits.max_keep_alive = 60);
        scene.client_sends(&Connect::default().write(version));
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        assert_eq!(scene.broker_gets_connect().keep_alive, 0);
    }
}

/// §3.2.2.3.2: a client is told of a session that is shorter than it asked for.
#[test]
fn a_shortened_session_is_told() {
    let found = |asked: Option<u32>, operator, service, broker: Option<u32>| {
        let interval = |seconds: Option<u32>| {
            seconds.map_or(vec![], |seconds| {
                [&[SESSION_EXPIRY_INTERVAL][..], &seconds.to_be_bytes()].concat()
            })
        };
        let connect = Connect {
            properties: interval(asked),
            ..Connect::default()
        };
        let allow = ConnectAllow {
            max_session_expiry: service,
            ..ConnectAllow::default()
        };
        let rules = |rules: &mut Rules| rules.limits.max_session_expiry = operator;
        let found = properties_with(rules, &connect, allow, &interval(broker));
        number(&found, SESSION_EXPIRY_INTERVAL)
    };
    let max = u32::MAX;
    assert_eq!(found(Some(100), max, None, None), None);
    assert_eq!(found(Some(100), 60, None, None), Some(60));
    assert_eq!(found(Some(100), 60, Some(30), None), Some(30));
    assert_eq!(found(Some(100), 30, Some(60), None), Some(30));
    assert_eq!(found(Some(100), max, Some(0), None), Some(0));
    assert_eq!(found(Some(20), 60, None, None), None);
    assert_eq!(found(None, 60, None, None), None);
    assert_eq!(found(Some(100), 60, None, Some(10)), Some(10));
    assert_eq!(found(Some(100), 60, None, Some(80)), Some(60));
    assert_eq!(found(Some(100), max, None, Some(80)), Some(80));
}

/// §4.11, and names of the broker that the client has no use for.
#[test]
fn private_names_of_the_broker_stay_behind() {
    const SERVER_REFERENCE: u8 = 0x1C;
    const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;

    let broker = [
        text_property(SERVER_REFERENCE, "node-7.internal"),
        text_property(ASSIGNED_CLIENT_IDENTIFIER, "tenant/c"),
    ]
    .concat();
    for pass in [false, true] {
        for replaced in [false, true] {
            let allow = ConnectAllow {
                broker_client_id: replaced.then(|| "".into()),
                ..ConnectAllow::default()
            };
            let rules = |rules: &mut Rules| rules.pass_server_reference = pass;
            let found = properties_with(rules, &Connect::default(), allow, &broker);
            let reference = packet::property(&found, SERVER_REFERENCE);
            assert_eq!(reference.is_some(), pass);
            let id = packet::property(&found, ASSIGNED_CLIENT_IDENTIFIER);
            assert_eq!(id.is_some(), !replaced);
        }
    }
    let nameless = Connect {
        client_id: String::new(),
        ..Connect::default()
    };
    let allow = ConnectAllow {
        broker_client_id: Some("".into()),
        ..ConnectAllow::default()
    };
    let found = properties_with(|_| {}, &nameless, allow, &broker);
    let id = packet::property(&found, ASSIGNED_CLIENT_IDENTIFIER);
    assert_eq!(id, Some(write::text(SPARE_CLIENT_ID).as_slice()));
}

/// §4.11
#[test]
fn a_refusal_keeps_the_brokers_other_servers_to_itself() {
    let reason = text_property(0x1F, "because");
    let reference = text_property(0x1C, "node-7.internal");
    let both = [reference.clone(), reason.clone()].concat();
    for (pass, properties) in [(false, &reason), (true, &both)] {
        for code in [0x9C, 0x9D] {
            let mut scene = Scene::with(Version::V5, |rules| rules.pass_server_reference = pass)
                .greeted(&Connect::default());
            scene.broker_sends(&write::connack(Version::V5, false, code, &both));
            scene.client_gets(&write::connack(Version::V5, false, code, properties));
            scene.closes("broker_refused");
        }
    }
}

/// [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20]
#[test]
fn no_connack_is_larger_than_the_client_takes() {
    let user = [0x26, 0, 1, b'k', 0, 1, b'v'];
    let reason = text_property(0x1F, "hello");
    let broker = [&user[..], &reason].concat();
    let takes = |size: u8| Connect {
        properties: vec![MAXIMUM_PACKET_SIZE, 0, 0, 0, size],
        ..Connect::default()
    };
    // Three properties of the gate, and five bytes in front of them.
    let bare = 5 + 3 + 5 + 3;
    for (size, left) in [
        (bare + 15, vec![0x26, 0x1F]),
        (bare + 14, vec![0x26]),
        (bare + 7, vec![0x26]),
        (bare + 6, vec![]),
        (bare, vec![]),
    ] {
        let mut found = properties(&takes(size), &broker);
        found.retain(|(id, _)| [0x26, 0x1F].contains(id));
        let found: Vec<u8> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(found, left, "{size}");
    }
    let mut scene = greeted(Version::V5, &takes(bare - 1));
    scene.broker_sends(&write::connack(Version::V5, false, 0, &broker));
    scene.client_gets(&write::connack(Version::V5, false, 0x95, &[]));
    scene.closes("client_violation");
    // There is not even room for that.
    let mut scene = greeted(Version::V5, &takes(4));
    scene.broker_sends(&write::connack(Version::V5, false, 0, &broker));
    scene.closes("client_violation");

    // Refusals too, whoever refuses.
    for (size, left) in [(20, &broker), (12, &user.to_vec()), (11, &vec![])] {
        let mut scene = greeted(Version::V5, &takes(size));
        scene.broker_sends(&write::connack(Version::V5, false, 0x87, &broker));
        scene.client_gets(&write::connack(Version::V5, false, 0x87, left));
        scene.closes("broker_refused");
    }
    for size in [4, 5] {
        for broker_refuses in [false, true] {
            let mut scene = greeted(Version::V5, &takes(size));
            let reason = if broker_refuses {
                scene.broker_sends(&write::connack(Version::V5, false, 0x88, &broker));
                "broker_refused"
            } else {
                scene.broker_leaves();
                "broker_gone"
            };
            if size == 5 {
                scene.client_gets(&unavailable(Version::V5));
            }
            scene.closes(reason);
        }
    }
}

/// [MQTT-4.12.0-6]: nobody asked for it.
#[test]
fn an_authentication_that_was_not_asked_for_is_the_brokers_fault() {
    for properties in [
        text_property(0x15, "SCRAM"),
        text_property(0x16, "data"),
        [text_property(0x15, "SCRAM"), text_property(0x16, "data")].concat(),
    ] {
        let mut scene = greeted(Version::V5, &Connect::default());
        scene.broker_sends(&write::connack(Version::V5, false, 0, &properties));
        scene.client_gets(&unavailable(Version::V5));
        scene.closes("broker_violation");
    }
    // Nor is the exchange itself.
    let mut scene = greeted(Version::V5, &Connect::default());
    scene.broker_sends(&write::packet(0xF0, &[0x18, 0]));
    scene.client_gets(&unavailable(Version::V5));
    scene.closes("broker_violation");
}

/// [MQTT-3.2.2-2]: behind it are subscriptions that nobody was asked about.
#[test]
fn a_session_that_was_not_asked_for_is_the_brokers_fault() {
    for version in BOTH {
        for (clean, forced) in [(true, false), (false, true)] {
            let connect = Connect {
                clean,
                ..Connect::default()
            };
            let mut scene = Scene::new(version);
            scene.client_sends(&connect.write(version));
            let ticket = scene.asks_connect();
            let allow = ConnectAllow {
                force_clean_start: forced,
                ..ConnectAllow::default()
            };
            scene.allows_connect(ticket, allow);
            scene.dials();
            scene.broker_is_reached();
            scene.broker_gets_connect();
            scene.broker_sends(&write::connack(version, true, 0, &[]));
            scene.client_gets(&unavailable(version));
            scene.closes("broker_violation");
        }
    }
}
