//! CONNECT packets that are none.

use tidegate_tests::{
    Connect, Version,
    packet::{Encode as _, frame, property, string},
};

use super::{Attack, BAD_TEXT, named, no_properties};

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
