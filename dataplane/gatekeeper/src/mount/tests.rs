use proptest::prelude::*;

use super::*;
use crate::{question::Version, topic::Parsed};

fn mount(mount: &str) -> Mount {
    Mount::new(mount.into()).unwrap()
}

fn filter(full: &str) -> TopicFilter {
    match TopicFilter::parse(full.into(), Version::V5, 128).unwrap() {
        Parsed::Filter(filter) => filter,
        Parsed::Refused(full) => panic!("{full} is refused"),
    }
}

#[test]
fn a_mount_is_the_beginning_of_a_topic_name() {
    for good in ["a/", "/", "a/b/", "a//", " /", "é/", "a/$b/"] {
        assert!(check(good), "{good:?}");
    }
    for bad in [
        "",
        "a",
        "a/b",
        "$a/",
        "$SYS/",
        "$share/g/",
        "+/",
        "a/+/",
        "#/",
        "a/#/",
        "a\0/",
        "a\n/",
        "a/\u{FFFF}/",
    ] {
        assert!(!check(bad), "{bad:?}");
        assert_eq!(Mount::new(bad.into()), None);
    }
    assert!(check(&format!("{}/", "x".repeat(65_534))));
    assert!(!check(&format!("{}/", "x".repeat(65_535))));
}

#[test]
fn names_below_the_mount_lose_it() {
    for (name, place) in [
        ("t/a/x", Place::Below("x".into())),
        ("t/a//", Place::Below("/".into())),
        ("t/a/t/a/x", Place::Below("t/a/x".into())),
        ("t/a/", Place::Root),
        ("t/a", Place::Root),
        ("t", Place::Outside),
        ("t/", Place::Outside),
        ("t/ab", Place::Outside),
        ("t/ab/x", Place::Outside),
        ("T/a/x", Place::Outside),
        ("/t/a/x", Place::Outside),
        ("$SYS/t/a/x", Place::Outside),
    ] {
        assert_eq!(mount("t/a/").place(&name.into()), place, "{name}");
    }
    assert_eq!(mount("/").place(&"/x".into()), Place::Below("x".into()));
    assert_eq!(mount("/").place(&"x".into()), Place::Outside);
    assert_eq!(mount("a//").place(&"a/".into()), Place::Root);
    assert_eq!(mount("a//").place(&"a/b".into()), Place::Outside);
}

#[test]
fn names_and_filters_get_the_mount_behind_their_share() {
    let mount = mount("t/a/");
    assert_eq!(mount.topic("x").unwrap(), "t/a/x");
    for (own, at_broker) in [
        ("x", "t/a/x"),
        ("#", "t/a/#"),
        ("/+", "t/a//+"),
        ("$SYS/#", "t/a/$SYS/#"),
        ("$share/g/x", "$share/g/t/a/x"),
        // The name of the share may look like the filter.
        ("$share/x/x", "$share/x/t/a/x"),
        ("$share/g//", "$share/g/t/a//"),
    ] {
        assert_eq!(mount.filter(&filter(own)).unwrap(), at_broker);
    }
    assert!(mount.maps("x", "t/a/x"));
    for other in ["x", "t/a/", "t/a/y", "t/a/x/", "t/b/x", "t/a/t/a/x", ""] {
        assert!(!mount.maps("x", other), "{other}");
    }
}

#[test]
fn what_no_packet_can_carry_is_not_made() {
    let mount = mount("t/a/");
    let longest = "x".repeat(65_531);
    assert_eq!(mount.topic(&longest).unwrap().len(), 65_535);
    assert_eq!(mount.topic(&format!("{longest}x")), None);
    assert!(mount.filter(&filter(&longest)).is_some());
    assert_eq!(mount.filter(&filter(&format!("{longest}x"))), None);
    let shared = format!("$share/g/{}", "x".repeat(65_523));
    assert_eq!(mount.filter(&filter(&shared)), None);
}

/// All filters of up to four levels, against the definition: a filter reaches the mount if there is a
/// topic name that it matches and `<mount>#` matches too.
#[test]
fn a_filter_reaches_the_mount_if_both_match_one_name() {
    let parts = ["t", "a", "x", "+", "#", ""];
    let mut filters: Vec<String> = parts.map(str::to_owned).to_vec();
    let mut longer = filters.clone();
    for _ in 0..3 {
        longer = longer
            .iter()
            .flat_map(|filter| parts.map(|part| format!("{filter}/{part}")))
            .collect();
        filters.extend(longer.iter().cloned());
    }
    let mut names = vec![String::new()];
    for _ in 0..4 {
        names = names
            .iter()
            .flat_map(|name| ["t", "a", "x", ""].map(|part| format!("{name}/{part}")))
            .chain(names.clone())
            .collect();
    }
    names.retain(|name| !name.is_empty());
    let names: Vec<&str> = names.iter().map(|name| &name[1..]).collect();

    let mount = mount("t/a/");
    let below: Vec<&str> = names
        .into_iter()
        .filter(|name| !name.is_empty() && matches("t/a/#", name))
        .collect();
    for full in filters {
        let Ok(Parsed::Filter(_)) = TopicFilter::parse(full.as_str().into(), Version::V5, 128)
        else {
            continue;
        };
        let expected = below.iter().any(|name| matches(&full, name));
        assert_eq!(mount.is_reached_by(&full), expected, "{full}");
    }
}

/// MQTT 5.0 §4.7.1, word by word.
fn matches(filter: &str, name: &str) -> bool {
    match (filter.split_once('/'), name.split_once('/')) {
        _ if filter == "#" => true,
        (Some((first, "#")), None) => first == "+" || first == name,
        (Some((first, filter)), Some((level, name))) => {
            (first == "+" || first == level) && matches(filter, name)
        }
        (None, None) => filter == "+" || filter == name,
        _ => false,
    }
}

#[test]
fn filters_for_what_brokers_keep_to_themselves_do_not_reach() {
    for filter in [
        "$SYS/#",
        "$SYS/t/a/x",
        "$share",
        "t",
        "t/ab/#",
        "u/#",
        "t/b/+",
        "+/b/x",
    ] {
        assert!(!mount("t/a/").is_reached_by(filter), "{filter}");
    }
    for filter in [
        "#", "+/#", "+/+", "t/#", "t/+/x", "t/a", "t/a/", "t/a/x", "+/a/#", "t/a/#",
    ] {
        assert!(mount("t/a/").is_reached_by(filter), "{filter}");
    }
}

#[test]
fn response_information_is_stripped_or_left_out() {
    let others = Property::ReasonString("why".into());
    for (sent, seen) in [
        ("t/a/replies/", Some("replies/")),
        ("t/a/", None),
        ("t/b/replies/", None),
        ("replies/", None),
        ("", None),
    ] {
        let properties = RawProperties::default()
            .with(&[Property::ResponseInformation(sent.into()), others.clone()])
            .unwrap();
        let mut expected: Vec<Property> = seen
            .map(|seen| Property::ResponseInformation(seen.into()))
            .into_iter()
            .collect();
        expected.push(others.clone());
        let expected = RawProperties::default().with(&expected).unwrap();
        let found = strip_response_information("t/a/", &properties);
        assert_eq!(found.as_bytes(), expected.as_bytes(), "{sent}");
    }
    let none = RawProperties::default();
    assert_eq!(strip_response_information("t/a/", &none), none);
}

proptest! {
    #[test]
    fn what_gets_the_mount_loses_it_again(
        at in "[a-c/]{0,6}",
        own in "[^\\p{C}+#]{1,40}",
    ) {
        let mount = mount(&format!("{at}/"));
        let topic = mount.topic(&own).unwrap();
        prop_assert!(mount.maps(&own, &topic));
        prop_assert!(mount.is_reached_by(&topic));
        prop_assert_eq!(mount.place(&topic), Place::Below(own.into()));
    }
}
