//! Wills: they are changed as messages are, in the CONNECT that the broker sees.

use tidegate_proto::v1::{PublishAllow, UserProperty};
use tidegate_tests::{
    Connect, Publish, Topology, Version, all_versions,
    packet::{Encode as _, property},
    service::Hook,
};

use crate::{all_but, answer};

/// With a session that is longer than the delays of these wills, so that those stay as they are.
fn connect(will: Publish) -> Connect {
    Connect::new("client")
        .login("user", "secret")
        .property(property::session_expiry(60))
        .will(will)
}

fn cases(version: Version) -> Vec<(&'static str, PublishAllow, Publish, Publish)> {
    let sent = || Publish::new("w", "gone").qos(2);
    let changed = |topic: &str, payload: &str| Publish::new(topic, payload).qos(2);
    let none = PublishAllow::default;
    let topic = PublishAllow {
        topic: Some("inner/w".into()),
        ..none()
    };
    let payload = PublishAllow {
        payload: Some(b"left".to_vec().into()),
        ..none()
    };
    let retain = |retain| PublishAllow {
        retain: Some(retain),
        ..none()
    };
    let mut cases = vec![
        (
            "publish_topic",
            topic.clone(),
            sent(),
            changed("inner/w", "gone"),
        ),
        (
            "publish_payload",
            payload.clone(),
            sent(),
            changed("w", "left"),
        ),
        ("publish_retain", retain(true), sent(), sent().retain()),
        ("publish_retain", retain(false), sent().retain(), sent()),
    ];
    if version == Version::V5 {
        let rich = |will: Publish| {
            will.property(property::will_delay(5))
                .property(property::user("a", "1"))
                .property(property::content_type("text/plain"))
        };
        let add = PublishAllow {
            user_property_keys_to_remove: vec!["a".into()],
            user_properties_to_add: vec![UserProperty {
                key: "b".into(),
                value: "2".into(),
            }],
            ..none()
        };
        let without = sent()
            .property(property::will_delay(5))
            .property(property::content_type("text/plain"));
        cases.extend([
            (
                "publish_topic",
                topic,
                rich(sent()),
                rich(changed("inner/w", "gone")),
            ),
            (
                "publish_payload",
                payload,
                sent().property(property::payload_format(1)),
                changed("w", "left"),
            ),
            (
                "publish_user_properties",
                add,
                rich(sent()),
                without.property(property::user("b", "2")),
            ),
        ]);
    }
    cases
}

all_versions!(what_is_permitted_is_changed, |version| {
    let topology = all_but("");
    for (index, (_, change, sent, expected)) in cases(version).into_iter().enumerate() {
        println!("{change:?}");
        answer(&topology, Hook::Publish, change);
        let _client = topology.join(version, &connect(sent));
        let seen = topology.recorder().connection(index).remove(0);
        assert_eq!(seen.bytes(), connect(expected).encode(version), "{seen:?}");
    }
});

#[track_caller]
fn expect_failure(topology: &Topology, version: Version, will: Publish) {
    topology
        .try_connect(version, &connect(will))
        .expect_refused(version.pick(0x03, 0x88));
    assert_eq!(topology.recorder().connections(), 0);
}

all_versions!(what_is_not_permitted_is_a_failure, |version| {
    for key in [
        "publish_topic",
        "publish_payload",
        "publish_retain",
        "publish_user_properties",
    ] {
        let topology = all_but(key);
        for (_, change, sent, _) in cases(version).into_iter().filter(|case| case.0 == key) {
            println!("{change:?}");
            answer(&topology, Hook::Publish, change);
            expect_failure(&topology, version, sent);
        }
    }
});

all_versions!(what_is_not_mqtt_is_a_failure, |version| {
    let topology = all_but("");
    for topic in ["", "#", "a/+", "a\0b"] {
        let change = PublishAllow {
            topic: Some(topic.into()),
            ..PublishAllow::default()
        };
        answer(&topology, Hook::Publish, change);
        expect_failure(&topology, version, Publish::new("w", "gone"));
    }
    // A deletion that becomes a message to keep, and the other way round.
    for (sent, changed) in [("", "kept"), ("kept", "")] {
        let change = PublishAllow {
            payload: Some(changed.into()),
            ..PublishAllow::default()
        };
        answer(&topology, Hook::Publish, change);
        expect_failure(&topology, version, Publish::new("w", sent).retain());
    }
});
