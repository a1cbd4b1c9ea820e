//! Doors are what they say, and nothing else. What goes through them is told in the suite `matrix`.

use tidegate_tests::{
    Door, Topology, Version, door,
    topology::{login, unique},
};

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
        // A CONNECT could be the beginning of a request.
        let plan = Topology::recorded().set("limits.handshake_deadline", "1s");
        let topology = door.of(plan).start();
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
