//! Whether scrapers understand what is told, and whether it is told by the rules for names.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    env,
    io::Write as _,
    process::{Command, Stdio},
};

use tidegate_tests::{
    Connect, Publish, Topology, Version, assert_eventually, metrics::Metrics, packet::Kind,
    topology::unique,
};

use crate::{counted, start};

/// Where `promtool` is, if it is not on the path. `.ci/run` sets it.
const PROMTOOL: &str = "TIDEGATE_TEST_PROMTOOL";

/// A gate that has something to tell in every family.
fn busy() -> Topology {
    let topology = start(counted());
    let will = Publish::new("will", "");
    let mut client = topology.join(Version::V5, &Connect::new(unique("client")).will(will));
    for topic in ["t", "deny", "fail"] {
        let id = client.publish(1, topic, "");
        assert_eq!(client.expect(Kind::Puback).id(), id);
        client.subscribe(&["t"]);
        client.expect(Kind::Suback);
    }
    let metrics = topology.gate().metrics();
    let health = "tidegate_authz_endpoint_healthy";
    assert_eventually!(metrics.value(health, &[]) == 3);
    topology
}

/// A family in the older text format.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    /// Names with labels.
    series: Vec<String>,
}

/// Reads the text, and refuses whatever is not as it should be.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a help");
            assert!(!families.contains_key(name), "{name} comes twice");
            current = name.to_owned();
            families.entry(current.clone()).or_default().help = help.to_owned();
        } else if let Some(descriptor) = line.strip_prefix("# TYPE ") {
            let (name, kind) = descriptor.split_once(' ').expect("a name and a type");
            assert_eq!(name, current, "HELP and TYPE belong together");
            families.entry(current.clone()).or_default().kind = kind.to_owned();
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            value.parse::<f64>().expect("a number");
            let family = families.get_mut(&current).expect("a family comes first");
            family.series.push(series.to_owned());
        }
    }
    families
}

#[test]
fn names_types_and_units_are_as_prometheus_wants_them() {
    let topology = busy();
    let text = topology.gate().metrics().text();
    let mut all = HashSet::new();
    for (name, family) in families(&text) {
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        assert!(name.starts_with("tidegate_"), "{name}");
        let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.chars().all(is_legal), "{name}");
        for unit in [
            "_milliseconds",
            "_ms",
            "_us",
            "_kilobytes",
            "_percent",
            "_count",
            "_sum",
        ] {
            assert!(!name.ends_with(unit), "{name}");
        }
        let is_counter = family.kind == "counter";
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" | "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            kind => panic!("{name} is a {kind}"),
        };
        for series in &family.series {
            let base = series.split('{').next().unwrap();
            let is_of_family = suffixes.iter().any(|it| format!("{name}{it}") == base);
            assert!(is_of_family, "{series} in {name}");
            assert!(all.insert(series.clone()), "{series} comes twice");
        }
        if family.kind == "histogram" {
            cumulates(&name, &text);
        }
    }
}

/// The buckets of a histogram go up to +Inf, which is the count.
fn cumulates(name: &str, text: &str) {
    let mut before = (String::new(), 0.0, 0);
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(&format!("{name}_bucket{{le=\"")) else {
            continue;
        };
        let (bound, rest) = rest.split_once('"').expect("a bound");
        let (labels, count) = rest.rsplit_once(' ').expect("a value");
        let labels = labels.trim_start_matches(',');
        let bound: f64 = bound.replace("+Inf", "inf").parse().expect("a bound");
        let count: u64 = count.parse().expect("a count");
        if before.0 == labels {
            assert!(before.1 < bound && before.2 <= count, "{line}");
        }
        if bound.is_infinite() {
            let total = match labels {
                "}" => format!("{name}_count {count}"),
                labels => format!("{name}_count{{{labels} {count}"),
            };
            assert!(text.lines().any(|line| line == total), "{total}");
        }
        before = (labels.to_owned(), bound, count);
    }
    assert!(!before.0.is_empty(), "{name} is empty");
}

// What authz-client.md promises. A name that is not here any more breaks somebody's dashboard.
#[test]
fn what_the_decision_pipeline_tells_is_there() {
    let topology = busy();
    let families = families(&topology.gate().metrics().text());
    for (name, labels) in [
        (
            "authz_checks_total",
            "cached failure_reason hook mode outcome",
        ),
        ("authz_check_duration_seconds", "hook le outcome"),
        ("authz_queue_duration_seconds", "hook le"),
        (
            "authz_call_duration_seconds",
            "hook le server_address status",
        ),
        ("authz_batch_size", "hook le"),
        ("authz_batch_bytes", "hook le"),
        ("authz_calls_in_flight", "hook"),
        ("authz_checks_pending", "hook"),
        ("authz_capacity_remaining", "hook"),
        ("authz_call_retries_total", "hook"),
        ("authz_retry_budget_exhausted_total", "hook"),
        ("authz_deadline_seconds", "hook"),
        ("authz_throttle_probability", "hook"),
        ("authz_endpoint_ejected", "hook server_address"),
        ("authz_endpoint_healthy", "hook server_address"),
        ("authz_protocol_errors_total", "kind"),
    ] {
        let family = families.get(&format!("tidegate_{name}"));
        let family = family.unwrap_or_else(|| panic!("there is no {name}"));
        let found: BTreeSet<_> = family.series.iter().flat_map(|it| labels_of(it)).collect();
        let found: Vec<_> = found.into_iter().collect();
        assert_eq!(found.join(" "), labels, "{name}");
    }
    let durations = &families["tidegate_authz_check_duration_seconds"].series;
    let bounds: Vec<_> = durations
        .iter()
        .filter(|series| series.contains("hook=\"publish\",outcome=\"allow\""))
        .filter_map(|series| series.split_once("le=\"")?.1.split('"').next())
        .collect();
    let due =
        "0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 +Inf";
    assert_eq!(bounds.join(" "), due);
}

#[test]
fn the_deadline_is_the_one_that_is_configured() {
    let plan = counted().set("authz.publish.deadline", "250ms");
    let text = start(plan).gate().metrics().text();
    for (hook, seconds) in [("connect", "5.0"), ("will", "5.0"), ("publish", "0.25")] {
        let line = format!("tidegate_authz_deadline_seconds{{hook=\"{hook}\"}} {seconds}");
        assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
    }
}

/// The names of the labels of a series.
fn labels_of(series: &str) -> Vec<String> {
    let Some((_, labels)) = series.split_once('{') else {
        return Vec::new();
    };
    let pairs = labels.trim_end_matches('}').split(',');
    pairs
        .filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()))
        .collect()
}

#[test]
fn promtool_finds_nothing_wrong() {
    let named = env::var(PROMTOOL);
    let topology = busy();
    let checking = Command::new(named.as_deref().unwrap_or("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut checking) = checking else {
        assert!(named.is_err(), "cannot start {named:?}");
        println!(
            "skipped: needs promtool (Debian: prometheus), on the path or named in {PROMTOOL}"
        );
        return;
    };
    let text = topology.gate().metrics().text();
    let mut input = checking.stdin.take().unwrap();
    input.write_all(text.as_bytes()).expect("promtool reads");
    drop(input);
    let checked = checking.wait_with_output().expect("promtool ends");
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        checked.status.success() && said.is_empty(),
        "{said}\n{text}"
    );
}

// Prometheus asks for OpenMetrics, which says more; whoever asks for nothing gets what everybody can read.
#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let topology = start(counted());
    let metrics = topology.gate().metrics();
    let open = "application/openmetrics-text";
    for (accept, expected) in [
        ("", "text/plain; version=0.0.4"),
        ("Accept: */*\r\n", "text/plain; version=0.0.4"),
        (
            "Accept: text/plain;version=0.0.4;q=0.3,*/*;q=0.1\r\n",
            "text/plain; version=0.0.4",
        ),
        (
            "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain\r\n",
            open,
        ),
        (
            "Accept: text/plain\r\nAccept: application/openmetrics-text\r\n",
            open,
        ),
    ] {
        let (head, body) = ask(&metrics, accept);
        assert!(head.contains(expected), "{accept}: {head}");
        let is_open = expected == open;
        assert_eq!(body.ends_with("# EOF\n"), is_open, "{accept}");
        assert_eq!(body.contains("# UNIT "), is_open, "{accept}");
    }
}

fn ask(metrics: &Metrics, head: &str) -> (String, String) {
    metrics.request_with("GET /metrics", head)
}
