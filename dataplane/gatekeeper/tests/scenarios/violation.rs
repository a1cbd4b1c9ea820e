//! What no client may send: the end, with the code where there is a word for it, and nothing of it
//! reaches the service or the broker.

use gatekeeper::Version;

use crate::{
    packet::PUBACK,
    scene::{BOTH, Scene, publish},
    write::{self, Connect, Publish, packet, text},
};

/// Sends these bytes on a live session of each version.
fn check(code: u8, bytes: impl Fn(Version) -> Vec<u8>) {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_sends(&bytes(version));
        scene.closes_with("client_violation", code);
    }
}

/// [MQTT-3.1.0-2]
/// [3.1.1: MQTT-3.1.0-2]
#[test]
fn a_second_connect() {
    check(0x82, |version| Connect::default().write(version));
}

/// Table 2-1
#[test]
fn packets_that_only_a_server_sends() {
    check(0x82, |version| write::connack(version, false, 0, &[]));
    check(0x82, |version| write::suback(version, 1, &[0]));
    check(0x82, |version| write::unsuback(version, 1, 1));
    check(0x82, |_| write::PINGRESP.to_vec());
    check(0x81, |_| vec![0, 0]);
}

/// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
/// [MQTT-3.14.1-1] [3.1.1: MQTT-2.2.2-1] [3.1.1: MQTT-2.2.2-2] [3.1.1: MQTT-3.6.1-1]
/// [3.1.1: MQTT-3.8.1-1] [3.1.1: MQTT-3.10.1-1] [3.1.1: MQTT-3.14.1-1]
#[test]
fn reserved_flags() {
    check(0x81, |_| packet(0x41, &[0, 1]));
    check(0x81, |_| packet(0x60, &[0, 1]));
    check(0x81, |_| packet(0x80, &[0, 1, 0, 1, b'a', 0]));
    check(0x81, |_| packet(0xA0, &[0, 1, 0, 1, b'a']));
    check(0x81, |_| packet(0xC1, &[]));
    check(0x81, |_| packet(0xE1, &[]));
}

/// A ping with a body smuggles packets past a proxy that frames differently than its broker.
#[test]
fn a_ping_with_a_body() {
    check(0x81, |_| vec![0xC0, 2, 0xC0, 0]);
}

/// [MQTT-3.3.1-2] [MQTT-3.3.1-4]
/// [3.1.1: MQTT-3.3.1-2] [3.1.1: MQTT-3.3.1-4]
#[test]
fn qos_3_and_dup_with_qos_0() {
    check(0x81, |_| packet(0x36, &text("a")));
    check(0x81, |version| {
        let dup = Publish {
            topic: "a".to_owned(),
            dup: true,
            ..Publish::default()
        };
        dup.write(version)
    });
}

/// [MQTT-2.2.1-3]
/// [3.1.1: MQTT-2.3.1-1]
#[test]
fn a_packet_identifier_of_0() {
    check(0x82, |version| publish(version, "a", 1, 0));
    check(0x82, |version| write::subscribe(version, 0, &[("a", 0)]));
    check(0x82, |version| write::unsubscribe(version, 0, &["a"]));
    check(0x82, |_| write::ack(PUBACK, 0));
}

/// [MQTT-3.3.2-2] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
/// [MQTT-4.7.0-1] [MQTT-4.7.3-2] [3.1.1: MQTT-1.5.3-1] [3.1.1: MQTT-1.5.3-2] [3.1.1: MQTT-3.3.2-2]
/// [3.1.1: MQTT-4.7.1-1] [3.1.1: MQTT-4.7.3-2]
#[test]
fn topic_names_that_are_none() {
    for topic in ["a/+", "#", "a\0b"] {
        check(0x81, |version| publish(version, topic, 0, 0));
    }
    check(0x81, |version| {
        let body = [text([0xC3, 0x28]), write::section(version, &[])].concat();
        packet(0x30, &body)
    });
}

/// [MQTT-4.7.3-1]
/// [3.1.1: MQTT-4.7.3-1]
#[test]
fn an_empty_topic_name_on_v311() {
    let mut scene = Scene::live(Version::V311);
    scene.client_publishes("", 0, 0);
    scene.closes("client_violation");
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1]: also if the other filters are good.
/// [MQTT-4.7.3-2] [3.1.1: MQTT-4.7.1-2] [3.1.1: MQTT-4.7.1-3] [3.1.1: MQTT-4.7.3-1]
/// [3.1.1: MQTT-4.7.3-2]
#[test]
fn filters_that_are_none() {
    for filter in ["", "a#", "a/#/b", "a+", "a\0"] {
        check(0x81, |version| {
            write::subscribe(version, 1, &[("good", 0), (filter, 0)])
        });
        check(0x81, |version| {
            write::unsubscribe(version, 1, &["good", filter])
        });
    }
}

/// [MQTT-3.8.3-2] [MQTT-3.10.3-2]
/// [3.1.1: MQTT-3.8.3-3] [3.1.1: MQTT-3.10.3-2]
#[test]
fn no_filter_at_all() {
    check(0x82, |version| write::subscribe(version, 1, &[]));
    check(0x82, |version| write::unsubscribe(version, 1, &[]));
}

/// [MQTT-3.8.3-5], §3.8.3.1
/// [3.1.1: MQTT-3.8.3-4]
#[test]
fn subscription_options() {
    check(0x81, |version| write::subscribe(version, 1, &[("a", 0xC0)]));
    check(0x82, |version| write::subscribe(version, 1, &[("a", 3)]));
    let v5 = |code, filter, options| {
        let mut scene = Scene::live(Version::V5);
        scene.client_sends(&write::subscribe(Version::V5, 1, &[(filter, options)]));
        scene.closes_with("client_violation", code);
    };
    v5(0x82, "a", 0x30);
    // [MQTT-3.8.3-4]
    v5(0x82, "$share/g/a", 4);
    // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    for filter in [
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
    ] {
        v5(0x81, filter, 0);
    }
}

/// Refused as too many, not as malformed.
#[test]
fn more_filters_than_the_operator_allows() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.limits.max_filters = 2);
        scene.client_subscribes(1, &["a", "b", "c"]);
        scene.closes_with("client_violation", 0x97);
    }
}

#[test]
fn a_filter_deeper_than_the_operator_allows_is_refused_alone() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.limits.max_topic_levels = 3);
        scene.client_subscribes(1, &["a/b/c/d", "a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.denies(ticket);
        let codes = match version {
            Version::V31 | Version::V311 => [0x80, 0x80],
            Version::V5 => [0x8F, 0x87],
        };
        scene.client_gets(&write::suback(version, 1, &codes));
    }
}

/// The header alone shows it.
#[test]
fn a_packet_larger_than_the_operator_allows() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.limits.max_packet_size = 100);
        scene.client_sends(&[0x30, 0x80, 0x01]);
        scene.closes_with("client_violation", 0x95);
    }
}

/// [MQTT-4.12.0-7]; a reserved type on MQTT 3.1.1.
#[test]
fn auth_without_a_method() {
    for version in BOTH {
        for body in [
            &[][..],
            &[0x19, 8, 0x15, 0, 5, b'S', b'C', b'R', b'A', b'M'],
        ] {
            let mut scene = Scene::live(version);
            scene.client_sends(&packet(0xF0, body));
            scene.closes_with("client_violation", 0x82);
        }
    }
}

/// [MQTT-3.3.4-6], §3.8.2.1.2, §2.2.2.2
#[test]
fn properties_where_they_do_not_belong() {
    for (code, properties) in [
        (0x82, &[0x0B, 1][..]),
        (0x81, &[0x11, 0, 0, 0, 9]),
        (0x82, &[0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1]),
        (0x82, &[0x01, 2]),
        (0x81, &[0x7F]),
    ] {
        let mut scene = Scene::live(Version::V5);
        let publish = Publish {
            topic: "a".to_owned(),
            properties: properties.to_vec(),
            ..Publish::default()
        };
        scene.client_sends(&publish.write(Version::V5));
        scene.closes_with("client_violation", code);
    }
}

/// [MQTT-1.5.5-1]
#[test]
fn a_length_in_more_bytes_than_needed_on_v5() {
    for bytes in [&[0xC0, 0x80, 0][..], &[0x30, 0x84, 0, 0, 1, b'a', 0]] {
        let mut scene = Scene::live(Version::V5);
        scene.client_sends(bytes);
        scene.closes_with("client_violation", 0x81);
    }
}

/// [MQTT-3.4.2-1]
#[test]
fn acknowledgements_that_are_wrong() {
    check(0x81, |_| packet(0x40, &[0]));
    for (code, body) in [(0x82, &[0, 1, 0x11][..]), (0x81, &[0, 1, 0, 0, 0])] {
        let mut scene = Scene::live(Version::V5);
        scene.client_sends(&packet(0x40, body));
        scene.closes_with("client_violation", code);
    }
    let mut scene = Scene::live(Version::V311);
    scene.client_sends(&packet(0x40, &[0, 1, 0]));
    scene.closes("client_violation");
}
