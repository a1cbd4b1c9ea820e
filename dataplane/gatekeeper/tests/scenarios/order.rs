//! What is allowed leaves in the order of its arrival, and acknowledgements come in that order too.
//! What has nothing to do with a decision waits for none.

use gatekeeper::{Rules, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{BOTH, Scene, disconnect},
    write::{self, PINGREQ},
};

/// [MQTT-4.6.0-5]
/// [3.1.1: MQTT-4.6.0-5] [3.1.1: MQTT-4.6.0-6]
#[test]
fn verdicts_in_any_order_let_messages_out_in_theirs() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packets = [1, 2, 3].map(|id| scene.client_publishes("a", 1, id));
        let [first, second, third] = [1, 2, 3].map(|_| scene.asks_publish("a"));
        scene.allows(third);
        scene.allows(second);
        scene.is_quiet();
        scene.allows(first);
        for packet in packets {
            scene.broker_gets(&packet);
        }
    }
}

#[test]
fn every_kind_that_matters_waits_for_the_undecided_before_it() {
    for version in BOTH {
        let mut scene = Scene::resumed(version);
        let first = scene.client_publishes("a", 0, 0);
        let publish = scene.asks_publish("a");
        let second = scene.client_subscribes(1, &["a"]);
        let subscribe = scene.asks_subscribe(&["a"]);
        let third = write::unsubscribe(version, 2, &["a"]);
        scene.client_sends(&third);
        let fourth = write::ack(PUBREL, 3);
        scene.client_sends(&fourth);
        let fifth = write::disconnect(version, 0);
        scene.client_sends(&fifth);
        scene.allows(subscribe);
        scene.is_quiet();
        scene.allows(publish);
        for packet in [first, second, third, fourth, fifth] {
            scene.broker_gets(&packet);
        }
        scene.closes("client_disconnect");
    }
}

/// [MQTT-4.6.0-2]: the broker acknowledges what it got, the gate the rest, and the client sees one
/// order.
#[test]
fn an_own_acknowledgement_waits_for_the_brokers_earlier_ones() {
    let mut scene = Scene::live(Version::V5);
    let packets = [1, 2, 3, 4].map(|id| scene.client_publishes("a", 1, id));
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|_| scene.asks_publish("a"));
    scene.denies(fourth);
    scene.allows(third);
    scene.denies(second);
    scene.allows(first);
    scene.broker_gets(&packets[0]);
    scene.broker_gets(&packets[2]);
    scene.broker_sends(&write::ack(PUBACK, 1));
    scene.client_gets(&write::ack(PUBACK, 1));
    scene.client_gets(&write::ack_code(PUBACK, 2, 0x87));
    scene.is_quiet();
    scene.broker_sends(&write::ack(PUBACK, 3));
    scene.client_gets(&write::ack(PUBACK, 3));
    scene.client_gets(&write::ack_code(PUBACK, 4, 0x87));
}

/// [MQTT-4.6.0-3]
/// [3.1.1: MQTT-4.6.0-3]
#[test]
fn pubrecs_have_an_order_of_their_own() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let first = scene.client_publishes("a", 1, 1);
        let second = scene.client_publishes("a", 2, 2);
        scene.client_publishes("bob/x", 2, 3);
        let tickets = ["a", "a", "bob/x"].map(|topic| scene.asks_publish(topic));
        scene.allows(tickets[0]);
        scene.broker_gets(&first);
        scene.allows(tickets[1]);
        scene.broker_gets(&second);
        scene.denies(tickets[2]);
        scene.is_quiet();
        // The PUBACK is still out, and does not matter.
        scene.broker_sends(&write::ack(PUBREC, 2));
        scene.client_gets(&write::ack(PUBREC, 2));
        match version {
            Version::V31 | Version::V311 => scene.client_gets(&write::ack(PUBREC, 3)),
            Version::V5 => scene.client_gets(&write::ack_code(PUBREC, 3, 0x87)),
        }
    }
}

#[test]
fn a_ping_does_not_wait_for_a_decision() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        // [MQTT-3.12.4-1]: the PINGRESP proves the whole way.
        scene.client_sends(&PINGREQ);
        scene.broker_gets(&PINGREQ);
        scene.broker_sends(&write::PINGRESP);
        scene.client_gets(&write::PINGRESP);
        scene.denies(ticket);
        match version {
            Version::V31 | Version::V311 => scene.client_gets(&write::ack(PUBACK, 1)),
            Version::V5 => scene.client_gets(&write::ack_code(PUBACK, 1, 0x87)),
        }
    }
}

/// The broker's flow control hangs on them.
#[test]
fn acknowledgements_of_the_client_do_not_wait_for_a_decision() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        for (qos, id, kind) in [(1, 1, PUBACK), (2, 2, PUBREC)] {
            let message = crate::scene::publish(version, "down", qos, id);
            scene.broker_sends(&message);
            scene.client_gets(&message);
            scene.client_sends(&write::ack(kind, id));
            scene.broker_gets(&write::ack(kind, id));
        }
        scene.broker_sends(&write::ack(PUBREL, 2));
        scene.client_gets(&write::ack(PUBREL, 2));
        scene.client_sends(&write::ack(PUBCOMP, 2));
        scene.broker_gets(&write::ack(PUBCOMP, 2));
        scene.denies(ticket);
        scene.is_quiet();
    }
}

/// No permission may block leaving [MQTT-3.10.4-1].
/// [MQTT-3.10.4-4] [MQTT-3.10.4-6] [3.1.1: MQTT-3.10.4-1] [3.1.1: MQTT-3.10.4-4]
/// [3.1.1: MQTT-3.10.4-6]
#[test]
fn unsubscribe_is_not_asked_about() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = write::unsubscribe(version, 7, &["a", "$share/g/b"]);
        scene.client_sends(&packet);
        scene.broker_gets(&packet);
        let answer = write::unsuback(version, 7, 2);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}

/// [MQTT-3.14.4-1] [MQTT-3.14.4-2]
/// [3.1.1: MQTT-3.14.4-2]
#[test]
fn nothing_follows_a_disconnect() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        let goodbye = write::disconnect(version, 0);
        scene.client_sends(&goodbye);
        assert!(!scene.reads_client());
        scene.client_publishes("b", 1, 2);
        scene.is_quiet();
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_gets(&goodbye);
        scene.closes("client_disconnect");
    }
}

#[test]
fn a_full_line_stops_the_reading_until_there_is_room() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules: &mut Rules| {
            rules.limits.window_packets = 2;
        });
        let packets = [1, 2, 3].map(|id| scene.client_publishes("a", 1, id));
        let [first, second] = [1, 2].map(|_| scene.asks_publish("a"));
        assert!(!scene.reads_client());
        scene.is_quiet();
        scene.allows(second);
        scene.is_quiet();
        scene.allows(first);
        scene.broker_gets(&packets[0]);
        scene.broker_gets(&packets[1]);
        let third = scene.asks_publish("a");
        assert!(scene.reads_client());
        scene.allows(third);
        scene.broker_gets(&packets[2]);
    }
}

#[test]
fn a_line_is_full_by_bytes_too() {
    let mut scene = Scene::live_with(Version::V5, |rules: &mut Rules| {
        rules.limits.window_bytes = 10;
    });
    let packet = scene.client_publishes("a", 0, 0);
    let ticket = scene.asks_publish("a");
    assert!(!scene.reads_client());
    scene.allows(ticket);
    scene.broker_gets(&packet);
    assert!(scene.reads_client());
}

#[test]
fn what_is_undecided_at_the_end_is_given_up() {
    let mut scene = Scene::live(Version::V5);
    scene.client_publishes("a", 1, 1);
    let publish = scene.asks_publish("a");
    scene.client_subscribes(2, &["a", "b"]);
    let subscribe = scene.asks_subscribe(&["a", "b"]);
    scene.client_sends(&[0x36, 0]);
    scene.cancels(publish);
    scene.cancels(subscribe);
    scene.cancels(subscribe.filter(1));
    scene.client_gets(&disconnect(0x81));
    scene.closes("client_violation");
    scene.allows(publish);
    scene.is_quiet();
}
