use super::*;
use bytes::Bytes;
use proptest::prelude::*;

use crate::wire::tests::support::{field, section};
use crate::wire::{TooLong, varint};

/// Identifier, a legal value, and the sections it may stand in, as MQTT 5.0 table 2-4 has them.
fn table() -> Vec<(u8, Vec<u8>, &'static str)> {
    vec![
        (0x01, vec![1], "publish will"),
        (0x02, vec![0, 0, 0, 9], "publish will"),
        (0x03, field("text/plain"), "publish will"),
        (0x08, field("reply/to"), "publish will"),
        (0x09, field([0, 255]), "publish will"),
        (0x0B, vec![0x80, 0x01], "publish subscribe"),
        (0x11, vec![0, 0, 0, 9], "connect connack disconnect"),
        (0x12, field("id"), "connack"),
        (0x13, vec![0, 9], "connack"),
        (0x15, field("SCRAM"), "connect connack auth"),
        (0x16, field([0, 255]), "connect connack auth"),
        (0x17, vec![0], "connect"),
        (0x18, vec![0, 0, 0, 9], "will"),
        (0x19, vec![1], "connect"),
        (0x1A, field("info"), "connack"),
        (0x1C, field("elsewhere"), "connack disconnect"),
        (
            0x1F,
            field("because"),
            "connack publish_ack suback unsuback disconnect auth",
        ),
        (0x21, vec![0, 1], "connect connack"),
        (0x22, vec![0, 0], "connect connack"),
        (0x23, vec![0, 1], "publish"),
        (0x24, vec![0], "connack"),
        (0x25, vec![0], "connack"),
        (
            0x26,
            [field("k"), field("v")].concat(),
            "connect will connack publish publish_ack subscribe suback unsubscribe unsuback \
             disconnect auth",
        ),
        (0x27, vec![0, 0, 0, 1], "connect connack"),
        (0x28, vec![1], "connack"),
        (0x29, vec![1], "connack"),
        (0x2A, vec![1], "connack"),
    ]
}

const PLACES: &[(&str, Place)] = &[
    ("connect", Place::CONNECT),
    ("will", Place::WILL),
    ("connack", Place::CONNACK),
    ("publish", Place::PUBLISH),
    ("publish_ack", Place::PUBLISH_ACK),
    ("subscribe", Place::SUBSCRIBE),
    ("suback", Place::SUBACK),
    ("unsubscribe", Place::UNSUBSCRIBE),
    ("unsuback", Place::UNSUBACK),
    ("disconnect", Place::DISCONNECT),
    ("auth", Place::AUTH),
];

fn read_all(section: &[u8], place: Place, from: Side) -> Result<Vec<Property>, Violation> {
    let bytes = Bytes::copy_from_slice(section);
    let mut cursor = Cursor::over(&bytes);
    let (mut reader, raw) = Reader::open(&mut cursor, place, from)?;
    let mut found = Vec::new();
    while let Some(property) = reader.next()? {
        found.push(property);
    }
    cursor.finish()?;
    assert!(section.ends_with(raw.as_bytes()));
    Ok(found)
}

fn read(properties: &[u8], place: Place) -> Result<Vec<Property>, Violation> {
    read_all(&section(properties), place, Side::Client)
}

fn code(properties: &[u8], place: Place) -> Option<u8> {
    read(properties, place).err().map(|found| found.code.get())
}

fn raw(properties: &[u8]) -> RawProperties {
    let bytes = Bytes::copy_from_slice(properties);
    RawProperties::read(Cursor::over(&bytes))
}

#[test]
fn each_property_stands_in_its_packets_only() {
    for (id, value, packets) in table() {
        let property = [&[id], value.as_slice()].concat();
        for &(name, place) in PLACES {
            let belongs = packets.split(' ').any(|packet| packet == name);
            let expected = if belongs { None } else { Some(0x81) };
            assert_eq!(code(&property, place), expected, "{id:#04x} in {name}");
        }
    }
}

#[test]
fn unknown_properties_are_malformed() {
    let known: Vec<u8> = table().into_iter().map(|(id, ..)| id).collect();
    for id in (0..=u8::MAX).filter(|id| !known.contains(id)) {
        for &(name, place) in PLACES {
            assert_eq!(
                code(&[id, 0, 0, 0, 0], place),
                Some(0x81),
                "{id:#04x} in {name}"
            );
        }
    }
}

#[test]
fn a_property_does_not_stand_twice() {
    for (id, value, _) in table() {
        let twice = [&[id], value.as_slice(), &[id], value.as_slice()].concat();
        for &(name, place) in PLACES {
            if code(&[&[id], value.as_slice()].concat(), place).is_some() {
                continue;
            }
            let repeats = id == 0x26 || (id == 0x0B && name == "publish");
            let expected = if repeats { None } else { Some(0x82) };
            assert_eq!(code(&twice, place), expected, "{id:#04x} in {name}");
        }
    }
}

/// [MQTT-3.3.2-14]
#[test]
fn values_without_a_meaning_are_refused() {
    let flags = [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A];
    for (id, _, packets) in table().into_iter().filter(|(id, ..)| flags.contains(id)) {
        let name = packets.split(' ').next().unwrap();
        let &(_, place) = PLACES.iter().find(|(packet, _)| *packet == name).unwrap();
        for value in 0..=u8::MAX {
            let expected = if value < 2 { None } else { Some(0x82) };
            assert_eq!(code(&[id, value], place), expected, "{id:#04x} = {value}");
        }
    }
    let wildcard = [&[0x08], field("reply/+").as_slice()].concat();
    let empty = [&[0x08], field("").as_slice()].concat();
    for (property, place, expected) in [
        (&[0x21, 0, 0][..], Place::CONNECT, 0x82),
        (&[0x27, 0, 0, 0, 0], Place::CONNACK, 0x82),
        (&[0x0B, 0], Place::SUBSCRIBE, 0x82),
        (&[0x0B, 0], Place::PUBLISH, 0x82),
        (&[0x23, 0, 0], Place::PUBLISH, 0x94),
        (&wildcard, Place::PUBLISH, 0x81),
        (&wildcard, Place::WILL, 0x81),
        (&empty, Place::WILL, 0x81),
    ] {
        assert_eq!(code(property, place), Some(expected), "{property:02x?}");
    }
}

#[test]
fn a_value_ends_where_the_section_ends() {
    for (id, value, packets) in table() {
        let name = packets.split(' ').next().unwrap();
        let &(_, place) = PLACES.iter().find(|(packet, _)| *packet == name).unwrap();
        let property = [&[id], value.as_slice()].concat();
        for len in 1..property.len() {
            // The bytes are there, but they are not the section's.
            let bytes = [&[len as u8], property.as_slice()].concat();
            let found = read_all(&bytes, place, Side::Client);
            assert_eq!(
                found.unwrap_err().code.get(),
                0x81,
                "{id:#04x} cut at {len}"
            );
        }
    }
}

/// [MQTT-2.2.2-1]
#[test]
fn the_length_of_a_section_is_strict() {
    for (bytes, what) in [
        (&[][..], "missing"),
        (&[0x80], "without an end"),
        (&[0x80, 0x00], "not minimal"),
        (&[0x80, 0x80, 0x80, 0x80, 0x00], "of five bytes"),
        (&[0x80, 0x80, 0x80, 0x80, 0x01], "of five bytes"),
        (&[0x01], "beyond the packet"),
        (&[0xFF, 0xFF, 0xFF, 0x7F, 0x01], "far beyond the packet"),
    ] {
        let found = read_all(bytes, Place::PUBLISH, Side::Client).unwrap_err();
        assert_eq!(found.code.get(), 0x81, "{what}");
    }
    assert_eq!(read_all(&[0], Place::PUBLISH, Side::Client), Ok(Vec::new()));
}

#[test]
fn numbers_inside_of_a_section_are_minimal() {
    assert_eq!(code(&[0x0B, 0x81, 0x00], Place::SUBSCRIBE), Some(0x81));
    let largest = [0x0B, 0xFF, 0xFF, 0xFF, 0x7F];
    assert_eq!(
        read(&largest, Place::SUBSCRIBE),
        Ok(vec![Property::SubscriptionIdentifier(varint::MAX)])
    );
}

#[test]
fn a_client_may_send_so_many_user_properties_only() {
    let one = [&[0x26], field("k").as_slice(), &field("v")].concat();
    let most = one.repeat(MAX_USER_PROPERTIES);
    let more = one.repeat(MAX_USER_PROPERTIES + 1);
    assert_eq!(
        read(&most, Place::PUBLISH).unwrap().len(),
        MAX_USER_PROPERTIES
    );
    assert_eq!(code(&more, Place::PUBLISH), Some(0x97));
    assert!(read_all(&section(&more), Place::PUBLISH, Side::Broker).is_ok());
}

#[test]
fn user_properties_keep_their_order_and_repeat() {
    let pair = |key: &str, value: &str| [&[0x26], field(key).as_slice(), &field(value)].concat();
    let bytes = [pair("b", "1"), pair("a", ""), pair("b", "1")].concat();
    let keys: Vec<_> = read(&bytes, Place::CONNECT)
        .unwrap()
        .into_iter()
        .map(|property| match property {
            Property::UserProperty(pair) => format!("{}={}", pair.key, pair.value),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, ["b=1", "a=", "b=1"]);
}

#[test]
fn changes_take_the_place_of_the_old_and_leave_the_rest() {
    let user = [&[0x26], field("k").as_slice(), &field("v")].concat();
    let before = [&[0x21, 0, 9], user.as_slice(), &[0x22, 0, 7], &user].concat();
    let id = Property::AssignedClientIdentifier("gate-1".into());
    let after = raw(&before)
        .with(&[Property::TopicAliasMaximum(32), id])
        .unwrap();
    let assigned = [&[0x12], field("gate-1").as_slice()].concat();
    let expected = [
        &[0x21, 0, 9],
        user.as_slice(),
        &[0x22, 0, 32],
        &user,
        &assigned,
    ]
    .concat();
    assert_eq!(after.as_bytes().as_ref(), expected);
    assert_eq!(
        after.without(&[0x12, 0x26]).as_bytes().as_ref(),
        [0x21, 0, 9, 0x22, 0, 32]
    );
    assert!(RawProperties::default().is_empty());
}

#[test]
fn a_value_that_does_not_fit_is_not_written() {
    let long = Property::ReasonString("x".repeat(65_536).into());
    assert_eq!(
        RawProperties::default().with(&[long]),
        Err(TooLong {
            field: "Reason String"
        })
    );
}

#[test]
fn an_explanation_leaves_out_what_cannot_be_written() {
    let explain = |reason: &str| RawProperties::explanation(Some(reason), Some("b"));
    let both = [&[0x1F], field("no").as_slice(), &[0x1C], &field("b")].concat();
    assert_eq!(explain("no").as_bytes().as_ref(), both);
    let only_reference = [&[0x1C], field("b").as_slice()].concat();
    for unwritable in ["a\0", "line\n", &"x".repeat(65_536)] {
        assert_eq!(explain(unwritable).as_bytes().as_ref(), only_reference);
    }
    assert!(RawProperties::explanation(None, None).is_empty());
}

#[test]
fn authentication_data_is_not_shown() {
    let property = [&[0x16], field("secret").as_slice()].concat();
    let shown = format!("{:?} {:?}", read(&property, Place::AUTH), raw(&property));
    assert!(!shown.contains("secret"), "{shown}");
}

proptest! {
    #[test]
    fn what_is_read_is_written_in_the_same_bytes(
        picks in proptest::collection::vec(0..27_usize, 0..40),
    ) {
        let table = table();
        let bytes: Vec<u8> = picks
            .iter()
            .flat_map(|&pick| [&[table[pick].0], table[pick].1.as_slice()].concat())
            .collect();
        for &(_, place) in PLACES {
            if let Ok(properties) = read_all(&section(&bytes), place, Side::Broker) {
                let written = RawProperties::default().with(&properties).unwrap();
                prop_assert_eq!(written.as_bytes().as_ref(), bytes.as_slice());
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for &(_, place) in PLACES {
            let _ = read_all(&bytes, place, Side::Client);
        }
    }
}
