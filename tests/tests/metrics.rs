//! What the gate counts, as a scraper of the real program sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "metrics/certificates.rs"]
mod certificates;
#[path = "metrics/endings.rs"]
mod endings;
#[path = "metrics/exposition.rs"]
mod exposition;
#[path = "metrics/observability.rs"]
mod observability;
#[path = "metrics/packets.rs"]
mod packets;
#[path = "metrics/promql.rs"]
mod promql;
#[path = "metrics/websocket.rs"]
mod websocket;

use tidegate_proto::v1::{DenyAction, FailureCode, ReasonCode};
use tidegate_tests::{
    Answer, Check, Connect, Topology, Version, packet::Encode as _, topology::Plan,
};

/// A gate that is counted.
fn counted() -> Plan {
    Topology::scripted().set("metrics.bind", "127.0.0.1:0")
}

/// Starts it with a service that does as it is told by client id, topic or filter.
fn start(plan: Plan) -> Topology {
    let topology = plan.start();
    topology.service().answer(obey);
    topology
}

fn obey(check: &Check) -> Answer {
    let wish = match check {
        Check::Connect(_) => check.session().client_id.as_str(),
        _ => check.topic(),
    };
    match wish {
        "deny" => Answer::deny(ReasonCode::NotAuthorized),
        "close" => Answer::deny_and(DenyAction::Disconnect, ReasonCode::NotAuthorized),
        "fail" => Answer::Fail(FailureCode::Internal),
        "state" => Answer::Fail(FailureCode::SessionStateInvalid),
        _ => Answer::Allow,
    }
}

// Whoever is one too many is counted by the limit that was in the way, and nowhere else.
#[test]
fn refused_connections_are_counted_by_limit() {
    for (key, limit, decided) in [
        ("limits.max_connections", "max_connections", true),
        (
            "listeners.0.max_connections",
            "listener_max_connections",
            true,
        ),
        (
            "limits.max_undecided_per_address",
            "max_undecided_per_address",
            false,
        ),
    ] {
        println!("{key}");
        let topology = start(counted().set(key, 2));
        let metrics = topology.gate().metrics();
        let inside = [(); 2].map(|()| match decided {
            true => topology.connect(Version::V5, "client"),
            false => topology.open(Version::V5),
        });
        metrics.wait_for("tidegate_sessions_open", &[], 2);
        for count in 1..=3 {
            let mut refused = topology.open(Version::V5);
            refused.send_in_vain(&Connect::new("one too many").encode(Version::V5));
            refused.expect_closed();
            let labels = &[("listener", "mqtt"), ("limit", limit)];
            metrics.wait_for("tidegate_connections_refused_total", labels, count);
        }
        let value = |name| metrics.value(name, &[]);
        assert_eq!(value("tidegate_connections_refused_total"), 3);
        assert_eq!(value("tidegate_connections_accepted_total"), 2);
        assert_eq!(value("tidegate_sessions_open"), 2);
        drop(inside);
        metrics.wait_for("tidegate_sessions_open", &[], 0);
        assert_eq!(value("tidegate_sessions_closed_total"), 2);
    }
}

// Nobody can make series, or learn the names of others.
#[test]
fn nothing_that_a_client_chose_is_told() {
    let topology = start(counted());
    let metrics = topology.gate().metrics();
    let mut text = String::new();
    for round in 0..2 {
        let connect = Connect::new(format!("canary-{round}")).login("canary", "canary");
        let mut client = topology.join(Version::V5, &connect);
        let id = client.publish(1, &format!("canary/{round}"), "canary");
        client.complete(1, id);
        client.subscribe(&["canary/#"]);
        client.leave();
        metrics.wait_for("tidegate_sessions_closed_total", &[], round + 1);
        let before = std::mem::replace(&mut text, metrics.text());
        assert!(!text.contains("canary"), "{text}");
        assert!(round == 0 || before.lines().count() == text.lines().count());
    }
    for (line, status) in [
        ("GET /metrics", "200"),
        ("GET /", "404"),
        ("GET /metrics/..", "404"),
        ("POST /metrics", "405"),
    ] {
        let head = metrics.request(line).0;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}
