use super::*;

const V311: Version = Version::V311;
const V5: Version = Version::V5;

fn parse(full: &str, version: Version) -> Result<Parsed, Violation> {
    TopicFilter::parse(ByteString::from(full), version, 128)
}

fn filter(full: &str, version: Version) -> TopicFilter {
    match parse(full, version) {
        Ok(Parsed::Filter(filter)) => filter,
        other => panic!("{full:?} is {other:?}"),
    }
}

fn refused(full: &str) -> Result<Parsed, Violation> {
    Ok(Parsed::Refused(full.into()))
}

/// [MQTT-4.7.3-3] [3.1.1: MQTT-4.7.3-3]
#[test]
fn topic_names_are_strings_without_wildcards() {
    let longest = "a".repeat(65_535);
    for name in [
        "a",
        "/",
        "//",
        "a/b",
        "/a/",
        " ",
        "a b",
        "$SYS/x",
        "$share/g/a",
        "é/日本",
        "\u{FEFF}a",
        &longest,
    ] {
        assert_eq!(check_topic_name(name), Ok(()), "{name:?}");
    }
    let too_long = "a".repeat(65_536);
    for name in [
        "",
        "+",
        "#",
        "a/+",
        "a#",
        "+a",
        "a\0",
        "a\n",
        "a\u{7F}",
        "a\u{9F}",
        "a\u{FFFE}",
        "a\u{1FFFF}",
        "a\u{FDD0}",
        "a\u{FDEF}",
        &too_long,
    ] {
        let violation = check_topic_name(name).unwrap_err();
        assert_eq!(violation.code.get(), 0x81, "{name:?}");
    }
    assert_eq!(check_topic_name_or_empty(""), Ok(()));
}

/// [MQTT-4.7.3-4] [3.1.1: MQTT-4.7.3-4]
#[test]
fn plain_filters_are_taken_as_they_are() {
    for full in [
        "#",
        "+",
        "/",
        "//",
        "a",
        "/a",
        "a//b",
        "a/",
        "a/#",
        "/#",
        "+/+",
        "+/a/+/#",
        "+/#",
        "$SYS/#",
        "$SHARE/g/a",
        "$sharee/g/a",
        "$shar",
        "a/$share/b",
        "/$share/g/a",
        "$queue/a",
        "\u{FEFF}$share/g/a",
    ] {
        for version in [V311, V5] {
            let found = filter(full, version);
            assert_eq!(found.full, full);
            assert_eq!(found.filter, full);
            assert_eq!(found.share_name, None);
        }
    }
}

#[test]
fn malformed_filters_are_violations_in_every_version() {
    let too_long = "a".repeat(65_536);
    for full in [
        "",
        "a#",
        "#a",
        "a/#/b",
        "#/",
        "a/b#",
        "##",
        "a+",
        "+a",
        "a/b+/c",
        "++",
        "+#",
        "a\0",
        "a\r",
        "$share/g+/a",
        "$share/#/a",
        "$share/g/a#",
        "$share/g/#/a",
        &too_long,
    ] {
        for version in [V311, V5] {
            let violation = parse(full, version).unwrap_err();
            assert_eq!(violation.code.get(), 0x81, "{full:?}");
        }
    }
}

#[test]
fn shared_subscriptions_are_taken_apart_in_every_version() {
    for (full, name, inner) in [
        ("$share/g/a", "g", "a"),
        ("$share/g/a/b", "g", "a/b"),
        ("$share/g//a", "g", "/a"),
        ("$share/g//", "g", "/"),
        ("$share/g/#", "g", "#"),
        ("$share/g/+/x", "g", "+/x"),
        ("$share/$g/$SYS/x", "$g", "$SYS/x"),
        ("$share/é/é", "é", "é"),
        ("$share/ / ", " ", " "),
    ] {
        for version in [V311, V5] {
            let found = filter(full, version);
            assert_eq!(found.full, full);
            assert_eq!(found.share_name.as_deref(), Some(name));
            assert_eq!(found.filter, inner);
        }
    }
}

#[test]
fn a_malformed_share_is_a_violation_on_v5_and_refused_on_v311() {
    for full in [
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//",
        "$share//a",
        "$share///",
        "$share/#",
        "$share/+",
        "$share/+/a",
    ] {
        let violation = parse(full, V5).unwrap_err();
        assert_eq!(violation.code.get(), 0x81, "{full:?}");
        assert_eq!(parse(full, V311), refused(full));
    }
}

#[test]
fn a_share_of_a_share_is_refused() {
    for full in ["$share/g/$share/h/a", "$share/g/$share", "$share/g/$share/"] {
        for version in [V311, V5] {
            assert_eq!(parse(full, version), refused(full));
        }
    }
}

#[test]
fn a_filter_with_too_many_levels_is_refused() {
    let parse = |full: &str| TopicFilter::parse(full.into(), V5, 3);
    assert!(matches!(parse("a/b/c"), Ok(Parsed::Filter(_))));
    assert_eq!(parse("a/b/c/d"), refused("a/b/c/d"));
    assert_eq!(parse("$share/g/a/b"), refused("$share/g/a/b"));
    assert_eq!(
        parse(&"/".repeat(65_535)),
        Ok(Parsed::Refused("/".repeat(65_535).into()))
    );
}

#[test]
fn a_topic_name_with_too_many_levels_is_well_formed_but_not_accepted() {
    assert_eq!(levels(""), 1);
    assert_eq!(levels("/a/"), 3);
    assert_eq!(check_levels("a/b/c", 3), Ok(()));
    let violation = check_levels("a/b/c", 2).unwrap_err();
    assert_eq!(violation.code, ReasonCode::TOPIC_NAME_INVALID);
}

#[test]
fn what_is_parsed_still_knows_the_string_of_the_packet() {
    assert_eq!(parse("$share/g/a", V5).unwrap().full(), "$share/g/a");
    assert_eq!(parse("$share/g", V311).unwrap().full(), "$share/g");
}
