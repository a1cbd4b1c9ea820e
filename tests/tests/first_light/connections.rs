//! Who may connect, as whom, and what they leave behind.

use tidegate_tests::{
    Connect, Publish, Topology, Version, all_versions,
    packet::{disconnect, frame, property},
    reference::password,
    topology::{login, unique},
};

use crate::not_authorized;

all_versions!(a_will_on_a_foreign_topic_refuses_the_connect, |version| {
    let topology = Topology::shared();
    let connect = login("alice").will(Publish::new("bob/x", "boo"));
    let mut alice = topology.try_connect(version, &connect);
    alice.expect_refused(not_authorized(version));
});

// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [3.1.1: MQTT-3.1.2-8]
all_versions!(a_will_is_published_when_the_client_just_goes, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut witness = topology.witness(&[&topic]);
    let connect = login("alice").will(Publish::new(&topic, "gone").qos(1));
    let mut alice = topology.try_connect(version, &connect);
    alice.expect_connack(0);
    drop(alice);
    witness.expect_publish(&topic, "gone");
});

// [MQTT-3.1.2-10] [MQTT-3.14.4-3] [3.1.1: MQTT-3.1.2-10] [3.1.1: MQTT-3.14.4-3]
all_versions!(a_will_is_not_published_after_a_disconnect, |version| {
    let topology = Topology::shared();
    let (topic, marker) = (unique("alice/x"), unique("alice/x"));
    let mut witness = topology.witness(&[&topic, &marker]);
    let connect = login("alice").will(Publish::new(&topic, "gone"));
    let mut alice = topology.try_connect(version, &connect);
    alice.expect_connack(0);
    alice.publish(0, &marker, "bye");
    alice.send_raw(&frame(0xE0, &[]));
    alice.expect_closed();
    witness.expect_publish(&marker, "bye");
    // The broker knows of the DISCONNECT before it knows of whatever comes now.
    let mut other = topology.connect(version, "alice");
    other.publish(0, &marker, "after that");
    witness.expect_publish(&marker, "after that");
});

#[test]
fn disconnect_with_will_publishes_it() {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut witness = topology.witness(&[&topic]);
    let connect = login("alice").will(Publish::new(&topic, "gone"));
    let mut alice = topology.try_connect(Version::V5, &connect);
    alice.expect_connack(0);
    alice.send_raw(&disconnect(0x04));
    witness.expect_publish(&topic, "gone");
}

all_versions!(wrong_credentials_are_refused, |version| {
    let topology = Topology::shared();
    let refusals: &[u8] = version.pick(&[0x04, 0x05], &[0x86, 0x87]);
    let id = || unique("client");
    for connect in [
        Connect::new(id()).login("alice", "wrong"),
        Connect::new(id()).login("alice", ""),
        Connect::new(id()).login("alice", password("bob")),
        Connect::new(id()).login("nobody", password("alice")),
        Connect::new(id()),
    ] {
        topology
            .try_connect(version, &connect)
            .expect_refused_with_any(refusals);
    }
});

all_versions!(user_names_that_would_be_wildcards_are_refused, |version| {
    let topology = Topology::shared();
    let refusals: &[u8] = version.pick(&[0x04, 0x05], &[0x86, 0x87]);
    for name in [
        "", "+", "#", "alice/x", "alice/#", "al+ice", "$SYS", "$share", "/",
    ] {
        let connect = Connect::new(unique("client")).login(name, password("alice"));
        topology
            .try_connect(version, &connect)
            .expect_refused_with_any(refusals);
    }
});

all_versions!(two_users_may_have_the_same_client_id, |version| {
    let topology = Topology::shared();
    let client_id = unique("device");
    let connect = |user: &str| Connect::new(&client_id).login(user, password(user));
    let mut alice = topology.try_connect(version, &connect("alice"));
    alice.expect_connack(0);
    let mut bob = topology.try_connect(version, &connect("bob"));
    bob.expect_connack(0);
    bob.expect_nothing_before_pong();
    alice.expect_nothing_before_pong();
});

// [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.1.3-2] [MQTT-3.1.4-3] [MQTT-3.2.2-3]
// [MQTT-4.5.0-1] [3.1.1: MQTT-3.1.2-4] [3.1.1: MQTT-3.1.2-5] [3.1.1: MQTT-3.1.3-2]
// [3.1.1: MQTT-3.1.4-2] [3.1.1: MQTT-3.2.2-2] [3.1.1: MQTT-3.2.2-3] [3.1.1: MQTT-4.5.0-1]
all_versions!(a_user_takes_over_their_own_session_only, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/x"));
    let connect = |user: &str| {
        Connect::new(&client_id)
            .login(user, password(user))
            .resume()
    };

    let mut alice = topology.try_connect(version, &connect("alice"));
    assert!(!alice.expect_connack(0).session_present());
    let id = alice.subscribe(&[&topic]);
    alice.expect_suback(id, &[2]);
    alice.send_raw(&frame(0xE0, &[]));
    alice.expect_closed();
    let mut sender = topology.connect(version, "alice");
    let id = sender.publish(1, &topic, "for alice");
    sender.complete(1, id);

    let mut bob = topology.try_connect(version, &connect("bob"));
    assert!(!bob.expect_connack(0).session_present());
    bob.expect_nothing_before_pong();
    let mut alice = topology.try_connect(version, &connect("alice"));
    // MQTT 3.1 has no such bit.
    let present = alice.expect_connack(0).session_present();
    assert_eq!(present, version != Version::V31);
    alice.expect_publish(&topic, "for alice");

    let mut again = topology.try_connect(version, &connect("alice"));
    again.expect_connack(0);
    alice.drain();
    bob.expect_nothing_before_pong();
});

all_versions!(a_client_without_an_id_is_given_one, |version| {
    let topology = Topology::shared();
    let connect = Connect::new("").login("alice", password("alice"));
    if version == Version::V31 {
        return topology.try_connect(version, &connect).expect_refused(2);
    }
    let mut alice = topology.try_connect(version, &connect);
    let connack = alice.expect_connack(0);
    if version == Version::V5 {
        let properties = connack.properties();
        let assigned = properties
            .iter()
            .find(|found| found.id == property::ASSIGNED_CLIENT_IDENTIFIER);
        assert!(
            assigned.is_some_and(|found| !found.value.is_empty()),
            "{connack:?}"
        );
    }
    let id = alice.publish(1, &unique("alice/x"), "hello");
    alice.complete(1, id);
});

#[test]
fn a_kept_session_without_an_id_is_refused_before_mqtt_5() {
    let topology = Topology::shared();
    let connect = Connect::new("").login("alice", password("alice")).resume();
    for version in [Version::V31, Version::V311] {
        topology.try_connect(version, &connect).expect_refused(0x02);
    }
}

all_versions!(a_second_connect_is_a_protocol_error, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    alice.send(&login("bob"));
    alice.expect_end(0x82);
});

all_versions!(a_pingreq_with_a_body_is_malformed, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    alice.send_raw(&[0xC0, 0x01, 0x00]);
    alice.expect_end(0x81);
});

#[test]
fn enhanced_authentication_is_refused() {
    let topology = Topology::shared();
    let connect = login("alice").property(property::authentication_method("SCRAM-SHA-256"));
    topology
        .try_connect(Version::V5, &connect)
        .expect_refused(0x8C);
}
