//! Properties that are wrong.

use tidegate_tests::{
    Subscribe, Version,
    packet::{Encode as _, frame, property, string},
};

use super::{Attack, named};

/// Properties of PUBLISH and SUBSCRIBE that are wrong in themselves or in their place.
pub(super) fn properties() -> Vec<Attack> {
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
