//! What a program's standard streams show. The test runs itself again, as that program.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod collector;

use collector::Collector;
use serde_json::Value;
use std::{
    env,
    process::{Command, Output},
};
use tidegate_telemetry::{DECISION_TARGET, LogOptions, Options, TRACE_TARGET};
use tonic::metadata::MetadataMap;
use tracing::{Span, debug, info, info_span};

/// Set for the child: the collector's endpoint, or nothing.
const CHILD: &str = "TELEMETRY_TEST_CHILD";

#[test]
fn decisions_and_logs_go_separate_ways() {
    if let Ok(endpoint) = env::var(CHILD) {
        return program(&endpoint);
    }

    let collector = Collector::start();
    let output = run(&collector.endpoint, "info");
    // The program did not call `shutdown`; dropping the telemetry flushes too.
    assert_eq!(collector.received().len(), 1);
    let decision = line_with(&output.stdout, "outcome").unwrap();
    assert_eq!(decision["user"], "alice");
    assert_eq!(decision["latency_us"], 12);
    assert_eq!(decision["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(decision["span_id"].as_str().unwrap().len(), 16);
    assert_eq!(decision["trace_id"], decision["expected_trace_id"]);

    let log = line_with(&output.stderr, "bind").unwrap();
    assert_eq!(log["message"], "listening");
    assert_eq!(log["level"], "INFO");
    assert_eq!(log.get("trace_id"), None);
    assert!(line_with(&output.stderr, "detail").is_none());
    assert!(line_with(&output.stderr, "outcome").is_none());

    // Without a collector there are no ids to show, and RUST_LOG decides what is logged.
    let output = run("", "debug");
    let decision = line_with(&output.stdout, "outcome").unwrap();
    assert_eq!(decision.get("trace_id"), None);
    assert!(line_with(&output.stderr, "detail").is_some());
}

fn program(endpoint: &str) {
    let telemetry = tidegate_telemetry::init(Options {
        service_name: "a-service",
        service_version: "1.2.3",
        otlp_endpoint: (!endpoint.is_empty()).then(|| endpoint.to_owned()),
        log: LogOptions::default(),
    })
    .unwrap();

    info!(bind = "127.0.0.1:1883", "listening");
    debug!(detail = true, "for developers");
    let span = info_span!(target: TRACE_TARGET, "PUBLISH");
    span.in_scope(|| {
        info!(
            target: DECISION_TARGET,
            outcome = "deny",
            user = "alice",
            latency_us = 12,
            expected_trace_id = tidegate_telemetry::trace_id(&span),
        );
    });

    // Only who exports spans tells the service not to begin a trace of its own.
    let mut metadata = MetadataMap::new();
    tidegate_telemetry::inject(&Span::none(), &mut metadata);
    assert_eq!(metadata.is_empty(), !telemetry.tracing_enabled());
}

fn run(endpoint: &str, rust_log: &str) -> Output {
    let output = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "decisions_and_logs_go_separate_ways",
            "--nocapture",
        ])
        .env(CHILD, endpoint)
        .env("RUST_LOG", rust_log)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// The first JSON line that has `key`. The test harness prints lines of its own.
fn line_with(stream: &[u8], key: &str) -> Option<Value> {
    let stream = String::from_utf8_lossy(stream);
    let mut lines = stream.lines().filter_map(|line| {
        let json = line.get(line.find('{')?..)?;
        serde_json::from_str::<Value>(json).ok()
    });
    lines.find(|line| line.get(key).is_some())
}
