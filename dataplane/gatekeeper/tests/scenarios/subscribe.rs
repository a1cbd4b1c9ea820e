//! SUBSCRIBE: one decision per filter, the allowed ones go to the broker, and one SUBACK has it all.

use std::time::Duration;

use gatekeeper::{
    Deny, DenyAction, Fate, OnDenied, OnFailed, QoS, ReasonCode, Rules, Verdict, Version, Why,
};

use crate::{
    scene::{BOTH, Scene, deny, subscribe},
    write,
};

/// The default refusal of a filter.
fn refusal(version: Version) -> u8 {
    match version {
        Version::V31 | Version::V311 => 0x80,
        Version::V5 => 0x87,
    }
}

/// [3.1.1: MQTT-3.8.4-5]
#[test]
fn all_allowed_passes_byte_by_byte() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_subscribes(7, &["a/#", "b"]);
        let ticket = scene.asks_subscribe(&["a/#", "b"]);
        scene.allows(ticket.filter(1));
        scene.is_quiet();
        scene.allows(ticket);
        scene.broker_gets(&packet);
        assert_eq!(scene.fate(ticket), Some(Fate::Forwarded));
        // Granted with less than was asked for: the broker's word [MQTT-3.8.4-7].
        let answer = write::suback(version, 7, &[1, 0]);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}

/// [MQTT-3.9.3-1]: one code for each filter, in its place.
/// [MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [3.1.1: MQTT-2.3.1-7]
/// [3.1.1: MQTT-3.8.4-2] [3.1.1: MQTT-3.8.4-4] [3.1.1: MQTT-3.8.4-5] [3.1.1: MQTT-3.9.3-1]
#[test]
fn allowed_and_denied_filters_are_answered_in_their_places() {
    for version in BOTH {
        let no = refusal(version);
        for (allowed, codes) in [([true, false], [1, no]), ([false, true], [no, 1])] {
            let mut scene = Scene::live(version);
            let filters = ["alice/#", "bob/#"];
            scene.client_subscribes(7, &filters);
            let ticket = scene.asks_subscribe(&filters);
            let mut forwarded = Vec::new();
            for (index, filter) in filters.into_iter().enumerate() {
                if allowed[index] {
                    forwarded.push(filter);
                    scene.allows(ticket.filter(index));
                } else {
                    scene.denies(ticket.filter(index));
                }
            }
            scene.broker_gets(&subscribe(version, 7, &forwarded));
            assert_eq!(scene.fate(ticket), Some(Fate::ForwardedInPart));
            scene.broker_sends(&write::suback(version, 7, &[1]));
            scene.client_gets(&write::suback(version, 7, &codes));
        }
    }
}

/// [MQTT-3.8.4-1]: the answer comes, though the broker never heard of it.
/// [3.1.1: MQTT-3.8.4-1]
#[test]
fn all_denied_is_answered_by_the_gate() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_subscribes(7, &["bob/#", "carol/#"]);
        let ticket = scene.asks_subscribe(&["bob/#", "carol/#"]);
        scene.denies(ticket);
        scene.denies(ticket.filter(1));
        let no = refusal(version);
        scene.client_gets(&write::suback(version, 7, &[no, no]));
        let code = ReasonCode::NOT_AUTHORIZED;
        assert_eq!(scene.fate(ticket), Some(Fate::Refused(code)));
    }
}

#[test]
fn the_same_filter_twice_has_two_decisions() {
    let mut scene = Scene::live(Version::V5);
    scene.client_subscribes(7, &["a", "a"]);
    let ticket = scene.asks_subscribe(&["a", "a"]);
    scene.allows(ticket);
    scene.denies(ticket.filter(1));
    scene.broker_gets(&subscribe(Version::V5, 7, &["a"]));
    // The last word counts.
    scene.broker_gets(&write::unsubscribe(Version::V5, u16::MAX, &["a"]));
    scene.broker_sends(&write::suback(Version::V5, 7, &[2]));
    scene.client_gets(&write::suback(Version::V5, 7, &[2, 0x87]));
}

/// [MQTT-3.9.3-2]
/// [3.1.1: MQTT-3.9.3-2]
#[test]
fn the_service_chooses_the_code_as_far_as_there_is_one() {
    for (asked, code) in [
        (0x80, 0x80),
        (0x83, 0x83),
        (0x88, 0x80),
        (0x8F, 0x8F),
        (0x90, 0x8F),
        (0x95, 0x97),
        (0x97, 0x97),
        (0x99, 0x83),
        (0x9E, 0x9E),
        (0xA1, 0xA1),
        (0xA2, 0xA2),
        (0x02, 0x87),
    ] {
        for version in BOTH {
            let mut scene = Scene::live(version);
            scene.client_subscribes(7, &["a"]);
            let ticket = scene.asks_subscribe(&["a"]);
            scene.denies_with(ticket, asked);
            let code = match version {
                Version::V31 | Version::V311 => 0x80,
                Version::V5 => code,
            };
            scene.client_gets(&write::suback(version, 7, &[code]));
        }
    }
}

#[test]
fn a_denial_closes_if_somebody_wants_it() {
    let close = |rules: &mut Rules| rules.on_subscribe_denied = OnDenied::Disconnect;
    let verdict = |action| {
        Verdict::Deny(Deny {
            action,
            ..deny(0x97)
        })
    };
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.allows(ticket);
        scene.answers(ticket.filter(1), verdict(DenyAction::Disconnect));
        scene.closes_with("subscribe_denied", 0x97);

        let mut scene = Scene::live_with(version, close);
        scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.denies(ticket);
        scene.closes_with("subscribe_denied", 0x87);

        let mut scene = Scene::live_with(version, close);
        scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.answers(ticket, verdict(DenyAction::Reject));
        let code = if version == Version::V5 { 0x97 } else { 0x80 };
        scene.client_gets(&write::suback(version, 7, &[code]));
    }
}

/// A client that is told 0x80 hardly ever asks again, and would stay deaf.
#[test]
fn a_failure_closes_by_default() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.allows(ticket);
        scene.fails(ticket.filter(1), Why::Unavailable);
        scene.closes_with("subscribe_undecided", 0x83);
        assert_eq!(scene.fate(ticket), Some(Fate::Closed));
    }
}

#[test]
fn a_failure_refuses_its_filter_where_the_operator_wants_it() {
    let reject = |rules: &mut Rules| rules.on_subscribe_failed = OnFailed::Reject;
    for version in BOTH {
        let mut scene = Scene::live_with(version, reject);
        scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.fails(ticket, Why::Overloaded);
        scene.allows(ticket.filter(1));
        scene.broker_gets(&subscribe(version, 7, &["b"]));
        scene.broker_sends(&write::suback(version, 7, &[0]));
        let code = if version == Version::V5 { 0x83 } else { 0x80 };
        scene.client_gets(&write::suback(version, 7, &[code, 0]));
    }
}

#[test]
fn a_permanent_failure_is_a_denial() {
    for version in BOTH {
        for (why, code) in [(Why::InvalidCheck, 0x87), (Why::TooLarge, 0x97)] {
            let mut scene = Scene::live(version);
            scene.client_subscribes(7, &["a"]);
            let ticket = scene.asks_subscribe(&["a"]);
            scene.fails(ticket, why);
            let code = if version == Version::V5 { code } else { 0x80 };
            scene.client_gets(&write::suback(version, 7, &[code]));
        }
    }
}

#[test]
fn a_session_that_the_service_cannot_read_starts_afresh() {
    let reject = |rules: &mut Rules| rules.on_subscribe_failed = OnFailed::Reject;
    for version in BOTH {
        let mut scene = Scene::live_with(version, reject);
        scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.fails(ticket, Why::SessionStateInvalid);
        scene.closes_with("session_state_invalid", 0x98);
    }
}

#[test]
fn no_verdict_in_time_is_a_failure() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.allows(ticket);
        scene.passes(Duration::from_millis(1_999));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.cancels(ticket.filter(1));
        scene.closes_with("subscribe_undecided", 0x83);
    }
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]: it is the inner filter that is decided about.
#[test]
fn a_shared_subscription_is_asked_about_by_its_inner_filter() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_subscribes(7, &["$share/g/alice/#", "$share/g//a"]);
        let ticket = scene.asks_about_subscribe(|question| {
            let names: Vec<_> = question
                .filters
                .iter()
                .map(|asked| &asked.share_name)
                .collect();
            assert!(names.iter().all(|name| name.as_deref() == Some("g")));
            assert_eq!(question.filters[0].filter, "alice/#");
            assert_eq!(question.filters[1].filter, "/a");
        });
        scene.allows(ticket);
        scene.allows(ticket.filter(1));
        scene.broker_gets(&packet);
    }
}

/// A plain filter there, but brokers read it in ways of their own: refused, not closed for.
#[test]
fn a_lone_share_name_on_v311_is_refused_unasked() {
    let v311 = Version::V311;
    let mut scene = Scene::live(v311);
    scene.client_subscribes(7, &["$share/g"]);
    scene.client_gets(&write::suback(v311, 7, &[0x80]));
    scene.client_subscribes(8, &["$share/g", "a", "$share//x"]);
    let ticket = scene.asks_subscribe(&["a"]);
    scene.allows(ticket);
    scene.broker_gets(&subscribe(v311, 8, &["a"]));
    scene.broker_sends(&write::suback(v311, 8, &[1]));
    scene.client_gets(&write::suback(v311, 8, &[0x80, 1, 0x80]));
}

#[test]
fn a_filter_that_is_refused_unasked_takes_its_turn() {
    let mut scene = Scene::live(Version::V311);
    scene.client_publishes("a", 0, 0);
    let ticket = scene.asks_publish("a");
    scene.client_subscribes(7, &["$share/g"]);
    scene.is_quiet();
    scene.denies(ticket);
    scene.client_gets(&write::suback(Version::V311, 7, &[0x80]));
}

#[test]
fn options_are_asked_about_and_pass() {
    let v5 = Version::V5;
    let mut scene = Scene::live(v5);
    // QoS 2, No Local, Retain As Published, Retain Handling 2.
    let options = 0b0010_1110;
    let packet = write::subscribe(v5, 7, &[("a", options), ("b", 0)]);
    scene.client_sends(&packet);
    let ticket = scene.asks_about_subscribe(|question| {
        let asked = &question.filters[0];
        assert_eq!((asked.qos, asked.retain_handling), (QoS::ExactlyOnce, 2));
        assert!(asked.no_local && asked.retain_as_published);
    });
    scene.allows(ticket);
    scene.denies(ticket.filter(1));
    scene.broker_gets(&write::subscribe(v5, 7, &[("a", options)]));
}

#[test]
fn a_suback_that_does_not_fit_is_the_brokers_fault() {
    for version in BOTH {
        for codes in [&[0, 0][..], &[0, 0, 0, 0]] {
            let mut scene = Scene::live(version);
            scene.client_subscribes(7, &["a", "b", "c"]);
            let ticket = scene.asks_subscribe(&["a", "b", "c"]);
            for index in 0..3 {
                scene.allows(ticket.filter(index));
            }
            scene.broker_gets(&subscribe(version, 7, &["a", "b", "c"]));
            scene.broker_sends(&write::suback(version, 7, codes));
            scene.closes_with("broker_violation", 0x80);
        }
        let mut scene = Scene::live(version);
        scene.broker_sends(&write::suback(version, 7, &[0]));
        scene.closes_with("broker_violation", 0x80);
    }
}

/// [3.1.1: §3.8.4] The broker may send messages before its SUBACK.
#[test]
fn messages_before_the_suback_pass() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.allows(ticket);
        scene.broker_gets(&packet);
        let message = crate::scene::publish(version, "a", 0, 0);
        scene.broker_sends(&message);
        scene.client_gets(&message);
    }
}
