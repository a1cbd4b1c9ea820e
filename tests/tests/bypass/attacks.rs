//! The packets. Each table is made for one version, as most packets differ by the property field.

#[path = "attacks/connects.rs"]
mod connects;
#[path = "attacks/properties.rs"]
mod properties;

pub(crate) use connects::connects;

use tidegate_tests::{
    Connect, Publish, Subscribe, Unsubscribe, Version,
    packet::{Encode as _, Kind, PINGREQ, ack, frame, property, string},
};

/// A name for messages, and the bytes.
pub(crate) type Attack = (String, Vec<u8>);

/// Packets that no gate should accept from a connected client.
pub(crate) fn malformed(version: Version) -> Vec<Attack> {
    let mut attacks = Vec::new();
    attacks.extend(lengths(version));
    attacks.extend(empty_packets(version));
    attacks.extend(publishes(version));
    attacks.extend(subscribes(version));
    attacks.extend(of_the_wrong_side(version));
    if version == Version::V5 {
        attacks.extend(properties::properties());
    }
    attacks
}

/// Packets that a client may send, and that carry something to decide.
pub(crate) fn well_formed(version: Version) -> Vec<Attack> {
    let aliased = |topic: &str| Publish::new(topic, "").property(property::topic_alias(1));
    let mut packets = vec![
        named("PUBLISH", Publish::new("t", "x").encode(version)),
        named(
            "PUBLISH, retained",
            Publish::new("t", "x").retain().encode(version),
        ),
        named(
            "PUBLISH, again",
            Publish::new("t", "x").qos(1).dup().encode(version),
        ),
        named(
            "PUBLISH at QoS 2",
            Publish::new("t", "x").qos(2).encode(version),
        ),
        named("PUBREL for nothing", ack(Kind::Pubrel, 1)),
        named(
            "a byte order mark is part of a topic",
            Publish::new("\u{feff}t", "").encode(version),
        ),
        named(
            "PUBLISH to a $ topic",
            Publish::new("$SYS/x", "").encode(version),
        ),
        named(
            "PUBLISH to $share",
            Publish::new("$share/g/t", "").encode(version),
        ),
        named(
            "SUBSCRIBE",
            Subscribe::new(1).filter("#", 0).encode(version),
        ),
        named(
            "the same QoS 2 id with another topic",
            [
                Publish::new("a", "").qos(2).encode(version),
                Publish::new("b", "").qos(2).dup().encode(version),
            ]
            .concat(),
        ),
    ];
    if version == Version::V5 {
        packets.push(named(
            "alias of a denied topic",
            [aliased("t").encode(version), aliased("").encode(version)].concat(),
        ));
    }
    packets
}

/// Packets with any first byte: without a body, and with one that could be a message or a filter.
pub(crate) fn with_first_byte(version: Version, first: u8) -> Vec<Attack> {
    let publish = Publish::new("t", "x").qos(1).encode(version);
    let subscribe = Subscribe::new(1).filter("t", 0).encode(version);
    [&[][..], &publish[2..], &subscribe[2..], &publish]
        .map(|body| {
            (
                format!("{first:02x} with the body {body:02x?}"),
                frame(first, body),
            )
        })
        .into()
}

fn named(name: &str, bytes: Vec<u8>) -> Attack {
    (name.to_owned(), bytes)
}

/// Inserts the property field of MQTT 5, empty.
fn no_properties(version: Version) -> &'static [u8] {
    version.pick(&[], &[0])
}

/// Remaining lengths that some read and some do not. Before MQTT 5 only the fifth byte is wrong.
fn lengths(version: Version) -> Vec<Attack> {
    let packets = [
        ("PUBLISH", Publish::new("t", "x").encode(version)),
        (
            "SUBSCRIBE",
            Subscribe::new(1).filter("t", 0).encode(version),
        ),
        ("UNSUBSCRIBE", Unsubscribe::new(1, &["t"]).encode(version)),
        ("PUBACK", ack(Kind::Puback, 1)),
        ("PUBREL", ack(Kind::Pubrel, 1)),
        ("PINGREQ", PINGREQ.to_vec()),
        ("DISCONNECT", frame(0xE0, &[])),
    ];
    let mut attacks = Vec::new();
    for width in version.pick(5..=5, 2..=5) {
        for (name, packet) in &packets {
            attacks.push((
                format!("{name} with a length of {width} bytes"),
                stretched(packet, width),
            ));
        }
    }
    attacks
}

/// The same packet with its length, one byte until now, in more bytes than it needs.
pub(crate) fn stretched(packet: &[u8], width: usize) -> Vec<u8> {
    let mut length = vec![packet[1] | 0x80];
    length.resize(width - 1, 0x80);
    [&packet[..1], &length, &[0], &packet[2..]].concat()
}

/// Packets without a body that have one, or flags that they must not have.
fn empty_packets(version: Version) -> Vec<Attack> {
    let smuggled = [0x30, 0x03, 0x00, 0x01, b'a'];
    let mut attacks = vec![
        named("PINGREQ with a PUBLISH inside", frame(0xC0, &smuggled)),
        named("PINGREQ with a byte", vec![0xC0, 0x01, 0x00]),
    ];
    for flags in 1..=15 {
        attacks.push((
            format!("PINGREQ with flags {flags:x}"),
            vec![0xC0 | flags, 0x00],
        ));
        attacks.push((
            format!("DISCONNECT with flags {flags:x}"),
            vec![0xE0 | flags, 0x00],
        ));
        // MQTT 3.1 has DUP on them.
        let legal: &[u8] = version.pick_of_three(&[0x2, 0xA], &[0x2], &[0x2]);
        if !legal.contains(&flags) {
            attacks.push((
                format!("SUBSCRIBE with flags {flags:x}"),
                vec![0x80 | flags, 0x06, 0x00, 0x01, 0x00, 0x01, b'a', 0x00],
            ));
            attacks.push((
                format!("PUBREL with flags {flags:x}"),
                vec![0x60 | flags, 0x02, 0x00, 0x01],
            ));
        }
    }
    attacks
}

/// PUBLISH packets that are none.
fn publishes(version: Version) -> Vec<Attack> {
    let publish = |topic: &[u8]| {
        frame(
            0x30,
            &[&string(topic), no_properties(version), b"x"].concat(),
        )
    };
    let with_id = |first, id: u16| {
        frame(
            first,
            &[
                &string("t")[..],
                &id.to_be_bytes(),
                no_properties(version),
                b"x",
            ]
            .concat(),
        )
    };
    let mut attacks = vec![
        named("PUBLISH at QoS 3", with_id(0x36, 1)),
        named("PUBLISH at QoS 0 sent again", with_id(0x38, 1)),
        named("PUBLISH with the id 0", with_id(0x32, 0)),
        named("PUBLISH without a body", vec![0x30, 0x00]),
        named(
            "PUBLISH whose topic is longer than itself",
            vec![0x30, 0x04, 0x00, 0x09, b'a', b'b'],
        ),
        named(
            "PUBLISH that ends before its id",
            vec![0x32, 0x03, 0x00, 0x01, b'a'],
        ),
        named("PUBLISH without a topic", publish(b"")),
        named("PUBLISH to a #", publish(b"a/#")),
        named("PUBLISH to a +", publish(b"a/+/b")),
    ];
    for text in BAD_TEXT {
        attacks.push((format!("PUBLISH to {text:02x?}"), publish(text)));
    }
    attacks
}

/// What is no text in MQTT: NUL, overlong forms, surrogates, beyond Unicode, broken sequences.
const BAD_TEXT: [&[u8]; 8] = [
    b"a\0b",
    b"\xC0\x80",
    b"\xC1\xA1",
    b"\xE0\x80\xAF",
    b"\xED\xA0\x80",
    b"\xF4\x90\x80\x80",
    b"\xFF",
    b"a\xE2\x82",
];

/// SUBSCRIBE and UNSUBSCRIBE packets that are none.
fn subscribes(version: Version) -> Vec<Attack> {
    let id = [0x00, 0x01];
    let head = [&id[..], no_properties(version)].concat();
    let subscribe = |filter: &[u8], options: u8| {
        frame(0x82, &[&head[..], &string(filter), &[options]].concat())
    };
    let mut attacks = vec![
        named("SUBSCRIBE to nothing", frame(0x82, &head)),
        named("UNSUBSCRIBE from nothing", frame(0xA2, &head)),
        named(
            "SUBSCRIBE with the id 0",
            Subscribe::new(0).filter("a", 0).encode(version),
        ),
        named("SUBSCRIBE at QoS 3", subscribe(b"a", 0x03)),
        named("SUBSCRIBE with reserved options", subscribe(b"a", 0xC0)),
        named("SUBSCRIBE with all options", subscribe(b"a", 0xFC)),
        named(
            "SUBSCRIBE without options",
            frame(0x82, &[&head[..], &string("a")].concat()),
        ),
        named(
            "SUBSCRIBE whose filter is longer than itself",
            frame(0x82, &[&head[..], &[0x00, 0x09, b'a', 0x00]].concat()),
        ),
        named(
            "SUBSCRIBE with a good and a bad filter",
            Subscribe::new(1)
                .filter("a", 0)
                .filter("a#", 0)
                .encode(version),
        ),
    ];
    for filter in ["", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c"] {
        attacks.push((
            format!("SUBSCRIBE to {filter:?}"),
            subscribe(filter.as_bytes(), 0),
        ));
        attacks.push((
            format!("UNSUBSCRIBE from {filter:?}"),
            frame(0xA2, &[&head[..], &string(filter)].concat()),
        ));
    }
    for text in BAD_TEXT {
        attacks.push((format!("SUBSCRIBE to {text:02x?}"), subscribe(text, 0)));
    }
    if version == Version::V5 {
        for filter in [
            "$share//a",
            "$share/g",
            "$share/g/",
            "$share/",
            "$share/+/a",
            "$share/#",
            "$share/g/a#",
        ] {
            attacks.push((
                format!("SUBSCRIBE to {filter:?}"),
                subscribe(filter.as_bytes(), 0),
            ));
        }
        attacks.push(named(
            "SUBSCRIBE to a shared filter with No Local",
            subscribe(b"$share/g/a", 0x04),
        ));
        attacks.push(named(
            "SUBSCRIBE with Retain Handling 3",
            subscribe(b"a", 0x30),
        ));
    }
    attacks
}

/// Packets that only a server sends, of no type, or of another version.
fn of_the_wrong_side(version: Version) -> Vec<Attack> {
    let mut attacks = vec![
        named("type 0", vec![0x00, 0x00]),
        named(
            "CONNACK",
            version.pick(vec![0x20, 2, 0, 0], vec![0x20, 3, 0, 0, 0]),
        ),
        named(
            "SUBACK",
            version.pick(vec![0x90, 3, 0, 1, 0], vec![0x90, 4, 0, 1, 0, 0]),
        ),
        named(
            "UNSUBACK",
            version.pick(vec![0xB0, 2, 0, 1], vec![0xB0, 4, 0, 1, 0, 0]),
        ),
        named("PINGRESP", vec![0xD0, 0x00]),
        named("a second CONNECT", Connect::new("other").encode(version)),
        named("AUTH", vec![0xF0, 0x00]),
        named("PUBACK without an id", vec![0x40, 0x00]),
        named("PUBACK with half an id", vec![0x40, 0x01, 0x01]),
    ];
    match version {
        Version::V31 | Version::V311 => attacks.extend([
            named("DISCONNECT with a body", vec![0xE0, 0x01, 0x00]),
            named("PUBACK with a reason", vec![0x40, 0x03, 0x00, 0x01, 0x00]),
            named(
                "UNSUBSCRIBE with a tail",
                vec![0xA2, 0x06, 0, 1, 0, 1, b'a', 0],
            ),
        ]),
        Version::V5 => attacks.extend([
            named(
                "DISCONNECT with a reason for servers",
                vec![0xE0, 0x01, 0x8B],
            ),
            named(
                "PUBACK with an unknown reason",
                vec![0x40, 0x03, 0x00, 0x01, 0x7F],
            ),
            named("AUTH out of nowhere", vec![0xF0, 0x02, 0x19, 0x00]),
        ]),
    }
    attacks
}
