//! Keep alive on both legs.

use std::time::Duration;

use gatekeeper::{Rules, Version};

use crate::{
    scene::{ALL, Scene},
    write::{Connect, PINGREQ, PINGRESP},
};

fn connected(version: Version, seconds: u16) -> Scene {
    connected_with(version, seconds, |_| {})
}

fn connected_with(version: Version, seconds: u16, change: impl FnOnce(&mut Rules)) -> Scene {
    let connect = Connect {
        keep_alive: seconds,
        ..Connect::default()
    };
    Scene::with(version, change).connected(&connect, &[])
}

/// The broker is pinged while the client is silent.
fn pinged(scene: &mut Scene) {
    scene.broker_gets(&PINGREQ);
    scene.broker_sends(&PINGRESP);
    scene.is_quiet();
}

/// [MQTT-3.1.2-22]
/// [MQTT-3.2.2-22] [3.1.1: MQTT-3.1.2-24]
#[test]
fn a_silent_client_is_ended_after_one_and_a_half_intervals() {
    for version in ALL {
        let mut scene = connected(version, 10);
        scene.passes(Duration::from_millis(7_500));
        pinged(&mut scene);
        scene.passes(Duration::from_millis(7_499));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        scene.closes_with("keep_alive_timeout", 0x8D);
    }
}

#[test]
fn an_interval_of_0_is_none() {
    for version in ALL {
        let mut scene = connected(version, 0);
        scene.passes(Duration::from_secs(1_000_000));
        scene.is_quiet();
    }
}

/// [MQTT-3.2.2-21]
/// [MQTT-3.1.2-21]
#[test]
fn the_brokers_interval_holds() {
    let mut scene = Scene::new(Version::V5).connected(&Connect::default(), &[0x13, 0, 2]);
    scene.passes(Duration::from_millis(1_500));
    pinged(&mut scene);
    scene.passes(Duration::from_millis(1_500));
    scene.closes_with("keep_alive_timeout", 0x8D);
}

/// A client whose messages are all refused never pings, and the broker would take it for dead.
/// [MQTT-3.1.2-20] [3.1.1: MQTT-3.1.2-23]
#[test]
fn the_broker_hears_of_a_client_that_is_refused_all_the_time() {
    for version in ALL {
        let mut scene = connected(version, 10);
        for _ in 0..3 {
            scene.passes(Duration::from_secs(5));
            scene.client_publishes("bob/x", 0, 0);
            let ticket = scene.asks_publish("bob/x");
            scene.denies(ticket);
            scene.passes(Duration::from_millis(2_500));
            // The answer to the gate's own question is not the client's.
            pinged(&mut scene);
        }
    }
}

/// [MQTT-3.12.4-1]
/// [3.1.1: MQTT-3.12.4-1]
#[test]
fn each_pong_is_for_the_one_who_pinged() {
    for version in ALL {
        let mut scene = connected(version, 10);
        scene.passes(Duration::from_millis(7_500));
        scene.broker_gets(&PINGREQ);
        scene.client_sends(&PINGREQ);
        scene.broker_gets(&PINGREQ);
        scene.broker_sends(&PINGRESP);
        scene.is_quiet();
        scene.broker_sends(&PINGRESP);
        scene.client_gets(&PINGRESP);
        // One that nobody asked for.
        scene.broker_sends(&PINGRESP);
        scene.is_quiet();
    }
}

#[test]
fn a_broker_that_does_not_answer_is_dead() {
    for version in ALL {
        let mut scene = connected(version, 0);
        scene.client_sends(&PINGREQ);
        scene.broker_gets(&PINGREQ);
        scene.passes(Duration::from_secs(10));
        scene.closes_with("broker_unresponsive", 0x80);
    }
}

/// The client may be speaking all the while.
#[test]
fn the_clients_timer_rests_while_the_line_is_full() {
    for version in ALL {
        let mut scene = connected_with(version, 1, |rules| {
            rules.limits.window_packets = 1;
            rules.deadlines.publish = Duration::from_secs(60);
        });
        scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        for _ in 0..4 {
            scene.passes(Duration::from_millis(750));
            pinged(&mut scene);
        }
        scene.denies(ticket);
        scene.passes(Duration::from_millis(750));
        pinged(&mut scene);
        scene.passes(Duration::from_millis(749));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        match version {
            Version::V31 | Version::V311 => {}
            Version::V5 => scene.client_gets(&crate::scene::disconnect(0x8D)),
        }
        scene.closes("keep_alive_timeout");
    }
}

#[test]
fn a_flood_of_pings_stops_the_reading() {
    let mut scene = connected(Version::V5, 0);
    for _ in 0..64 {
        assert!(scene.reads_client());
        scene.client_sends(&PINGREQ);
        scene.broker_gets(&PINGREQ);
    }
    assert!(!scene.reads_client());
    scene.broker_sends(&PINGRESP);
    scene.client_gets(&PINGRESP);
    assert!(scene.reads_client());
}
