//! Deliveries and the client's Maximum Packet Size: the gate makes none too large.

use gatekeeper::{Rules, Version};

use crate::{
    packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{Scene, publish},
    write::{self, Connect, Publish},
};

const V5: Version = Version::V5;

/// A client that takes packets of up to 30 bytes. The CONNACK of the gate has just enough room.
fn connect() -> Connect {
    Connect {
        properties: vec![0x27, 0, 0, 0, 30],
        ..Connect::default()
    }
}

/// Such a client below a mount.
fn mounted() -> Scene {
    let allow = gatekeeper::ConnectAllow {
        mount: Some("there/".into()),
        ..gatekeeper::ConnectAllow::default()
    };
    Scene::new(V5).connected_as(&connect(), allow, false, &[])
}

/// A delivery under this name whose packet has this size.
fn named(topic: &str, size: usize, qos: u8, id: u16) -> Vec<u8> {
    let empty = Publish {
        topic: topic.to_owned(),
        qos,
        id,
        ..Publish::default()
    };
    let payload = vec![b'p'; size - empty.write(V5).len()];
    Publish { payload, ..empty }.write(V5)
}

/// A delivery of which the client sees so many bytes, as it sees it.
fn sized(size: usize, qos: u8, id: u16) -> Vec<u8> {
    named("a", size, qos, id)
}

/// The same as the broker sends it to the client below the mount.
fn below(size: usize, qos: u8, id: u16) -> Vec<u8> {
    named("there/a", size + "there/".len(), qos, id)
}

impl Scene {
    fn drops(&mut self, packet: &[u8]) {
        let before = self.undeliverable();
        self.broker_sends(packet);
        assert_eq!(self.noted(), before + 1);
    }
}

/// [MQTT-3.1.2-24] is the broker's to keep: Mosquitto counts a PUBLISH without its fixed header, and what
/// the gate dropped its clients would miss.
#[test]
fn what_the_broker_makes_too_large_passes_as_it_came() {
    for qos in 0..=2 {
        let mut scene = Scene::new(V5).connected(&connect(), &[]);
        for (id, size) in [(1, 30), (2, 31), (3, 99)] {
            let delivery = sized(size, qos, id);
            scene.broker_sends(&delivery);
            scene.client_gets(&delivery);
        }
        assert_eq!(scene.undeliverable(), scene.noted());
    }
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25]: to the broker it is as if the client had taken it.
#[test]
fn what_the_gate_makes_too_large_is_acknowledged_and_dropped() {
    for qos in 0..=2 {
        let mut scene = mounted();
        scene.broker_sends(&below(30, qos, 1));
        scene.client_gets(&sized(30, qos, 1));
        if qos > 0 {
            let ack = write::ack(if qos == 1 { PUBACK } else { PUBREC }, 1);
            scene.client_sends(&ack);
            scene.broker_gets(&ack);
        }
        scene.drops(&below(31, qos, 2));
        if qos == 1 {
            scene.broker_gets(&write::ack(PUBACK, 2));
        }
        if qos == 2 {
            scene.broker_gets(&write::ack(PUBREC, 2));
            scene.broker_sends(&write::ack(PUBREL, 2));
            scene.broker_gets(&write::ack(PUBCOMP, 2));
            // That one is the client's.
            scene.broker_sends(&write::ack(PUBREL, 1));
            scene.client_gets(&write::ack(PUBREL, 1));
        }
    }
}

/// [MQTT-4.6.0-2] [MQTT-4.6.0-3]
#[test]
fn the_acknowledgement_of_what_was_dropped_has_its_turn() {
    for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
        let mut scene = mounted();
        for id in [1, 3] {
            scene.broker_sends(&below(20, qos, id));
            scene.client_gets(&sized(20, qos, id));
            scene.drops(&below(99, qos, id + 1));
        }
        for id in [1, 3] {
            scene.client_sends(&write::ack(kind, id));
            scene.broker_gets(&write::ack(kind, id));
            scene.broker_gets(&write::ack(kind, id + 1));
        }
    }
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25]: the broker drops what the gate could not carry, so that a retained
/// message which is too large does not end each session that wants it.
#[test]
fn the_broker_is_told_what_the_gate_can_carry() {
    let tell = |asked: Option<u32>, limit: usize, is_announced: bool| {
        let size = |asked: u32| [&[0x27][..], &asked.to_be_bytes()].concat();
        let connect = Connect {
            properties: asked.map(size).unwrap_or_default(),
            ..Connect::default()
        };
        let mut scene = Scene::with(V5, |rules| {
            rules.limits.max_downlink_packet_size = limit;
            rules.limits.announce_downlink_size = is_announced;
        });
        scene.client_sends(&connect.write(V5));
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        let sent = scene.broker_gets_connect();
        let found = packet::property(&sent.properties, 0x27)?;
        Some(u32::from_be_bytes(found.try_into().unwrap()))
    };
    let told = |asked, limit| tell(asked, limit, true);
    assert_eq!(told(None, 1000), Some(1000));
    assert_eq!(told(Some(1001), 1000), Some(1000));
    assert_eq!(told(Some(1000), 1000), Some(1000));
    assert_eq!(told(Some(30), 1000), Some(30));
    // Unless the operator wants it, a CONNECT passes as it came.
    assert_eq!(tell(None, 1000, false), None);
    assert_eq!(tell(Some(1001), 1000, false), Some(1001));
}

/// MQTT 3.x has no word for it: the CONNECT passes byte by byte.
#[test]
fn what_the_gate_can_carry_changes_nothing_on_v3() {
    for version in [Version::V31, Version::V311] {
        let rules = |rules: &mut Rules| {
            rules.limits.max_downlink_packet_size = 64;
            rules.limits.announce_downlink_size = true;
        };
        let mut scene = Scene::live_with(version, rules);
        let delivery = publish(version, "a", 0, 0);
        scene.broker_sends(&delivery);
        scene.client_gets(&delivery);
    }
}
