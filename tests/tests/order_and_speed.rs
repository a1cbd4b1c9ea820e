//! Many decisions in flight, one order; and nothing that need not wait waits.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    thread,
    time::{Duration, Instant},
};

use tidegate_proto::v1::ReasonCode;
use tidegate_tests::{
    Answer, Client, Connect, Hold, Publish, Topology, Unsubscribe, Version, both_versions,
    packet::{Encode as _, Kind, ack, disconnect},
    recorder::Recorder,
    service::{Check, Hook},
    topology::{login, unique},
};

/// How many messages one client sends, and how many of them it leaves unacknowledged at a time.
const MESSAGES: usize = 20_000;
const WINDOW: usize = 500;

/// Long enough for a whole window, also where a debug build shares a busy machine: these tests are
/// about order, and print how long it took.
const PATIENT: &str = "10s";

/// A topology whose service takes a millisecond for each message.
fn one_millisecond_per_decision() -> Topology {
    let topology = Topology::scripted()
        .set("authz.publish.deadline", PATIENT)
        .start();
    topology.service().answer_hook(Hook::Publish, |_| {
        Answer::Allow.after(Duration::from_millis(1))
    });
    topology
}

/// Publishes numbered messages at QoS 1; every acknowledgement has to come in its turn.
fn publish_numbers(client: &mut Client, topic: &str) -> Duration {
    let id = |index: usize| (index % 60_000) as u16 + 1;
    let begun = Instant::now();
    let (mut sent, mut acknowledged) = (0, 0);
    while acknowledged < MESSAGES {
        if sent - acknowledged <= WINDOW / 2 {
            let end = MESSAGES.min(acknowledged + WINDOW);
            let message = |index| Publish::new(topic, format!("{index}")).qos(1).id(id(index));
            let burst: Vec<u8> = (sent..end)
                .flat_map(|index| message(index).encode(client.version()))
                .collect();
            client.send_raw(&burst);
            sent = end;
        }
        let packet = client.expect(Kind::Puback);
        assert_eq!(packet.id(), id(acknowledged), "acknowledged out of turn");
        assert!(packet.codes()[0] < 0x80, "refused by {packet:?}");
        acknowledged += 1;
    }
    begun.elapsed()
}

both_versions!(one_client_publishes_20_000_messages_in_order, |version| {
    let topology = one_millisecond_per_decision();
    let mut client = topology.connect(version, "client");
    let took = publish_numbers(&mut client, "t");
    let packets = topology.recorder().packets(Kind::Publish);
    let payloads: Vec<_> = packets
        .iter()
        .map(|packet| String::from_utf8_lossy(packet.payload()))
        .collect();
    let numbers: Vec<_> = (0..MESSAGES).map(|index| index.to_string()).collect();
    assert!(
        payloads == numbers,
        "the broker got another order, or not all"
    );
    report(version, took, &topology);
});

// [MQTT-4.6.0-5] [MQTT-4.6.0-6] [3.1.1: MQTT-4.6.0-5] [3.1.1: MQTT-4.6.0-6]
both_versions!(a_subscriber_gets_20_000_messages_in_order, |version| {
    let topology = Topology::real()
        .set("authz.publish.deadline", PATIENT)
        .start();
    let topic = unique("alice/numbers");
    let mut subscriber = topology.connect(version, "alice");
    let id = subscriber.subscribe(&[&topic]);
    subscriber.expect_suback(id, &[2]);
    let reading = {
        let topic = topic.clone();
        thread::spawn(move || {
            for index in 0..MESSAGES {
                subscriber.expect_publish(&topic, index.to_string());
            }
        })
    };
    let mut publisher = topology.connect(version, "alice");
    let took = publish_numbers(&mut publisher, &topic);
    reading
        .join()
        .expect("the subscriber got every message in its turn");
    println!(
        "{version:?}: {MESSAGES} messages through the reference service and Mosquitto took {took:?}"
    );
});

/// Says how long it took. The only bound is the one that tells pipelining from one at a time.
fn report(version: Version, took: Duration, topology: &Topology) {
    let calls = topology
        .service()
        .calls()
        .into_iter()
        .filter(|call| call.hook == Hook::Publish);
    let sizes: Vec<_> = calls.map(|call| call.size).collect();
    println!(
        "{version:?}: {MESSAGES} messages at 1 ms per decision took {took:?}, in {} calls of {:.1} checks on average, {} at most",
        sizes.len(),
        MESSAGES as f64 / sizes.len() as f64,
        sizes.iter().max().expect("there were calls"),
    );
    assert!(
        took < Duration::from_secs(20),
        "one at a time would have taken 20 s, this took {took:?}"
    );
}

// [MQTT-4.6.0-2] [3.1.1: MQTT-4.6.0-2]
both_versions!(acknowledgements_come_in_order, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer_hook(Hook::Publish, contrary);
    let mut client = topology.connect(version, "client");
    let numbers = 0..60_u16;
    for number in numbers.clone() {
        client.send(&Publish::new(number.to_string(), "").qos(1).id(number + 1));
    }
    for number in numbers.clone() {
        let denied = number % 3 == 0;
        let code = if denied { version.pick(0, 0x87) } else { 0 };
        client.expect_ack(Kind::Puback, number + 1, code);
    }
    let allowed: Vec<_> = numbers
        .filter(|number| number % 3 != 0)
        .map(|number| number.to_string())
        .collect();
    assert_eq!(topology.recorder().topics(), allowed);
});

/// Denies every third, and is the quicker the later it is asked.
fn contrary(check: &Check) -> Answer {
    let number: u64 = check.topic().parse().expect("a number for a topic");
    let answer = match number % 3 {
        0 => Answer::deny(ReasonCode::NotAuthorized),
        _ => Answer::Allow,
    };
    answer.after(Duration::from_millis(60 - number))
}

both_versions!(packets_of_all_kinds_keep_their_order, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer(|check| match check.topic() {
        "slow" => Answer::Allow.after(Duration::from_millis(50)),
        _ => Answer::Allow,
    });
    let mut client = topology.connect(version, "client");
    client.publish(1, "slow", "");
    client.subscribe(&["quick"]);
    client.publish(0, "slow", "");
    client.send(&Unsubscribe::new(10, &["quick"]));
    client.subscribe(&["slow"]);
    client.publish(2, "quick", "");
    client.send_raw(&version.pick(vec![0xE0, 0], disconnect(0)));
    topology.recorder().wait_closed(0);
    let kinds: Vec<_> = topology
        .recorder()
        .connection(0)
        .iter()
        .map(|packet| packet.kind())
        .collect();
    assert_eq!(
        kinds,
        [
            Kind::Connect,
            Kind::Publish,
            Kind::Subscribe,
            Kind::Publish,
            Kind::Unsubscribe,
            Kind::Subscribe,
            Kind::Publish,
            Kind::Disconnect,
        ]
    );
});

both_versions!(pings_and_deliveries_do_not_wait_for_decisions, |version| {
    let topology = Topology::scripted()
        .set("authz.publish.deadline", "20s")
        .set("authz.subscribe.deadline", "20s")
        .start();
    let hold = Hold::new();
    let mut client = topology.connect(version, "client");
    let held = hold.clone();
    topology
        .service()
        .answer(move |_| Answer::Allow.held_by(&held));
    let published = client.publish(1, "t", "held");
    let subscribed = client.subscribe(&["a", "b"]);
    topology.service().wait_for(Hook::Publish, 1);
    for _ in 0..3 {
        client.expect_nothing_before_pong();
    }
    deliver(topology.recorder(), version, 77);
    client.expect_publish("from the broker", "");
    assert_eq!(topology.recorder().wait_for(Kind::Puback, 1)[0].id(), 77);
    hold.release();
    client.expect_ack(Kind::Puback, published, 0);
    client.expect_suback(subscribed, &[2, 2]);
});

fn deliver(recorder: &Recorder, version: Version, id: u16) {
    let publish = Publish::new("from the broker", "").qos(1).id(id);
    recorder.send(0, publish.encode(version));
}

both_versions!(a_whole_qos_2_exchange_keeps_its_place, |version| {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |check| match check.topic() {
            "slow" => Answer::Allow.after(Duration::from_millis(50)),
            _ => Answer::Allow,
        });
    let mut client = topology.connect(version, "client");
    let first = client.publish(2, "slow", "");
    client.expect_ack(Kind::Pubrec, first, 0);
    let second = client.publish(1, "slow", "");
    client.send_raw(&ack(Kind::Pubrel, first));
    client.expect_ack(Kind::Puback, second, 0);
    client.expect_ack(Kind::Pubcomp, first, 0);
    let kinds: Vec<_> = topology
        .recorder()
        .connection(0)
        .iter()
        .skip(1)
        .map(|packet| packet.kind())
        .collect();
    assert_eq!(kinds, [Kind::Publish, Kind::Publish, Kind::Pubrel]);
});

// A client whose messages are all denied sends no PINGREQ, and the broker hears nothing from it.
both_versions!(the_gate_pings_for_a_client_that_is_denied, |version| {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::deny(ReasonCode::NotAuthorized));
    let mut client = topology.try_connect(version, &Connect::new("client").keep_alive(2));
    client.expect_connack(0);
    let give_up = Instant::now() + tidegate_tests::wait::PATIENCE;
    while topology.recorder().packets(Kind::Pingreq).len() < 3 {
        assert!(
            Instant::now() < give_up,
            "the gate does not ping the broker"
        );
        let id = client.publish(1, "t", "denied");
        client.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
        thread::sleep(Duration::from_millis(50));
    }
    client.expect_nothing_before_pong();
});

// The same with a real broker, in real time: it would close after 1.5 times the keep alive.
both_versions!(a_real_broker_keeps_a_client_that_is_denied, |version| {
    let topology = Topology::real().start();
    let will = unique("alice/will");
    let mut witness = topology.witness(&[&will]);
    let connect = login("alice")
        .keep_alive(2)
        .will(Publish::new(&will, "the broker gave up"));
    let mut alice = topology.try_connect(version, &connect);
    alice.expect_connack(0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let id = alice.publish(1, "bob/x", "denied");
        alice.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
        thread::sleep(Duration::from_millis(100));
    }
    alice.publish(0, &will, "still here");
    witness.expect_publish(&will, "still here");
});

// Queues are bounded: a client that sends on while nothing is decided is not read any further,
// and every message of it is decided in the end.
both_versions!(a_full_window_stops_reading_and_starts_again, |version| {
    let topology = Topology::scripted()
        .set("authz.publish.deadline", "20s")
        // It does not listen to Receive Maximum, and is not to be left for that.
        .set("limits.receive_maximum", 65_535)
        .start();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
    let mut client = topology.connect(version, "client");
    let payload = vec![b'x'; 1000];
    let message = |id| Publish::new("t", &payload).qos(1).id(id).encode(version);
    thread::scope(|scope| {
        let service = topology.service();
        scope.spawn(move || {
            service.wait_for(Hook::Publish, 1);
            hold.release();
        });
        client.send_raw(&(1..=2_000).flat_map(message).collect::<Vec<_>>());
    });
    for id in 1..=2_000 {
        client.expect_ack(Kind::Puback, id, 0);
    }
    assert_eq!(topology.recorder().topics().len(), 2_000);
});
