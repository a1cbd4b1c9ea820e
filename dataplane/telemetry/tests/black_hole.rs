//! A collector that takes connections and never answers delays nothing but the exit, and that by a
//! bounded time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};
use tidegate_telemetry::{LogOptions, Options, Stats, TRACE_TARGET};
use tracing::info_span;

const SPANS: u64 = 30_000;
const QUEUE: u64 = 16_384;
const BATCH: u64 = 1_024;

#[test]
fn a_collector_that_hangs_costs_spans_and_a_bounded_exit() {
    // The kernel completes the handshakes; nobody ever accepts, let alone answers.
    let black_hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", black_hole.local_addr().unwrap());
    let telemetry = tidegate_telemetry::init(Options {
        service_name: "a-service",
        service_version: "1.2.3",
        otlp_endpoint: Some(endpoint),
        log: LogOptions::default(),
    })
    .unwrap();

    for _ in 0..SPANS {
        info_span!(target: TRACE_TARGET, "into the void");
    }
    let stats = telemetry.stats();
    assert!(stats.queued <= QUEUE, "{stats:?}");
    // At most one batch is on its way, and at most a few were given up already.
    assert!(stats.dropped >= SPANS - QUEUE - 4 * BATCH, "{stats:?}");

    let start = Instant::now();
    let stats = telemetry.shutdown();
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(6), "{elapsed:?}");
    let expected = Stats {
        dropped: SPANS,
        ..Stats::default()
    };
    assert_eq!(stats, expected);
}
