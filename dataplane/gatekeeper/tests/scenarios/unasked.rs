//! What the gate refuses by itself: nobody is asked, the broker gets nothing, and the session goes on.

use gatekeeper::{OnDenied, OnDeniedV3, Rules, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{ALL, BOTH, Scene, publish, repeated, subscribe},
    write::{self, Publish},
};

use Version::V5;

/// Topics under which brokers do something else than deliver to that topic.
const RESERVED: [&str; 8] = [
    "$queue/bob/x",
    "$exclusive/bob/x",
    "$delayed/5/bob/x",
    "$oshare/g/bob/x",
    "$SYS/x",
    "$CONTROL/dynamic-security/v1",
    "$share/g/bob/x",
    "$queue",
];

/// What a client hears whose PUBLISH with QoS 1 is not accepted.
fn puback(version: Version, id: u16) -> Vec<u8> {
    match version {
        Version::V31 | Version::V311 => write::ack(PUBACK, id),
        V5 => write::ack_code(PUBACK, id, 0x87),
    }
}

/// [MQTT-3.4.2-1]: the topic is asked about under one name, and the broker would read another out of it.
#[test]
fn nobody_publishes_where_the_broker_has_a_meaning_of_its_own() {
    for version in ALL {
        for topic in RESERVED {
            let mut scene = Scene::live(version);
            scene.client_publishes(topic, 0, 0);
            assert_eq!(scene.unasked(), ["reserved_topic"], "{topic}");
            scene.client_publishes(topic, 1, 7);
            scene.client_gets(&puback(version, 7));
            assert_eq!(scene.unasked(), ["reserved_topic"], "{topic}");
        }
    }
}

/// [MQTT-4.3.3-4]; MQTT 3.1.1 goes through the whole flow with the gate [3.1.1: MQTT-4.3.3-2].
#[test]
fn with_qos_2_the_gate_ends_the_flow() {
    let mut scene = Scene::live(V5);
    scene.client_publishes("$queue/a", 2, 7);
    scene.client_gets(&write::ack_code(PUBREC, 7, 0x87));
    assert_eq!(scene.unasked(), ["reserved_topic"]);

    let mut scene = Scene::live(Version::V311);
    let sent = scene.client_publishes("$queue/a", 2, 7);
    scene.client_gets(&write::ack(PUBREC, 7));
    scene.client_sends(&repeated(&sent));
    scene.client_gets(&write::ack(PUBREC, 7));
    assert_eq!(scene.unasked(), ["reserved_topic"]);
    scene.client_sends(&write::ack(PUBREL, 7));
    scene.client_gets(&write::ack(PUBCOMP, 7));
}

/// Whatever the operator wants of denials, this one ends nothing where there is a word for it.
#[test]
fn on_v3_it_is_what_a_denial_is() {
    let strict = |rules: &mut Rules| {
        rules.on_publish_denied = OnDenied::Disconnect;
        rules.on_publish_denied_v3 = OnDeniedV3::Disconnect;
    };
    let mut scene = Scene::live_with(Version::V311, strict);
    scene.client_publishes("$queue/a", 0, 0);
    assert_eq!(scene.unasked(), ["reserved_topic"]);
    scene.client_publishes("$queue/a", 1, 7);
    scene.closes("publish_denied");

    let mut scene = Scene::live_with(V5, strict);
    scene.client_publishes("$queue/a", 1, 7);
    scene.client_gets(&puback(V5, 7));
    scene.is_quiet();
}

/// [MQTT-4.6.0-2]
#[test]
fn the_refusal_takes_its_turn() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let sent = scene.client_publishes("a", 1, 6);
        let ticket = scene.asks_publish("a");
        scene.client_publishes("$delayed/5/a", 1, 7);
        assert_eq!(scene.unasked(), ["reserved_topic"]);
        scene.allows(ticket);
        scene.broker_gets(&sent);
        scene.is_quiet();
        scene.broker_sends(&write::ack(PUBACK, 6));
        scene.client_gets(&write::ack(PUBACK, 6));
        scene.client_gets(&puback(version, 7));
    }
}

/// [MQTT-3.3.2-7]: it is the topic that counts, not how it is said; and an alias that came with a
/// refused message is set all the same.
#[test]
fn an_alias_hides_nothing() {
    let mut scene = Scene::live(V5);
    let by_alias = |topic: &str, id| {
        Publish {
            topic: topic.to_owned(),
            qos: 1,
            id,
            properties: vec![0x23, 0, 1],
            ..Publish::default()
        }
        .write(V5)
    };
    for (topic, id) in [("$queue/a", 7), ("", 8)] {
        scene.client_sends(&by_alias(topic, id));
        scene.client_gets(&puback(V5, id));
        assert_eq!(scene.unasked(), ["reserved_topic"]);
    }
}

/// [MQTT-3.9.3-1] [MQTT-3.8.4-6]: the filter alone is refused, also as that of a shared subscription.
#[test]
fn nobody_subscribes_to_what_the_broker_reads_as_another_filter() {
    for version in ALL {
        for filter in [
            "$queue/bob/x",
            "$queue/#",
            "$exclusive/bob/#",
            "$delayed/5/bob/x",
            "$oshare/g/bob/x",
            "$share/g/$queue/bob/x",
            "$share/g/$exclusive/bob/x",
            "$oshare",
        ] {
            let mut scene = Scene::live(version);
            scene.client_subscribes(1, &[filter, "a"]);
            let ticket = scene.asks_subscribe(&["a"]);
            scene.allows(ticket);
            scene.broker_gets(&subscribe(version, 1, &["a"]));
            scene.broker_sends(&write::suback(version, 1, &[1]));
            let refused = match version {
                Version::V31 => 1,
                Version::V311 => 0x80,
                V5 => 0x8F,
            };
            scene.client_gets(&write::suback(version, 1, &[refused, 1]));
            assert_eq!(scene.unasked(), ["reserved_filter"], "{filter}");
        }
    }
}

/// [MQTT-4.7.3-4]: other names are other topics, and statistics may be read.
#[test]
fn what_only_looks_like_it_is_asked_about() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        for topic in ["$queue2/a", "$Queue/a", "queue/a", "a/$queue/b", "/$queue"] {
            scene.client_publishes(topic, 0, 0);
            let ticket = scene.asks_publish(topic);
            scene.denies(ticket);
        }
        let filters = ["$SYS/#", "+/bob/x", "$queues/a", "$CONTROL/#"];
        scene.client_subscribes(1, &filters);
        let ticket = scene.asks_subscribe(&filters);
        scene.allows(ticket);
        assert_eq!(scene.unasked(), [""; 0]);
        for index in 1..filters.len() {
            scene.allows(ticket.filter(index));
        }
        scene.broker_gets(&subscribe(version, 1, &filters));
    }
}

/// A bridge says there that it is connected, and the service may let it.
#[test]
fn the_state_of_a_bridge_is_asked_about() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let state = "$SYS/broker/connection/plant.bridge/state";
        scene.client_publishes(state, 0, 0);
        let ticket = scene.asks_publish(state);
        scene.allows(ticket);
        scene.broker_gets(&publish(version, state, 0, 0));
        for other in [
            "$SYS/broker/connection/me",
            "$SYS/broker/connection/state",
            "$SYS/broker/connection//state",
            "$SYS/broker/connection/a/b/state",
            "$SYS/broker/connection/a/state/",
            "$SYS/broker/connections/a/state",
        ] {
            scene.client_publishes(other, 0, 0);
            assert_eq!(scene.unasked(), ["reserved_topic"], "{other}");
        }
    }
}

/// For a broker that takes them for plain topics, or a service that knows what they mean.
#[test]
fn the_operator_says_what_is_reserved() {
    let open = |rules: &mut Rules| {
        rules.reserved_topics = vec!["$aws".to_owned()];
        rules.reserved_filters.clear();
    };
    for version in BOTH {
        let mut scene = Scene::live_with(version, open);
        scene.client_publishes("$delayed/5/a", 0, 0);
        let ticket = scene.asks_publish("$delayed/5/a");
        scene.denies(ticket);
        scene.client_publishes("$aws/rules/x", 0, 0);
        assert_eq!(scene.unasked(), ["reserved_topic"]);
        scene.client_subscribes(1, &["$queue/a"]);
        let ticket = scene.asks_subscribe(&["$queue/a"]);
        scene.allows(ticket);
        scene.broker_gets(&subscribe(version, 1, &["$queue/a"]));
    }
}

/// It is a limit on one packet, not the end of a session.
#[test]
fn a_topic_name_deeper_than_the_operator_allows() {
    for version in ALL {
        let mut scene = Scene::live_with(version, |rules| rules.limits.max_topic_levels = 3);
        scene.client_publishes("a/b/c/d", 0, 0);
        assert_eq!(scene.unasked(), ["topic_levels"]);
        scene.client_publishes("////", 1, 7);
        scene.client_gets(&match version {
            Version::V31 | Version::V311 => write::ack(PUBACK, 7),
            V5 => write::ack_code(PUBACK, 7, 0x90),
        });
        assert_eq!(scene.unasked(), ["topic_levels"]);
        scene.client_publishes("a/b/c", 0, 0);
        let ticket = scene.asks_publish("a/b/c");
        scene.denies(ticket);
    }
}

/// Every filter that nobody is asked about is noted.
#[test]
fn refused_filters_are_noted() {
    let mut scene = Scene::live_with(V5, |rules| {
        rules.limits.max_filter_wildcards = 1;
        rules.limits.max_subscriptions = 0;
    });
    scene.client_subscribes(1, &["+/+", "$share/g/$share/h/a", "a"]);
    scene.client_gets(&write::suback(V5, 1, &[0x8F, 0x8F, 0x97]));
    assert_eq!(scene.unasked(), ["filter", "filter", "subscriptions"]);
}
