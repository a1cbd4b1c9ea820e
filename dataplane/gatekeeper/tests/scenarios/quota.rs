//! Receive Maximum, and what else a client may have only so much of.

use gatekeeper::{Rules, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{BOTH, Scene, subscribe},
    write::{self, Connect},
};

const V5: Version = Version::V5;

/// What the gate allows.
fn two(rules: &mut Rules) {
    rules.limits.receive_maximum = 2;
}

/// [MQTT-4.9.0-2] [MQTT-3.3.4-7], §4.9: the lower of both; decided or not.
#[test]
fn more_messages_than_receive_maximum_end_the_session() {
    let gate = || Scene::live_with(V5, two);
    let broker = || Scene::with(V5, |_| {}).connected(&Connect::default(), &[0x21, 0, 2]);
    let lower = || Scene::with(V5, two).connected(&Connect::default(), &[0x21, 0, 9]);
    for scene in [gate, broker, lower] {
        for qos in [1, 2] {
            let mut scene = scene();
            let packet = scene.client_publishes("a", qos, 1);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
            scene.client_publishes("a", qos, 2);
            scene.asks_publish("a");
            // QoS 0 does not count, a SUBSCRIBE does not either.
            scene.client_publishes("a", 0, 0);
            scene.asks_publish("a");
            scene.client_subscribes(9, &["a"]);
            scene.asks_subscribe(&["a"]);
            scene.client_publishes("a", qos, 3);
            scene.closes_after_cancels("client_violation", 0x93);
        }
    }
}

/// §4.9: every acknowledgement gives one back, but for a PUBREC that is a success.
#[test]
fn acknowledgements_make_room() {
    let mut scene = Scene::live_with(V5, two);
    for id in 1..10 {
        let packet = scene.client_publishes("a", 1, id);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::ack(PUBACK, id));
        scene.client_gets(&write::ack(PUBACK, id));
    }
    for id in 1..10 {
        scene.client_publishes("bob/x", 2, id);
        let ticket = scene.asks_publish("bob/x");
        scene.denies(ticket);
        scene.client_gets(&write::ack_code(PUBREC, id, 0x87));
    }
    for id in 1..10 {
        let packet = scene.client_publishes("a", 2, id);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::ack(PUBREC, id));
        scene.client_gets(&write::ack(PUBREC, id));
        scene.client_sends(&write::ack(PUBREL, id));
        scene.broker_gets(&write::ack(PUBREL, id));
        scene.broker_sends(&write::ack(PUBCOMP, id));
        scene.client_gets(&write::ack(PUBCOMP, id));
    }
    for id in 1..3 {
        let packet = scene.client_publishes("a", 2, id);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::ack(PUBREC, id));
        scene.client_gets(&write::ack(PUBREC, id));
    }
    scene.client_publishes("a", 1, 3);
    scene.closes_with("client_violation", 0x93);
}

/// By identifier: a copy is the same message.
#[test]
fn copies_count_once() {
    let mut scene = Scene::live_with(V5, two);
    for qos in [1, 2] {
        let packet = scene.client_publishes("a", qos, qos.into());
        scene.asks_publish("a");
        scene.client_repeats(&packet);
        if qos == 1 {
            scene.asks_publish("a");
        }
    }
}

/// What is left from a former connection was not taken from the quota of this one (§4.9).
#[test]
fn a_release_from_before_does_not_count() {
    let mut scene = Scene::resumed_with(V5, two);
    for id in 1..5 {
        scene.client_sends(&write::ack(PUBREL, id));
        scene.broker_gets(&write::ack(PUBREL, id));
    }
    scene.client_publishes("a", 1, 6);
    scene.asks_publish("a");
}

/// MQTT 3.1.1 knows no Receive Maximum.
#[test]
fn v311_has_identifiers_only() {
    let mut scene = Scene::live_with(Version::V311, two);
    for id in 1..10 {
        scene.client_publishes("a", 2, id);
        scene.asks_publish("a");
    }
}

/// Only the client's PUBREL frees them, so not to read on would be for ever (§4.3.3).
#[test]
fn a_v3_client_may_leave_only_so_many_messages_unreleased() {
    for version in [Version::V31, Version::V311] {
        let mut scene = Scene::live_with(version, |rules| rules.limits.max_inflight = 2);
        for id in 1..=2 {
            // Forwarded or dropped: the client owes a PUBREL for both.
            let packet = scene.client_publishes("a", 2, id);
            let ticket = scene.asks_publish("a");
            if id == 1 {
                scene.denies(ticket);
            } else {
                scene.allows(ticket);
                scene.broker_gets(&packet);
                scene.broker_sends(&write::ack(PUBREC, id));
            }
            scene.client_gets(&write::ack(PUBREC, id));
        }
        assert!(scene.reads_client());
        scene.client_sends(&write::ack(PUBREL, 1));
        scene.client_gets(&write::ack(PUBCOMP, 1));
        let packet = scene.client_publishes("a", 2, 3);
        scene.asks_publish("a");
        // The same once more is none more.
        scene.client_repeats(&packet);
        scene.client_publishes("a", 2, 4);
        scene.closes_after_cancels("client_violation", 0x93);
    }
}

/// No client has to send anything for those: they are waited for.
#[test]
fn no_more_is_read_of_a_v3_client_while_the_broker_acknowledges_nothing() {
    for version in [Version::V31, Version::V311] {
        let mut scene = Scene::live_with(version, |rules| rules.limits.max_inflight = 3);
        for id in 1..=3 {
            assert!(scene.reads_client());
            let packet = scene.client_publishes("a", 1, id);
            let ticket = scene.asks_publish("a");
            scene.allows(ticket);
            scene.broker_gets(&packet);
        }
        assert!(!scene.reads_client());
        let packet = scene.client_publishes("b", 1, 4);
        scene.is_quiet();
        scene.broker_sends(&write::ack(PUBACK, 2));
        scene.client_gets(&write::ack(PUBACK, 2));
        let ticket = scene.asks_publish("b");
        scene.allows(ticket);
        scene.broker_gets(&packet);
    }
}

/// Nor while it completes nothing: neither known messages nor those of a former connection.
#[test]
fn no_more_is_read_while_the_broker_completes_nothing() {
    for version in BOTH {
        let mut scene = Scene::resumed_with(version, |rules| {
            rules.limits.max_inflight = 2;
            rules.limits.receive_maximum = 1;
        });
        // Receive Maximum is besides.
        let most = if version == V5 { 3 } else { 2 };
        for id in 1..=most {
            assert!(scene.reads_client());
            scene.client_sends(&write::ack(PUBREL, id));
            scene.broker_gets(&write::ack(PUBREL, id));
        }
        assert!(!scene.reads_client());
        scene.broker_sends(&write::ack(PUBCOMP, 1));
        scene.client_gets(&write::ack(PUBCOMP, 1));
        assert!(scene.reads_client());
    }
}

/// A broker that answers nothing, and a client that says the same again and again.
#[test]
fn copies_do_not_pile_up() {
    let mut scene = Scene::live_with(Version::V311, |rules| rules.limits.max_inflight = 3);
    let packet = scene.client_publishes("a", 2, 1);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    for _ in 0..5 {
        scene.client_repeats(&packet);
    }
    assert!(!scene.reads_client());
    scene.broker_sends(&write::ack(PUBREC, 1));
    // Two copies were taken, and the others then.
    for _ in 0..6 {
        scene.client_gets(&write::ack(PUBREC, 1));
    }
    assert!(scene.reads_client());
}

/// With the defaults, a client that sends as much at once as any library does is not hurt.
#[test]
fn thousands_of_messages_of_a_v3_client_pass() {
    let mut scene = Scene::live(Version::V311);
    for id in 1..=4000 {
        let packet = scene.client_publishes("a", 2, id);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
    }
    for id in 1..=4000 {
        scene.broker_sends(&write::ack(PUBREC, id));
        scene.client_gets(&write::ack(PUBREC, id));
    }
    for id in 1..=4000 {
        scene.client_sends(&write::ack(PUBREL, id));
        scene.broker_gets(&write::ack(PUBREL, id));
    }
}

/// Every filter is a question of its own.
#[test]
fn a_subscribe_takes_as_much_room_as_it_has_filters() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.limits.window_packets = 4);
        scene.client_publishes("a", 0, 0);
        let publish = scene.asks_publish("a");
        let packet = scene.client_subscribes(7, &["a", "b", "c"]);
        let ticket = scene.asks_subscribe(&["a", "b", "c"]);
        assert!(!scene.reads_client());
        scene.denies(publish);
        assert!(scene.reads_client());
        for index in 0..3 {
            scene.allows(ticket.filter(index));
        }
        scene.broker_gets(&packet);
    }
}

/// Every filter of it is held.
#[test]
fn so_does_an_unsubscribe() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.limits.window_packets = 4);
        scene.client_publishes("a", 0, 0);
        let publish = scene.asks_publish("a");
        let packet = write::unsubscribe(version, 7, &["a", "b", "c"]);
        scene.client_sends(&packet);
        assert!(!scene.reads_client());
        scene.denies(publish);
        scene.broker_gets(&packet);
        assert!(scene.reads_client());
    }
}

fn few(rules: &mut Rules) {
    rules.limits.max_subscriptions = 2;
}

fn full(version: Version) -> u8 {
    match version {
        Version::V31 | Version::V311 => 0x80,
        Version::V5 => 0x97,
    }
}

/// Subscribes to one filter.
fn subscribed(scene: &mut Scene, id: u16, filter: &str) {
    let packet = scene.client_subscribes(id, &[filter]);
    let inner = filter.strip_prefix("$share/g/").unwrap_or(filter);
    let ticket = scene.asks_subscribe(&[inner]);
    scene.allows(ticket);
    scene.broker_gets(&packet);
    let answer = write::suback(scene.version, id, &[1]);
    scene.broker_sends(&answer);
    scene.client_gets(&answer);
}

/// Beyond the limit a filter is refused alone, and nobody is asked about it.
#[test]
fn more_subscriptions_than_the_operator_allows() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, few);
        let packet = scene.client_subscribes(7, &["a", "b", "c"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.allows(ticket);
        scene.allows(ticket.filter(1));
        assert_ne!(packet, subscribe(version, 7, &["a", "b"]));
        scene.broker_gets(&subscribe(version, 7, &["a", "b"]));
        scene.broker_sends(&write::suback(version, 7, &[1, 1]));
        scene.client_gets(&write::suback(version, 7, &[1, 1, full(version)]));
        scene.client_subscribes(8, &["d"]);
        scene.client_gets(&write::suback(version, 8, &[full(version)]));
    }
}

/// The shared one is another than the plain one; the same once more is no other.
#[test]
fn subscriptions_are_told_apart_by_their_whole_filter() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, few);
        for id in 1..4 {
            subscribed(&mut scene, id, "a");
        }
        subscribed(&mut scene, 7, "$share/g/a");
        subscribed(&mut scene, 7, "$share/g/a");
        scene.client_subscribes(8, &["b"]);
        scene.client_gets(&write::suback(version, 8, &[full(version)]));
    }
}

#[test]
fn leaving_makes_room_and_so_does_a_refusal() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, few);
        subscribed(&mut scene, 1, "a");
        // By the service.
        scene.client_subscribes(2, &["b"]);
        let ticket = scene.asks_subscribe(&["b"]);
        scene.denies_with(ticket, 0x80);
        scene.client_gets(&write::suback(version, 2, &[0x80]));
        // By the broker.
        let packet = scene.client_subscribes(2, &["c"]);
        let ticket = scene.asks_subscribe(&["c"]);
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::suback(version, 2, &[0x80]));
        scene.client_gets(&write::suback(version, 2, &[0x80]));
        subscribed(&mut scene, 2, "d");
        scene.client_subscribes(3, &["e"]);
        scene.client_gets(&write::suback(version, 3, &[full(version)]));
        let packet = write::unsubscribe(version, 3, &["a"]);
        scene.client_sends(&packet);
        scene.broker_gets(&packet);
        subscribed(&mut scene, 4, "e");
    }
}

/// As one with too many levels: refused alone, and nobody is asked.
#[test]
fn a_filter_with_more_wildcards_than_the_operator_allows() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.limits.max_filter_wildcards = 2);
        let refused = match version {
            Version::V31 | Version::V311 => 0x80,
            Version::V5 => 0x8F,
        };
        scene.client_subscribes(7, &["+/+/#", "+/#", "$share/g/+/+/+"]);
        let ticket = scene.asks_subscribe(&["+/#"]);
        scene.allows(ticket);
        scene.broker_gets(&subscribe(version, 7, &["+/#"]));
        scene.broker_sends(&write::suback(version, 7, &[0]));
        scene.client_gets(&write::suback(version, 7, &[refused, 0, refused]));
        // Nobody is kept from leaving.
        let packet = write::unsubscribe(version, 8, &["+/+/#"]);
        scene.client_sends(&packet);
        scene.broker_gets(&packet);
    }
}

/// In every packet of the client that has some: 0x97.
#[test]
fn more_user_properties_than_the_operator_allows() {
    let one = [0x26, 0, 1, b'k', 0, 1, b'v'];
    let long = [&[0x26, 0, 1, b'k', 0, 60], [b'v'; 60].as_slice()].concat();
    let packets = |properties: &[u8]| {
        let section = write::section(V5, properties);
        let publish = write::Publish {
            topic: "a".to_owned(),
            properties: properties.to_vec(),
            ..write::Publish::default()
        };
        let around = |first: u8, before: &[u8], after: &[u8]| {
            write::packet(first, &[before, &section, after].concat())
        };
        [
            publish.write(V5),
            around(0x82, &[0, 7], &[0, 1, b'a', 0]),
            around(0xA2, &[0, 7], &[0, 1, b'a']),
            around(0x40, &[0, 7, 0], &[]),
            around(0x50, &[0, 7, 0], &[]),
            around(0x62, &[0, 7, 0], &[]),
            around(0x70, &[0, 7, 0], &[]),
            around(0xE0, &[0], &[]),
        ]
    };
    for properties in [one.repeat(4), long] {
        for packet in packets(&properties) {
            let mut scene = Scene::live_with(V5, |rules| {
                rules.limits.max_user_properties = 3;
                rules.limits.max_user_property_bytes = 50;
            });
            scene.client_sends(&packet);
            scene.closes_with("client_violation", 0x97);
        }
    }
    for packet in packets(&one.repeat(3)) {
        let mut scene = Scene::live_with(V5, |rules| {
            rules.limits.max_user_properties = 3;
            rules.limits.max_user_property_bytes = 50;
        });
        scene.client_sends(&packet);
        scene.takes_it();
    }
}

/// Every filter is a question with the user properties of the packet in it.
#[test]
fn a_small_packet_does_not_become_a_huge_question() {
    let user = [
        &[0x26],
        write::text("k").as_slice(),
        &write::text("v".repeat(60_000)),
    ]
    .concat();
    let packet = |count| {
        let filters = [write::text("a"), vec![0]].concat().repeat(count);
        let body = [vec![0, 7], write::section(V5, &user), filters].concat();
        write::packet(0x82, &body)
    };
    let rules = |rules: &mut Rules| rules.limits.window_bytes = 256 * 1024;
    let mut scene = Scene::live_with(V5, rules);
    scene.client_sends(&packet(4));
    scene.asks_subscribe(&["a"; 4]);
    let mut scene = Scene::live_with(V5, rules);
    scene.client_sends(&packet(5));
    scene.closes_with("client_violation", 0x97);
}
