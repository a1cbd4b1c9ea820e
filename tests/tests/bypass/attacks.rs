//! The packets. Each table is made for one version, as most packets differ by the property field.

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
        attacks.extend(properties());
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

/// Properties of PUBLISH and SUBSCRIBE that are wrong in themselves or in their place.
fn properties() -> Vec<Attack> {
    let version = Version::V5;
    let publish = |block: &[u8]| {
        let field = [&[block.len() as u8], block].concat();
        frame(0x30, &[&string("t")[..], &field, b"x"].concat())
    };
    let raw = |tail: &[u8]| frame(0x30, &[&string("t"), tail].concat());
    let twice = |one: &[u8]| publish(&[one, one].concat());
    vec![
        named(
            "property length in two bytes instead of one",
            raw(&[0x80, 0x00, b'x']),
        ),
        named(
            "property length in five bytes",
            raw(&[0x80, 0x80, 0x80, 0x80, 0x00, b'x']),
        ),
        named("property length beyond the packet", raw(&[0x7F, 0x01])),
        named(
            "property beyond its length",
            raw(&[0x01, 0x26, 0x00, 0x01, b'k', 0x00, 0x01, b'v']),
        ),
        named(
            "number beyond its length",
            raw(&[0x01, 0x02, 0x00, 0x00, 0x00, 0x01]),
        ),
        named("unknown property", publish(&[0x7E, 0x00])),
        named("property of CONNECT", publish(&property::session_expiry(1))),
        named("Topic Alias twice", twice(&property::topic_alias(1))),
        named("Topic Alias 0", publish(&property::topic_alias(0))),
        named(
            "Topic Alias beyond the maximum",
            publish(&property::topic_alias(u16::MAX)),
        ),
        named(
            "Payload Format Indicator 2",
            publish(&property::payload_format(2)),
        ),
        named(
            "Payload Format Indicator twice",
            twice(&property::payload_format(1)),
        ),
        named(
            "Response Topic twice",
            twice(&property::response_topic("r")),
        ),
        named(
            "Response Topic with a wildcard",
            publish(&property::response_topic("r/#")),
        ),
        named(
            "Subscription Identifier in a PUBLISH",
            publish(&property::subscription_identifier(1)),
        ),
        named(
            "User Property with a NUL",
            publish(&property::user("k\0", "v")),
        ),
        named(
            "Subscription Identifier 0",
            Subscribe::new(1)
                .filter("a", 0)
                .property(property::subscription_identifier(0))
                .encode(version),
        ),
        named(
            "Subscription Identifier twice",
            Subscribe::new(1)
                .filter("a", 0)
                .property(property::subscription_identifier(1))
                .property(property::subscription_identifier(2))
                .encode(version),
        ),
    ]
}

/// CONNECT packets that nobody should be asked about.
pub(crate) fn connects(version: Version) -> Vec<Attack> {
    let connect = |name: &str, level: u8, flags: u8, payload: &[u8]| {
        let head = [
            &string(name)[..],
            &[level, flags, 0, 0],
            no_properties(version),
        ]
        .concat();
        frame(0x10, &[&head[..], payload].concat())
    };
    let id = string("id");
    let (name, level) = (version.protocol_name(), version as u8);
    let (other_name, other_level) =
        version.pick_of_three(("MQTT", 4), ("MQIsdp", 3), ("MQIsdp", 3));
    let mut attacks = vec![
        named("another protocol", connect("MQTX", level, 0x02, &id)),
        named(
            "another version's name",
            connect(other_name, level, 0x02, &id),
        ),
        named(
            "another version's level",
            connect(name, other_level, 0x02, &id),
        ),
        named("level 2", connect(name, 2, 0x02, &id)),
        named("level 6", connect(name, 6, 0x02, &id)),
        named("a bridge", connect(name, level | 0x80, 0x02, &id)),
        named("the reserved flag", connect(name, level, 0x03, &id)),
        named(
            "a will at QoS 3",
            connect(
                name,
                level,
                0x1E,
                &[&id[..], no_properties(version), &string("w"), &string("")].concat(),
            ),
        ),
        named("QoS of no will", connect(name, level, 0x0A, &id)),
        named("RETAIN of no will", connect(name, level, 0x22, &id)),
        named(
            "a user name without a flag",
            connect(name, level, 0x02, &[&id[..], &string("user")].concat()),
        ),
        named("a will that is not there", connect(name, level, 0x06, &id)),
        named(
            "a PUBLISH as its tail",
            connect(
                name,
                level,
                0x02,
                &[&id[..], &[0x30, 0x03, 0x00, 0x01, b'a']].concat(),
            ),
        ),
        named(
            "flags",
            [&[0x1F], &connect(name, level, 0x02, &id)[1..]].concat(),
        ),
        named("no client id", connect(name, level, 0x02, &[])),
        named("nothing", vec![0x10, 0x00]),
    ];
    if version != Version::V31 {
        attacks.push(named(
            "a user name that is not there",
            connect(name, level, 0x82, &id),
        ));
        let login = [&id[..], &string("user")].concat();
        attacks.push(named(
            "a password that is not there",
            connect(name, level, 0xC2, &login),
        ));
    }
    for text in BAD_TEXT {
        attacks.push((
            format!("client id {text:02x?}"),
            connect(name, level, 0x02, &string(text)),
        ));
        let login = [&id[..], &string(text), &string("password")].concat();
        attacks.push((
            format!("user name {text:02x?}"),
            connect(name, level, 0xC2, &login),
        ));
        let will = [&id[..], no_properties(version), &string(text), &string("")].concat();
        attacks.push((
            format!("will topic {text:02x?}"),
            connect(name, level, 0x06, &will),
        ));
    }
    for topic in ["", "#", "a/+"] {
        let will = [&id[..], no_properties(version), &string(topic), &string("")].concat();
        attacks.push((
            format!("will topic {topic:?}"),
            connect(name, level, 0x06, &will),
        ));
    }
    if version != Version::V5 {
        attacks.push(named(
            "a password without a user name",
            connect(name, level, 0x42, &[&id[..], &string("p")].concat()),
        ));
        attacks.push(named(
            "half a user name",
            connect(name, level, 0x82, &[&id[..], &[0, 4, b'u']].concat()),
        ));
        attacks.push(named(
            "half a length",
            connect(name, level, 0x82, &[&id[..], &[0]].concat()),
        ));
    }
    match version {
        Version::V31 => {
            attacks.push(named(
                "an empty client id",
                connect(name, level, 0x02, &string("")),
            ));
        }
        Version::V311 => {
            attacks.push(named(
                "MQTT 5 that says 3.1.1",
                [
                    &Connect::new("id").encode(Version::V5)[..8],
                    &[4],
                    &Connect::new("id").encode(Version::V5)[9..],
                ]
                .concat(),
            ));
        }
        Version::V5 => attacks.extend(connect_properties()),
    }
    attacks
}

fn connect_properties() -> Vec<Attack> {
    let with = |properties: &[Vec<u8>]| {
        let connect = properties
            .iter()
            .cloned()
            .fold(Connect::new("id"), Connect::property);
        connect.encode(Version::V5)
    };
    vec![
        named(
            "Session Expiry twice",
            with(&[property::session_expiry(1), property::session_expiry(2)]),
        ),
        named("Receive Maximum 0", with(&[property::receive_maximum(0)])),
        named("Maximum Packet Size 0", with(&[vec![0x27, 0, 0, 0, 0]])),
        named("Request Problem Information 2", with(&[vec![0x17, 2]])),
        named("Request Response Information 2", with(&[vec![0x19, 2]])),
        named(
            "Topic Alias in a CONNECT",
            with(&[property::topic_alias(1)]),
        ),
        named("unknown property", with(&[vec![0x7E, 0]])),
        named(
            "Authentication Data without a method",
            with(&[[vec![0x16], string("data")].concat()]),
        ),
        named(
            "Authentication Method twice",
            with(&[
                property::authentication_method("a"),
                property::authentication_method("b"),
            ]),
        ),
        named(
            "User Property with a NUL",
            with(&[property::user("k", "\0")]),
        ),
        named("MQTT 3.1.1 that says 5", {
            let old = Connect::new("id").encode(Version::V311);
            [&old[..8], &[5], &old[9..]].concat()
        }),
    ]
}
