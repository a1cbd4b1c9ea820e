//! What the service lets a session use.

use std::{num::NonZeroU32, num::NonZeroU64, time::Duration};

use gatekeeper::{ConnectAllow, SessionLimits, Version};

use crate::{
    packet::{self, Packet},
    scene::{BOTH, Scene, subscribe},
    write::{self, Connect},
};

fn limited(version: Version, limits: SessionLimits) -> Scene {
    limited_as(version, &Connect::default(), limits)
}

fn limited_as(version: Version, connect: &Connect, limits: SessionLimits) -> Scene {
    let allow = ConnectAllow {
        limits,
        ..ConnectAllow::default()
    };
    Scene::new(version).connected_as(connect, allow, false, &[])
}

fn per_second(messages: u32) -> SessionLimits {
    SessionLimits {
        publish_per_second: NonZeroU32::new(messages),
        ..SessionLimits::default()
    }
}

/// [MQTT-4.9.0-3] is about the broker's messages; the client's wait in its socket.
#[test]
fn who_publishes_too_fast_is_read_more_slowly() {
    for version in BOTH {
        let mut scene = limited(version, per_second(2));
        for topic in ["a", "b", "c"] {
            scene.client_publishes(topic, 0, 0);
        }
        let tickets = ["a", "b"].map(|topic| scene.asks_publish(topic));
        for ticket in tickets {
            scene.denies(ticket);
        }
        assert!(!scene.reads_client());
        scene.passes(Duration::from_millis(499));
        scene.is_quiet();
        scene.passes(Duration::from_millis(1));
        // Only now is it read.
        scene.client_sends(&[]);
        let ticket = scene.asks_publish("c");
        scene.denies(ticket);
        scene.passes(Duration::from_secs(60));
        assert!(scene.reads_client());
        for topic in ["a", "b"] {
            scene.client_publishes(topic, 0, 0);
            let ticket = scene.asks_publish(topic);
            scene.denies(ticket);
        }
        assert!(!scene.reads_client());
    }
}

/// [MQTT-3.1.2-22]: who is not read is not silent.
#[test]
fn the_keep_alive_rests_meanwhile() {
    let connect = Connect {
        keep_alive: 2,
        ..Connect::default()
    };
    let limits = SessionLimits {
        publish_bytes_per_second: NonZeroU64::new(1),
        ..SessionLimits::default()
    };
    for version in BOTH {
        let mut scene = limited_as(version, &connect, limits);
        // Seven bytes: six seconds to pay.
        scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        scene.denies(ticket);
        for _ in 0..5 {
            scene.passes(Duration::from_millis(1_500));
            scene.broker_gets(&[0xC0, 0]);
            scene.broker_sends(&[0xD0, 0]);
        }
        assert!(scene.reads_client());
        scene.service_terminates(0x98, None);
        scene.closes_with("revoked", 0x98);
    }
}

/// [MQTT-3.2.2-15]
#[test]
fn the_largest_packet_is_told_and_enforced() {
    let largest = |bytes| SessionLimits {
        max_packet_size: NonZeroU32::new(bytes),
        ..SessionLimits::default()
    };
    for version in BOTH {
        let packet = crate::scene::publish(version, "topic", 0, 0);
        let size = u32::try_from(packet.len()).unwrap();
        let mut scene = limited(version, largest(size));
        scene.client_sends(&packet);
        let ticket = scene.asks_publish("topic");
        scene.denies(ticket);

        let mut scene = limited(version, largest(size - 1));
        scene.client_sends(&packet);
        scene.closes_with("client_violation", 0x95);
    }
    let told = |limits: SessionLimits, broker: &[u8]| {
        let connect = Connect::default();
        let mut scene = Scene::new(Version::V5);
        scene.client_sends(&connect.write(Version::V5));
        let ticket = scene.asks_connect();
        let allow = ConnectAllow {
            limits,
            ..ConnectAllow::default()
        };
        scene.allows_connect(ticket, allow);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets_connect();
        scene.broker_sends(&write::connack(Version::V5, false, 0, broker));
        let connack = scene.client_gets_connack(0);
        let Some(Packet::Connack { properties, .. }) = packet::read(Version::V5, &connack) else {
            panic!("{connack:02x?} is no CONNACK");
        };
        packet::property(&properties, 0x27).map(<[u8]>::to_vec)
    };
    let says = |bytes: u32| Some(bytes.to_be_bytes().to_vec());
    let broker = [&[0x27], &60_u32.to_be_bytes()[..]].concat();
    assert_eq!(told(largest(100), &[]), says(100));
    assert_eq!(told(largest(100), &broker), says(60));
    assert_eq!(told(largest(50), &broker), says(50));
    // It only narrows.
    assert_eq!(told(largest(u32::MAX), &[]), says(1024 * 1024));
}

#[test]
fn there_are_no_more_subscriptions_than_allowed() {
    let limits = SessionLimits {
        max_subscriptions: NonZeroU32::new(1),
        ..SessionLimits::default()
    };
    for version in BOTH {
        let mut scene = limited(version, limits);
        scene.client_subscribes(7, &["a", "b"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.allows(ticket);
        scene.broker_gets(&subscribe(version, 7, &["a"]));
        scene.broker_sends(&write::suback(version, 7, &[1]));
        let code = if version == Version::V5 { 0x97 } else { 0x80 };
        scene.client_gets(&write::suback(version, 7, &[1, code]));
        assert_eq!(scene.unasked(), ["subscriptions"]);
    }
}

/// The gate keeps their text.
#[test]
fn filters_have_so_much_room_together() {
    for version in BOTH {
        let mut scene = Scene::live_with(version, |rules| {
            rules.limits.max_subscription_bytes = 6;
        });
        scene.client_subscribes(7, &["aaa", "bbbb", "ccc"]);
        let ticket = scene.asks_subscribe(&["aaa", "ccc"]);
        scene.allows(ticket);
        scene.allows(ticket.filter(1));
        scene.broker_gets(&subscribe(version, 7, &["aaa", "ccc"]));
        scene.broker_sends(&write::suback(version, 7, &[1, 1]));
        let code = if version == Version::V5 { 0x97 } else { 0x80 };
        scene.client_gets(&write::suback(version, 7, &[1, code, 1]));
        assert_eq!(scene.unasked(), ["subscriptions"]);
    }
}
