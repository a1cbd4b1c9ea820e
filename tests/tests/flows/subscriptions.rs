//! Subscriptions: overlapping, with options, with identifiers, and their end.

use tidegate_tests::{
    Client, Connect, Publish, Subscribe, Topology, Unsubscribe, Version, all_versions,
    packet::{Kind, property},
    topology::{login, unique},
};

use crate::{deliveries_before, publish, subscribe};

/// Filters below a topic with their QoS. All of them match `a/b`.
const OVERLAPS: [&[(&str, u8)]; 6] = [
    &[("a/b", 0), ("a/b", 2)],
    &[("a/b", 2), ("a/b", 0)],
    &[("a/b", 1), ("a/+", 2)],
    &[("a/+", 0), ("+/b", 1), ("#", 2)],
    &[("#", 1), ("a/#", 1), ("a/b/#", 1), ("+/+", 1)],
    &[("a/b", 2), ("a/b", 2), ("a/b", 2)],
];

// Two clients, one through the gate and one past it, with the same subscriptions have the same
// deliveries.
all_versions!(
    overlapping_subscriptions_are_the_brokers_business,
    |version| {
        let topology = Topology::shared();
        let mut sender = topology.connect(version, "alice");
        let mut through = topology.connect(version, "alice");
        let mut past = topology.join_directly(version, &Connect::new(unique("direct")));
        for overlap in OVERLAPS {
            println!("{overlap:?}");
            let base = unique("alice/over");
            let last = unique("alice/last");
            for client in [&mut through, &mut past] {
                for (filter, qos) in overlap {
                    subscribe(client, &format!("{base}/{filter}"), *qos);
                }
                subscribe(client, &last, 0);
            }
            for qos in 0..=2 {
                publish(&mut sender, qos, &format!("{base}/a/b"), [qos]);
            }
            publish(&mut sender, 0, &last, "");
            let delivered = deliveries_before(&mut through, &last);
            assert!(delivered.len() >= 3);
            assert_eq!(delivered, deliveries_before(&mut past, &last));
        }
    }
);

// [MQTT-3.3.4-3], [MQTT-3.3.4-4]: as many as there are, in whatever way the broker tells them.
#[test]
fn subscription_identifiers_come_with_the_deliveries() {
    const IDS: [usize; 5] = [1, 127, 128, 2_097_152, 268_435_455];
    let topology = Topology::shared();
    let (base, last) = (unique("alice/ids"), unique("alice/last"));
    let filters = ["a/b", "a/+", "+/b", "a/#", "#"];
    let mut through = topology.connect(Version::V5, "alice");
    let mut past = topology.join_directly(Version::V5, &Connect::new(unique("direct")));
    for client in [&mut through, &mut past] {
        for (filter, id) in filters.iter().zip(IDS) {
            let packet = client.next_id();
            let subscribe = Subscribe::new(packet)
                .property(property::subscription_identifier(id))
                .filter(format!("{base}/{filter}"), 1);
            client.send(&subscribe);
            client.expect_suback(packet, &[1]);
        }
        subscribe(client, &last, 1);
    }
    let mut sender = topology.connect(Version::V5, "alice");
    publish(&mut sender, 1, &format!("{base}/a/b"), "x");
    publish(&mut sender, 1, &last, "");
    let delivered = deliveries_before(&mut through, &last);
    let mut told: Vec<_> = delivered
        .iter()
        .flat_map(|delivery| &delivery.properties)
        .filter(|found| found.id == property::SUBSCRIPTION_IDENTIFIER)
        .map(|found| found.value.clone())
        .collect();
    told.sort_by_key(|value| value.len());
    let mut expected = IDS.map(|id| property::subscription_identifier(id)[1..].to_vec());
    expected.sort_by_key(Vec::len);
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(delivered, deliveries_before(&mut past, &last));
}

/// Options byte of an MQTT 5 SUBSCRIBE; whether a retained message is delivered for it, and when it
/// is made again; RETAIN of a message that is published retained; and whether one's own message is
/// delivered.
const OPTIONS: [(u8, [bool; 4]); 9] = [
    (0x00, [true, true, false, true]),
    (0x04, [true, true, false, false]),
    (0x08, [true, true, true, true]),
    (0x10, [true, false, false, true]),
    (0x20, [false, false, false, true]),
    (0x0C, [true, true, true, false]),
    (0x18, [true, false, true, true]),
    (0x28, [false, false, true, true]),
    (0x2C, [false, false, true, false]),
];

#[test]
fn subscription_options_have_their_effect() {
    let topology = Topology::shared();
    let mut sender = topology.connect(Version::V5, "alice");
    let expect = |client: &mut Client, topic: &str, payload: &str, expected: bool| {
        if expected {
            client.expect_publish(topic, payload);
        }
        client.expect_nothing_before_pong();
    };
    for (options, [first, again, as_published, own]) in OPTIONS {
        println!("options {options:02x}");
        let topic = unique("alice/options");
        let id = sender.next_id();
        sender.send(&Publish::new(&topic, "kept").retain().qos(1).id(id));
        sender.complete(1, id);

        let mut client = topology.connect(Version::V5, "alice");
        subscribe(&mut client, &topic, options);
        expect(&mut client, &topic, "kept", first);
        subscribe(&mut client, &topic, options);
        expect(&mut client, &topic, "kept", again);

        let id = sender.next_id();
        sender.send(&Publish::new(&topic, "new").retain().qos(1).id(id));
        sender.complete(1, id);
        let packet = client.expect_publish(&topic, "new");
        assert_eq!(packet.retain(), as_published);

        client.publish(0, &topic, "own");
        let mut witness = topology.witness(&[&topic]);
        witness.expect_publish(&topic, "new");
        drop(witness);
        expect(&mut client, &topic, "own", own);
    }
}

/// Filters that are subscribed, filters that are left, and the codes of MQTT 5 for that.
const LEAVING: [(&[&str], &[&str], &[u8]); 7] = [
    (&["a"], &["a"], &[0x00]),
    (&[], &["a"], &[0x11]),
    (&["a"], &["b"], &[0x11]),
    (&["a", "b"], &["b", "c", "a"], &[0x00, 0x11, 0x00]),
    (&["a"], &["a", "a"], &[0x00, 0x11]),
    (&["#", "a/+"], &["a", "#", "a/+"], &[0x11, 0x00, 0x00]),
    (&["a"], &["A", "/a", "a/", "+"], &[0x11, 0x11, 0x11, 0x11]),
];

all_versions!(leaving_is_answered_filter_by_filter, |version| {
    let topology = Topology::shared();
    for (subscribed, left, codes) in LEAVING {
        println!("{subscribed:?} {left:?}");
        let base = unique("alice/leave");
        let below = |filters: &[&str]| -> Vec<String> {
            let filters = filters.iter();
            filters.map(|filter| format!("{base}/{filter}")).collect()
        };
        let mut client = topology.connect(version, "alice");
        for filter in below(subscribed) {
            subscribe(&mut client, &filter, 1);
        }
        let left = below(left);
        let left: Vec<_> = left.iter().map(String::as_str).collect();
        client.send(&Unsubscribe::new(100, &left));
        let unsuback = client.expect(Kind::Unsuback);
        assert_eq!(unsuback.id(), 100);
        assert_eq!(unsuback.codes(), version.pick(vec![], codes.to_vec()));
    }
});

// Several brokers deliver what they had before they answer; none delivers after that.
all_versions!(nothing_is_delivered_after_leaving, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/leave");
    let mut client = topology.join(version, &login("alice"));
    let mut sender = topology.connect(version, "alice");
    subscribe(&mut client, &topic, 1);
    publish(&mut sender, 1, &topic, "before");
    client.expect_publish(&topic, "before");
    client.send(&Unsubscribe::new(9, &[&topic]));
    assert_eq!(client.expect(Kind::Unsuback).id(), 9);
    publish(&mut sender, 1, &topic, "after");
    client.expect_nothing_before_pong();
});
