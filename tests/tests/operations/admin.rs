//! The administrator's listener.

use tidegate_tests::{
    Connect, Topology, Version, assert_eventually,
    gate::run_to_end,
    http::{ask, get, get_unix},
};

fn start() -> Topology {
    Topology::scripted()
        .set("admin.bind", "127.0.0.1:0")
        .set("broker.connect_timeout", "7s")
        .start()
}

#[test]
fn the_configuration_is_told_with_the_place_of_each_value_and_without_secrets() {
    let topology = Topology::scripted()
        .set("admin.bind", "127.0.0.1:0")
        .set("broker.connect_timeout", "7s")
        .set("telemetry.otlp_endpoint", "http://127.0.0.1:4317")
        .set("listeners.0.attributes.api_token", "hush-hush")
        .env("TIDEGATE__LIMITS__MAX_INFLIGHT", "77")
        .start();
    let dump = get(topology.gate().admin(), "/config_dump");
    assert!(!dump.body.contains("hush-hush"), "{}", dump.body);
    let dump = dump.json();
    let entries = dump["entries"].as_array().unwrap();
    let entry = |key: &str| entries.iter().find(|entry| entry["key"] == key).unwrap();
    assert_eq!(entry("broker.connect_timeout")["value"], "7s");
    let origin = entry("broker.connect_timeout")["origin"].as_str().unwrap();
    assert!(origin.contains("tidegate.toml:"), "{origin}");
    assert_eq!(entry("limits.max_inflight")["value"], 77);
    let origin = entry("limits.max_inflight")["origin"].as_str().unwrap();
    assert!(origin.ends_with("TIDEGATE__LIMITS__MAX_INFLIGHT"));
    assert_eq!(entry("limits.max_filters")["origin"], "default");
    let secret = &entry("listeners.0.attributes.api_token")["value"];
    assert_eq!(secret, "<redacted>");
}

#[test]
fn sessions_are_told_page_by_page() {
    let topology = start();
    let admin = topology.gate().admin();
    let clients: Vec<_> = (0..5)
        .map(|index| {
            let connect = Connect::new(format!("c{index}")).login("alice", "hush-hush");
            topology.join(Version::V5, &connect)
        })
        .collect();
    let token = Connect::new("jwt").login("eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2lnbmF0dXJl", "");
    let bearer = topology.join(Version::V311, &token);
    let ids = |path: &str| -> (Vec<String>, serde_json::Value) {
        let page = get(admin, path);
        assert!(!page.body.contains("hush-hush") && !page.body.contains("eyJ"));
        let page = page.json();
        let ids = page["sessions"].as_array().unwrap().iter();
        let ids = ids.map(|it| it["client_id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next_after"].clone())
    };
    let (first, next) = ids("/sessions?limit=4");
    assert_eq!(first, ["c0", "c1", "c2", "c3"]);
    let (second, next) = ids(&format!("/sessions?limit=4&after={next}"));
    assert_eq!(second, ["c4", "jwt"]);
    assert!(next.is_null());
    assert_eq!(ids("/sessions?client_id=c3").0, ["c3"]);
    assert_eq!(ids("/sessions?username=alice").0.len(), 5);
    assert_eq!(get(admin, "/sessions?limit=100000").status, 400);
    drop((clients, bearer));
    assert_eventually!(ids("/sessions").0.is_empty());
}

#[test]
fn pages_in_a_browser_can_neither_read_nor_end_anything() {
    let mut topology = start();
    let admin = topology.gate().admin();
    let evil = "Origin: http://evil.example\r\n";
    for path in ["/drain", "/quitquitquit", "/logging"] {
        assert_eq!(ask(admin, "POST", path, evil, "off").status, 403, "{path}");
        assert_eq!(
            ask(admin, "POST", path, "Host: evil.example\r\n", "off").status,
            403
        );
    }
    let rebound = ask(admin, "GET", "/sessions", "Host: evil.example\r\n", "");
    assert_eq!(rebound.status, 403);
    assert!(topology.gate_mut().program().is_running());
    let page = get(admin, "/");
    assert!(page.body.contains("<!doctype html>") && !page.body.contains("<script"));
}

#[test]
fn the_log_filter_can_be_changed_while_it_runs() {
    let topology = start();
    let admin = topology.gate().admin();
    assert_eq!(get(admin, "/logging").json()["filter"], "info");
    let refused = ask(admin, "POST", "/logging", "", "info,tidegate=lots");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(!topology.gate().log().contains("session connected"));
    assert_eq!(ask(admin, "POST", "/logging", "", "debug").status, 200);
    let _client = topology.connect(Version::V5, "seen");
    assert_eventually!(topology.gate().log().contains("session connected"));
    let too_long = ask(admin, "POST", "/logging", "", &"x".repeat(100_000));
    assert_eq!(too_long.status, 413);
}

#[test]
fn a_unix_socket_is_for_its_owner_alone_and_goes_with_the_gate() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    // What a gate that was killed has left behind is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut topology = Topology::scripted()
        .set("admin.bind", format!("unix:{}", path.display()))
        .start();
    assert_eventually!(topology.gate().log().contains("serving the administrator"));
    assert_eq!(get_unix(&path, "/config_dump").status, 200);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let program = topology.gate_mut().program();
    program.signal(tidegate_tests::process::Signal::TERM);
    assert_eq!(program.wait_exit().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn an_address_that_others_can_reach_has_to_be_wanted() {
    let output = run_to_end(&["check"], "[admin]\nbind = '0.0.0.0:9901'", &[]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("admin.acknowledge_exposed"), "{said}");
    let wanted = "[admin]\nbind = '0.0.0.0:9901'\nacknowledge_exposed = true";
    assert!(run_to_end(&["check"], wanted, &[]).status.success());
}
