//! Nothing listens where the collector should be.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};
use tidegate_telemetry::{LogOptions, Options, Stats, TRACE_TARGET};
use tracing::info_span;

#[test]
fn a_collector_that_is_down_costs_spans_only() {
    // Bound and closed again, so that connections are refused.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let telemetry = tidegate_telemetry::init(Options {
        service_name: "a-service",
        service_version: "1.2.3",
        otlp_endpoint: Some(endpoint),
        log: LogOptions::default(),
    })
    .unwrap();

    for _ in 0..10 {
        info_span!(target: TRACE_TARGET, "into the void");
    }
    let start = Instant::now();
    let stats = telemetry.shutdown();
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    let expected = Stats {
        dropped: 10,
        ..Stats::default()
    };
    assert_eq!(stats, expected);
}
