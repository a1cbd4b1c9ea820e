use super::*;
use crate::wire::tests::support::{client, field, packet, section};

const V311: Version = Version::V311;
const V5: Version = Version::V5;
const LIMITS: FilterLimits = FilterLimits {
    max_filters: 64,
    max_levels: 128,
};

fn try_read(version: Version, properties: &[u8], filters: &[u8]) -> Result<Subscribe, Violation> {
    let properties = match version {
        Version::V31 | V311 => vec![],
        V5 => section(properties),
    };
    let body = [&[0, 7], properties.as_slice(), filters].concat();
    read(&client(0x82, &body), version, LIMITS)
}

fn one(version: Version, filter: &str, options: u8) -> Result<Subscribe, Violation> {
    try_read(version, &[], &[field(filter), vec![options]].concat())
}

fn code(result: Result<Subscribe, Violation>) -> Option<u8> {
    result.err().map(|found| found.code.get())
}

#[test]
fn filters_and_options_are_read_in_order() {
    let filters = [field("a/+"), vec![0x02], field("$share/g/b"), vec![0x29]].concat();
    let found = try_read(V5, &[0x0B, 0x80, 1, 0x26, 0, 1, b'k', 0, 0], &filters).unwrap();
    assert_eq!(found.packet_id.get(), 7);
    assert_eq!(found.subscription_identifier, Some(128));
    assert_eq!(found.user_properties.len(), 1);
    let [first, second] = found.filters.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(first.parsed.full(), "a/+");
    assert_eq!(first.qos, QoS::ExactlyOnce);
    assert_eq!(first.raw.as_ref(), b"\0\x03a/+\x02");
    let Parsed::Filter(shared) = &second.parsed else {
        panic!("{second:?}")
    };
    assert_eq!(shared.share_name.as_deref(), Some("g"));
    assert_eq!(shared.filter, "b");
    assert_eq!(second.qos, QoS::AtLeastOnce);
    assert!(second.retain_as_published && !second.no_local);
    assert_eq!(second.retain_handling, 2);
}

#[test]
fn all_options_are_judged() {
    for options in 0..=u8::MAX {
        let qos_3 = options & 3 == 3;
        let v311 = match (options & 0xFC != 0, qos_3) {
            (true, _) => Some(0x81),
            (false, true) => Some(0x82),
            (false, false) => None,
        };
        let v5 = match (options & 0xC0 != 0, qos_3 || options & 0x30 == 0x30) {
            (true, _) => Some(0x81),
            (false, true) => Some(0x82),
            (false, false) => None,
        };
        assert_eq!(code(one(V311, "a", options)), v311, "{options:#010b}");
        assert_eq!(code(one(V5, "a", options)), v5, "{options:#010b}");
    }
}

#[test]
fn no_local_does_not_go_with_a_share() {
    assert_eq!(code(one(V5, "$share/g/a", 0x04)), Some(0x82));
    assert_eq!(code(one(V5, "$share/g/$share/h/a", 0x04)), Some(0x82));
    assert!(one(V5, "a", 0x04).unwrap().filters[0].no_local);
}

#[test]
fn there_is_at_least_one_filter_and_an_identifier() {
    for version in [V311, V5] {
        assert_eq!(code(try_read(version, &[], &[])), Some(0x82));
    }
    let zero = read(&client(0x82, b"\0\0\0\x01a\0"), V311, LIMITS);
    assert_eq!(code(zero), Some(0x82));
}

#[test]
fn one_malformed_filter_is_a_violation_of_the_packet() {
    for bad in ["", "a#", "a/#/b", "+a", "a\0"] {
        for version in [V311, V5] {
            let filters = [field("good"), vec![0], field(bad), vec![0]].concat();
            assert_eq!(
                code(try_read(version, &[], &filters)),
                Some(0x81),
                "{bad:?}"
            );
        }
    }
    assert_eq!(code(one(V5, "$share/g", 0)), Some(0x81));
    assert_eq!(
        one(V311, "$share/g", 0).unwrap().filters[0].parsed,
        Parsed::Refused("$share/g".into())
    );
}

#[test]
fn a_subscription_identifier_stands_once_and_is_not_0() {
    let filter = [field("a"), vec![0]].concat();
    for properties in [
        &[0x0B, 0][..],
        &[0x0B, 1, 0x0B, 1],
        &[0x0B, 1, 0x0B, 2, 0x0B, 3],
    ] {
        assert_eq!(code(try_read(V5, properties, &filter)), Some(0x82));
    }
}

#[test]
fn so_many_filters_only() {
    let filters = |count| [field("a"), vec![0]].concat().repeat(count);
    let most = try_read(V311, &[], &filters(64)).unwrap();
    assert_eq!(most.filters.len(), 64);
    assert_eq!(code(try_read(V311, &[], &filters(65))), Some(0x97));
}

#[test]
fn so_many_levels_only() {
    let found = one(V5, &"/".repeat(128), 0).unwrap();
    assert!(matches!(found.filters[0].parsed, Parsed::Refused(_)));
    let found = one(V5, &"/".repeat(127), 0).unwrap();
    assert!(matches!(found.filters[0].parsed, Parsed::Filter(_)));
}

#[test]
fn a_subset_has_the_chosen_filters_as_they_were_sent() {
    let filters = [&b"\0\x01a\x01"[..], b"\0\x01b\x2D", b"\0\x01a\x02"];
    let properties = [0x0B, 9];
    for version in [V311, V5] {
        let sent = match version {
            Version::V31 | V311 => [filters[0], b"\0\x01b\x00", filters[2]],
            V5 => filters,
        };
        let found = try_read(version, &properties, &sent.concat()).unwrap();
        let section = match version {
            Version::V31 | V311 => vec![],
            V5 => section(&properties),
        };
        for mask in 0..8_usize {
            let chosen: Vec<_> = (0..3)
                .filter(|index| mask & 1 << index != 0)
                .flat_map(|index| sent[index].to_vec())
                .collect();
            let outgoing = [0, 1, 2].map(|index| match mask & 1 << index {
                0 => Outgoing::Omitted,
                _ => Outgoing::AsSent,
            });
            let subset = found.encode(&outgoing).unwrap();
            if chosen.is_empty() {
                assert_eq!(subset, None);
                continue;
            }
            let body = [&[0, 7], section.as_slice(), &chosen].concat();
            assert_eq!(subset.unwrap().as_ref(), packet(0x82, &body));
        }
    }
}

#[test]
fn a_changed_filter_keeps_its_other_options() {
    let filters = [&b"\0\x01a\x01"[..], b"\0\x01b\x2E", b"\0\x01a\x02"].concat();
    let found = try_read(V5, &[0x0B, 9], &filters).unwrap();
    let changed = |filter: &str, qos| Outgoing::Changed {
        filter: filter.into(),
        qos,
    };
    let outgoing = [
        Outgoing::Omitted,
        changed("t/b", QoS::AtMostOnce),
        changed("a", QoS::AtLeastOnce),
    ];
    let body = [&b"\0\x07\x02\x0B\x09"[..], b"\0\x03t/b\x2C", b"\0\x01a\x01"].concat();
    let written = found.encode(&outgoing).unwrap().unwrap();
    assert_eq!(written.as_ref(), packet(0x82, &body));
    let reread = read(&client(0x82, &body), V5, LIMITS).unwrap();
    assert!(reread.filters[0].no_local && reread.filters[0].retain_as_published);
}

/// What nobody has said a word about does not leave.
#[test]
fn a_filter_without_a_word_is_left_out() {
    let filters = [field("a"), vec![0], field("b"), vec![0]].concat();
    let found = try_read(V311, &[], &filters).unwrap();
    assert_eq!(found.encode(&[]), Ok(None));
    let one = [&[0, 7][..], &field("a"), &[0]].concat();
    let written = found.encode(&[Outgoing::AsSent]).unwrap().unwrap();
    assert_eq!(written.as_ref(), packet(0x82, &one));
}

/// A length that does not fit is never cut off.
#[test]
fn a_filter_has_at_most_65535_bytes() {
    let found = one(V311, "a", 1).unwrap();
    let write = |len: usize| {
        found.encode(&[Outgoing::Changed {
            filter: "x".repeat(len).into(),
            qos: QoS::AtMostOnce,
        }])
    };
    let written = write(65_535).unwrap().unwrap();
    let body = [&[0, 7][..], &field("x".repeat(65_535)), &[0]].concat();
    assert_eq!(written.as_ref(), packet(0x82, &body));
    assert!(write(65_536).is_err());
    assert!(write(65_537).is_err());
}
