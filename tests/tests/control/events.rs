//! What the service is told, and that nobody waits for it.

use tidegate_proto::v1::{EventKind, ReasonCode, session_selector::Selector};
use tidegate_tests::{
    Answer, Connect, Topology, Unsubscribe, Version, both_versions,
    packet::Kind,
    process::Signal,
    service::{Hook, choosing},
};
use tonic::Status;

use super::{recheck, terminate};

const ALL: [&str; 6] = [
    "connected",
    "published",
    "subscribed",
    "unsubscribed",
    "disconnected",
    "directive_applied",
];

fn told(kinds: &[&str]) -> Topology {
    let kinds: Vec<_> = kinds.iter().map(|kind| toml::Value::from(*kind)).collect();
    super::watching()
        .set("authz.events.enabled", true)
        .set("authz.events.kinds", kinds)
        .start()
}

both_versions!(a_session_is_told_from_its_beginning_to_its_end, |version| {
    let topology = told(&ALL);
    topology
        .service()
        .answer_hook(Hook::Publish, |check| match check.topic() == "denied" {
            true => Answer::deny(ReasonCode::NotAuthorized),
            false => Answer::Allow,
        });
    let mut alice = topology.join(version, &Connect::new("alice"));
    let id = alice.subscribe(&["a/#"]);
    alice.expect_suback(id, &[2]);
    alice.publish(0, "denied", "1");
    let id = alice.publish(1, "t", "four");
    alice.complete(1, id);
    let id = alice.next_id();
    alice.send(&Unsubscribe::new(id, &["a/#"]));
    alice.expect(Kind::Unsuback);
    alice.leave();
    let events = topology.service().wait_for_events(5);
    let kinds: Vec<_> = events.iter().map(|event| event.kind()).collect();
    let expected = [
        EventKind::Connected,
        EventKind::Subscribed,
        EventKind::Published,
        EventKind::Unsubscribed,
        EventKind::Disconnected,
    ];
    assert_eq!(kinds, expected);
    for event in &events {
        let session = event.session.as_ref().unwrap();
        assert_eq!(session.client_id, "alice");
        assert!(event.occurred_at.is_some());
    }
    assert_eq!((&*events[1].topic, events[1].qos), ("a/#", 2));
    assert_eq!(
        (&*events[2].topic, events[2].qos, events[2].payload_size),
        ("t", 1, 4)
    );
    assert_eq!(events[3].topic, "a/#");
    assert_eq!(events[4].cause, "client_disconnect");
});

#[test]
fn directives_that_are_carried_out_are_told_in_their_order() {
    let topology = told(&["directive_applied"]);
    topology
        .gate()
        .metrics()
        .wait_for("tidegate_control_watch_connected", &[], 1);
    let mut alice = topology.join(Version::V5, &Connect::new("alice"));
    let id = alice.subscribe(&["a"]);
    alice.expect_suback(id, &[2]);
    let service = topology.service();
    service.push(&recheck("1", Selector::SelectAll(true)));
    service.push(&terminate(
        "2",
        choosing(Selector::ClientId("alice".into())),
    ));
    service.push(&terminate(
        "3",
        choosing(Selector::ClientId("nobody".into())),
    ));
    alice.expect_end(0x98);
    let events = service.wait_for_events(3);
    let tokens: Vec<_> = events.iter().map(|event| &*event.resume_token).collect();
    assert_eq!(tokens, ["1", "2", "3"]);
    assert!(events.iter().all(|event| event.session.is_none()));
}

#[test]
fn traffic_flows_while_nobody_takes_the_events_and_the_losses_are_told() {
    let topology = super::watching()
        .set("authz.events.enabled", true)
        .set("authz.events.kinds", vec![toml::Value::from("published")])
        .set("authz.events.queue_events", 10)
        .start();
    topology
        .service()
        .refuse_events(Some(Status::unavailable("told to")));
    let mut alice = topology.join(Version::V5, &Connect::new("alice"));
    for _ in 0..1000 {
        alice.publish(0, "t", "x");
    }
    topology.recorder().wait_for(Kind::Publish, 1000);
    topology.service().refuse_events(None);
    let service = topology.service();
    tidegate_tests::assert_eventually!(
        service.events().len() as u64 + service.events_dropped() == 1000
    );
    let metrics = topology.gate().metrics();
    let dropped = metrics.value("tidegate_events_dropped_total", &[]);
    assert_eq!(dropped, service.events_dropped());
    assert!(dropped > 0);
}

/// What waits is told before the program ends.
#[test]
fn the_end_of_the_gate_is_told() {
    let mut topology = told(&["disconnected"]);
    let mut alice = topology.join(Version::V5, &Connect::new("alice"));
    alice.expect_nothing_before_pong();
    topology.gate_mut().program().signal(Signal::TERM);
    alice.expect_end(0x8B);
    let events = topology.service().wait_for_events(1);
    assert_eq!(events[0].cause, "drain");
}

#[test]
fn directives_and_events_outlive_a_reload_of_the_service() {
    let topology = told(&["connected", "disconnected"]);
    let metrics = topology.gate().metrics();
    metrics.wait_for("tidegate_control_watch_connected", &[], 1);
    let mut old = topology.join(Version::V5, &Connect::new("old"));
    let path = topology.gate().configuration();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + "\n[authz.publish]\ndeadline = '3s'\n").unwrap();
    topology.gate().signal(Signal::HUP);
    let applied = [("outcome", "applied")];
    metrics.wait_for("tidegate_config_reloads_total", &applied, 1);
    let mut new = topology.join(Version::V5, &Connect::new("new"));
    let everybody = choosing(Selector::SelectAll(true));
    topology.service().push(&terminate("1", everybody));
    for client in [&mut old, &mut new] {
        client.expect_end(0x98);
    }
    let events = topology.service().wait_for_events(4);
    let count = |kind: EventKind| events.iter().filter(|event| event.kind() == kind).count();
    assert_eq!(count(EventKind::Connected), 2);
    assert_eq!(count(EventKind::Disconnected), 2);
}
