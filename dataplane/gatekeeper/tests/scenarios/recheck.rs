//! What was allowed is asked about again, and what is denied then is left at the broker.

use std::time::Duration;

use gatekeeper::{
    Action, Allow, ConnectAllow, Deny, DenyAction, OnFailed, QoS, Question, SubscribeChanges,
    Ticket, Verdict, Version, Why,
};

use crate::{
    packet::PUBACK,
    scene::{ALL, BOTH, Scene, publish, subscribe},
    write::{self, Connect},
};

/// The identifier that the gate takes first.
const OWN: u16 = u16::MAX;

/// A client that holds these filters.
fn holding(version: Version, filters: &[&str]) -> Scene {
    let mut scene = Scene::live(version);
    hold(&mut scene, filters);
    scene
}

fn hold(scene: &mut Scene, filters: &[&str]) {
    for (id, filter) in (1..).zip(filters) {
        let packet = scene.client_subscribes(id, &[filter]);
        let ticket = scene.asks_about_subscribe(|question| assert!(!question.recheck));
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::suback(scene.version, id, &[1]));
        scene.client_gets(&write::suback(scene.version, id, &[1]));
    }
}

/// The gate asks again about these, in any order; their tickets in the order of the filters.
fn rechecks(scene: &mut Scene, filters: &[&str]) -> Vec<Ticket> {
    let mut asked = Vec::new();
    let first = scene.asks_about_subscribe(|question| {
        assert!(question.recheck && question.user_properties.is_empty());
        asked = question
            .filters
            .iter()
            .map(|asked| asked.filter.to_string())
            .collect();
    });
    assert_eq!(asked.len(), filters.len());
    filters
        .iter()
        .map(|filter| {
            let index = asked.iter().position(|asked| asked == filter);
            first.filter(index.expect("it is asked about"))
        })
        .collect()
}

fn leaves(scene: &mut Scene, id: u16, filter: &str) {
    scene.broker_gets(&write::unsubscribe(scene.version, id, &[filter]));
}

/// [MQTT-3.10.4-1]; [MQTT-3.10.4-4] is the gate's to hear.
#[test]
fn what_is_denied_is_left_and_the_rest_stays() {
    for version in ALL {
        let mut scene = holding(version, &["a", "b/#"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a", "b/#"]);
        scene.allows(tickets[0]);
        scene.is_quiet();
        scene.denies(tickets[1]);
        leaves(&mut scene, OWN, "b/#");
        assert!(scene.is_rechecking());
        scene.broker_sends(&write::unsuback(version, OWN, 1));
        assert!(!scene.is_rechecking());
        scene.is_quiet();
        // No packet, no fate.
        assert_eq!(scene.fate(tickets[0]), None);

        // It is asked about what stands, and only when it is wanted.
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        scene.denies(tickets[0]);
        leaves(&mut scene, OWN - 1, "a");
        scene.broker_sends(&write::unsuback(version, OWN - 1, 1));
        scene.service_wants_a_recheck();
        scene.is_quiet();
    }
}

#[test]
fn it_is_asked_as_it_stands() {
    let version = Version::V5;
    let mut scene = Scene::live(version);
    // QoS 2, No Local, Retain As Published, Retain Handling 2.
    let packet = write::subscribe(version, 7, &[("a", 0b0010_1110), ("$share/g/b", 1)]);
    scene.client_sends(&packet);
    let ticket = scene.asks_subscribe(&["a", "b"]);
    scene.allows(ticket);
    scene.allows(ticket.filter(1));
    scene.broker_gets(&packet);
    scene.broker_sends(&write::suback(version, 7, &[1, 1]));
    scene.client_gets(&write::suback(version, 7, &[1, 1]));
    scene.service_wants_a_recheck();
    let mut found = Vec::new();
    scene.asks_about_subscribe(|question| found = question.filters.clone());
    found.sort_by(|one, other| one.filter.cmp(&other.filter));
    // The broker granted less than was asked for.
    assert_eq!(
        (found[0].qos, found[0].retain_handling),
        (QoS::AtLeastOnce, 2)
    );
    assert!(found[0].no_local && found[0].retain_as_published);
    assert_eq!(
        (&*found[1].filter, found[1].share_name.as_deref()),
        ("b", Some("g"))
    );
    scene.service_terminates(0x98, None);
    scene.closes_after_cancels("revoked", 0x98);
}

/// [MQTT-4.8.2-1]: the broker knows it by its whole text.
#[test]
fn a_shared_subscription_is_left_by_its_whole_name() {
    for version in BOTH {
        let mut scene = holding(version, &["$share/g/a"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        scene.denies(tickets[0]);
        leaves(&mut scene, OWN, "$share/g/a");
    }
}

#[test]
fn a_failure_is_one_of_subscribe() {
    for version in BOTH {
        let mut scene = holding(version, &["a"]);
        scene.withholds_permits();
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        scene.fails(tickets[0], Why::Unavailable);
        scene.wants_to_close("subscribe_undecided");
        scene.permit_comes();
        scene.closes_with("subscribe_undecided", 0x83);

        let mut scene = Scene::live_with(version, |rules| {
            rules.on_subscribe_failed = OnFailed::Reject;
        });
        hold(&mut scene, &["a"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        scene.fails(tickets[0], Why::Unavailable);
        leaves(&mut scene, OWN, "a");
    }
}

#[test]
fn no_verdict_in_time_is_a_failure() {
    for version in BOTH {
        let mut scene = holding(version, &["a", "b"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a", "b"]);
        scene.allows(tickets[0]);
        scene.passes(Duration::from_millis(1_999));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.cancels(tickets[1]);
        scene.closes_with("subscribe_undecided", 0x83);
    }
}

#[test]
fn a_denial_that_closes_closes() {
    for version in BOTH {
        let mut scene = holding(version, &["a"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        let deny = Deny {
            action: DenyAction::Disconnect,
            ..Deny::default()
        };
        scene.answers(tickets[0], Verdict::Deny(deny));
        scene.closes_with("subscribe_denied", 0x87);
    }
}

/// The subscription as it stands is not what is allowed.
#[test]
fn an_allow_of_a_lower_qos_is_none() {
    let verdict = |qos| {
        Verdict::Allow(Allow::Subscribe(SubscribeChanges {
            max_qos: Some(qos),
            filter: None,
        }))
    };
    for version in BOTH {
        let mut scene = holding(version, &["a", "b"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a", "b"]);
        scene.answers(tickets[0], verdict(QoS::AtLeastOnce));
        scene.is_quiet();
        scene.answers(tickets[1], verdict(QoS::AtMostOnce));
        leaves(&mut scene, OWN, "b");
    }
}

/// One with a thousand filters does not flood the service.
#[test]
fn a_portion_is_asked_about_at_a_time() {
    let version = Version::V311;
    let filters: Vec<String> = (0..70).map(|filter| format!("f/{filter}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let mut scene = holding(version, &filters);
    scene.service_wants_a_recheck();
    let mut asked = Vec::new();
    for expected in [64, 6] {
        let mut count = 0;
        let first = scene.asks_about_subscribe(|question| {
            asked.extend(
                question
                    .filters
                    .iter()
                    .map(|asked| asked.filter.to_string()),
            );
            count = question.filters.len();
        });
        assert_eq!(count, expected);
        for index in 0..count {
            scene.is_quiet();
            scene.allows(first.filter(index));
        }
    }
    scene.is_quiet();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 70);
}

#[test]
fn what_the_client_leaves_meanwhile_is_left_once() {
    for version in BOTH {
        let mut scene = holding(version, &["a"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        let packet = write::unsubscribe(version, 9, &["a"]);
        scene.client_sends(&packet);
        scene.broker_gets(&packet);
        scene.denies(tickets[0]);
        scene.is_quiet();
    }
}

/// The broker takes packets in their order, so the UNSUBSCRIBE ends what the SUBSCRIBE begins.
#[test]
fn a_subscribe_that_the_broker_has_not_answered_is_asked_about_too() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        scene.denies(tickets[0]);
        leaves(&mut scene, OWN, "a");
        scene.broker_sends(&write::suback(version, 7, &[1]));
        scene.client_gets(&write::suback(version, 7, &[1]));
        scene.broker_sends(&write::unsuback(version, OWN, 1));
        scene.service_wants_a_recheck();
        scene.is_quiet();
    }
}

/// The allow may be older than the wish.
#[test]
fn what_is_being_decided_about_is_asked_about_when_it_stands() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let packet = scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.service_wants_a_recheck();
        scene.is_quiet();
        scene.allows(ticket);
        scene.broker_gets(&packet);
        let tickets = rechecks(&mut scene, &["a"]);
        scene.denies(tickets[0]);
        leaves(&mut scene, OWN, "a");
    }
}

/// It may have subscriptions that nobody knows here.
#[test]
fn a_resumed_session_is_ended() {
    for version in ALL {
        let mut scene = Scene::resumed(version);
        scene.service_wants_a_recheck();
        scene.closes_with("revoked", 0x98);
    }
}

#[test]
fn a_session_that_is_beginning_is_ended_if_it_is_a_resumed_one() {
    let connect = Connect {
        clean: false,
        ..Connect::default()
    };
    for version in BOTH {
        for present in [false, true] {
            let mut scene = Scene::new(version).greeted(&connect);
            scene.service_wants_a_recheck();
            scene.is_quiet();
            scene.broker_sends(&write::connack(version, present, 0, &[]));
            scene.client_gets_connack(0);
            if present {
                scene.closes_with("revoked", 0x98);
            }
        }
    }
}

/// [MQTT-3.11.3-2]: it may deliver still.
#[test]
fn a_broker_that_does_not_let_go_ends_the_session() {
    let version = Version::V5;
    let mut scene = holding(version, &["a"]);
    scene.service_wants_a_recheck();
    let tickets = rechecks(&mut scene, &["a"]);
    scene.denies(tickets[0]);
    leaves(&mut scene, OWN, "a");
    scene.broker_sends(&[0xB0, 4, 0xFF, 0xFF, 0, 0x87]);
    scene.closes_with("revoked", 0x98);

    for version in BOTH {
        let mut scene = holding(version, &["a"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a"]);
        scene.denies(tickets[0]);
        leaves(&mut scene, OWN, "a");
        scene.passes(Duration::from_millis(9_999));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.closes_with("broker_unresponsive", 0x80);
    }
}

/// [MQTT-2.2.1-3]: the space of identifiers is the client's; a packet under one that the gate uses
/// waits for it.
#[test]
fn a_packet_under_the_gates_identifier_waits() {
    for version in BOTH {
        let mut scene = holding(version, &["a", "b"]);
        // The client uses the highest.
        let first = scene.client_publishes("t", 1, OWN);
        let ticket = scene.asks_publish("t");
        scene.allows(ticket);
        scene.broker_gets(&first);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a", "b"]);
        scene.denies(tickets[0]);
        leaves(&mut scene, OWN - 1, "a");

        let second = scene.client_publishes("t", 1, OWN - 1);
        let third = scene.client_publishes("t", 0, 0);
        scene.is_quiet();
        assert!(!scene.reads_client());
        scene.broker_sends(&write::unsuback(version, OWN - 1, 1));
        let tickets_behind = [scene.asks_publish("t"), scene.asks_publish("t")];
        for (ticket, packet) in tickets_behind.into_iter().zip([&second, &third]) {
            scene.allows(ticket);
            scene.broker_gets(packet);
        }
        for id in [OWN, OWN - 1] {
            scene.broker_sends(&write::ack(PUBACK, id));
            scene.client_gets(&write::ack(PUBACK, id));
        }

        scene.denies(tickets[1]);
        leaves(&mut scene, OWN - 2, "b");
        let packet = scene.client_subscribes(OWN - 2, &["c"]);
        scene.is_quiet();
        scene.broker_sends(&write::unsuback(version, OWN - 2, 1));
        let ticket = scene.asks_subscribe(&["c"]);
        scene.allows(ticket);
        scene.broker_gets(&packet);
    }
}

/// Row S11: [MQTT-3.8.4-3] has the old one go on, and it is no longer allowed.
#[test]
fn a_denied_subscribe_takes_back_what_stands() {
    for version in ALL {
        let mut scene = holding(version, &["a"]);
        let packet = scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.denies(ticket);
        scene.denies(ticket.filter(1));
        let code = match version {
            Version::V31 => 1,
            Version::V311 => 0x80,
            Version::V5 => 0x87,
        };
        scene.client_gets(&write::suback(version, 7, &[code, code]));
        leaves(&mut scene, OWN, "a");
        scene.broker_sends(&write::unsuback(version, OWN, 1));
        scene.is_quiet();

        // Once is enough.
        scene.client_sends(&packet);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.denies(ticket);
        scene.allows(ticket.filter(1));
        scene.broker_gets(&subscribe(version, 7, &["b"]));
    }
}

/// The broker may have kept it from a former connection.
#[test]
fn on_a_resumed_session_whatever_is_denied_is_left() {
    for version in ALL {
        let mut scene = Scene::resumed(version);
        scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.denies(ticket);
        scene.allows(ticket.filter(1));
        scene.broker_gets(&subscribe(version, 7, &["b"]));
        leaves(&mut scene, OWN, "a");
        // It was not there: [MQTT-3.11.3-2] has a code for that.
        match version {
            Version::V5 => scene.broker_sends(&[0xB0, 4, 0xFF, 0xFF, 0, 0x11]),
            _ => scene.broker_sends(&write::unsuback(version, OWN, 1)),
        }
        scene.is_quiet();
    }
}

#[test]
fn of_a_filter_that_is_there_twice_the_last_word_counts() {
    for version in BOTH {
        for is_allowed in [false, true] {
            let mut scene = holding(version, &["a"]);
            scene.client_subscribes(7, &["a", "a"]);
            let ticket = scene.asks_subscribe(&["a", "a"]);
            let (first, second) = (ticket, ticket.filter(1));
            let (allowed, denied) = if is_allowed {
                (second, first)
            } else {
                (first, second)
            };
            scene.allows(allowed);
            scene.denies(denied);
            scene.broker_gets(&subscribe(version, 7, &["a"]));
            if !is_allowed {
                leaves(&mut scene, OWN, "a");
            }
            scene.is_quiet();
        }
    }
}

/// It was allowed once, and nobody said anything else.
#[test]
fn a_failed_subscribe_takes_nothing_back() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| {
            rules.on_subscribe_failed = OnFailed::Reject;
        });
        hold(&mut scene, &["a"]);
        scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.fails(ticket, Why::Unavailable);
        let code = if version == Version::V5 { 0x83 } else { 0x80 };
        scene.client_gets(&write::suback(version, 7, &[code]));
    }
}

/// Below the mount is where the broker knows it.
#[test]
fn with_a_mount_it_is_left_under_the_brokers_name() {
    let below = |filter: &str| {
        Verdict::Allow(Allow::Subscribe(SubscribeChanges {
            max_qos: None,
            filter: Some(format!("t/{filter}").into()),
        }))
    };
    for version in BOTH {
        let allow = ConnectAllow {
            mount: Some("t/".into()),
            ..ConnectAllow::default()
        };
        let connect = Connect::default();
        let mut scene = Scene::new(version).connected_as(&connect, allow, false, &[]);
        scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a", "b"]);
        scene.answers(ticket, below("a"));
        scene.answers(ticket.filter(1), below("b"));
        scene.broker_gets(&subscribe(version, 7, &["t/a", "t/b"]));
        scene.broker_sends(&write::suback(version, 7, &[1, 1]));
        scene.client_gets(&write::suback(version, 7, &[1, 1]));
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a", "b"]);
        scene.answers(tickets[0], below("a"));
        scene.is_quiet();
        scene.denies(tickets[1]);
        leaves(&mut scene, OWN, "t/b");
        scene.broker_sends(&write::unsuback(version, OWN, 1));
        scene.broker_sends(&publish(version, "t/a", 0, 0));
        scene.client_gets(&publish(version, "a", 0, 0));
    }
}

#[test]
fn subscriptions_are_reported_if_that_is_wanted() {
    use gatekeeper::Event::{Subscribed, Unsubscribed};

    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| rules.report_subscriptions = true);
        hold(&mut scene, &["a", "b"]);
        scene.service_wants_a_recheck();
        let tickets = rechecks(&mut scene, &["a", "b"]);
        scene.denies(tickets[0]);
        leaves(&mut scene, OWN, "a");
        let packet = write::unsubscribe(version, 9, &["b", "c"]);
        scene.client_sends(&packet);
        scene.broker_gets(&packet);
        let (a, b) = ("a".into(), "b".into());
        let qos = QoS::AtLeastOnce;
        assert_eq!(
            scene.reported(),
            [
                Subscribed {
                    filter: "a".into(),
                    qos
                },
                Subscribed {
                    filter: "b".into(),
                    qos
                },
                Unsubscribed { filter: a },
                Unsubscribed { filter: b },
            ]
        );

        let mut scene = holding(version, &["a"]);
        assert_eq!(scene.reported(), []);
    }
}

/// The questions themselves are of the kind that a SUBSCRIBE has.
#[test]
fn the_names_of_the_client_bound_a_portion() {
    let connect = Connect {
        client_id: "c".repeat(40_000),
        ..Connect::default()
    };
    let mut scene = Scene::with(Version::V5, |rules| rules.limits.window_bytes = 100_000)
        .connected(&connect, &[]);
    hold(&mut scene, &["a", "b", "c"]);
    scene.service_wants_a_recheck();
    let asked = scene
        .everything()
        .into_iter()
        .find_map(|action| match action {
            Action::Ask(_, Question::Subscribe(question)) => Some(question.filters.len()),
            _ => None,
        });
    assert_eq!(asked, Some(2));
}
