//! The end: not ready, nobody new, then one after the other.

use tidegate_tests::{
    Topology, Version, assert_eventually,
    http::{ask, get},
    process::Signal,
};

#[test]
fn a_gate_that_ends_says_so_first_and_serves_meanwhile() {
    let mut topology = Topology::scripted()
        .set("probes.bind", "127.0.0.1:0")
        .set("admin.bind", "127.0.0.1:0")
        .set("drain.delay", "60s")
        .start();
    let (probes, admin) = (topology.gate().probes(), topology.gate().admin());
    let mut client = topology.connect(Version::V5, "client");
    assert_eventually!(get(probes, "/readyz").status == 200);
    topology.gate().signal(Signal::TERM);
    assert_eventually!(get(probes, "/readyz").status == 503);
    assert_eq!(get(probes, "/readyz").body, "draining\n");
    assert_eq!(get(probes, "/healthz").status, 200);
    // The delay is not over: who is there stays, who comes is let in.
    client.expect_nothing_before_pong();
    let mut late = topology.connect(Version::V311, "late");

    assert_eq!(ask(admin, "POST", "/quitquitquit", "", "").status, 202);
    client.expect_end(0x8B);
    late.expect_end(0x8B);
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut topology = Topology::scripted().set("drain.delay", "60s").start();
    let _client = topology.connect(Version::V5, "client");
    let program = topology.gate_mut().program();
    program.signal(Signal::TERM);
    program.wait_for("it drains", |line| line.contains("draining").then_some(()));
    program.signal(Signal::INT);
    assert_eq!(program.wait_exit().code(), Some(1));
}

#[test]
fn the_administrator_can_start_a_drain() {
    let mut topology = Topology::scripted()
        .set("admin.bind", "127.0.0.1:0")
        .set("drain.duration", "100ms")
        .start();
    let admin = topology.gate().admin();
    let mut clients: Vec<_> = (0..20)
        .map(|index| topology.connect(Version::V5, &format!("client-{index}")))
        .collect();
    assert_eq!(get(admin, "/drain").status, 405);
    assert_eq!(ask(admin, "POST", "/drain", "", "").status, 202);
    for client in &mut clients {
        client.expect_end(0x8B);
    }
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
}
