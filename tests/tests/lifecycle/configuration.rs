//! What is said before anything starts.

use std::{net::TcpListener, process::Output};

use tidegate_tests::gate::run_to_end;

const GOOD: &str = r#"
[[listeners]]
name = "mqtt"
bind = "127.0.0.1:0"
transport = "tcp"

[broker]
url = "mqtt://127.0.0.1:1884"

[authz]
endpoint = "http://127.0.0.1:50051"
connect = { deadline = "5s" }
publish = { deadline = "1s" }
subscribe = { deadline = "2s" }

[telemetry]
otlp_endpoint = "http://127.0.0.1:4317"
trace_sample_ratio = { connect = 1.0, subscribe = 1.0, publish = 0.01 }
"#;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Asserts that a configuration is refused as such, with a message that contains all the `words`.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(78), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn check_accepts_the_documented_configuration() {
    let output = run_to_end(&["check"], GOOD, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_a_suggestion() {
    let config = GOOD.replace("endpoint", "endpiont");
    let line = 1 + config
        .lines()
        .position(|line| line.starts_with("endpiont"))
        .expect("the line");
    let place = format!("tidegate.toml:{line}");
    for verb in ["check", "run"] {
        let output = run_to_end(&[verb], &config, &[]);
        assert_refused(
            &output,
            &["`authz.endpiont`", &place, "did you mean `endpoint`?"],
        );
    }
}

#[test]
fn a_bad_value_is_refused_with_its_key_and_place() {
    for (good, bad, key) in [
        ("\"5s\"", "\"five\"", "authz.connect.deadline"),
        ("\"1s\"", "\"0s\"", "authz.publish.deadline"),
        (
            "mqtt://127.0.0.1:1884",
            "http://127.0.0.1:1884",
            "broker.url",
        ),
        (
            "http://127.0.0.1:50051",
            "127.0.0.1:50051",
            "authz.endpoint",
        ),
        (
            "publish = 0.01",
            "publish = 1.01",
            "telemetry.trace_sample_ratio.publish",
        ),
        ("\"tcp\"", "\"carrier pigeon\"", "listeners.0.transport"),
    ] {
        let output = run_to_end(&["check"], &GOOD.replace(good, bad), &[]);
        assert_refused(&output, &[key, "tidegate.toml:"]);
    }
}

#[test]
fn a_value_from_the_environment_is_refused_by_its_name() {
    let variable = ("TIDEGATE__AUTHZ__CONNECT__DEADLINE", "soon");
    assert_refused(&run_to_end(&["check"], GOOD, &[variable]), &[variable.0]);
    let variable = ("TIDEGATE__BROKER__ULR", "mqtt://127.0.0.1:1884");
    assert_refused(&run_to_end(&["check"], GOOD, &[variable]), &[variable.0]);
}

/// Kubernetes makes such variables for a Service with the name of the gate.
#[test]
fn variables_with_single_underscores_are_not_ours() {
    let variables = [
        ("TIDEGATE_PORT", "tcp://10.0.0.1:1883"),
        ("TIDEGATE_BROKER_URL", "nonsense"),
    ];
    let output = run_to_end(&["check"], GOOD, &variables);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn wrong_usage_exits_with_2() {
    assert_eq!(
        run_to_end(&["frobnicate"], GOOD, &[]).status.code(),
        Some(2)
    );
}

#[test]
fn a_port_that_is_taken_is_a_failure_at_run_time() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound listener").to_string();
    let output = run_to_end(&["run"], &GOOD.replace("127.0.0.1:0", &address), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&address), "{}", said(&output));
}
