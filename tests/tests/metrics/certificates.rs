//! How long the gate's certificates are good, and how they are read again.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use tidegate_tests::{
    Topology, Version, assert_eventually,
    metrics::Labels,
    mosquitto::Entrance,
    pki::{Authority, Identity, replace},
    topology::{Plan, login},
};
use toml::{Table, Value};

use crate::counted;

const NOT_AFTER: &str = "tidegate_tls_certificate_not_after_timestamp_seconds";
const RELOADS: &str = "tidegate_tls_reloads_total";

fn text(path: &Path) -> Value {
    path.to_str().unwrap().into()
}

/// A listener with these certificates.
fn showing(plan: Plan, certificates: &[&Identity]) -> Plan {
    let certificate = |identity: &&Identity| {
        Value::from(Table::from_iter([
            ("cert".to_owned(), text(&identity.cert)),
            ("key".to_owned(), text(&identity.key)),
        ]))
    };
    let certificates: Vec<_> = certificates.iter().map(certificate).collect();
    plan.set("listeners.0.transport", "tls")
        .set("listeners.0.tls.certificates", certificates)
}

/// Whole days that are left.
#[track_caller]
fn days_left(topology: &Topology, labels: Labels<'_>) -> u64 {
    let not_after = topology.gate().metrics().value(NOT_AFTER, labels);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // The days have begun when the certificate was made.
    not_after.saturating_sub(now.as_secs()).div_ceil(24 * 3600)
}

#[test]
fn a_listener_tells_of_each_certificate() {
    let authority = Authority::new();
    let (near, far) = (
        authority.issue_for_days("near.example", 13),
        authority.issue_for_days("far.example", 100),
    );
    let topology = showing(counted(), &[&far, &near]).start();
    let of = |place| {
        [
            ("side", "client"),
            ("listener", "mqtt"),
            ("certificate", place),
        ]
    };
    assert_eq!(days_left(&topology, &of("0")), 100);
    assert_eq!(days_left(&topology, &of("1")), 13);
    let log = topology.gate().log();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains("expires soon"))
        .collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains(near.cert.to_str().unwrap()), "{told:?}");

    let renewed = authority.issue_for_days("near.example", 60);
    replace(&near.key, &renewed.key);
    replace(&near.cert, &renewed.cert);
    assert_eventually!(days_left(&topology, &of("1")) == 60);
    let done = [("side", "client"), ("listener", "mqtt"), ("result", "done")];
    assert!(topology.gate().metrics().value(RELOADS, &done) >= 1);
}

#[test]
fn the_way_to_the_broker_tells_of_ours() {
    let authority = Authority::new();
    let own = authority.issue_for_days("gate", 100);
    let topology = Topology::real()
        .broker_over(Entrance::Tls)
        .set("broker.tls.cert", text(&own.cert))
        .set("broker.tls.key", text(&own.key))
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let metrics = topology.gate().metrics();
    let by = |result| [("side", "broker"), ("listener", ""), ("result", result)];
    let of_ours = [("side", "broker"), ("listener", ""), ("certificate", "0")];
    assert_eq!(days_left(&topology, &of_ours), 100);
    let comes = || {
        let mut client = topology.try_connect(Version::V5, &login("alice"));
        client.expect_connack(0);
        client.leave();
    };
    comes();
    assert_eq!(metrics.value(RELOADS, &[]), 0);
    let renewed = authority.issue_for_days("gate", 200);
    replace(&own.key, &renewed.key);
    replace(&own.cert, &renewed.cert);
    // It is who connects that looks.
    assert_eventually!({
        comes();
        metrics.value(RELOADS, &by("done")) == 1
    });
    assert_eq!(days_left(&topology, &of_ours), 200);
    fs::write(&own.cert, "no certificate").unwrap();
    assert_eventually!({
        comes();
        metrics.value(RELOADS, &by("failed")) == 1
    });
    assert_eq!(days_left(&topology, &of_ours), 200);
}

#[test]
fn the_way_to_the_service_tells_of_ours() {
    let authority = Authority::new();
    let own = authority.issue_for_days("gate", 3);
    let topology = counted()
        .set("authz.endpoint", "https://localhost:9")
        .set("authz.tls.ca", text(&authority.file()))
        .set("authz.tls.cert", text(&own.cert))
        .set("authz.tls.key", text(&own.key))
        .start();
    let of_ours = [("side", "authz"), ("listener", ""), ("certificate", "0")];
    assert_eq!(days_left(&topology, &of_ours), 3);
    let log = topology.gate().log();
    assert!(
        log.contains("expires soon") && log.contains("authz.tls.cert"),
        "{log}"
    );
}
