//! New configurations for a gate that runs.

use std::fs;

use tidegate_tests::{
    Connect, Door, Publish, Topology, Version, assert_eventually,
    door::{self, Ws},
    http::get,
    metrics::Metrics,
    packet::Kind,
    process::Signal,
    service::Hook,
};

fn start() -> Topology {
    Topology::scripted()
        .set("probes.bind", "127.0.0.1:0")
        .start()
}

/// Writes the configuration anew, changed, and waits until it was read.
fn rewrite(topology: &Topology, change: impl FnOnce(String) -> String) {
    let path = topology.gate().configuration();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, change(text)).unwrap();
    topology.gate().signal(Signal::HUP);
}

fn reloads(metrics: Metrics, outcome: &str) -> u64 {
    metrics.value("tidegate_config_reloads_total", &[("outcome", outcome)])
}

#[test]
fn new_sessions_have_the_new_rules_and_old_ones_keep_theirs() {
    let topology = start();
    let metrics = topology.gate().metrics();
    let mut old = topology.connect(Version::V5, "old");
    rewrite(&topology, |text| {
        text + "\n[limits]\nmax_topic_levels = 2\n[authz.publish]\ndeadline = '3s'\n"
    });
    assert_eventually!(reloads(metrics, "applied") >= 1);
    let mut new = topology.connect(Version::V5, "new");
    let id = old.publish(1, "a/b/c", "");
    old.complete(1, id);
    let id = new.publish(1, "a/b/c", "");
    new.expect_ack(Kind::Puback, id, 0x90);
    let id = new.publish(1, "a/b", "");
    new.complete(1, id);
    assert_eq!(topology.service().checks_of(Hook::Publish).len(), 2);
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let topology = start();
    let metrics = topology.gate().metrics();
    let path = topology.gate().configuration();
    let good = fs::read_to_string(&path).unwrap();
    rewrite(&topology, |text| {
        text + "\n[limits]\nmax_topic_levels = 'many'\n"
    });
    assert_eventually!(reloads(metrics, "refused") >= 1);
    assert_eq!(
        metrics.value("tidegate_config_last_reload_successful", &[]),
        0
    );
    let log = topology.gate().log();
    assert!(
        log.contains("limits.max_topic_levels") && log.contains("tidegate.toml:"),
        "{log}"
    );
    let _client = topology.connect(Version::V5, "client");
    rewrite(&topology, |_| good);
    assert_eventually!(metrics.value("tidegate_config_last_reload_successful", &[]) == 1);
}

#[test]
fn what_needs_a_restart_is_refused_by_name_and_with_it_all_else() {
    let topology = start();
    let metrics = topology.gate().metrics();
    rewrite(&topology, |text| {
        text.replace("127.0.0.1:0", "127.0.0.1:9")
            + "\n[limits]\nmax_connections = 7\nmax_topic_levels = 2\n"
    });
    assert_eventually!(reloads(metrics, "refused") >= 1);
    let log = topology.gate().log();
    for key in ["listeners.0.bind", "limits.max_connections", "probes.bind"] {
        assert!(log.contains(key), "{key} in {log}");
    }
    assert!(log.contains("tidegate.toml:"), "{log}");
    let mut client = topology.connect(Version::V5, "client");
    let id = client.publish(1, "a/b/c", "");
    client.complete(1, id);
}

#[test]
fn a_file_that_changes_is_read_without_being_told() {
    let topology = Topology::scripted()
        .set("admin.bind", "127.0.0.1:0")
        .set("log.filter", "info")
        .start();
    let admin = topology.gate().admin();
    let path = topology.gate().configuration();
    let text = fs::read_to_string(&path).unwrap();
    // As editors and Kubernetes do: another file in its place.
    let next = path.with_extension("next");
    fs::write(
        &next,
        text.replace("filter = \"info\"", "filter = \"info,tidegate=debug\""),
    )
    .unwrap();
    fs::rename(&next, &path).unwrap();
    assert_eventually!(get(admin, "/logging").json()["filter"] == "info,tidegate=debug");
    let dump = get(admin, "/config_dump");
    assert!(dump.body.contains("info,tidegate=debug"));
}

#[test]
fn the_service_can_be_moved_while_it_runs() {
    let topology = start();
    let metrics = topology.gate().metrics();
    let other = tidegate_tests::service::Scripted::start();
    let mut old = topology.connect(Version::V5, "old");
    let (was, will_be) = (topology.service().endpoint(), other.endpoint());
    rewrite(&topology, |text| text.replace(&was, &will_be));
    assert_eventually!(reloads(metrics, "applied") >= 1);
    let mut new = topology.connect(Version::V5, "new");
    for client in [&mut old, &mut new] {
        client.send(&Publish::new("t", ""));
        client.expect_nothing_before_pong();
    }
    assert_eventually!(topology.service().checks_of(Hook::Publish).len() == 1);
    assert_eventually!(other.checks_of(Hook::Publish).len() == 1);
    assert_eq!(other.checks_of(Hook::Connect).len(), 1);
}

#[test]
fn the_broker_can_be_moved_and_what_comes_of_dials_is_told() {
    let topology = start();
    let metrics = topology.gate().metrics();
    let dials = |result: &str| metrics.value("tidegate_broker_dials_total", &[("result", result)]);
    let other = tidegate_tests::recorder::Recorder::start();
    let mut old = topology.connect(Version::V5, "old");
    assert_eventually!(dials("ok") == 1);
    let was = topology.recorder().address().to_string();
    rewrite(&topology, |text| {
        text.replace(&was, &other.address().to_string())
    });
    assert_eventually!(reloads(metrics, "applied") >= 1);
    let _new = topology.connect(Version::V5, "new");
    assert_eq!(
        (topology.recorder().connections(), other.connections()),
        (1, 1)
    );
    old.expect_nothing_before_pong();
    // A port that nobody listens on.
    let applied = reloads(metrics, "applied");
    let was = other.address().to_string();
    rewrite(&topology, |text| text.replace(&was, "127.0.0.1:1"));
    assert_eventually!(reloads(metrics, "applied") > applied);
    let late = Connect::new("late").login("late", "");
    topology
        .try_connect(Version::V5, &late)
        .expect_refused(0x88);
    assert_eventually!(dials("connect") == 1);
    let count = metrics.value("tidegate_broker_dial_duration_seconds_count", &[]);
    assert_eq!(count, 2);
}

#[test]
fn sessions_of_at_most_eight_earlier_configurations_of_the_service_stay() {
    let topology = start();
    let metrics = topology.gate().metrics();
    let deadline = |number: u64| {
        let path = topology.gate().configuration();
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("[authz.publish]").next().unwrap().to_owned();
        fs::write(
            &path,
            format!(
                "{text}\n[authz.publish]\ndeadline = '{}ms'\n",
                2_000 + number
            ),
        )
        .unwrap();
        topology.gate().signal(Signal::HUP);
    };
    let mut clients = Vec::new();
    for number in 1..=8 {
        clients.push(topology.connect(Version::V5, &format!("c{number}")));
        deadline(number);
        assert_eventually!(reloads(metrics, "applied") >= number);
    }
    clients.push(topology.connect(Version::V5, "c9"));
    deadline(9);
    assert_eventually!(reloads(metrics, "refused") >= 1);
    assert!(topology.gate().log().contains("8 earlier configurations"));
    // As soon as one of them has nobody any more, there is room.
    clients.remove(0).leave();
    assert_eventually!({
        deadline(10);
        metrics.value("tidegate_config_last_reload_successful", &[]) == 1
    });
}

#[test]
fn a_door_can_be_changed_while_clients_are_connected() {
    let topology = Door::Ws
        .of(Topology::scripted())
        .set("probes.bind", "127.0.0.1:0")
        .start();
    let metrics = topology.gate().metrics();
    let mut old = Door::Ws.open(&topology, Version::V5);
    old.send(&Connect::new("old"));
    old.expect_connack(0);
    let page = || {
        let stream = door::connect(topology.gate().address());
        Ws::connect(stream, &[("origin", "https://app.example")]).is_ok()
    };
    assert!(!page());
    rewrite(&topology, |text| {
        text.replacen(
            "[[listeners]]",
            "[[listeners]]\nwebsocket.origins = ['https://app.example']",
            1,
        )
    });
    assert_eventually!(reloads(metrics, "applied") >= 1);
    assert!(page());
    old.expect_nothing_before_pong();
}

#[test]
fn a_door_that_can_not_be_had_changes_nothing() {
    let topology = Door::Tls
        .of(Topology::scripted())
        .set("probes.bind", "127.0.0.1:0")
        .start();
    let metrics = topology.gate().metrics();
    rewrite(&topology, |text| {
        assert!(text.contains("gate.crt"), "{text}");
        text.replace("gate.crt", "nothing.crt")
    });
    assert_eventually!(reloads(metrics, "refused") >= 1);
    let log = topology.gate().log();
    assert!(log.contains("listeners.0.tls.certificates.0.cert"), "{log}");
    let mut client = Door::Tls.open(&topology, Version::V5);
    client.send(&Connect::new("client"));
    client.expect_connack(0);
}
