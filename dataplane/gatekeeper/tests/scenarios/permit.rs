//! An end because nobody decided waits for its permit, and nothing leaves meanwhile.

use std::time::Duration;

use gatekeeper::{Fate, OnFailed, Version, Why};

use crate::{
    scene::{ALL, BOTH, Scene, publish},
    write::{self, Connect},
};

/// What ends a session, the reason, and the code that goes with it.
type Ending = (fn(&mut Scene), &'static str, Option<u8>);

fn minute() -> Duration {
    Duration::from_secs(60)
}

/// A session that waits: its PUBLISH failed, and another one is behind.
fn waiting(version: Version, connect: &Connect) -> Scene {
    let close = |rules: &mut gatekeeper::Rules| rules.on_publish_failed = OnFailed::Disconnect;
    let mut scene = Scene::with(version, close).connected(connect, &[]);
    scene.withholds_permits();
    scene.client_publishes("a", 1, 1);
    let first = scene.asks_publish("a");
    scene.client_publishes("b", 1, 2);
    let second = scene.asks_publish("b");
    scene.client_publishes("c", 1, 3);
    let third = scene.asks_publish("c");
    scene.allows(third);
    scene.fails(first, Why::Unavailable);
    scene.cancels(second);
    scene.wants_to_close("publish_undecided");
    for ticket in [first, second, third] {
        assert_eq!(scene.fate(ticket), Some(Fate::Closed));
    }
    scene
}

#[test]
fn nothing_of_the_client_is_taken_or_released_until_there_is_one() {
    for version in ALL {
        let mut scene = waiting(version, &Connect::default());
        assert!(!scene.reads_client());
        scene.client_publishes("d", 0, 0);
        scene.client_sends(&[0xC0, 0]);
        scene.passes(minute());
        scene.is_quiet();
        scene.permit_comes();
        scene.closes_with("publish_undecided", 0x83);
        scene.permit_comes();
    }
}

/// The client is not read, so its silence is no sign of death [MQTT-3.1.2-22]; the broker goes on.
#[test]
fn the_session_stays_alive_meanwhile() {
    let connect = Connect {
        keep_alive: 10,
        ..Connect::default()
    };
    for version in BOTH {
        let mut scene = waiting(version, &connect);
        scene.passes(Duration::from_millis(7_500));
        scene.broker_gets(&[0xC0, 0]);
        scene.broker_sends(&[0xD0, 0]);
        // Nobody knows whether it may still have these.
        scene.broker_sends(&publish(version, "x", 0, 0));
        scene.broker_sends(&publish(version, "x", 1, 1));
        scene.service_wants_a_recheck();
        scene.passes(Duration::from_millis(7_500));
        scene.broker_gets(&[0xC0, 0]);
        scene.broker_sends(&[0xD0, 0]);
        scene.passes(Duration::from_secs(2));
        scene.permit_comes();
        scene.closes_with("publish_undecided", 0x83);
    }
}

#[test]
fn every_other_end_needs_none() {
    for version in BOTH {
        let ends: [Ending; 5] = [
            (Scene::client_leaves, "client_gone", None),
            (Scene::broker_leaves, "broker_gone", None),
            (Scene::client_stalls, "client_stalled", Some(0x97)),
            (Scene::drain_begins, "drain", Some(0x8B)),
            (
                |scene| scene.service_terminates(0x98, None),
                "revoked",
                Some(0x98),
            ),
        ];
        for (end, reason, code) in ends {
            let mut scene = waiting(version, &Connect::default());
            end(&mut scene);
            match code {
                Some(code) => scene.closes_with(reason, code),
                None => drop(scene.closes(reason)),
            }
            scene.permit_comes();
        }
    }
}

/// SUBSCRIBE, and a session that the service cannot read: both come by the thousand.
#[test]
fn so_it_is_with_all_failures() {
    for version in BOTH {
        for (why, reason, code) in [
            (Why::Unavailable, "subscribe_undecided", 0x83),
            (Why::SessionStateInvalid, "session_state_invalid", 0x98),
        ] {
            let mut scene = Scene::live(version);
            scene.withholds_permits();
            scene.client_subscribes(1, &["a"]);
            let ticket = scene.asks_subscribe(&["a"]);
            scene.fails(ticket, why);
            scene.wants_to_close(reason);
            scene.permit_comes();
            scene.closes_with(reason, code);
        }
    }
}

/// Somebody who leaves anyway is not made to come back.
#[test]
fn a_client_that_leaves_has_not_to_wait() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.withholds_permits();
        scene.client_subscribes(1, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.client_sends(&[0xE0, 0]);
        scene.fails(ticket, Why::Timeout);
        scene.closes_with("subscribe_undecided", 0x83);
    }
}

#[test]
fn a_permit_for_nothing_changes_nothing() {
    for version in BOTH {
        let mut scene = Scene::new(version);
        scene.permit_comes();
        let mut scene = scene.connected(&Connect::default(), &[]);
        scene.permit_comes();
        let packet = scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.permit_comes();
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::ack(crate::packet::PUBACK, 1));
        scene.client_gets(&write::ack(crate::packet::PUBACK, 1));
    }
}
