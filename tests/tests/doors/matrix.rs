//! The same story through every door, to every kind of broker connection, in both versions of MQTT.

use tidegate_tests::{
    Door, Subscribe, Topology, Version, door,
    packet::Kind,
    topology::{Plan, login, unique},
};

/// How the gate reaches the broker. A new one is a line here and one in `of`.
#[derive(Debug, Clone, Copy)]
enum BrokerLeg {
    Tcp,
}

impl BrokerLeg {
    const ALL: [Self; 1] = [Self::Tcp];

    fn of(self) -> Plan {
        match self {
            Self::Tcp => Topology::real(),
        }
    }
}

#[test]
fn the_same_story_everywhere() {
    for leg in BrokerLeg::ALL {
        for door in Door::ALL {
            let topology = door.of(leg.of()).start();
            for version in [Version::V311, Version::V5] {
                println!("{door:?} to {leg:?}, {version:?}");
                story(&topology, door, version);
            }
        }
    }
}

fn story(topology: &Topology, door: Door, version: Version) {
    let mut alice = door.open(topology, version);
    alice.send(&login("alice"));
    alice.expect_connack(0);

    let (own, foreign) = (unique("alice/x"), unique("bob/x"));
    let id = alice.next_id();
    alice.send(&Subscribe::new(id).filter(&own, 1).filter(&foreign, 1));
    alice.expect_suback(id, &[1, version.pick(0x80, 0x87)]);

    // [MQTT-3.3.4-1]: it comes back, and the foreign one does not reach anybody.
    let mut witness = topology.witness(&[&own, &foreign]);
    let id = alice.publish(1, &foreign, "never");
    let code = version.pick(0, 0x87);
    alice.expect_ack(Kind::Puback, id, code);
    let payload = vec![7; 100_000];
    let id = alice.publish(1, &own, &payload);
    alice.wait_for(|packet| packet.kind() == Kind::Puback && packet.id() == id);
    alice.expect_publish(&own, &payload);
    witness.expect_publish(&own, &payload);
    alice.leave();

    let mut nobody = door.open(topology, version);
    nobody.send(&login("alice").login("alice", "wrong"));
    nobody.expect_refused_with_any(version.pick(&[0x04, 0x05], &[0x86, 0x87]));
}

#[test]
fn mosquitto_pub_over_tls() {
    let topology = Door::Tls.of(Topology::real()).start();
    for version in [Version::V311, Version::V5] {
        let topic = unique("alice/x");
        let mut witness = topology.witness(&[&topic]);
        let alice = topology.command_line(version, "alice");
        let alice = alice.tls(Door::authority().ca());
        assert!(alice.publish(1, &topic, "hello"));
        witness.expect_publish(&topic, "hello");
    }
}

/// Nobody speaks plain MQTT where TLS is spoken, and the other way round.
#[test]
fn a_door_is_never_another() {
    for door in [Door::Tls, Door::Mtls, Door::Ws, Door::Wss] {
        let topology = door.of(Topology::recorded()).start();
        let mut plain = topology.open(Version::V5);
        plain.send(&login("alice"));
        // TLS says goodbye with an alert, WebSocket with a status.
        let stream = plain.into_bytes();
        assert!(
            !stream.starts_with(&[0x20]),
            "{door:?} answered CONNECT: {stream:02x?}"
        );
        assert_eq!(topology.recorder().connections(), 0);
    }
    let topology = Topology::recorded().start();
    let config = Door::authority().client(false, &[]);
    let stream = door::connect(topology.gate().address());
    assert!(door::Tls::connect(stream, config).is_err());
}
