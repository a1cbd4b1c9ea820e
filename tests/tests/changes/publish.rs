//! Messages.

use tidegate_proto::v1::{PublishAllow, UserProperty};
use tidegate_tests::{
    Answer, Check, Packet, Publish, Version, all_versions,
    packet::{Encode as _, Kind, Property, property},
    service::Hook,
};

use crate::{all_but, answer};

fn pair(key: &str, value: &str) -> UserProperty {
    UserProperty {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

pub(crate) fn topic(topic: &str) -> PublishAllow {
    PublishAllow {
        topic: Some(topic.to_owned()),
        ..PublishAllow::default()
    }
}

pub(crate) fn payload(payload: &[u8]) -> PublishAllow {
    PublishAllow {
        payload: Some(payload.to_vec().into()),
        ..PublishAllow::default()
    }
}

fn retain(retain: bool) -> PublishAllow {
    PublishAllow {
        retain: Some(retain),
        ..PublishAllow::default()
    }
}

pub(crate) fn user_properties(remove: &[&str], add: &[(&str, &str)]) -> PublishAllow {
    PublishAllow {
        user_property_keys_to_remove: remove.iter().map(|&key| key.to_owned()).collect(),
        user_properties_to_add: add.iter().map(|(key, value)| pair(key, value)).collect(),
        ..PublishAllow::default()
    }
}

/// The key that permits it, the change, what the client sends, and what the broker sees.
type Case = (&'static str, PublishAllow, Publish, Publish);

pub(crate) fn message(topic: &str, payload: &str) -> Publish {
    Publish::new(topic, payload)
}

pub(crate) fn cases(version: Version) -> Vec<Case> {
    let sent = || message("t", "x");
    let mut cases = vec![
        (
            "publish_topic",
            topic("other/topic"),
            sent(),
            message("other/topic", "x"),
        ),
        (
            "publish_topic",
            topic("é\u{feff}"),
            sent(),
            message("é\u{feff}", "x"),
        ),
        ("publish_topic", topic("/"), sent(), message("/", "x")),
        (
            "publish_payload",
            payload(b"other"),
            sent(),
            message("t", "other"),
        ),
        ("publish_payload", payload(b""), sent(), message("t", "")),
        (
            "publish_payload",
            payload(b"\xFF\0"),
            sent(),
            Publish::new("t", b"\xFF\0"),
        ),
        ("publish_retain", retain(true), sent(), sent().retain()),
        ("publish_retain", retain(false), sent().retain(), sent()),
    ];
    if version == Version::V5 {
        cases.extend(cases_of_mqtt_5());
    }
    cases
}

fn cases_of_mqtt_5() -> Vec<Case> {
    let user = property::user;
    let rich = |topic: &str| {
        Publish::new(topic, "x")
            .property(user("b", "1"))
            .property(property::payload_format(1))
            .property(property::message_expiry(100))
            .property(property::response_topic("answers"))
            .property(user("a", "2"))
            .property(property::correlation_data([0, 0xFF]))
            .property(property::content_type("text/plain"))
            .property(user("b", "3"))
    };
    let formatted = || message("t", "x").property(property::payload_format(1));
    let with_format = |bytes: &[u8], format| PublishAllow {
        payload_format_indicator: Some(format),
        ..payload(bytes)
    };
    let three = || {
        message("t", "x")
            .property(user("a", "1"))
            .property(user("b", "2"))
            .property(user("a", "3"))
    };
    vec![
        ("publish_topic", topic("other"), rich("t"), rich("other")),
        // The old format says nothing about the new payload.
        (
            "publish_payload",
            payload(b"\xFF"),
            formatted(),
            Publish::new("t", b"\xFF"),
        ),
        (
            "publish_payload",
            with_format(b"new", 1),
            message("t", "x"),
            message("t", "new").property(property::payload_format(1)),
        ),
        (
            "publish_payload",
            with_format(b"\xFF", 0),
            formatted(),
            Publish::new("t", b"\xFF").property(property::payload_format(0)),
        ),
        (
            "publish_user_properties",
            user_properties(&["a"], &[]),
            three(),
            message("t", "x").property(user("b", "2")),
        ),
        (
            "publish_user_properties",
            user_properties(&[], &[("a", "4"), ("a", "")]),
            three(),
            three().property(user("a", "4")).property(user("a", "")),
        ),
        (
            "publish_user_properties",
            user_properties(&["a", "b", "none"], &[("a", "new")]),
            three(),
            message("t", "x").property(user("a", "new")),
        ),
    ]
}

/// The properties but user properties, in a fixed order, and then those in theirs: only they have one.
fn sorted_properties(packet: &Packet) -> Vec<Property> {
    let (users, mut others): (Vec<_>, Vec<_>) = packet
        .properties()
        .into_iter()
        .partition(|found| found.id == property::USER_PROPERTY);
    others.sort_by_key(|found| found.id);
    others.extend(users);
    others
}

#[track_caller]
fn assert_same(seen: &Packet, expected: &Publish, version: Version) {
    let expected = Packet::new(version, expected.encode(version));
    assert_eq!(seen.bytes()[0], expected.bytes()[0], "flags");
    assert_eq!(seen.bytes().len(), expected.bytes().len(), "length");
    assert_eq!(seen.topic(), expected.topic());
    assert_eq!(seen.payload(), expected.payload());
    assert_eq!(sorted_properties(seen), sorted_properties(&expected));
    if seen.qos() > 0 {
        assert_eq!(seen.id(), expected.id());
    }
}

all_versions!(what_is_permitted_is_changed, |version| {
    let topology = all_but("");
    let mut client = topology.connect(version, "client");
    let mut count = 0;
    for (_, change, sent, expected) in cases(version) {
        println!("{change:?}");
        answer(&topology, Hook::Publish, change);
        for qos in 0..=2 {
            let id = client.next_id();
            client.send(&sent.clone().qos(qos).id(id));
            client.complete(qos, id);
            count += 1;
            let seen = topology.recorder().wait_for(Kind::Publish, count);
            assert_same(&seen[count - 1], &expected.clone().qos(qos).id(id), version);
        }
    }
});

// QoS, DUP and identifier are the client's, whatever is changed.
all_versions!(several_changes_at_once, |version| {
    let topology = all_but("");
    let mut client = topology.connect(version, "client");
    let change = PublishAllow {
        topic: Some("other".into()),
        payload: Some(b"new".to_vec().into()),
        retain: Some(true),
        ..PublishAllow::default()
    };
    answer(&topology, Hook::Publish, change);
    client.send(&message("t", "x").qos(1).id(0x1234).dup());
    client.complete(1, 0x1234);
    let seen = topology.recorder().packets(Kind::Publish).remove(0);
    let expected = message("other", "new").retain().qos(1).id(0x1234).dup();
    assert_eq!(seen.bytes(), expected.encode(version));
});

all_versions!(a_yes_without_changes_leaves_every_byte, |version| {
    let topology = all_but("");
    let mut client = topology.connect(version, "client");
    answer(&topology, Hook::Publish, PublishAllow::default());
    let mut count = 0;
    for (_, _, sent, _) in cases(version) {
        client.send(&sent.clone().qos(1).id(1));
        client.complete(1, 1);
        count += 1;
        let seen = topology.recorder().packets(Kind::Publish);
        assert_eq!(seen[count - 1].bytes(), sent.qos(1).id(1).encode(version));
    }
});

// P19: an alias stands for the client's own topic, and each message is changed by itself.
#[test]
fn an_alias_stands_for_what_the_client_said() {
    let topology = all_but("");
    topology.service().answer_hook(Hook::Publish, |check| {
        topic(&format!("inner/{}", check.topic())).into()
    });
    let mut client = topology.connect(Version::V5, "client");
    let aliased = |topic: &str| message(topic, "x").property(property::topic_alias(1));
    for (topic, id) in [("a", 1), ("", 2), ("b", 3), ("", 4)] {
        client.send(&aliased(topic).qos(1).id(id));
        client.complete(1, id);
    }
    let topics = topology.recorder().topics();
    assert_eq!(topics, ["inner/a", "inner/a", "inner/b", "inner/b"]);
    let asked: Vec<_> = topology.service().checks_of(Hook::Publish);
    let asked: Vec<_> = asked.iter().map(Check::topic).collect();
    assert_eq!(asked, ["a", "a", "b", "b"]);
}

// Each answer changes its own message, in whatever order the answers come.
all_versions!(changes_stay_with_their_messages, |version| {
    let topology = all_but("");
    topology.service().answer_hook(Hook::Publish, |check| {
        let number: u64 = check.topic().parse().expect("a number");
        let delay = std::time::Duration::from_millis((number * 7) % 11);
        Answer::from(topic(&format!("{number}/changed"))).after(delay)
    });
    let mut client = topology.connect(version, "client");
    for id in 1..=50 {
        client.send(&Publish::new(id.to_string(), "").qos(1).id(id));
    }
    for id in 1..=50 {
        client.expect_ack(Kind::Puback, id, 0);
    }
    let expected: Vec<_> = (1..=50).map(|id| format!("{id}/changed")).collect();
    assert_eq!(topology.recorder().topics(), expected);
});
