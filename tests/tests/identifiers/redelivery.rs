//! The same message again under its identifier, on the same connection. MQTT 5 forbids it to
//! clients, earlier versions do not; receiving it is harmless.

use tidegate_proto::v1::ReasonCode;
use tidegate_tests::{
    Answer, Hold, Publish, Topology, Version, all_versions,
    packet::{Encode as _, Kind, ack},
    recorder::Reply,
    service::Hook,
};

use crate::{of_kind, patient};

fn message() -> Publish {
    Publish::new("t", "x").qos(2).id(7)
}

// [MQTT-4.3.3-10], [3.1.1: MQTT-4.3.3-2]: it answers, and does not publish it once more.
all_versions!(
    a_repeated_qos_2_message_is_answered_and_goes_nowhere,
    |version| {
        let topology = Topology::scripted().start();
        let mut client = topology.connect(version, "client");
        client.send(&message());
        client.expect_ack(Kind::Pubrec, 7, 0);
        for _ in 0..3 {
            client.send(&message().dup());
            client.expect_ack(Kind::Pubrec, 7, 0);
        }
        client.send(&message());
        client.expect_ack(Kind::Pubrec, 7, 0);
        client.send_raw(&ack(Kind::Pubrel, 7));
        client.expect_ack(Kind::Pubcomp, 7, 0);
        let seen = of_kind(&topology, 0, Kind::Publish);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].bytes(), message().encode(version));
        assert_eq!(topology.service().checks_of(Hook::Publish).len(), 1);
    }
);

all_versions!(
    repeats_of_an_undecided_message_are_answered_when_it_is,
    |version| {
        for verdict in [Answer::Allow, Answer::deny(ReasonCode::NotAuthorized)] {
            println!("{verdict:?}");
            let topology = patient().start();
            let hold = Hold::new();
            let held = hold.clone();
            let denied = matches!(verdict, Answer::Deny(_));
            topology
                .service()
                .answer_hook(Hook::Publish, move |_| verdict.clone().held_by(&held));
            let mut client = topology.connect(version, "client");
            client.send(&message());
            client.send(&message().dup());
            client.send(&message().dup());
            client.expect_nothing_before_pong();
            hold.release();
            let code = match denied {
                true => version.pick(0, 0x87),
                false => 0,
            };
            for _ in 0..3 {
                client.expect_ack(Kind::Pubrec, 7, code);
            }
            client.expect_nothing_before_pong();
            let seen = of_kind(&topology, 0, Kind::Publish);
            assert_eq!(seen.len(), usize::from(!denied), "{seen:?}");
            assert_eq!(topology.service().checks_of(Hook::Publish).len(), 1);
            if code == 0 {
                client.send_raw(&ack(Kind::Pubrel, 7));
                client.expect_ack(Kind::Pubcomp, 7, 0);
            }
        }
    }
);

all_versions!(repeats_are_answered_when_the_broker_answers, |version| {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .reply_to(Kind::Publish, |_| Reply::Silence);
    let mut client = topology.connect(version, "client");
    client.send(&message());
    client.send(&message().dup());
    topology.recorder().wait_for(Kind::Publish, 1);
    client.expect_nothing_before_pong();
    topology.recorder().send(0, ack(Kind::Pubrec, 7));
    client.expect_ack(Kind::Pubrec, 7, 0);
    client.expect_ack(Kind::Pubrec, 7, 0);
    client.expect_nothing_before_pong();
    assert_eq!(of_kind(&topology, 0, Kind::Publish).len(), 1);
});

// Nothing was published, so it stays so, and the client is none the wiser.
all_versions!(a_repeat_of_a_dropped_message_is_dropped, |version| {
    if version == Version::V5 {
        return;
    }
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::deny(ReasonCode::NotAuthorized));
    let mut client = topology.connect(version, "client");
    client.send(&message());
    client.expect_ack(Kind::Pubrec, 7, 0);
    client.send(&message().dup());
    client.expect_ack(Kind::Pubrec, 7, 0);
    client.send_raw(&ack(Kind::Pubrel, 7));
    client.expect_ack(Kind::Pubcomp, 7, 0);
    assert_eq!(topology.recorder().kinds(0), [Kind::Connect]);
});

// At least once is at least once: each copy is a message of its own, asked about and acknowledged.
all_versions!(a_repeated_qos_1_message_is_published_again, |version| {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .reply_to(Kind::Publish, |_| Reply::Silence);
    let mut client = topology.connect(version, "client");
    let message = Publish::new("t", "x").qos(1).id(7);
    client.send(&message);
    client.send(&message.clone().dup());
    let seen = topology.recorder().wait_for(Kind::Publish, 2);
    assert_eq!([seen[0].dup(), seen[1].dup()], [false, true]);
    for _ in 0..2 {
        topology.recorder().send(0, ack(Kind::Puback, 7));
        client.expect_ack(Kind::Puback, 7, 0);
    }
    assert_eq!(topology.service().checks_of(Hook::Publish).len(), 2);
});

// A copy may be denied where the first one was not.
#[test]
fn a_repeated_qos_1_message_can_be_denied() {
    let topology = Topology::scripted().start();
    topology.service().answer(|check| match check {
        tidegate_tests::Check::Publish(publish) if publish.dup => {
            Answer::deny(ReasonCode::NotAuthorized)
        }
        _ => Answer::Allow,
    });
    topology
        .recorder()
        .reply_to(Kind::Publish, |_| Reply::Silence);
    let mut client = topology.connect(Version::V5, "client");
    let message = Publish::new("t", "x").qos(1).id(7);
    client.send(&message);
    client.send(&message.clone().dup());
    topology.service().wait_for(Hook::Publish, 2);
    topology.recorder().wait_for(Kind::Publish, 1);
    topology.recorder().send(0, ack(Kind::Puback, 7));
    client.expect_ack(Kind::Puback, 7, 0);
    client.expect_ack(Kind::Puback, 7, 0x87);
    assert_eq!(of_kind(&topology, 0, Kind::Publish).len(), 1);
}

// Brokers differ about more than one repeat; behind a gate they never see one.
all_versions!(a_real_broker_publishes_once, |version| {
    let topology = Topology::scripted().mosquitto(&[]).start();
    let mut witness = topology.witness(&["t", "marker"]);
    let mut client = topology.connect(version, "client");
    client.send(&message());
    client.expect_ack(Kind::Pubrec, 7, 0);
    for _ in 0..5 {
        client.send(&message().dup());
        client.expect_ack(Kind::Pubrec, 7, 0);
    }
    client.send_raw(&ack(Kind::Pubrel, 7));
    client.expect_ack(Kind::Pubcomp, 7, 0);
    let id = client.publish(1, "marker", "x");
    client.complete(1, id);
    witness.expect_publish("t", "x");
    witness.expect_publish("marker", "x");
});
