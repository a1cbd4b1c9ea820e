//! Dashboards and alerts speak of metrics, labels and values that the programs have: else a panel stays empty, and an
//! alert quiet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde_json::Value;
use tidegate_tests::{
    Client, Connect, Door, Version, assert_eventually,
    door::{self, Ws},
    gate::Settings,
    packet::Kind,
    pki::Authority,
    reference::Reference,
    topology::{login, unique},
};

use crate::{
    counted,
    promql::{self, Query},
};

/// What Prometheus adds to every series.
const ADDED: [&str; 2] = ["instance", "job"];

/// Labels of each name, and the values that were seen.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

#[test]
fn dashboards_and_alerts_name_what_there_is() {
    let mut known = exposed();
    let rules = fs::read_to_string(folder().join("prometheus/rules.yaml")).unwrap();
    let (records, alerts): (Vec<_>, Vec<_>) = rules_in(&rules)
        .into_iter()
        .partition(|rule| rule.kind == "record");
    assert!(!records.is_empty() && !alerts.is_empty());
    let mut wrong = Vec::new();
    for record in &records {
        let query = promql::read(&record.expr);
        wrong.extend(complaints(&record.name, &query, &known));
        let labels = labels_of(&query, &known);
        let labels = labels.into_iter().map(|label| (label, BTreeSet::new()));
        known.insert(record.name.clone(), labels.collect());
    }
    for alert in &alerts {
        let query = promql::read(&alert.expr);
        wrong.extend(complaints(&alert.name, &query, &known));
        let labels = labels_of(&query, &known);
        let named = words_behind(&alert.text, "$labels.");
        let unknown = named.difference(&labels);
        wrong.extend(unknown.map(|label| format!("{}: no $labels.{label}", alert.name)));
    }
    let mut panels = 0;
    for file in fs::read_dir(folder().join("grafana")).unwrap() {
        let path = file.unwrap().path();
        let dashboard: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if let Some(text) = variable["definition"].as_str() {
                wrong.extend(complaints(text, &promql::read(text), &known));
            }
        }
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                panels += 1;
                let name = format!("{}: {}", path.display(), panel["title"]);
                let query = promql::read(target["expr"].as_str().unwrap());
                wrong.extend(complaints(&name, &query, &known));
                let labels = labels_of(&query, &known);
                let legend = target["legendFormat"].as_str().unwrap();
                let named = words_behind(legend, "{{");
                let unknown = named.difference(&labels);
                wrong.extend(unknown.map(|label| format!("{name}: no label {label}")));
            }
        }
    }
    assert!(panels > 50, "only {panels} queries were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_name_a_label_or_a_value_that_is_not_there_is_noticed() {
    let known = series("a_total{outcome=\"allow\"} 1\na_total{outcome=\"deny\"} 1\n");
    for (text, expected) in [
        (
            "sum by (job, outcome) (rate(a_total{outcome=~\"allow|deny\",instance=~\"$instance\"}[5m]))",
            0,
        ),
        ("rate(b_total[5m])", 1),
        ("rates(a_total[5m])", 1),
        ("a_total{outcom=\"allow\"}", 1),
        ("a_total{outcome!~\"allow|denied\"}", 1),
        ("sum by (hook) (a_total)", 1),
    ] {
        let found = complaints("it", &promql::read(text), &known);
        assert_eq!(found.len(), expected, "{text}: {found:?}");
    }
}

/// What is wrong with it.
fn complaints(name: &str, query: &Query, known: &Series) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut labels: BTreeSet<_> = ADDED.map(str::to_owned).into();
    for selector in &query.selectors {
        let Some(of_series) = known.get(&selector.name) else {
            wrong.push(format!("{name}: there is no {}", selector.name));
            continue;
        };
        labels.extend(of_series.keys().cloned());
        for (label, value) in &selector.matchers {
            match of_series.get(label) {
                Some(values) => {
                    let is_plain = |value: &&str| !value.contains(['$', '.', '*', '(', '[']);
                    let missing = value.split('|').filter(is_plain);
                    let missing = missing.filter(|value| !values.contains(*value));
                    wrong.extend(missing.map(|value| format!("{name}: no {label}={value}")));
                }
                None if ADDED.contains(&&**label) => {}
                None => wrong.push(format!("{name}: {} has no {label}", selector.name)),
            }
        }
    }
    // Once is enough for a name.
    if wrong.is_empty() {
        let unknown = query.groupings.difference(&labels);
        wrong.extend(unknown.map(|label| format!("{name}: no label {label}")));
    }
    wrong
}

/// The labels of what comes out.
fn labels_of(query: &Query, known: &Series) -> BTreeSet<String> {
    if !query.groupings.is_empty() {
        return query.groupings.clone();
    }
    let of_series = query.selectors.iter().filter_map(|it| known.get(&it.name));
    let mut labels: BTreeSet<_> = of_series.flat_map(BTreeMap::keys).cloned().collect();
    labels.extend(ADDED.map(str::to_owned));
    labels
}

/// A rule of Prometheus.
struct Rule {
    kind: String,
    name: String,
    expr: String,
    /// All of it.
    text: String,
}

/// Reads the rules. Each begins with `- alert:` or `- record:`, and an expression in several lines is deeper than its key.
fn rules_in(text: &str) -> Vec<Rule> {
    let begins = |line: &str| {
        let rule = line.trim_start().strip_prefix("- ")?;
        let (kind, name) = rule.split_once(": ")?;
        let is_rule = ["alert", "record"].contains(&kind);
        is_rule.then(|| (kind.to_owned(), name.to_owned()))
    };
    let mut rules = Vec::<Rule>::new();
    let mut is_expr = false;
    for line in text.lines() {
        if let Some((kind, name)) = begins(line) {
            let (expr, text) = Default::default();
            rules.push(Rule {
                kind,
                name,
                expr,
                text,
            });
        }
        let Some(rule) = rules.last_mut() else {
            continue;
        };
        rule.text += line;
        let depth = line.len() - line.trim_start().len();
        if let Some(begin) = line.trim_start().strip_prefix("expr: ") {
            is_expr = begin == "|";
            rule.expr = begin.trim_start_matches('|').to_owned();
        } else if is_expr && depth > 8 {
            rule.expr += &format!("{line}\n");
        } else {
            is_expr = false;
        }
    }
    for rule in &rules {
        assert!(!rule.expr.is_empty(), "{} has no expression", rule.name);
    }
    rules
}

/// The words that directly follow on a mark.
fn words_behind(text: &str, mark: &str) -> BTreeSet<String> {
    let words = text.split(mark).skip(1);
    let words = words.map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    words.filter(|word| !word.is_empty()).collect()
}

/// The series in a text for scrapers.
fn series(text: &str) -> Series {
    let mut all = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').expect("a series and its value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let of_series = all.entry(name.to_owned()).or_default();
        let mut parts = labels.trim_end_matches('}').split('"');
        while let (Some(label), Some(value)) = (parts.next(), parts.next()) {
            let label = label.trim_matches([',', '=']).to_owned();
            of_series.entry(label).or_default().insert(value.to_owned());
        }
    }
    all
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/observability")
}

/// Everything that the programs tell when all of it is in use: TLS on both, directives, events, and clients that are
/// allowed, denied, not decided about, and wrong.
fn exposed() -> Series {
    let authority = Authority::new();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let server = authority.issue("127.0.0.1");
    let sources = ["file", "http"].map(toml::Value::from).to_vec();
    let reference = Reference::start(
        &Settings::default()
            .set("probes.bind", "127.0.0.1:0")
            .set("tls.cert", text(&server.cert))
            .set("tls.key", text(&server.key))
            // Somebody whom the file does not know can't be decided about.
            .set("users.sources", sources)
            .set("users.http.url", "http://127.0.0.1:9"),
    );
    let plan = counted()
        .service_at(reference.endpoint().replace("http:", "https:"))
        .set("authz.tls.ca", text(&authority.file()))
        .set("authz.control.enabled", true)
        .set("authz.events.enabled", true);
    let doors = [Door::Tcp, Door::Tls, Door::Ws];
    let topology = Door::side_by_side(&doors, plan, Door::authority()).start();
    let [tcp, _, ws] = doors.map(|door| topology.gate().listens(door.name()));
    let metrics = topology.gate().metrics();

    // Allowed and denied, and an end by a breach of MQTT.
    let mut client = Client::open(tcp, Version::V5);
    client.send(&login("alice"));
    client.expect_connack(0);
    for topic in ["alice/t", "bob/t"] {
        client.publish(1, topic, "");
        client.expect(Kind::Puback);
        client.subscribe(&[topic]);
        client.expect(Kind::Suback);
    }
    client.send_in_vain(&[0, 0]);
    metrics.wait_for("tidegate_violations_total", &[], 1);
    let mut stranger = Client::open(tcp, Version::V5);
    stranger.send(&Connect::new(unique("client")).login("nobody", "nothing"));
    stranger.expect_refused(0x88);
    // A text where a binary message has to be.
    let mut page = Ws::connect(door::connect(ws), &[]).unwrap();
    let stream = page.socket().get_mut();
    stream.write_all(&[0x81, 0x80, 0, 0, 0, 0]).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    metrics.wait_for("tidegate_websocket_violations_total", &[], 1);
    assert_eventually!(metrics.value("tidegate_control_watch_connected", &[]) == 1);

    let mut all = series(&metrics.text());
    all.extend(series(&reference.metrics().text()));
    all
}
