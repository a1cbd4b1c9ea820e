//! One valid packet of every kind and version, with as many fields as it can have.

use std::ops::Range;

use super::support::{Any, field, frame, packet, read_any, section};
use crate::frame::Side;
use crate::question::Version;

/// A valid packet.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) from: Side,
    pub(super) version: Version,
    pub(super) first: u8,
    pub(super) body: Vec<u8>,
    /// The lengths to which the body can be cut and still be one of a valid packet.
    pub(super) cuts: Vec<usize>,
    /// Where the strings of the body are: they hold the letter `S` and nothing else.
    pub(super) strings: Vec<Range<usize>>,
}

impl Sample {
    pub(super) fn bytes(&self) -> Vec<u8> {
        packet(self.first, &self.body)
    }
}

/// A property with a value.
fn property(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&[id], value.as_ref()].concat()
}

fn text(id: u8) -> Vec<u8> {
    property(id, field("SSS"))
}

fn user() -> Vec<u8> {
    property(0x26, [field("SSS"), field("SSS")].concat())
}

fn sample(
    name: &'static str,
    from: Side,
    version: Version,
    first: u8,
    parts: &[Vec<u8>],
    cuts: impl IntoIterator<Item = usize>,
) -> Sample {
    let body = parts.concat();
    let strings = (0..body.len())
        .filter(|&at| body[at..].starts_with(b"\0\x03SSS"))
        .map(|at| at + 2..at + 5)
        .collect();
    Sample {
        name,
        from,
        version,
        first,
        body,
        cuts: cuts.into_iter().collect(),
        strings,
    }
}

fn connect_v311() -> Sample {
    let parts = [
        b"\0\x04MQTT\x04\xEE\0\x3C".to_vec(),
        field("SSS"),
        field("SSS"),
        field([0, 255]),
        field("SSS"),
        field("password"),
    ];
    sample("CONNECT", Side::Client, Version::V311, 0x10, &parts, [])
}

fn connect_v5() -> Sample {
    let properties = [
        vec![
            0x11, 0, 0, 0, 9, 0x21, 0, 9, 0x27, 0, 0, 1, 0, 0x22, 0, 9, 0x19, 1, 0x17, 1,
        ],
        text(0x15),
        property(0x16, field([0, 255])),
        user(),
    ];
    let will = [
        vec![0x18, 0, 0, 0, 9, 0x01, 1, 0x02, 0, 0, 0, 9],
        text(0x03),
        text(0x08),
        property(0x09, field([0, 255])),
        user(),
    ];
    let parts = [
        b"\0\x04MQTT\x05\xEE\0\x3C".to_vec(),
        section(&properties.concat()),
        field("SSS"),
        section(&will.concat()),
        field("SSS"),
        field([0, 255]),
        field("SSS"),
        field("password"),
    ];
    sample("CONNECT", Side::Client, Version::V5, 0x10, &parts, [])
}

fn connack_v5() -> Sample {
    let properties = [
        vec![
            0x11, 0, 0, 0, 9, 0x21, 0, 9, 0x24, 1, 0x25, 1, 0x27, 0, 0, 1, 0,
        ],
        text(0x12),
        vec![0x22, 0, 9, 0x13, 0, 9, 0x28, 1, 0x29, 1, 0x2A, 1],
        text(0x1F),
        text(0x1A),
        text(0x1C),
        text(0x15),
        property(0x16, field([0, 255])),
        user(),
    ];
    let parts = [vec![0, 0], section(&properties.concat())];
    sample("CONNACK", Side::Broker, Version::V5, 0x20, &parts, [])
}

fn publish_v5(name: &'static str, from: Side, extra: &[u8]) -> Sample {
    let properties = [
        vec![0x01, 0, 0x02, 0, 0, 0, 9, 0x23, 0, 9],
        text(0x03),
        text(0x08),
        property(0x09, field([0, 255])),
        user(),
        extra.to_vec(),
    ];
    let head = [field("SSS"), vec![0, 9], section(&properties.concat())].concat();
    let len = head.len();
    let parts = [head, b"payload".to_vec()];
    sample(name, from, Version::V5, 0x3D, &parts, len..len + 7)
}

/// PUBACK and its kin.
fn ack_v5(name: &'static str, first: u8) -> Sample {
    let properties = [text(0x1F), user()].concat();
    let parts = [vec![0, 9, 0], section(&properties)];
    sample(name, Side::Client, Version::V5, first, &parts, [2, 3])
}

/// All samples.
pub(super) fn samples() -> Vec<Sample> {
    use Side::{Broker, Client};
    use Version::{V5, V311};

    let explained = [text(0x1F), user()].concat();
    let filters = [field("SSS"), vec![1], field("$share/g/a"), vec![2]].concat();
    let first_filter = 2 + 6;
    let subscribe = section(&[vec![0x0B, 0x80, 1], user()].concat());
    let unsubscribe = section(&user());
    let goodbye = section(&[vec![0x11, 0, 0, 0, 9], explained.clone()].concat());
    let farewell = section(&[explained.clone(), text(0x1C)].concat());
    let auth = [
        text(0x15),
        property(0x16, field([0, 255])),
        explained.clone(),
    ]
    .concat();
    let codes = section(&explained);

    vec![
        connect_v311(),
        connect_v5(),
        sample("CONNACK", Broker, V311, 0x20, &[vec![1, 0]], []),
        connack_v5(),
        sample(
            "PUBLISH",
            Client,
            V311,
            0x3D,
            &[field("SSS"), vec![0, 9], b"payload".to_vec()],
            7..14,
        ),
        publish_v5("PUBLISH", Client, &[]),
        publish_v5("PUBLISH of a broker", Broker, &[0x0B, 0x80, 1, 0x0B, 2]),
        sample("PUBACK", Client, V311, 0x40, &[vec![0, 9]], []),
        sample("PUBREL", Client, V311, 0x62, &[vec![0, 9]], []),
        ack_v5("PUBACK", 0x40),
        ack_v5("PUBREC", 0x50),
        ack_v5("PUBREL", 0x62),
        ack_v5("PUBCOMP", 0x70),
        sample(
            "SUBSCRIBE",
            Client,
            V311,
            0x82,
            &[vec![0, 9], filters.clone()],
            [first_filter],
        ),
        sample(
            "SUBSCRIBE",
            Client,
            V5,
            0x82,
            &[vec![0, 9], subscribe.clone(), filters],
            [first_filter + subscribe.len()],
        ),
        sample("SUBACK", Broker, V311, 0x90, &[vec![0, 9, 0, 0x80]], [3]),
        sample(
            "SUBACK",
            Broker,
            V5,
            0x90,
            &[vec![0, 9], codes.clone(), vec![0, 0x87]],
            [3 + codes.len()],
        ),
        sample(
            "UNSUBSCRIBE",
            Client,
            V311,
            0xA2,
            &[vec![0, 9], field("SSS"), field("b")],
            [7],
        ),
        sample(
            "UNSUBSCRIBE",
            Client,
            V5,
            0xA2,
            &[vec![0, 9], unsubscribe.clone(), field("SSS"), field("b")],
            [7 + unsubscribe.len()],
        ),
        sample("UNSUBACK", Broker, V311, 0xB0, &[vec![0, 9]], []),
        sample(
            "UNSUBACK",
            Broker,
            V5,
            0xB0,
            &[vec![0, 9], codes.clone(), vec![0, 0x11]],
            [3 + codes.len()],
        ),
        sample("PINGREQ", Client, V5, 0xC0, &[], []),
        sample("PINGRESP", Broker, V5, 0xD0, &[], []),
        sample("DISCONNECT", Client, V311, 0xE0, &[], []),
        sample("DISCONNECT", Client, V5, 0xE0, &[vec![4], goodbye], [0, 1]),
        sample(
            "DISCONNECT of a broker",
            Broker,
            V5,
            0xE0,
            &[vec![0x9D], farewell],
            [0, 1],
        ),
        sample("AUTH", Client, V5, 0xF0, &[vec![0x18], section(&auth)], []),
        sample(
            "AUTH of a broker",
            Broker,
            V5,
            0xF0,
            &[vec![0], section(&auth)],
            [0],
        ),
    ]
}

#[test]
fn all_of_them_are_accepted() {
    for sample in samples() {
        let found = read_any(&frame(sample.from, &sample.bytes()), sample.version);
        assert!(found.is_some(), "{} {:?}", sample.name, sample.version);
        assert_ne!(found, Some(Any::Ping).filter(|_| !sample.body.is_empty()));
    }
}
