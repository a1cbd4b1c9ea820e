//! PUBREL: of what is known, of what is not, and of what is not ready.

use tidegate_tests::{
    Answer, Connect, Hold, Publish, Topology, Version, all_versions,
    packet::{Connack, Kind, ack},
    recorder::Reply,
    service::Hook,
};

use crate::patient;

// On a new connection without a session nobody can hold it. MQTT 5 has a word for that; the others
// leave it to the broker, which answers as it always does.
all_versions!(a_release_of_nothing, |version| {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(version, "client");
    client.send_raw(&ack(Kind::Pubrel, 7));
    client.expect_ack(Kind::Pubcomp, 7, version.pick(0, 0x92));
    let seen = topology.recorder().packets(Kind::Pubrel);
    assert_eq!(seen.len(), version.pick(1, 0));
    // It is no error: the connection goes on.
    let id = client.publish(2, "t", "x");
    client.complete(2, id);
    // A second time is once too often.
    client.send_raw(&ack(Kind::Pubrel, id));
    client.expect_ack(Kind::Pubcomp, id, version.pick(0, 0x92));
});

// The broker may hold it from before: only it knows.
all_versions!(
    a_release_on_a_resumed_session_is_the_brokers_business,
    |version| {
        let topology = Topology::scripted().start();
        topology
            .recorder()
            .accept_with(Connack::new().session_present());
        let mut client = topology.join(version, &Connect::new("client").resume());
        client.send_raw(&ack(Kind::Pubrel, 7));
        topology.recorder().wait_for(Kind::Pubrel, 1);
        client.expect_ack(Kind::Pubcomp, 7, 0);
    }
);

#[test]
fn a_release_of_what_was_denied_is_a_release_of_nothing() {
    let topology = Topology::scripted().start();
    topology.service().answer_hook(Hook::Publish, |_| {
        Answer::deny(tidegate_proto::v1::ReasonCode::NotAuthorized)
    });
    let mut client = topology.connect(Version::V5, "client");
    let id = client.publish(2, "t", "x");
    client.expect_ack(Kind::Pubrec, id, 0x87);
    client.send_raw(&ack(Kind::Pubrel, id));
    client.expect_ack(Kind::Pubcomp, id, 0x92);
    assert_eq!(topology.recorder().kinds(0), [Kind::Connect]);
}

// It stands in line behind its message: a broker that heard of the release first would lose it.
all_versions!(a_release_never_overtakes_its_message, |version| {
    let topology = patient().start();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
    let mut client = topology.connect(version, "client");
    let id = client.publish(2, "t", "x");
    client.send_raw(&ack(Kind::Pubrel, id));
    client.expect_nothing_before_pong();
    assert!(topology.recorder().packets(Kind::Pubrel).is_empty());
    hold.release();
    topology.recorder().wait_for(Kind::Pubrel, 1);
    let kinds = topology.recorder().kinds(0);
    let kinds: Vec<_> = kinds
        .into_iter()
        .filter(|kind| *kind != Kind::Pingreq)
        .collect();
    assert_eq!(kinds, [Kind::Connect, Kind::Publish, Kind::Pubrel]);
});

// The id stays in use until PUBCOMP.
all_versions!(an_id_that_is_being_released_is_in_use, |version| {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .reply_to(Kind::Pubrel, |_| Reply::Silence);
    let mut client = topology.connect(version, "client");
    let id = client.publish(2, "t", "x");
    client.expect_ack(Kind::Pubrec, id, 0);
    client.send_raw(&ack(Kind::Pubrel, id));
    topology.recorder().wait_for(Kind::Pubrel, 1);
    client.send(&Publish::new("u", "y").qos(2).id(id));
    client.expect_end(0x82);
    topology.recorder().wait_closed(0);
    assert_eq!(topology.recorder().topics(), ["t"]);
});
