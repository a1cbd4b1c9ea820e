//! Each check has exactly one outcome, whatever happens to it.

use tidegate_proto::v1::{FailureCode, ReasonCode};
use tidegate_tests::{
    Answer, Check, Connect, Publish, Topology, Version, metrics::sum_in, packet::Kind,
    topology::unique, wait::eventually,
};
use tonic::Code;

use crate::cells::CHECKS;

/// What the service does, and as what it is counted.
const KINDS: [(&str, &str, &str); 14] = [
    ("allow", "allow", ""),
    ("deny", "deny", ""),
    ("slow", "failure", "timeout"),
    ("away", "failure", "unavailable"),
    ("internal", "failure", "grpc_status"),
    ("busy", "failure", "overloaded"),
    ("overloaded", "failure", "overloaded"),
    ("failure", "failure", "service_failure"),
    ("state", "failure", "session_state_invalid"),
    ("invalid", "failure", "invalid_check"),
    ("missing", "failure", "missing_result"),
    ("unset", "failure", "invalid_result"),
    ("twice", "failure", "invalid_result"),
    ("rewrite", "failure", "invalid_mutation"),
];

fn obey(check: &Check) -> Answer {
    let wish = match check {
        Check::Connect(_) => check.session().username.as_deref().unwrap_or_default(),
        _ => check.topic(),
    };
    match wish {
        "deny" => Answer::deny(ReasonCode::NotAuthorized),
        "slow" => Answer::Allow.held_by(&tidegate_tests::Hold::new()),
        "away" => Answer::Status(Code::Unavailable),
        "internal" => Answer::Status(Code::Internal),
        "busy" => Answer::Status(Code::ResourceExhausted),
        "overloaded" => Answer::Fail(FailureCode::Overloaded),
        "failure" => Answer::Fail(FailureCode::DependencyUnavailable),
        "state" => Answer::Fail(FailureCode::SessionStateInvalid),
        "invalid" => Answer::Fail(FailureCode::InvalidCheck),
        "missing" => Answer::Missing,
        "unset" => Answer::Unset,
        "twice" => Answer::Twice,
        "rewrite" => Answer::Rewrite("elsewhere".to_owned()),
        _ => Answer::Allow,
    }
}

#[test]
fn each_check_has_exactly_one_outcome() {
    for hook in ["connect", "will", "publish", "subscribe"] {
        let little = |name: &str| if name == hook_key(hook) { "3s" } else { "20s" };
        let topology = Topology::scripted()
            .set("metrics.bind", "127.0.0.1:0")
            .set("authz.connect.deadline", little("connect"))
            .set("authz.publish.deadline", little("publish"))
            .set("authz.subscribe.deadline", little("subscribe"))
            .start();
        topology.service().answer(obey);
        let metrics = topology.gate().metrics();
        for (count, (wish, outcome, reason)) in (1..).zip(KINDS) {
            ask(&topology, hook, wish);
            let labels = [
                ("hook", hook),
                ("outcome", outcome),
                ("failure_reason", reason),
                ("cached", "false"),
                ("mode", "enforce"),
            ];
            let same = |kind: &&(&str, &str, &str)| (kind.1, kind.2) == (outcome, reason);
            let due = KINDS[..count].iter().filter(same).count() as u64;
            let text = eventually(&format!("{hook}: {wish} has ended"), || {
                let text = metrics.text();
                (sum_in(&text, CHECKS, &[("hook", hook)]) == count as u64).then_some(text)
            });
            assert_eq!(
                sum_in(&text, CHECKS, &labels),
                due,
                "{hook}: {wish}\n{text}"
            );
            let pending = [("hook", hook)];
            assert_eq!(sum_in(&text, "tidegate_authz_checks_pending", &pending), 0);
            let durations = "tidegate_authz_check_duration_seconds_count";
            assert_eq!(sum_in(&text, durations, &pending), count as u64, "{wish}");
        }
        let queued = sum_in(
            &metrics.text(),
            "tidegate_authz_queue_duration_seconds_count",
            &[("hook", hook)],
        );
        assert_eq!(queued, KINDS.len() as u64, "all of them departed");
    }
}

fn hook_key(hook: &str) -> &str {
    if hook == "will" { "connect" } else { hook }
}

/// Has the gate ask one question.
fn ask(topology: &Topology, hook: &str, wish: &str) {
    let connect = Connect::new(unique("client"));
    let version = Version::V5;
    match hook {
        "connect" => {
            let mut client = topology.try_connect(version, &connect.login(wish, ""));
            client.expect(Kind::Connack);
        }
        "will" => {
            let connect = connect.will(Publish::new(wish, ""));
            topology
                .try_connect(version, &connect)
                .expect(Kind::Connack);
        }
        "publish" => {
            let mut client = topology.join(version, &connect);
            client.publish(1, wish, "");
            client.next_packet();
        }
        _ => {
            let mut client = topology.join(version, &connect);
            client.subscribe(&[wish]);
            client.next_packet();
        }
    }
}
