//! UNSUBSCRIBE and its answer. Where a session has a mount, `mount.rs` has more.

use gatekeeper::Version;

use crate::{
    scene::{ALL, Scene},
    write,
};

/// An UNSUBSCRIBE that went to the broker.
fn leaving(version: Version, id: u16, filters: &[&str]) -> Scene {
    let mut scene = Scene::live(version);
    let packet = write::unsubscribe(version, id, filters);
    scene.client_sends(&packet);
    scene.broker_gets(&packet);
    scene
}

/// [MQTT-3.10.4-4] [MQTT-2.2.1-6] [3.1.1: MQTT-3.10.4-4]: an answer belongs to something.
#[test]
fn an_unsuback_for_nothing_is_the_brokers_fault() {
    for version in ALL {
        let answer = write::unsuback(version, 7, 1);
        let mut scene = Scene::live(version);
        scene.broker_sends(&answer);
        scene.closes_with("broker_violation", 0x80);

        let mut scene = leaving(version, 8, &["a"]);
        scene.broker_sends(&answer);
        scene.closes_with("broker_violation", 0x80);

        let mut scene = leaving(version, 7, &["a"]);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
        scene.broker_sends(&answer);
        scene.closes_with("broker_violation", 0x80);

        let mut scene = Scene::live(version);
        let packet = scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&answer);
        scene.closes_with("broker_violation", 0x80);
    }
}

/// It still waits for its turn, so the broker can't have seen it.
#[test]
fn an_unsuback_before_its_unsubscribe_is_the_brokers_fault() {
    for version in ALL {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 0, 0);
        scene.asks_publish("a");
        scene.client_sends(&write::unsubscribe(version, 7, &["a"]));
        scene.broker_sends(&write::unsuback(version, 7, 1));
        scene.closes_after_cancels("broker_violation", 0x80);
    }
}

/// [MQTT-3.11.3-1]
#[test]
fn an_unsuback_has_a_code_for_each_filter() {
    for codes in [1, 3] {
        let mut scene = leaving(Version::V5, 7, &["a", "b"]);
        scene.broker_sends(&write::unsuback(Version::V5, 7, codes));
        scene.closes_with("broker_violation", 0x80);
    }
    for version in ALL {
        let mut scene = leaving(version, 7, &["a", "b"]);
        let answer = write::unsuback(version, 7, 2);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}

/// A broker that answers nothing does not make the gate remember ever more.
#[test]
fn only_so_many_wait_for_their_answer() {
    for version in ALL {
        let mut scene = Scene::live_with(version, |rules| rules.limits.window_packets = 2);
        for id in 1..=2 {
            assert!(scene.reads_client());
            let packet = write::unsubscribe(version, id, &["a"]);
            scene.client_sends(&packet);
            scene.broker_gets(&packet);
        }
        assert!(!scene.reads_client());
        let answer = write::unsuback(version, 1, 1);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
        assert!(scene.reads_client());
    }
}
