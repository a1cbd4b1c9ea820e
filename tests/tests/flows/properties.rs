//! MQTT 5 properties of messages: what the broker passes on, the gate does too.

use std::time::Duration;

use tidegate_tests::{
    Answer, Client, Connect, Publish, Topology, Version,
    packet::{Kind, property},
    service::Hook,
    topology::{login, unique},
};

use crate::{Delivery, deliveries_before, publish, subscribe};

/// Property fields of a PUBLISH, by what they show.
fn fields() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let binary: Vec<u8> = (0..=255).collect();
    vec![
        ("nothing", vec![]),
        ("text", vec![property::payload_format(1)]),
        ("bytes", vec![property::payload_format(0)]),
        ("content type", vec![property::content_type("text/plain")]),
        (
            "request",
            vec![
                property::response_topic("alice/answers"),
                property::correlation_data(&binary),
            ],
        ),
        ("empty correlation", vec![property::correlation_data("")]),
        ("empty content type", vec![property::content_type("")]),
        (
            "user properties repeat and keep their order",
            vec![
                property::user("b", "1"),
                property::user("a", "2"),
                property::user("b", "3"),
                property::user("", ""),
                property::user("é", "\u{feff}"),
            ],
        ),
        (
            "all at once",
            vec![
                property::user("first", "1"),
                property::payload_format(1),
                property::content_type("application/json"),
                property::response_topic("alice/answers"),
                property::user("between", "2"),
                property::correlation_data("id"),
                property::user("last", "3"),
            ],
        ),
    ]
}

/// Publishes and receives, and returns what was received.
fn round_trip(sender: &mut Client, receiver: &mut Client, message: Publish) -> Delivery {
    sender.send(&message.qos(1).id(1));
    sender.complete(1, 1);
    let packet = receiver.expect(Kind::Publish);
    receiver.acknowledge(&packet);
    Delivery::from(&packet)
}

#[test]
fn properties_arrive_as_they_do_without_a_gate() {
    let topology = Topology::shared();
    let topic = unique("alice/properties");
    let mut sender = topology.connect(Version::V5, "alice");
    let mut receiver = topology.connect(Version::V5, "alice");
    let mut direct = topology.join_directly(Version::V5, &Connect::new(unique("direct")));
    let mut witness = topology.witness(&[&topic]);
    subscribe(&mut receiver, &topic, 2);
    for (name, field) in fields() {
        println!("{name}");
        let message = field
            .iter()
            .cloned()
            .fold(Publish::new(&topic, "payload"), Publish::property);
        let through_the_gate = round_trip(&mut sender, &mut receiver, message.clone());
        assert_eq!(through_the_gate.properties.len(), field.len());
        assert_eq!(
            through_the_gate,
            Delivery::from(&witness.expect_publish(&topic, "payload"))
        );
        let past_the_gate = round_trip(&mut direct, &mut witness, message);
        assert_eq!(through_the_gate, past_the_gate);
        receiver.expect_publish(&topic, "payload");
    }
}

#[test]
fn user_properties_keep_their_order() {
    let topology = Topology::shared();
    let topic = unique("alice/properties");
    let mut client = topology.connect(Version::V5, "alice");
    subscribe(&mut client, &topic, 0);
    let pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("a", "2")];
    let message = pairs
        .iter()
        .fold(Publish::new(&topic, ""), |message, (key, value)| {
            message.property(property::user(key, value))
        });
    client.send(&message);
    let found = client.expect_publish(&topic, "").properties();
    let expected = pairs.map(|(key, value)| property::user(key, value)[1..].to_vec());
    assert!(found.iter().map(|found| &found.value).eq(&expected));
}

#[test]
fn an_answer_finds_its_way_back() {
    let topology = Topology::shared();
    let (asks, answers) = (unique("alice/ask"), unique("alice/answer"));
    let mut server = topology.connect(Version::V5, "alice");
    subscribe(&mut server, &asks, 1);
    let mut client = topology.connect(Version::V5, "alice");
    subscribe(&mut client, &answers, 1);
    let request = Publish::new(&asks, "what time is it?")
        .property(property::response_topic(&answers))
        .property(property::correlation_data([0, 1, 2]));
    client.send(&request);
    let asked = server.expect_publish(&asks, "what time is it?");
    let correlation = asked.property(property::CORRELATION_DATA).expect("an id");
    let back = asked.property(property::RESPONSE_TOPIC).expect("a topic");
    let answer = Publish::new(String::from_utf8(back).expect("text"), "late")
        .property(property::correlation_data(&correlation));
    server.send(&answer);
    let answered = client.expect_publish(&answers, "late");
    assert_eq!(
        answered.property(property::CORRELATION_DATA),
        Some(vec![0, 1, 2])
    );
}

#[test]
fn a_retained_message_keeps_its_properties() {
    let topology = Topology::shared();
    let topic = unique("alice/kept");
    let mut client = topology.connect(Version::V5, "alice");
    let message = Publish::new(&topic, "kept")
        .retain()
        .qos(1)
        .id(1)
        .property(property::user("k", "v"))
        .property(property::message_expiry(1000));
    client.send(&message);
    client.complete(1, 1);
    subscribe(&mut client, &topic, 1);
    let kept = client.expect_publish(&topic, "kept");
    assert_eq!(
        kept.property(property::USER_PROPERTY),
        Some(property::user("k", "v")[1..].to_vec())
    );
    let left = kept.number(property::MESSAGE_EXPIRY_INTERVAL);
    assert!(
        left.is_some_and(|left| (900..=1000).contains(&left)),
        "{left:?}"
    );
}

// A message that waits for a subscriber longer than it lasts is not delivered to it.
#[test]
fn a_message_expires_while_its_receiver_is_away() {
    let topology = Topology::shared();
    let (topic, last) = (unique("alice/expiry"), unique("alice/last"));
    let client_id = unique("away");
    let mut client = topology.join(Version::V5, &crate::alice(&client_id).resume());
    subscribe(&mut client, &topic, 1);
    subscribe(&mut client, &last, 1);
    client.leave();
    // A will that is due when the message has expired tells the time.
    let mut witness = topology.witness(&[&last]);
    let clock = login("alice").property(property::session_expiry(60)).will(
        Publish::new(&last, "time is up")
            .qos(1)
            .property(property::will_delay(2)),
    );
    let mut sender = topology.connect(Version::V5, "alice");
    let message = Publish::new(&topic, "for a second").property(property::message_expiry(1));
    sender.send(&message.qos(1).id(1));
    sender.complete(1, 1);
    drop(topology.join(Version::V5, &clock));
    witness.expect_publish(&last, "time is up");
    let mut client = topology.join(Version::V5, &crate::alice(&client_id).resume());
    assert_eq!(deliveries_before(&mut client, &last), []);
}

/// A topology whose service takes more than a second for topics that begin with `slow`.
fn slow() -> Topology {
    let topology = Topology::scripted()
        .mosquitto(&[])
        .set("authz.publish.deadline", "20s")
        .start();
    topology.service().answer_hook(Hook::Publish, |check| {
        match check.topic().starts_with("slow") {
            true => Answer::Allow.after(Duration::from_millis(1200)),
            false => Answer::Allow,
        }
    });
    topology
}

// [MQTT-3.3.2-6] for the gate's own waiting: it counts whole seconds.
#[test]
fn time_that_the_service_takes_is_taken_from_the_expiry() {
    let topology = slow();
    let mut witness = topology.witness(&["slow", "quick"]);
    let mut client = topology.connect(Version::V5, "client");
    for (topic, expected) in [("quick", 59..=60), ("slow", 40..=59)] {
        for qos in 0..=2 {
            let message = Publish::new(topic, "x").property(property::message_expiry(60));
            client.send(&message.qos(qos).id(1));
            client.complete(qos, 1);
            let found = witness.expect_publish(topic, "x");
            let left = found.number(property::MESSAGE_EXPIRY_INTERVAL);
            assert!(
                left.is_some_and(|left| expected.contains(&left)),
                "{topic} at QoS {qos}: {left:?}"
            );
        }
    }
}

// It is acknowledged as a success: that it came too late is no error of the client's.
#[test]
fn a_message_that_expires_while_the_service_takes_its_time_goes_nowhere() {
    let topology = slow();
    let mut witness = topology.witness(&["slow", "last"]);
    let mut client = topology.connect(Version::V5, "client");
    for qos in 0..=2 {
        let message = Publish::new("slow", "x").property(property::message_expiry(1));
        client.send(&message.qos(qos).id(u16::from(qos) + 1));
    }
    client.expect_ack(Kind::Puback, 2, 0);
    client.complete(2, 3);
    publish(&mut client, 1, "last", "x");
    witness.expect_publish("last", "x");
}
