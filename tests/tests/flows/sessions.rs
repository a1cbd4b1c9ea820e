//! Sessions that outlive their connections.

use tidegate_tests::{
    Answer, Connect, Hold, Publish, Topology, Version, all_versions,
    packet::{Disconnect, Kind, ack, property},
    reference::password,
    service::Hook,
    topology::{login, unique},
};

use crate::{alice, publish, subscribe, tells_expiry};

all_versions!(messages_wait_for_a_client_that_comes_back, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/waits"));
    let connect = alice(&client_id).resume();
    let mut client = topology.try_connect(version, &connect);
    assert!(!client.expect_connack(0).session_present());
    subscribe(&mut client, &topic, 2);
    client.leave();

    let mut sender = topology.connect(version, "alice");
    for number in 0..20_u8 {
        publish(&mut sender, 1 + number % 2, &topic, [number]);
    }
    let mut client = topology.try_connect(version, &connect);
    // MQTT 3.1 has no such bit.
    let present = client.expect_connack(0).session_present();
    assert_eq!(present, version != Version::V31);
    for number in 0..20_u8 {
        let packet = client.expect_publish(&topic, [number]);
        assert_eq!(packet.qos(), 1 + number % 2);
    }
    // The subscription is still there, and nothing comes twice.
    publish(&mut sender, 2, &topic, "live");
    client.expect_publish(&topic, "live");
    client.expect_nothing_before_pong();
});

all_versions!(a_clean_start_forgets_what_waited, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/waits"));
    let mut client = topology.join(version, &alice(&client_id).resume());
    subscribe(&mut client, &topic, 1);
    client.leave();
    let mut sender = topology.connect(version, "alice");
    publish(&mut sender, 1, &topic, "forgotten");

    let mut client = topology.try_connect(version, &alice(&client_id));
    assert!(!client.expect_connack(0).session_present());
    client.expect_nothing_before_pong();
    publish(&mut sender, 1, &topic, "not subscribed any more");
    client.expect_nothing_before_pong();
    client.leave();
    // A clean session leaves nothing behind either.
    let mut client = topology.try_connect(version, &alice(&client_id).resume());
    assert!(!client.expect_connack(0).session_present());
    client.expect_nothing_before_pong();
});

// [MQTT-4.4.0-1]: what was not acknowledged is sent again, under the same identifier.
all_versions!(an_unacknowledged_delivery_is_repeated, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/again"));
    let connect = alice(&client_id).resume();
    let mut client = topology.join(version, &connect);
    subscribe(&mut client, &topic, 2);
    let mut sender = topology.connect(version, "alice");
    for qos in 1..=2 {
        publish(&mut sender, qos, &topic, [qos]);
        let first = client.expect_publish_only(&topic, [qos]);
        drop(client);
        client = topology.join(version, &connect);
        let second = client.expect_publish(&topic, [qos]);
        assert_eq!((first.dup(), second.dup()), (false, true));
        assert_eq!(first.id(), second.id());
    }
    client.expect_nothing_before_pong();
});

// The client had PUBREC and was cut; its PUBREL belongs to the session, not to the connection.
all_versions!(a_qos_2_message_is_completed_after_a_cut, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/exactly-once"));
    let mut witness = topology.witness(&[&topic]);
    let connect = alice(&client_id).resume();
    let mut client = topology.join(version, &connect);
    let message = Publish::new(&topic, "once").qos(2).id(9);
    client.send(&message);
    client.expect_ack(Kind::Pubrec, 9, 0);
    drop(client);

    // It does not know whether its PUBLISH arrived, sends it again, and then releases it.
    let mut client = topology.join(version, &connect);
    client.send(&message.dup());
    client.expect_ack(Kind::Pubrec, 9, 0);
    client.send_raw(&ack(Kind::Pubrel, 9));
    client.expect_ack(Kind::Pubcomp, 9, 0);
    publish(&mut client, 2, &topic, "and on");
    witness.expect_publish(&topic, "once");
    witness.expect_publish(&topic, "and on");
});

all_versions!(a_release_after_a_cut_is_completed, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/exactly-once"));
    let mut witness = topology.witness(&[&topic]);
    let connect = alice(&client_id).resume();
    let mut client = topology.join(version, &connect);
    client.send(&Publish::new(&topic, "once").qos(2).id(9));
    client.expect_ack(Kind::Pubrec, 9, 0);
    drop(client);
    let mut client = topology.join(version, &connect);
    client.send_raw(&ack(Kind::Pubrel, 9));
    client.expect_ack(Kind::Pubcomp, 9, 0);
    witness.expect_publish(&topic, "once");
    publish(&mut client, 2, &topic, "and on");
    witness.expect_publish(&topic, "and on");
});

all_versions!(a_second_connection_takes_the_session_over, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/over"));
    let connect = alice(&client_id).resume();
    let mut first = topology.join(version, &connect);
    subscribe(&mut first, &topic, 1);
    let mut second = topology.try_connect(version, &connect);
    let present = second.expect_connack(0).session_present();
    assert_eq!(present, version != Version::V31);
    // Whether the broker says 0x8E or just closes, so does the gate.
    for packet in first.drain() {
        assert_eq!(
            (packet.kind(), packet.codes()),
            (Kind::Disconnect, vec![0x8E])
        );
    }
    second.publish(0, &topic, "mine now");
    second.expect_publish(&topic, "mine now");
});

// What the old connection had asked is of no interest any more, and the answer changes nothing.
all_versions!(a_takeover_cancels_what_was_undecided, |version| {
    let topology = Topology::scripted().mosquitto(&[]).start();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer_hook(Hook::Publish, move |check| match check.topic() {
            "held" => Answer::Allow.held_by(&held),
            _ => Answer::Allow,
        });
    let mut witness = topology.witness(&["held", "marker"]);
    let connect = Connect::new("device").resume();
    let mut first = topology.join(version, &connect);
    first.publish(1, "held", "never");
    topology.service().wait_for(Hook::Publish, 1);
    let mut second = topology.join(version, &connect);
    for packet in first.drain() {
        assert_eq!(
            (packet.kind(), packet.codes()),
            (Kind::Disconnect, vec![0x8E])
        );
    }
    hold.release();
    publish(&mut second, 1, "marker", "x");
    witness.expect_publish("marker", "x");
});

all_versions!(an_assigned_client_id_is_good_for_coming_back, |version| {
    let topology = Topology::shared();
    let nameless = || Connect::new("").login("alice", password("alice"));
    if !tells_expiry(version) {
        // [3.1.1: MQTT-3.1.3-7]: without a name there is no session to come back to. MQTT 3.1 has
        // no empty client ids.
        match version {
            Version::V31 => topology.try_connect(version, &nameless()).expect_refused(2),
            _ => drop(topology.join(version, &nameless())),
        }
        topology
            .try_connect(version, &nameless().resume())
            .expect_refused(2);
        return;
    }
    let topic = unique("alice/assigned");
    let mut client = topology.try_connect(version, &nameless().resume());
    let connack = client.expect_connack(0);
    let assigned = connack.property(property::ASSIGNED_CLIENT_IDENTIFIER);
    let assigned = String::from_utf8(assigned.expect("a client id")).expect("text");
    subscribe(&mut client, &topic, 1);
    client.leave();
    let mut sender = topology.connect(version, "alice");
    publish(&mut sender, 1, &topic, "waited");
    let mut client = topology.try_connect(version, &alice(&assigned).resume());
    let connack = client.expect_connack(0);
    assert!(connack.session_present());
    assert_eq!(connack.property(property::ASSIGNED_CLIENT_IDENTIFIER), None);
    client.expect_publish(&topic, "waited");
});

/// Whether a session is there for who comes back: Session Expiry Interval of CONNECT and of
/// DISCONNECT, and whether it is.
const EXPIRIES: [(Option<u32>, Option<u32>, bool); 7] = [
    (None, None, false),
    (Some(0), None, false),
    (Some(3600), None, true),
    (Some(u32::MAX), None, true),
    (Some(3600), Some(0), false),
    (Some(3600), Some(60), true),
    (Some(60), Some(3600), true),
];

#[test]
fn a_session_is_kept_as_long_as_it_was_asked_for() {
    let topology = Topology::shared();
    for (asked, at_last, kept) in EXPIRIES {
        println!("{asked:?} {at_last:?}");
        let client_id = unique("device");
        let expiry = |seconds: Option<u32>| seconds.map_or_else(Vec::new, property::session_expiry);
        let connect = alice(&client_id).unclean().property(expiry(asked));
        let mut client = topology.join(Version::V5, &connect);
        client.send(&Disconnect::new(0).property(expiry(at_last)));
        client.expect_closed();
        let mut client = topology.try_connect(Version::V5, &alice(&client_id).unclean());
        assert_eq!(client.expect_connack(0).session_present(), kept);
    }
}

// [MQTT-3.14.2-2]
#[test]
fn a_session_that_ends_with_its_connection_can_not_be_prolonged() {
    let topology = Topology::shared();
    let mut client = topology.join(Version::V5, &login("alice"));
    client.send(&Disconnect::new(0).property(property::session_expiry(60)));
    client.expect_end(0x82);
}

// [MQTT-3.1.3-9]: a will is due when the session ends, though its delay is longer. So it says when
// that was.
#[test]
fn a_session_expires() {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/will"));
    let mut witness = topology.witness(&[&topic]);
    let will = Publish::new(&topic, "expired").property(property::will_delay(3600));
    let connect = alice(&client_id)
        .unclean()
        .property(property::session_expiry(1));
    let mut client = topology.join(Version::V5, &connect.clone().will(will));
    subscribe(&mut client, &topic, 1);
    drop(client);
    witness.expect_publish(&topic, "expired");
    let mut client = topology.try_connect(Version::V5, &connect);
    assert!(!client.expect_connack(0).session_present());
}
