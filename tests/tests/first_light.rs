//! MQTT client, gate, Mosquitto, reference service: what is allowed works, what is not is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use tidegate_tests::{
    Client, Connect, Publish, Subscribe, Topology, Unsubscribe, Version, all_versions,
    packet::{Encode as _, Kind, PINGREQ, disconnect, frame, property},
    reference::password,
    topology::{login, unique},
};

/// Not authorized, for a CONNECT.
fn not_authorized(version: Version) -> u8 {
    version.pick(0x05, 0x87)
}

/// A filter that is not granted. In MQTT 3.1 there is no way to say no: it is what was asked for.
fn not_granted(version: Version) -> u8 {
    version.pick_of_three(2, 0x80, 0x87)
}

/// What a PUBLISH that is not allowed is answered: before MQTT 5 there is no way to say no.
fn expect_publish_denied(client: &mut Client, qos: u8, id: u16) {
    match (client.version(), qos) {
        (_, 0) => {}
        (Version::V31 | Version::V311, _) => client.complete(qos, id),
        (Version::V5, 1) => client.expect_ack(Kind::Puback, id, 0x87),
        (Version::V5, _) => client.expect_ack(Kind::Pubrec, id, 0x87),
    }
}

// [MQTT-4.2.0-1] [3.1.1: MQTT-7.0.0-2] [3.1.1: MQTT-7.1.1-1]
all_versions!(mosquitto_clients_meet, |version| {
    let topology = Topology::shared();
    let alice = topology.command_line(version, "alice");
    let topic = unique("alice/x");
    let subscriber = alice.subscribe(2, "alice/#");
    for qos in 0..=2 {
        let message = format!("at QoS {qos}");
        assert!(alice.publish(qos, &topic, &message));
        subscriber.wait_for(&topic, &message);
    }
});

all_versions!(mosquitto_pub_never_reaches_a_foreign_topic, |version| {
    let topology = Topology::shared();
    let alice = topology.command_line(version, "alice");
    let (foreign, own) = (unique("bob/x"), unique("alice/x"));
    let mut witness = topology.witness(&[&foreign, &own]);
    for qos in 0..=2 {
        let _ = alice.publish(qos, &foreign, "never");
    }
    assert!(alice.publish(1, &own, "but this"));
    witness.expect_publish(&own, "but this");
});

all_versions!(a_message_to_a_foreign_topic_is_refused, |version| {
    let topology = Topology::shared();
    let (foreign, own) = (unique("bob/x"), unique("alice/x"));
    let mut witness = topology.witness(&[&foreign, &own]);
    let mut alice = topology.connect(version, "alice");
    for qos in 0..=2 {
        let id = alice.publish(qos, &foreign, "never");
        expect_publish_denied(&mut alice, qos, id);
    }
    let id = alice.publish(2, &own, "but this");
    alice.complete(2, id);
    witness.expect_publish(&own, "but this");
});

all_versions!(a_name_that_begins_alike_is_foreign, |version| {
    let topology = Topology::shared();
    for (user, topic) in [
        ("alice2", "alice/x"),
        ("alice", "alice2/x"),
        ("alice", "/alice/x"),
        ("alice", "ALICE/x"),
    ] {
        let mut client = topology.connect(version, user);
        let id = client.publish(1, topic, "never");
        expect_publish_denied(&mut client, 1, id);
        let id = client.subscribe(&[topic]);
        client.expect_suback(id, &[not_granted(version)]);
    }
});

all_versions!(a_superuser_may_do_anything, |version| {
    let topology = Topology::shared();
    let topic = unique("bob/x");
    let mut root = topology.connect(version, "root");
    let id = root.subscribe(&[&topic]);
    root.expect_suback(id, &[2]);
    root.publish(0, &topic, "mine as well");
    root.expect_publish(&topic, "mine as well");
});

all_versions!(filters_are_granted_and_refused_one_by_one, |version| {
    let topology = Topology::shared();
    let (own, foreign) = (unique("alice/x") + "/#", unique("bob/x") + "/#");
    let refused = not_granted(version);
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&own, &foreign]);
    alice.expect_suback(id, &[2, refused]);
    let id = alice.subscribe(&[&foreign, &own]);
    alice.expect_suback(id, &[refused, 2]);
    let id = alice.subscribe(&[&foreign, &own, &foreign, &own]);
    alice.expect_suback(id, &[refused, 2, refused, 2]);
});

all_versions!(requested_qos_is_granted_per_filter, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    let packet = (0..=2).fold(Subscribe::new(1), |packet, qos| {
        packet.filter(unique("alice/x"), qos)
    });
    alice.send(&packet);
    alice.expect_suback(1, &[0, 1, 2]);
});

all_versions!(refused_filters_deliver_nothing, |version| {
    let topology = Topology::shared();
    let topic = unique("bob/x");
    let mut witness = topology.witness(&[&topic]);
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&topic, "bob/#"]);
    alice.expect_suback(id, &[not_granted(version); 2]);
    let mut bob = topology.connect(version, "bob");
    bob.publish(0, &topic, "secret");
    witness.expect_publish(&topic, "secret");
    alice.expect_nothing_before_pong();
});

all_versions!(a_filter_that_covers_too_much_is_refused, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    for filter in ["#", "+/x", "+/#", "+", "/#", "$SYS/#", "alice2/#"] {
        let id = alice.subscribe(&[filter]);
        alice.expect_suback(id, &[not_granted(version)]);
    }
});

all_versions!(a_share_is_judged_by_its_inner_filter, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[
        &format!("$share/group/{topic}"),
        "$share/group/bob/#",
        "$share/alice/bob/#",
    ]);
    let refused = not_granted(version);
    alice.expect_suback(id, &[2, refused, refused]);
    alice.publish(0, &topic, "shared");
    alice.expect_publish(&topic, "shared");
});

// [MQTT-3.10.4-2] [3.1.1: MQTT-3.10.4-2]
all_versions!(unsubscribe_ends_a_subscription, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&topic]);
    alice.expect_suback(id, &[2]);
    alice.send(&Unsubscribe::new(50, &[&topic]));
    assert_eq!(alice.expect(Kind::Unsuback).id(), 50);
    let id = alice.publish(1, &topic, "nobody listens any more");
    alice.complete(1, id);
    alice.expect_nothing_before_pong();
});

all_versions!(leaving_a_foreign_filter_is_never_refused, |version| {
    let topology = Topology::shared();
    let mut alice = topology.connect(version, "alice");
    alice.send(&Unsubscribe::new(50, &["bob/#"]));
    let codes = alice.expect(Kind::Unsuback).codes();
    assert_eq!(codes, version.pick(vec![], vec![0x11]));
});

// [MQTT-3.3.2-3] [3.1.1: MQTT-3.3.2-3]
all_versions!(messages_are_delivered_at_every_qos, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&topic]);
    alice.expect_suback(id, &[2]);
    let mut sender = topology.connect(version, "alice");
    for qos in 0..=2 {
        let message = format!("at QoS {qos}");
        let id = sender.publish(qos, &topic, &message);
        sender.complete(qos, id);
        assert_eq!(alice.expect_publish(&topic, &message).qos(), qos);
    }
});

all_versions!(a_large_message_passes, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let payload = vec![b'x'; 200_000];
    let mut witness = topology.witness(&[&topic]);
    let mut alice = topology.connect(version, "alice");
    let id = alice.publish(1, &topic, &payload);
    alice.complete(1, id);
    witness.expect_publish(&topic, &payload);
});

all_versions!(a_message_in_single_bytes_passes, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut witness = topology.witness(&[&topic]);
    let mut alice = topology.open(version);
    alice.send_in_pieces(&login("alice").encode(version), 1);
    alice.expect_connack(0);
    alice.send_in_pieces(&Publish::new(&topic, "slowly").encode(version), 1);
    witness.expect_publish(&topic, "slowly");
});

all_versions!(packets_pipelined_behind_connect_pass, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut witness = topology.witness(&[&topic]);
    let mut alice = topology.open(version);
    let publish = Publish::new(&topic, "at once").qos(1).id(7);
    let packets = [
        login("alice").encode(version),
        publish.encode(version),
        PINGREQ.to_vec(),
    ];
    alice.send_raw(&packets.concat());
    alice.expect_connack(0);
    let (first, second) = (alice.next_packet(), alice.next_packet());
    let mut kinds = [first.kind(), second.kind()];
    kinds.sort_by_key(|&kind| kind as u8);
    assert_eq!(kinds, [Kind::Puback, Kind::Pingresp]);
    witness.expect_publish(&topic, "at once");
});

// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-9] [3.1.1: MQTT-3.3.1-5]
// [3.1.1: MQTT-3.3.1-6] [3.1.1: MQTT-3.3.1-8] [3.1.1: MQTT-3.3.1-10] [3.1.1: MQTT-3.3.1-11]
all_versions!(a_retained_message_is_kept_and_can_be_deleted, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut sender = topology.connect(version, "alice");
    sender.send(&Publish::new(&topic, "kept").qos(1).id(1).retain());
    sender.complete(1, 1);
    let mut alice = topology.connect(version, "alice");
    let id = alice.subscribe(&[&topic]);
    alice.expect_suback(id, &[2]);
    assert!(alice.expect_publish(&topic, "kept").retain());

    sender.send(&Publish::new(&topic, "").qos(1).id(2).retain());
    sender.complete(1, 2);
    let mut late = topology.connect(version, "alice");
    let id = late.subscribe(&[&topic]);
    late.expect_suback(id, &[2]);
    late.expect_nothing_before_pong();
});

all_versions!(a_foreign_retained_message_is_not_kept, |version| {
    let topology = Topology::shared();
    let topic = unique("bob/x");
    let mut alice = topology.connect(version, "alice");
    alice.send(&Publish::new(&topic, "never").qos(1).id(1).retain());
    expect_publish_denied(&mut alice, 1, 1);
    let mut bob = topology.connect(version, "bob");
    let id = bob.subscribe(&[&topic]);
    bob.expect_suback(id, &[2]);
    bob.expect_nothing_before_pong();
});

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

#[test]
fn a_topic_alias_stands_for_its_topic() {
    let topology = Topology::shared();
    let topic = unique("alice/x");
    let mut witness = topology.witness(&[&topic]);
    let mut alice = topology.connect(Version::V5, "alice");
    alice.send(&Publish::new(&topic, "named").property(property::topic_alias(1)));
    alice.send(&Publish::new("", "by alias").property(property::topic_alias(1)));
    witness.expect_publish(&topic, "named");
    let aliased = witness.expect_publish(&topic, "by alias");
    assert!(
        aliased
            .properties()
            .iter()
            .all(|found| found.id != property::TOPIC_ALIAS)
    );
}

#[test]
fn a_refused_message_still_sets_its_topic_alias() {
    let topology = Topology::shared();
    let (foreign, own) = (unique("bob/x"), unique("alice/x"));
    let mut witness = topology.witness(&[&foreign, &own]);
    let mut alice = topology.connect(Version::V5, "alice");
    let aliased = |topic: &str, id| {
        Publish::new(topic, "aliased")
            .qos(1)
            .id(id)
            .property(property::topic_alias(1))
    };
    alice.send(&aliased(&foreign, 1));
    alice.send(&aliased("", 2));
    alice.send(&aliased(&own, 3));
    alice.send(&aliased("", 4));
    alice.expect_ack(Kind::Puback, 1, 0x87);
    alice.expect_ack(Kind::Puback, 2, 0x87);
    alice.complete(1, 3);
    alice.complete(1, 4);
    witness.expect_publish(&own, "aliased");
    witness.expect_publish(&own, "aliased");
}

#[test]
fn a_topic_alias_that_stands_for_nothing_ends_the_connection() {
    let topology = Topology::shared();
    for (alias, code) in [(1, 0x82), (0, 0x94), (u16::MAX, 0x94)] {
        let mut alice = topology.connect(Version::V5, "alice");
        alice.send(&Publish::new("", "what?").property(property::topic_alias(alias)));
        alice.expect_end(code);
    }
}
