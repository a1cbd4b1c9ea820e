//! Messages: at every QoS, kept, large, in pieces, many at once.

use tidegate_tests::{
    Publish, Subscribe, Topology, Unsubscribe, all_versions,
    packet::{Disconnect, Encode as _, Kind, ack},
    topology::{login, unique},
};

use crate::{publish, subscribe};

/// QoS of the message, of the subscription, and of the delivery.
const QOS: [[u8; 3]; 9] = [
    [0, 0, 0],
    [0, 1, 0],
    [0, 2, 0],
    [1, 0, 0],
    [1, 1, 1],
    [1, 2, 1],
    [2, 0, 0],
    [2, 1, 1],
    [2, 2, 2],
];

all_versions!(a_delivery_has_the_lower_qos, |version| {
    let topology = Topology::shared();
    let mut sender = topology.connect(version, "alice");
    let mut receiver = topology.connect(version, "alice");
    for [sent, subscribed, delivered] in QOS {
        println!("sent at {sent}, subscribed at {subscribed}");
        let topic = unique("alice/qos");
        subscribe(&mut receiver, &topic, subscribed);
        publish(&mut sender, sent, &topic, "x");
        let packet = receiver.expect_publish(&topic, "x");
        assert_eq!((packet.qos(), packet.retain()), (delivered, false));
    }
});

/// What is published retained, one after the other, and what who comes after that is given.
const RETAINED: [(&str, Option<&str>); 5] = [
    ("first", Some("first")),
    ("second", Some("second")),
    ("", None),
    ("third", Some("third")),
    ("", None),
];

all_versions!(a_retained_message_is_set_replaced_deleted, |version| {
    let topology = Topology::shared();
    let mut sender = topology.connect(version, "alice");
    let mut late = topology.connect(version, "alice");
    for qos in 0..=2 {
        let topic = unique("alice/kept");
        let mut witness = topology.witness(&[&topic]);
        for (payload, kept) in RETAINED {
            println!("{payload:?} at QoS {qos}");
            let id = sender.next_id();
            sender.send(&Publish::new(&topic, payload).qos(qos).id(id).retain());
            sender.complete(qos, id);
            assert!(!witness.expect_publish(&topic, payload).retain());

            subscribe(&mut late, &topic, 2);
            if let Some(kept) = kept {
                let packet = late.expect_publish(&topic, kept);
                assert_eq!((packet.qos(), packet.retain()), (qos, true));
            }
            late.send(&Unsubscribe::new(99, &[&topic]));
            late.expect(Kind::Unsuback);
        }
    }
});

all_versions!(a_megabyte_passes_both_ways, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/large");
    let payload: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    let mut receiver = topology.connect(version, "alice");
    subscribe(&mut receiver, &topic, 2);
    let mut sender = topology.connect(version, "alice");
    publish(&mut sender, 2, &topic, &payload);
    receiver.expect_publish(&topic, &payload);
});

all_versions!(an_empty_message_passes, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/empty");
    let mut receiver = topology.connect(version, "alice");
    subscribe(&mut receiver, &topic, 2);
    let mut sender = topology.connect(version, "alice");
    for qos in 0..=2 {
        publish(&mut sender, qos, &topic, "");
        assert_eq!(receiver.expect_publish(&topic, "").qos(), qos);
    }
});

all_versions!(a_whole_life_in_single_bytes, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/bytes");
    let mut client = topology.open(version);
    client.send_in_pieces(&login("alice").encode(version), 1);
    client.expect_connack(0);
    let filter = Subscribe::new(1).filter(&topic, 0);
    client.send_in_pieces(&filter.encode(version), 1);
    client.expect_suback(1, &[0]);
    let message = Publish::new(&topic, "slowly").qos(2).id(2);
    client.send_in_pieces(&message.encode(version), 1);
    client.expect_ack(Kind::Pubrec, 2, 0);
    client.send_in_pieces(&ack(Kind::Pubrel, 2), 1);
    // The broker may deliver before or after it says PUBCOMP.
    let mut kinds = [client.next_packet(), client.next_packet()].map(|packet| packet.kind());
    kinds.sort_by_key(|&kind| kind as u8);
    assert_eq!(kinds, [Kind::Publish, Kind::Pubcomp]);
    let unsubscribe = Unsubscribe::new(3, &[&topic]);
    client.send_in_pieces(&unsubscribe.encode(version), 1);
    assert_eq!(client.expect(Kind::Unsuback).id(), 3);
    client.send_in_pieces(&Disconnect::new(0).encode(version), 1);
    client.expect_closed();
});

all_versions!(two_hundred_messages_behind_a_connect, |version| {
    const COUNT: u16 = 200;
    let topology = Topology::shared();
    let topic = unique("alice/many");
    let mut witness = topology.witness(&[&topic]);
    let mut bytes = login("alice").encode(version);
    for id in 1..=COUNT {
        let message = Publish::new(&topic, id.to_string()).qos(1).id(id);
        bytes.extend(message.encode(version));
    }
    bytes.extend(Disconnect::new(0).encode(version));
    let mut client = topology.open(version);
    client.send_raw(&bytes);
    client.expect_connack(0);
    // The broker takes a DISCONNECT as the end, whatever it still had to acknowledge.
    let said = client.drain();
    for (packet, id) in said.iter().zip(1..) {
        assert_eq!((packet.kind(), packet.id()), (Kind::Puback, id));
    }
    for id in 1..=COUNT {
        witness.expect_publish(&topic, id.to_string());
    }
});

all_versions!(order_is_kept_among_messages_of_a_qos, |version| {
    const COUNT: u16 = 60;
    let topology = Topology::shared();
    let topic = unique("alice/order");
    let mut receiver = topology.connect(version, "alice");
    subscribe(&mut receiver, &topic, 0);
    let mut client = topology.connect(version, "alice");
    let ids_of = |qos| (1..=COUNT).filter(move |id| id % 3 == qos);
    for id in 1..=COUNT {
        let qos = u8::try_from(id % 3).expect("a QoS");
        client.send(&Publish::new(&topic, id.to_string()).qos(qos).id(id));
    }
    let answers: Vec<_> = (0..COUNT - COUNT / 3)
        .map(|_| client.next_packet())
        .collect();
    for (qos, kind) in [(1, Kind::Puback), (2, Kind::Pubrec)] {
        let found = answers.iter().filter(|packet| packet.kind() == kind);
        assert!(found.map(|packet| packet.id()).eq(ids_of(qos)), "{kind:?}");
    }
    for id in ids_of(2) {
        client.send_raw(&ack(Kind::Pubrel, id));
        client.expect_ack(Kind::Pubcomp, id, 0);
    }
    let seen: Vec<u16> = (0..COUNT)
        .map(|_| {
            let payload = receiver.expect(Kind::Publish).payload().to_vec();
            let text = String::from_utf8(payload).expect("text");
            text.parse().expect("a number")
        })
        .collect();
    for qos in 0..=2 {
        let seen = seen.iter().copied().filter(|id| id % 3 == qos);
        assert!(seen.eq(ids_of(qos)), "QoS {qos}");
    }
});
