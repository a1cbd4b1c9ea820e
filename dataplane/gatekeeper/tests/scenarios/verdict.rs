//! Verdicts that come late, twice, for nothing, or about something else.

use std::time::Duration;

use gatekeeper::{Allow, Verdict, Version};

use crate::{
    packet::PUBACK,
    scene::{ALL, Scene, deny},
    write::{self, Connect},
};

fn connect_allow() -> Verdict {
    Verdict::Allow(Allow::Connect(Box::default()))
}

#[test]
fn the_first_verdict_counts() {
    for version in ALL {
        let mut scene = Scene::live(version);
        let first = scene.client_publishes("a", 0, 0);
        scene.client_publishes("b", 0, 0);
        let [held, denied] = ["a", "b"].map(|topic| scene.asks_publish(topic));
        scene.denies(denied);
        scene.allows(denied);
        scene.is_quiet();
        scene.allows(held);
        scene.broker_gets(&first);
        scene.allows(denied);
        scene.is_quiet();
    }
}

#[test]
fn an_allow_at_the_deadline_is_too_late_even_if_no_timer_fired() {
    let mut scene = Scene::live(Version::V5);
    scene.client_publishes("a", 1, 1);
    let ticket = scene.asks_publish("a");
    scene.passes_unnoticed(Duration::from_secs(1));
    scene.allows(ticket);
    scene.client_gets(&write::ack_code(PUBACK, 1, 0x83));

    let mut scene = Scene::live(Version::V5);
    let packet = scene.client_publishes("a", 1, 1);
    let ticket = scene.asks_publish("a");
    scene.passes_unnoticed(Duration::from_micros(999_999));
    scene.allows(ticket);
    scene.broker_gets(&packet);
}

/// The deadline is that of the question, not of its turn.
#[test]
fn an_allow_in_time_holds_however_long_the_turn_takes() {
    let mut scene = Scene::live_with(Version::V5, |rules| {
        rules.deadlines.subscribe = Duration::from_secs(10);
    });
    let subscribe = scene.client_subscribes(1, &["a"]);
    let head = scene.asks_subscribe(&["a"]);
    let publish = scene.client_publishes("a", 1, 2);
    let second = scene.asks_publish("a");
    scene.client_publishes("b", 1, 3);
    let third = scene.asks_publish("b");
    scene.allows(second);
    scene.passes(Duration::from_secs(5));
    // Too late for the third, in time for the first.
    scene.allows(third);
    scene.allows(head);
    scene.broker_gets(&subscribe);
    scene.broker_gets(&publish);
    scene.is_quiet();
    scene.broker_sends(&write::ack(PUBACK, 2));
    scene.client_gets(&write::ack(PUBACK, 2));
    scene.client_gets(&write::ack_code(PUBACK, 3, 0x83));
}

#[test]
fn what_nobody_answers_is_cancelled_when_its_turn_comes() {
    let mut scene = Scene::live(Version::V5);
    scene.client_publishes("a", 1, 1);
    scene.client_publishes("b", 1, 2);
    let [first, second] = ["a", "b"].map(|topic| scene.asks_publish(topic));
    scene.passes(Duration::from_secs(1));
    scene.cancels(first);
    scene.client_gets(&write::ack_code(PUBACK, 1, 0x83));
    scene.cancels(second);
    scene.client_gets(&write::ack_code(PUBACK, 2, 0x83));
}

#[test]
fn the_allow_of_another_question_is_none() {
    for wrong in [connect_allow(), Verdict::Allow(Allow::SUBSCRIBE)] {
        let mut scene = Scene::live(Version::V5);
        scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.answers(ticket, wrong);
        scene.client_gets(&write::ack_code(PUBACK, 1, 0x83));
    }
    for wrong in [connect_allow(), Verdict::Allow(Allow::PUBLISH)] {
        let mut scene = Scene::live(Version::V5);
        scene.client_subscribes(1, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.answers(ticket, wrong);
        scene.closes_with("subscribe_undecided", 0x83);
    }
    for version in ALL {
        for wrong in [Allow::PUBLISH, Allow::SUBSCRIBE] {
            let mut scene = Scene::new(version);
            scene.client_sends(&Connect::default().write(version));
            let ticket = scene.asks_connect();
            scene.answers(ticket, Verdict::Allow(wrong));
            scene.client_gets_connack(if version == Version::V5 { 0x88 } else { 3 });
            scene.closes("connect_undecided");
        }
    }
}

/// Tickets of the future are not spoken for.
#[test]
fn a_verdict_before_its_question_is_none() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 0, 0);
        let first = scene.asks_publish("a");
        scene.answers(first.filter(1), Verdict::Allow(Allow::PUBLISH));
        scene.client_publishes("b", 0, 0);
        let second = scene.asks_publish("b");
        assert_eq!(second, first.filter(1));
        scene.answers(second, Verdict::Deny(deny(0x87)));
        scene.denies(first);
        scene.is_quiet();
    }
}

#[test]
fn verdicts_about_filters_do_not_spill_over() {
    let mut scene = Scene::live(Version::V5);
    scene.client_subscribes(1, &["a", "b"]);
    let ticket = scene.asks_subscribe(&["a", "b"]);
    scene.client_publishes("c", 1, 2);
    let publish = scene.asks_publish("c");
    assert_eq!(publish, ticket.filter(2));
    scene.answers(ticket.filter(2), Verdict::Deny(deny(0x97)));
    scene.denies(ticket);
    scene.denies(ticket.filter(1));
    scene.client_gets(&write::suback(Version::V5, 1, &[0x87, 0x87]));
    scene.client_gets(&write::ack_code(PUBACK, 2, 0x97));
}
