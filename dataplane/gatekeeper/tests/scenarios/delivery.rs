//! PUBLISH from the broker on a session without a mount: what is MQTT passes byte by byte.

use gatekeeper::Version;

use crate::{
    scene::{BOTH, Scene},
    write::{Publish, packet, section, text, text_property},
};

#[test]
fn what_the_broker_delivers_passes_byte_by_byte() {
    let properties = [
        &[0x0B, 1, 0x0B, 2, 0x0B, 3, 0x01, 1, 0x23, 0, 9][..],
        &text_property(0x08, "t/a/replies"),
        &[0x26, 0, 1, b'k', 0, 1, b'v'],
    ]
    .concat();
    for version in BOTH {
        for (qos, retain, dup) in [(0, true, false), (1, false, true), (2, true, true)] {
            let mut scene = Scene::live(version);
            let delivery = Publish {
                topic: "t/a/x".to_owned(),
                qos,
                id: 5,
                retain,
                dup,
                properties: properties.clone(),
                payload: b"\0\xFF".to_vec(),
            }
            .write(version);
            scene.broker_sends(&delivery);
            scene.client_gets(&delivery);
        }
    }
}

/// There are brokers that let such things pass, and clients that do not survive them.
#[test]
fn what_is_no_publish_does_not_reach_the_client() {
    for version in BOTH {
        let none = section(version, &[]);
        for (first, body) in [
            (0x30, [text("a/#"), none.clone()].concat()),
            (0x30, [text("+"), none.clone()].concat()),
            (0x30, [text(b"\xFF"), none.clone()].concat()),
            (0x30, [text(b"\xED\xA0\x80"), none.clone()].concat()),
            (0x30, [text("a\0b"), none.clone()].concat()),
            (0x30, [text(""), none.clone()].concat()),
            (0x30, vec![0, 9, b'a']),
            (0x32, [text("a"), vec![0, 0], none.clone()].concat()),
            (0x32, [text("a"), vec![0]].concat()),
        ] {
            let mut scene = Scene::live(version);
            scene.broker_sends(&packet(first, &body));
            scene.closes_with("broker_violation", 0x80);
        }
    }
    for properties in [
        &[0x0B, 0][..],
        &[0x01, 2],
        &[0x11, 0, 0, 0, 1],
        &[0x03, 0, 1, 0xFF],
        &[0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1],
        &[0x23, 0, 0],
        &[0x26, 0, 9, b'k'],
    ] {
        let mut scene = Scene::live(Version::V5);
        let body = [text("a"), section(Version::V5, properties)].concat();
        scene.broker_sends(&packet(0x30, &body));
        scene.closes_with("broker_violation", 0x80);
    }
}

/// A broker that lets a wildcard in a Response Topic pass is not to be closed for: a retained message
/// would keep its subscribers out for good.
#[test]
fn a_wildcard_in_a_response_topic_of_the_broker_passes() {
    let body = [text("a"), section(Version::V5, &[0x08, 0, 1, b'#'])].concat();
    let delivery = packet(0x30, &body);
    let mut scene = Scene::live(Version::V5);
    scene.broker_sends(&delivery);
    scene.client_gets(&delivery);
}
