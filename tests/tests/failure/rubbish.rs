//! Answers that are no decision.

use tidegate_proto::v1::FailureCode;
use tidegate_tests::{
    Answer, Connect, Topology, Version, all_versions, both_versions,
    packet::Kind,
    rogue::{Manner, Rogue},
    service::Hook,
};
use tonic::Code;

use crate::{expect_publish_failed, unavailable};

/// Everything that a service may answer and that is no decision.
fn rubbish() -> Vec<Answer> {
    let statuses = (1..=16).map(|code| Answer::Status(Code::from_i32(code)));
    let failures = [
        FailureCode::Unspecified,
        FailureCode::Internal,
        FailureCode::DependencyUnavailable,
        FailureCode::Timeout,
    ];
    [
        Answer::Unset,
        Answer::Missing,
        Answer::Twice,
        Answer::Stray,
        Answer::Rewrite("root".into()),
    ]
    .into_iter()
    .chain(failures.map(Answer::Fail))
    .chain(statuses)
    .collect()
}

all_versions!(a_rubbish_answer_to_connect_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    for answer in rubbish() {
        println!("{answer:?}");
        let busy = matches!(answer, Answer::Status(Code::ResourceExhausted));
        let said = answer.clone();
        topology.service().answer(move |_| said.clone());
        let mut client = topology.try_connect(version, &Connect::new("client"));
        match busy {
            true => {
                client.expect_refused_with_any(&[unavailable(version), version.pick(0x03, 0x89)])
            }
            false => client.expect_refused(unavailable(version)),
        }
        assert_eq!(topology.recorder().connections(), 0, "{answer:?}");
    }
});

all_versions!(a_rubbish_answer_to_a_will_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    let connect = Connect::new("client").will(tidegate_tests::Publish::new("w", "boo"));
    for answer in [
        Answer::Unset,
        Answer::Missing,
        Answer::Twice,
        Answer::Stray,
        Answer::Status(Code::Internal),
    ] {
        println!("{answer:?}");
        let said = answer.clone();
        topology
            .service()
            .answer_hook(Hook::Publish, move |_| said.clone());
        topology
            .try_connect(version, &connect)
            .expect_refused(unavailable(version));
        assert_eq!(topology.recorder().connections(), 0, "{answer:?}");
    }
});

all_versions!(a_rubbish_answer_to_publish_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    for answer in rubbish() {
        println!("{answer:?}");
        for qos in 1..=2 {
            let said = answer.clone();
            topology
                .service()
                .answer_hook(Hook::Publish, move |_| said.clone());
            let mut client = topology.connect(version, "client");
            let id = client.publish(qos, "t", "lost");
            expect_publish_failed(&mut client, qos, id);
        }
        assert_eq!(topology.recorder().topics(), [""; 0], "{answer:?}");
    }
});

all_versions!(a_rubbish_answer_to_subscribe_is_no_answer, |version| {
    let topology = Topology::scripted().start();
    for answer in rubbish() {
        println!("{answer:?}");
        let said = answer.clone();
        topology
            .service()
            .answer_hook(Hook::Subscribe, move |_| said.clone());
        let mut client = topology.connect(version, "client");
        client.subscribe(&["a", "b"]);
        client.expect_end(0x83);
        assert_eq!(topology.recorder().filters(), [""; 0], "{answer:?}");
    }
});

#[test]
fn one_bad_result_does_not_spoil_its_batch() {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |check| match check.topic() {
            "unset" => Answer::Unset,
            "missing" => Answer::Missing,
            "twice" => Answer::Twice,
            "stray" => Answer::Stray,
            _ => Answer::Allow,
        });
    let mut client = topology.connect(Version::V5, "client");
    let topics = [
        "a", "unset", "b", "missing", "c", "twice", "d", "stray", "e",
    ];
    let ids = topics.map(|topic| (topic, client.publish(1, topic, "")));
    for (topic, id) in ids {
        client.expect_ack(Kind::Puback, id, if topic.len() == 1 { 0 } else { 0x83 });
    }
    assert_eq!(topology.recorder().topics(), ["a", "b", "c", "d", "e"]);
}

both_versions!(one_undecided_filter_can_be_refused, |version| {
    let topology = Topology::scripted()
        .set("authz.subscribe.on_failure", "reject")
        .start();
    topology
        .service()
        .answer_hook(Hook::Subscribe, |check| match check.topic() {
            "missing" => Answer::Missing,
            _ => Answer::Allow,
        });
    let mut client = topology.connect(version, "client");
    let id = client.subscribe(&["a", "missing", "b"]);
    client.expect_suback(id, &[2, version.pick(0x80, 0x83), 2]);
    assert_eq!(topology.recorder().filters(), ["a", "b"]);
});

// MQTT 3.1 has no code for a filter that nobody decided about, and a positive one would be a lie.
#[test]
fn an_undecided_filter_ends_a_connection_of_31() {
    let topology = Topology::scripted()
        .set("authz.subscribe.on_failure", "reject")
        .start();
    topology
        .service()
        .answer_hook(Hook::Subscribe, |_| Answer::Missing);
    let mut client = topology.connect(Version::V31, "client");
    client.subscribe(&["a"]);
    client.expect_closed();
    assert!(topology.recorder().filters().is_empty());
}

/// A check that would fail for ever is denied, so that the client does not come back in a loop.
#[test]
fn an_invalid_check_is_denied() {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::Fail(FailureCode::InvalidCheck));
    let mut client = topology.connect(Version::V5, "client");
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, 0x87);
}

all_versions!(a_session_without_its_state_is_ended, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer_hook(Hook::Publish, |_| {
        Answer::Fail(FailureCode::SessionStateInvalid)
    });
    let mut client = topology.connect(version, "client");
    client.publish(1, "t", "");
    client.expect_end(0x98);
});

both_versions!(whatever_is_not_a_service_decides_nothing, |version| {
    for manner in Manner::ALL {
        let rogue = Rogue::start(manner);
        let topology = Topology::scripted()
            .service_at(rogue.endpoint())
            .set("authz.connect.deadline", "500ms")
            .start();
        topology
            .try_connect(version, &Connect::new("client"))
            .expect_refused(unavailable(version));
        assert!(rogue.visits() > 0, "{manner:?}");
        assert_eq!(topology.recorder().connections(), 0, "{manner:?}");
    }
});
