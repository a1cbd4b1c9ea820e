//! PUBLISH that the service allows with changes: the broker gets them, or nothing.

use gatekeeper::{
    Allow, Fate, OnDeniedV3, PublishChanges, ReasonCode, Ticket, UserProperty, Verdict, Version,
};

use crate::{
    packet::{PUBACK, PUBREC},
    scene::{BOTH, Scene, publish},
    write::{self, Connect, Publish, text, text_property},
};

impl Scene {
    fn allows_changed(&mut self, ticket: Ticket, changes: PublishChanges) {
        let allow = Allow::Publish(Some(Box::new(changes)));
        self.answers(ticket, Verdict::Allow(allow));
    }
}

fn to_topic(topic: &str) -> PublishChanges {
    PublishChanges {
        topic: Some(topic.into()),
        ..PublishChanges::default()
    }
}

fn to_payload(payload: &'static [u8]) -> PublishChanges {
    PublishChanges {
        payload: Some(payload.into()),
        ..PublishChanges::default()
    }
}

/// Changes that no version can make.
fn illegal() -> Vec<PublishChanges> {
    vec![
        to_topic(""),
        to_topic("a/+"),
        to_topic("a\0"),
        to_topic(&"x".repeat(65_536)),
        to_topic(&"/".repeat(201)),
        PublishChanges {
            payload_format_indicator: Some(false),
            ..PublishChanges::default()
        },
    ]
}

/// QoS, DUP and packet identifier are the client's, and so the answer to it is the broker's.
#[test]
fn the_broker_gets_the_changed_message_and_acknowledges_the_clients() {
    for version in BOTH {
        for (qos, kind) in [(0, 0), (1, PUBACK), (2, PUBREC)] {
            let mut scene = Scene::live(version);
            scene.client_publishes("own", qos, 7);
            let ticket = scene.asks_publish("own");
            scene.allows_changed(ticket, to_topic("other/topic"));
            scene.broker_gets(&publish(version, "other/topic", qos, 7));
            assert_eq!(scene.fate(ticket), Some(Fate::Forwarded));
            if qos > 0 {
                scene.broker_sends(&write::ack(kind, 7));
                scene.client_gets(&write::ack(kind, 7));
            }
        }
    }
}

/// [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20]: what is not changed is not
/// altered.
#[test]
fn all_other_properties_stay_as_they_were() {
    let user = |key: &str, value: &str| [vec![0x26], text(key), text(value)].concat();
    let kept = [
        vec![0x02, 0, 0, 0, 60],
        text_property(0x03, "text/plain"),
        text_property(0x08, "replies/7"),
        text_property(0x09, "correlation"),
        user("a", "1"),
        user("a", "2"),
    ]
    .concat();
    let sent = Publish {
        topic: "own".to_owned(),
        qos: 1,
        id: 7,
        properties: [&[0x01, 1][..], &user("secret", "x"), &kept].concat(),
        payload: b"old".to_vec(),
        ..Publish::default()
    };
    let mut scene = Scene::live(Version::V5);
    scene.client_sends(&sent.write(Version::V5));
    let ticket = scene.asks_publish("own");
    scene.allows_changed(
        ticket,
        PublishChanges {
            topic: Some("new".into()),
            payload: Some("new".into()),
            retain: Some(true),
            user_property_keys_to_remove: vec!["secret".into()],
            user_properties_to_add: vec![UserProperty {
                key: "sender".into(),
                value: "alice".into(),
            }],
            ..PublishChanges::default()
        },
    );
    let changed = Publish {
        topic: "new".to_owned(),
        retain: true,
        properties: [kept, user("sender", "alice")].concat(),
        payload: b"new".to_vec(),
        ..sent
    };
    scene.broker_gets(&changed.write(Version::V5));
}

/// An allow with changes that come to nothing.
#[test]
fn no_change_at_all_is_the_same_bytes() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let sent = scene.client_publishes("own", 1, 7);
        let ticket = scene.asks_publish("own");
        scene.allows_changed(ticket, PublishChanges::default());
        scene.broker_gets(&sent);
    }
}

/// [MQTT-4.6.0-5]: changed or not, messages leave in the order in which they came.
#[test]
fn a_changed_message_keeps_its_place() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 1, 1);
        let first = scene.asks_publish("a");
        scene.client_publishes("b", 1, 2);
        let second = scene.asks_publish("b");
        scene.allows_changed(second, to_topic("y"));
        scene.is_quiet();
        scene.allows_changed(first, to_topic("x"));
        scene.broker_gets(&publish(version, "x", 1, 1));
        scene.broker_gets(&publish(version, "y", 1, 2));
    }
}

/// [MQTT-3.3.2-12]: the alias means what the client said, and each message that uses it is changed
/// by itself.
#[test]
fn an_alias_stays_in_the_words_of_the_client() {
    let with_alias = |topic: &str| {
        Publish {
            topic: topic.to_owned(),
            properties: vec![0x23, 0, 1],
            payload: b"payload".to_vec(),
            ..Publish::default()
        }
        .write(Version::V5)
    };
    let mut scene = Scene::live(Version::V5);
    scene.client_sends(&with_alias("own"));
    let ticket = scene.asks_publish("own");
    scene.allows_changed(ticket, to_topic("other"));
    scene.broker_gets(&publish(Version::V5, "other", 0, 0));
    scene.client_sends(&with_alias(""));
    let ticket = scene.asks_publish("own");
    scene.allows(ticket);
    scene.broker_gets(&publish(Version::V5, "own", 0, 0));
}

/// A failure, and so never told as a success nor as a denial: 0x83.
#[test]
fn an_illegal_change_is_a_failure_on_v5() {
    let v5_only = [PublishChanges {
        payload: Some(b"\xFF".as_slice().into()),
        payload_format_indicator: Some(true),
        ..PublishChanges::default()
    }];
    for changes in illegal().into_iter().chain(v5_only) {
        for (qos, kind) in [(0, 0), (1, PUBACK), (2, PUBREC)] {
            let mut scene = Scene::live(Version::V5);
            scene.client_publishes("own", qos, 7);
            let ticket = scene.asks_publish("own");
            scene.allows_changed(ticket, changes.clone());
            if qos == 0 {
                assert_eq!(scene.fate(ticket), Some(Fate::Dropped));
            } else {
                scene.client_gets(&write::ack_code(kind, 7, 0x83));
                let code = ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR;
                assert_eq!(scene.fate(ticket), Some(Fate::Refused(code)));
            }
        }
    }
}

/// On MQTT 3.1.1 there is no word for a failure; what only MQTT 5.0 has is one more.
#[test]
fn an_illegal_change_closes_on_v311() {
    let v5_only = [
        PublishChanges {
            user_property_keys_to_remove: vec!["k".into()],
            ..PublishChanges::default()
        },
        PublishChanges {
            user_properties_to_add: vec![UserProperty {
                key: "k".into(),
                value: "v".into(),
            }],
            ..PublishChanges::default()
        },
        PublishChanges {
            payload_format_indicator: Some(true),
            ..to_payload(b"new")
        },
    ];
    for changes in illegal().into_iter().chain(v5_only) {
        for qos in 0..=2 {
            let mut scene = Scene::live(Version::V311);
            scene.client_publishes("own", qos, 7);
            let ticket = scene.asks_publish("own");
            scene.allows_changed(ticket, changes.clone());
            if qos == 0 {
                assert_eq!(scene.fate(ticket), Some(Fate::Dropped));
            } else {
                scene.closes("publish_undecided");
            }
        }
    }
}

/// [MQTT-3.3.1-6]: an empty payload with RETAIN deletes.
#[test]
fn a_deletion_is_not_turned_into_a_message_nor_back() {
    for (before, after) in [("", "new"), ("old", "")] {
        for retain in [None, Some(true)] {
            let sent = Publish {
                topic: "own".to_owned(),
                qos: 1,
                id: 7,
                retain: true,
                payload: before.into(),
                ..Publish::default()
            };
            let mut scene = Scene::live(Version::V5);
            scene.client_sends(&sent.write(Version::V5));
            let ticket = scene.asks_publish("own");
            let changes = PublishChanges {
                payload: Some(after.into()),
                retain,
                ..PublishChanges::default()
            };
            scene.allows_changed(ticket, changes);
            scene.client_gets(&write::ack_code(PUBACK, 7, 0x83));
        }
    }
}

/// [MQTT-3.2.2-15]: a client that did nothing wrong is denied, for it would be denied for ever.
#[test]
fn what_grows_beyond_what_the_broker_takes_is_denied() {
    let most = [0x27, 0, 0, 0, 40];
    let changes = |length: usize| to_topic(&"x".repeat(length));
    for (qos, kind) in [(0, 0), (1, PUBACK), (2, PUBREC)] {
        let mut scene = Scene::with(Version::V5, |rules| {
            rules.on_publish_denied_v3 = OnDeniedV3::Disconnect;
        })
        .connected(&Connect::default(), &most);
        scene.client_publishes("own", qos, 7);
        let ticket = scene.asks_publish("own");
        scene.allows_changed(ticket, changes(40));
        if qos == 0 {
            assert_eq!(scene.fate(ticket), Some(Fate::Dropped));
        } else {
            scene.client_gets(&write::ack_code(kind, 7, 0x97));
        }
        // Headers, identifier and payload are 14 bytes, or two less.
        let longest = if qos == 0 { 28 } else { 26 };
        scene.client_publishes("own", qos, 8);
        let ticket = scene.asks_publish("own");
        scene.allows_changed(ticket, changes(longest));
        scene.broker_gets(&publish(Version::V5, &"x".repeat(longest), qos, 8));
    }
}
