//! Messages: to own topics and to foreign ones.

use tidegate_tests::{
    Publish, Topology, Version, all_versions,
    packet::{Encode as _, Kind, PINGREQ, property},
    topology::{login, unique},
};

use crate::{expect_publish_denied, not_granted};

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
