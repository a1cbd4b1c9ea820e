//! Wills, and goodbyes. Which ending publishes a will is the subject of the suite `wills`.

use tidegate_tests::{
    Publish, Topology, Version, all_versions,
    packet::{Disconnect, property},
    topology::{login, unique},
};

use crate::{alice, publish, subscribe};

all_versions!(a_will_is_a_message_as_it_was_written, |version| {
    let topology = Topology::shared();
    let mut late = topology.connect(version, "alice");
    for qos in 0..=2 {
        for retain in [false, true] {
            let topic = unique("alice/will");
            let mut witness = topology.witness(&[&topic]);
            let will = Publish::new(&topic, [0, 0xFF, qos]).qos(qos);
            let will = if retain { will.retain() } else { will };
            drop(topology.join(version, &login("alice").will(will)));
            assert_eq!(witness.expect_publish(&topic, [0, 0xFF, qos]).qos(), qos);
            subscribe(&mut late, &topic, 2);
            if retain {
                let kept = late.expect_publish(&topic, [0, 0xFF, qos]);
                assert_eq!((kept.qos(), kept.retain()), (qos, true));
            }
            late.expect_nothing_before_pong();
        }
    }
});

#[test]
fn a_will_keeps_its_properties() {
    let topology = Topology::shared();
    let topic = unique("alice/will");
    let mut witness = topology.witness(&[&topic]);
    let will = Publish::new(&topic, "gone")
        .property(property::payload_format(1))
        .property(property::content_type("text/plain"))
        .property(property::response_topic("alice/answers"))
        .property(property::correlation_data([0, 0xFF]))
        .property(property::user("b", "1"))
        .property(property::user("a", "2"))
        .property(property::user("b", "3"));
    drop(topology.join(Version::V5, &login("alice").will(will)));
    let found = witness.expect_publish(&topic, "gone");
    for (id, value) in [
        (property::PAYLOAD_FORMAT_INDICATOR, vec![1]),
        (property::CONTENT_TYPE, b"text/plain".to_vec()),
        (property::RESPONSE_TOPIC, b"alice/answers".to_vec()),
        (property::CORRELATION_DATA, vec![0, 0xFF]),
    ] {
        assert_eq!(found.property(id), Some(value));
    }
    let pairs = [("b", "1"), ("a", "2"), ("b", "3")];
    let users: Vec<_> = found
        .properties()
        .into_iter()
        .filter(|found| found.id == property::USER_PROPERTY)
        .map(|found| found.value)
        .collect();
    assert_eq!(
        users,
        pairs.map(|(key, value)| property::user(key, value)[1..].to_vec())
    );
}

all_versions!(an_empty_will_deletes_a_retained_message, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/will");
    let mut witness = topology.witness(&[&topic]);
    let mut sender = topology.connect(version, "alice");
    sender.send(&Publish::new(&topic, "kept").retain());
    witness.expect_publish(&topic, "kept");
    drop(topology.join(
        version,
        &login("alice").will(Publish::new(&topic, "").retain()),
    ));
    witness.expect_publish(&topic, "");
    subscribe(&mut sender, &topic, 0);
    sender.expect_nothing_before_pong();
});

all_versions!(a_goodbye_takes_the_will_back, |version| {
    let topology = Topology::shared();
    let (topic, marker) = (unique("alice/will"), unique("alice/marker"));
    let mut witness = topology.witness(&[&topic, &marker]);
    let connect = login("alice").will(Publish::new(&topic, "never"));
    let mut client = topology.join(version, &connect);
    client.publish(0, &marker, "last words");
    client.leave();
    witness.expect_publish(&marker, "last words");
    let mut other = topology.connect(version, "alice");
    publish(&mut other, 1, &marker, "after that");
    witness.expect_publish(&marker, "after that");
});

#[test]
fn a_goodbye_can_ask_for_the_will() {
    let topology = Topology::shared();
    let topic = unique("alice/will");
    let mut witness = topology.witness(&[&topic]);
    let connect = login("alice").will(Publish::new(&topic, "gone"));
    let mut client = topology.join(Version::V5, &connect);
    client.send(&Disconnect::new(0x04));
    client.expect_closed();
    witness.expect_publish(&topic, "gone");
}

// A gate that closes for a client's mistake is to the broker as a client that vanished.
all_versions!(a_client_that_is_thrown_out_leaves_its_will, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/will");
    let mut witness = topology.witness(&[&topic]);
    let connect = login("alice").will(Publish::new(&topic, "thrown out"));
    let mut client = topology.join(version, &connect);
    client.send(&connect);
    client.expect_end(0x82);
    witness.expect_publish(&topic, "thrown out");
});

// [MQTT-3.1.3-9]: who is back in time has no will published. The other one's, due no earlier, shows
// that the time is over.
#[test]
fn a_will_is_delayed_and_taken_back_by_who_returns() {
    let topology = Topology::shared();
    let (topic, client_id) = (unique("alice/will"), unique("device"));
    let mut witness = topology.witness(&[&topic]);
    let connect = |client_id: &str, payload: &str| {
        alice(client_id)
            .unclean()
            .property(property::session_expiry(3600))
            .will(Publish::new(&topic, payload).property(property::will_delay(1)))
    };
    drop(topology.join(Version::V5, &connect(&client_id, "never")));
    let mut back = topology.try_connect(Version::V5, &connect(&client_id, "never either"));
    assert!(back.expect_connack(0).session_present());
    drop(topology.join(Version::V5, &connect(&unique("device"), "for good")));
    witness.expect_publish(&topic, "for good");
    back.leave();
}

// It was read before the client left, so it counts, although its decision came after that.
all_versions!(last_words_are_heard, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/last");
    let mut witness = topology.witness(&[&topic]);
    let mut client = topology.connect(version, "alice");
    for number in 0..50_u8 {
        client.publish(0, &topic, [number]);
    }
    client.leave();
    for number in 0..50_u8 {
        witness.expect_publish(&topic, [number]);
    }
});
