//! What the operator can have done when nobody decides, and without a decision.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use tidegate_tests::{
    Answer, Connect, Topology, Version, both_versions, packet::Kind, service::Hook, topology::Plan,
};

/// How long the service is away: the length of the outage is the test.
const OUTAGE: Duration = Duration::from_millis(300);

fn counted() -> Plan {
    Topology::scripted().set("metrics.bind", "127.0.0.1:0")
}

fn steps(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

both_versions!(a_short_outage_loses_nothing_that_is_held, |version| {
    let mut topology = counted()
        .set("authz.publish.on_failure", steps(&["hold", "reject"]))
        .set("authz.publish.hold_max", "20s")
        .start();
    let mut client = topology.connect(version, "client");
    let id = client.publish(1, "before", "");
    client.expect_ack(Kind::Puback, id, 0);
    topology.service_mut().stop();
    let topics: Vec<_> = (0..200).map(|number| format!("during/{number}")).collect();
    let ids: Vec<_> = topics
        .iter()
        .map(|topic| client.publish(1, topic, "payload"))
        .collect();
    sleep(OUTAGE);
    assert_eq!(topology.recorder().topics(), ["before"]);
    topology.service_mut().restart();
    let back = Instant::now();
    for id in ids {
        client.expect_ack(Kind::Puback, id, 0);
    }
    println!("200 held messages were through after {:?}", back.elapsed());
    let expected = [vec!["before".to_owned()], topics].concat();
    assert_eq!(
        topology.recorder().topics(),
        expected,
        "all, once, in order"
    );
    let metrics = topology.gate().metrics();
    let held = metrics.value(
        "tidegate_authz_failure_action_total",
        &[("hook", "publish"), ("action", "hold")],
    );
    assert!(held > 0);
});

both_versions!(a_subscribe_and_a_connect_can_be_held, |version| {
    let mut topology = Topology::scripted()
        .set("authz.connect.on_failure", steps(&["hold", "reject"]))
        .set("authz.connect.hold_max", "20s")
        .set("authz.subscribe.on_failure", steps(&["hold"]))
        .set("authz.subscribe.hold_max", "20s")
        .start();
    let mut client = topology.connect(version, "client");
    topology.service_mut().stop();
    let id = client.subscribe(&["a", "b"]);
    let mut other = topology.try_connect(version, &Connect::new("other"));
    sleep(OUTAGE);
    assert_eq!(topology.recorder().connections(), 1);
    topology.service_mut().restart();
    client.expect_suback(id, &[2, 2]);
    other.expect_connack(0);
});

both_versions!(what_is_held_for_too_long_is_refused, |version| {
    let mut topology = Topology::scripted()
        .set("authz.publish.on_failure", steps(&["hold"]))
        .set("authz.publish.hold_max", "300ms")
        .start();
    let mut client = topology.connect(version, "client");
    topology.service_mut().stop();
    let id = client.publish(1, "t", "");
    match version {
        Version::V5 => client.expect_ack(Kind::Puback, id, 0x83),
        _ => client.expect_closed(),
    }
    assert_eq!(topology.recorder().topics(), [""; 0]);
});

both_versions!(a_denial_is_never_held, |version| {
    let topology = Topology::scripted()
        .set("authz.publish.on_failure", steps(&["hold", "allow"]))
        .set("authz.acknowledge_fail_open", true)
        .start();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::Deny(Default::default()));
    let mut client = topology.connect(version, "client");
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
    assert_eq!(topology.service().checks_of(Hook::Publish).len(), 1);
    assert_eq!(topology.recorder().topics(), [""; 0]);
});

both_versions!(
    an_earlier_allow_serves_while_the_service_is_away,
    |version| {
        let mut topology = counted()
            .set("authz.cache.enabled", true)
            .set(
                "authz.publish.on_failure",
                steps(&["serve_stale", "reject"]),
            )
            .start();
        let second = Duration::from_secs(1);
        topology.service().answer_hook(Hook::Publish, move |_| {
            Answer::Allow.reusable(Duration::ZERO, 60 * second)
        });
        let mut client = topology.connect(version, "client");
        let id = client.publish(1, "known", "");
        client.expect_ack(Kind::Puback, id, 0);
        topology.service_mut().stop();
        let id = client.publish(1, "known", "");
        client.expect_ack(Kind::Puback, id, 0);
        assert_eq!(topology.recorder().topics(), ["known", "known"]);
        let id = client.publish(1, "new", "");
        match version {
            Version::V5 => client.expect_ack(Kind::Puback, id, 0x83),
            _ => client.expect_closed(),
        }
        let metrics = topology.gate().metrics();
        let action = |action| {
            let labels = [("hook", "publish"), ("action", action)];
            metrics.value("tidegate_authz_failure_action_total", &labels)
        };
        assert_eq!((action("serve_stale"), action("reject")), (1, 1));
    }
);

both_versions!(a_decision_is_used_again_if_both_say_so, |version| {
    let topology = counted().set("authz.cache.enabled", true).start();
    topology.service().answer_hook(Hook::Publish, |check| {
        let answer = match check.topic() {
            "no" => Answer::Deny(Default::default()),
            _ => Answer::Allow,
        };
        match check.topic() {
            "ask" => answer,
            _ => answer.reusable(Duration::from_secs(60), Duration::ZERO),
        }
    });
    let mut client = topology.connect(version, "client");
    for _ in 0..3 {
        for (topic, code) in [("yes", 0), ("no", version.pick(0, 0x87)), ("ask", 0)] {
            let id = client.publish(1, topic, "");
            client.expect_ack(Kind::Puback, id, code);
        }
    }
    let asked = |topic: &str| {
        let checks = topology.service().checks_of(Hook::Publish);
        checks.iter().filter(|check| check.topic() == topic).count()
    };
    assert_eq!((asked("yes"), asked("no"), asked("ask")), (1, 1, 3));
    assert_eq!(topology.recorder().topics().len(), 6);
    let mut other = topology.connect(version, "other");
    let id = other.publish(1, "yes", "");
    other.expect_ack(Kind::Puback, id, 0);
    assert_eq!(asked("yes"), 2, "another session is asked about");
    let metrics = topology.gate().metrics();
    assert_eq!(metrics.value("tidegate_authz_cache_hits_total", &[]), 4);
});

both_versions!(only_messages_pass_a_service_that_is_away, |version| {
    let mut topology = counted()
        .set("authz.acknowledge_fail_open", true)
        .set("authz.publish.on_failure", steps(&["allow"]))
        .start();
    let mut client = topology.connect(version, "client");
    topology.service_mut().stop();
    for topic in ["a", "b"] {
        let id = client.publish(1, topic, "");
        client.expect_ack(Kind::Puback, id, 0);
    }
    assert_eq!(topology.recorder().topics(), ["a", "b"]);
    topology
        .try_connect(version, &Connect::new("other"))
        .expect_refused(version.pick(0x03, 0x88));
    let labels = [("hook", "publish"), ("action", "allow")];
    let metrics = topology.gate().metrics();
    metrics.wait_for("tidegate_authz_failure_action_total", &labels, 2);
});

both_versions!(the_shadow_changes_nothing, |version| {
    let topology = counted()
        .set("authz.acknowledge_fail_open", true)
        .set("authz.publish.mode", "shadow")
        .set("authz.subscribe.mode", "shadow")
        .start();
    topology.service().answer(|check| match check.hook() {
        Hook::Connect => Answer::Allow,
        _ => match check.topic() {
            "no" => Answer::Deny(Default::default()),
            "unset" => Answer::Unset,
            _ => Answer::Allow,
        },
    });
    let mut client = topology.connect(version, "client");
    for topic in ["yes", "no", "unset"] {
        let id = client.publish(1, topic, "");
        client.expect_ack(Kind::Puback, id, 0);
    }
    assert_eq!(topology.recorder().topics(), ["yes", "no", "unset"]);
    let id = client.subscribe(&["filter"]);
    client.expect_suback(id, &[2]);
    let metrics = topology.gate().metrics();
    for outcome in ["allow", "deny", "failure"] {
        let labels = [("hook", "publish"), ("outcome", outcome)];
        metrics.wait_for("tidegate_authz_shadow_checks_total", &labels, 1);
    }
    let denied = [("hook", "publish"), ("outcome", "deny")];
    assert_eq!(metrics.value("tidegate_authz_checks_total", &denied), 0);
});

both_versions!(a_hook_that_is_off_denies_or_allows, |version| {
    let topology = Topology::scripted()
        .set("authz.acknowledge_fail_open", true)
        .set("authz.publish.mode", "off")
        .set("authz.subscribe.mode", "off")
        .set("authz.subscribe.off_action", "allow")
        .start();
    let mut client = topology.connect(version, "client");
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
    let id = client.subscribe(&["filter"]);
    client.expect_suback(id, &[2]);
    assert_eq!(topology.recorder().topics(), [""; 0]);
    assert!(topology.service().checks_of(Hook::Publish).is_empty());
    assert!(topology.service().checks_of(Hook::Subscribe).is_empty());
});
