//! Several gates before one broker: to its clients they are one.

use tidegate_tests::{
    Topology, both_versions,
    packet::Kind,
    topology::{login, unique},
};

both_versions!(clients_of_different_gates_meet, |version| {
    let first = Topology::real().start();
    let second = Topology::real().broker_url(first.mosquitto().url()).start();
    let topic = unique("alice/x");
    let mut here = first.connect(version, "alice");
    let id = here.subscribe(&[&topic]);
    here.expect_suback(id, &[2]);
    let mut there = second.connect(version, "alice");
    let id = there.publish(2, &topic, "hello");
    there.complete(2, id);
    here.expect_publish(&topic, "hello");
});

both_versions!(
    a_client_that_comes_by_another_gate_is_the_same_one,
    |version| {
        let first = Topology::real().start();
        let second = Topology::real().broker_url(first.mosquitto().url()).start();
        let topic = unique("alice/x");
        let connect = login("alice").resume();
        let mut before = first.join(version, &connect);
        let id = before.subscribe(&[&topic]);
        before.expect_suback(id, &[2]);

        // The broker ends the first connection, and the second has its subscriptions.
        let mut after = second.try_connect(version, &connect);
        let connack = after.expect(Kind::Connack);
        assert!(connack.session_present(), "{connack:?}");
        before.drain();
        after.publish(1, &topic, "hello");
        let packet = after.wait_for(|packet| packet.kind() == Kind::Publish);
        assert_eq!(packet.payload(), b"hello");
    }
);
