//! An identifier in use stands for one thing only ([MQTT-2.2.1-3], [3.1.1: MQTT-2.3.1-2]).

use tidegate_tests::{
    Answer, Client, Hold, Publish, Subscribe, Topology, Unsubscribe, Version, all_versions,
    assert_eventually,
    packet::{Encode as _, Kind, ack},
    recorder::Reply,
    service::Hook,
    topology::login,
};

use crate::{of_kind, other_contents, patient};

all_versions!(
    another_message_under_an_id_in_use_ends_the_connection,
    |version| {
        let topology = Topology::scripted().start();
        for (qos, answer) in [(1, Kind::Puback), (2, Kind::Pubrec)] {
            let (first, others) = other_contents(version, qos);
            for (name, other) in others {
                println!("{name} at QoS {qos}");
                let index = topology.recorder().connections();
                // The first one is at the broker, which has not answered, or not to the end.
                topology
                    .recorder()
                    .reply_to(Kind::Publish, move |packet| match packet.qos() {
                        1 => Reply::Silence,
                        _ => Reply::Usual,
                    });
                let mut client = topology.connect(version, "client");
                client.send(&first);
                if qos == 2 {
                    client.expect_ack(answer, 7, 0);
                } else {
                    assert_eventually!(!of_kind(&topology, index, Kind::Publish).is_empty());
                }
                client.send(&other);
                client.send_in_vain(&Publish::new("canary", "").encode(version));
                client.expect_end(0x82);
                topology.recorder().wait_closed(index);
                let seen = of_kind(&topology, index, Kind::Publish);
                assert_eq!(seen.len(), 1, "{seen:?}");
                assert_eq!(seen[0].bytes(), first.encode(version));
            }
        }
        let asked = topology.service().checks_of(Hook::Publish);
        assert!(
            asked.iter().all(|check| check.topic() == "one"),
            "{asked:?}"
        );
    }
);

all_versions!(
    another_message_under_an_undecided_id_ends_the_connection,
    |version| {
        for qos in 1..=2 {
            let topology = patient().start();
            let hold = Hold::new();
            let held = hold.clone();
            topology
                .service()
                .answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
            let (first, others) = other_contents(version, qos);
            for (name, other) in others {
                println!("{name} at QoS {qos}");
                let index = topology.recorder().connections();
                let mut client = topology.connect(version, "client");
                client.send(&first);
                client.send(&other);
                client.expect_end(0x82);
                topology.recorder().wait_closed(index);
                assert_eq!(of_kind(&topology, index, Kind::Publish), []);
            }
            hold.release();
        }
    }
);

// With a broker that would publish the second topic: it publishes neither.
all_versions!(
    a_broker_that_mixes_messages_up_is_not_given_the_chance,
    |version| {
        let topology = Topology::scripted().mosquitto(&[]).start();
        let mut witness = topology.witness(&["one", "other", "marker"]);
        for (name, other) in other_contents(version, 2).1 {
            println!("{name}");
            let (first, _) = other_contents(version, 2);
            let mut client = topology.connect(version, "client");
            client.send(&first);
            client.expect_ack(Kind::Pubrec, 7, 0);
            client.send(&other);
            client.send_in_vain(&ack(Kind::Pubrel, 7));
            client.expect_end(0x82);
        }
        let mut other = topology.connect(version, "other");
        let id = other.publish(1, "marker", "x");
        other.complete(1, id);
        witness.expect_publish("marker", "x");
    }
);

/// What may be sent under identifier 7 that needs an answer.
fn packets(version: Version) -> [(&'static str, Vec<u8>); 4] {
    [
        (
            "PUBLISH 1",
            Publish::new("t", "x").qos(1).id(7).encode(version),
        ),
        (
            "PUBLISH 2",
            Publish::new("t", "x").qos(2).id(7).encode(version),
        ),
        (
            "SUBSCRIBE",
            Subscribe::new(7).filter("f", 0).encode(version),
        ),
        ("UNSUBSCRIBE", Unsubscribe::new(7, &["g"]).encode(version)),
    ]
}

// One space for all three kinds: [MQTT-2.2.1-3], [3.1.1: MQTT-2.3.1-4].
all_versions!(an_id_is_in_use_for_one_kind_of_packet_only, |version| {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .reply_with(|packet| match packet.kind() {
            Kind::Connect => Reply::Usual,
            _ => Reply::Silence,
        });
    for (first, bytes) in packets(version) {
        for (second, others) in packets(version) {
            if first == second {
                continue;
            }
            println!("{first}, {second}");
            let mut client = topology.join(version, &login("client"));
            let index = topology.recorder().connections() - 1;
            client.send_raw(&bytes);
            assert_eventually!(topology.recorder().connection(index).len() == 2);
            client.send_raw(&others);
            client.expect_end(0x82);
            topology.recorder().wait_closed(index);
            let seen = topology.recorder().connection(index);
            let seen: Vec<_> = seen.iter().skip(1).map(|packet| packet.bytes()).collect();
            assert_eq!(seen, [&bytes]);
        }
    }
});

// The same SUBSCRIBE again is not a retransmission: there is none since MQTT 3.1.1.
all_versions!(
    a_second_subscribe_under_an_id_in_use_ends_the_connection,
    |version| {
        if version == Version::V31 {
            return;
        }
        let topology = Topology::scripted().start();
        topology
            .recorder()
            .reply_to(Kind::Subscribe, |_| Reply::Silence);
        let mut client = topology.connect(version, "client");
        for _ in 0..2 {
            client.send(&Subscribe::new(7).filter("f", 0));
        }
        client.expect_end(0x82);
    }
);

/// Uses identifier 7 to the end.
fn use_up(client: &mut Client, first: &str, bytes: &[u8]) {
    client.send_raw(bytes);
    match first {
        "PUBLISH 1" => client.complete(1, 7),
        "PUBLISH 2" => client.complete(2, 7),
        "SUBSCRIBE" => client.expect_suback(7, &[0]),
        _ => assert_eq!(client.expect(Kind::Unsuback).id(), 7),
    }
}

all_versions!(an_id_is_free_once_all_was_answered, |version| {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(version, "client");
    for (first, bytes) in packets(version) {
        for (second, others) in packets(version) {
            println!("{first}, {second}");
            use_up(&mut client, first, &bytes);
            use_up(&mut client, second, &others);
        }
    }
});

// A negative acknowledgement ends it too.
all_versions!(an_id_is_free_once_it_was_refused, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer(|check| match check.topic() {
        "denied" => Answer::deny(tidegate_proto::v1::ReasonCode::NotAuthorized),
        _ => Answer::Allow,
    });
    let mut client = topology.connect(version, "client");
    for qos in 1..=2 {
        client.send(&Publish::new("denied", "").qos(qos).id(7));
        match (version, qos) {
            (Version::V5, 1) => client.expect_ack(Kind::Puback, 7, 0x87),
            (Version::V5, _) => client.expect_ack(Kind::Pubrec, 7, 0x87),
            _ => client.complete(qos, 7),
        }
        client.send(&Publish::new("allowed", "").qos(qos).id(7));
        client.complete(qos, 7);
    }
    client.send(&Subscribe::new(7).filter("denied", 0));
    client.expect_suback(7, &[version.pick_of_three(0, 0x80, 0x87)]);
    client.send(&Publish::new("allowed", "").qos(1).id(7));
    client.complete(1, 7);
    assert_eq!(topology.recorder().topics(), ["allowed"; 3]);
});

// The downlink has a space of its own: [MQTT-2.2.1-4] is about what the broker sends.
all_versions!(the_brokers_ids_are_its_own, |version| {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .reply_to(Kind::Publish, |_| Reply::Silence);
    let mut client = topology.connect(version, "client");
    client.send(&Publish::new("up", "x").qos(2).id(7));
    topology.recorder().wait_for(Kind::Publish, 1);
    topology
        .recorder()
        .send_packet(0, &Publish::new("down", "x").qos(2).id(7));
    client.expect_publish("down", "x");
    topology.recorder().wait_for(Kind::Pubcomp, 1);
    topology.recorder().send(0, ack(Kind::Pubrec, 7));
    client.complete(2, 7);
});
