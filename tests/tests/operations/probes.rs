//! `/healthz`, `/readyz`, `/metrics`, and the command that asks them.

use tidegate_tests::{
    Connect, Topology, Version, assert_eventually,
    gate::run_to_end,
    http::{ask, get},
    service::Scripted,
};

#[test]
fn ready_is_who_had_an_answer_once_and_an_outage_changes_nothing() {
    let mut service = Scripted::start();
    service.stop();
    let topology = Topology::scripted()
        .service_at(service.endpoint())
        .set("probes.bind", "127.0.0.1:0")
        .set("authz.connect.deadline", "200ms")
        .start();
    let probes = topology.gate().probes();
    assert_eq!(get(probes, "/healthz").status, 200);
    let waiting = get(probes, "/readyz");
    assert_eq!(waiting.status, 503, "{waiting:?}");
    assert!(waiting.body.contains("authorization"), "{waiting:?}");

    service.restart();
    assert_eventually!(get(probes, "/readyz").status == 200);
    service.stop();
    let mut client = topology.try_connect(Version::V5, &Connect::new("client"));
    client.expect_refused(0x88);
    assert_eq!(get(probes, "/readyz").status, 200);
    assert_eq!(get(probes, "/healthz").status, 200);
}

#[test]
fn who_connects_and_says_nothing_keeps_nobody_out() {
    let topology = Topology::scripted()
        .set("probes.bind", "127.0.0.1:0")
        .start();
    let probes = topology.gate().probes();
    let _silent: Vec<_> = (0..100)
        .map(|_| std::net::TcpStream::connect(probes).unwrap())
        .collect();
    assert_eq!(get(probes, "/healthz").status, 200);
}

#[test]
fn they_are_only_to_be_read_and_nothing_else_is_there() {
    let topology = Topology::scripted()
        .set("probes.bind", "127.0.0.1:0")
        .start();
    let probes = topology.gate().probes();
    let metrics = get(probes, "/metrics");
    assert!(
        metrics
            .body
            .contains("tidegate_config_last_reload_successful 1")
    );
    for path in ["/healthz", "/readyz", "/metrics"] {
        let refused = ask(probes, "POST", path, "", "");
        assert_eq!(refused.status, 405, "{path}");
        assert!(refused.head.to_lowercase().contains("allow: get"));
        let head = ask(probes, "HEAD", path, "", "");
        assert!(
            head.status != 405 && head.body.is_empty(),
            "{path} {head:?}"
        );
    }
    for path in ["/", "/config_dump", "/sessions", "/drain", "/quitquitquit"] {
        assert_eq!(ask(probes, "POST", path, "", "").status, 404, "{path}");
        assert_eq!(get(probes, path).status, 404, "{path}");
    }
}

#[test]
fn the_former_name_of_the_listener_works_and_both_together_do_not() {
    let topology = Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    assert_eq!(get(topology.gate().probes(), "/healthz").status, 200);
    let both = "[metrics]\nbind = '127.0.0.1:1'\n[probes]\nbind = '127.0.0.1:1'";
    let output = run_to_end(&["check"], both, &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`metrics.bind`"));
}

#[test]
fn a_command_asks_whether_a_gate_is_ready() {
    let topology = Topology::scripted()
        .set("probes.bind", "127.0.0.1:0")
        .start();
    let probes = topology.gate().probes();
    let config = format!("[probes]\nbind = '0.0.0.0:{}'", probes.port());
    assert_eventually!(run_to_end(&["health"], &config, &[]).status.success());
    assert!(
        run_to_end(&["health", "--live"], &config, &[])
            .status
            .success()
    );
    drop(topology);
    assert_eq!(run_to_end(&["health"], &config, &[]).status.code(), Some(1));
    assert_eq!(run_to_end(&["health"], "", &[]).status.code(), Some(78));
}
