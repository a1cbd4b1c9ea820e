//! Beginnings and ends: configuration, listeners, limits before a CONNECT is decided, the broker
//! that is not there, and SIGTERM.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "lifecycle/broker.rs"]
mod broker;
#[path = "lifecycle/configuration.rs"]
mod configuration;
#[path = "lifecycle/limits.rs"]
mod limits;

use std::{
    net::{SocketAddr, TcpListener},
    time::Instant,
};

use tidegate_tests::{Topology, Version, both_versions, process::Signal, recorder::Recorder};

/// An address where nothing listens.
fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener")
}

both_versions!(the_environment_wins_over_the_file, |version| {
    let recorder = Recorder::start();
    let topology = Topology::scripted()
        .broker_at(nowhere())
        .env(
            "TIDEGATE__BROKER__URL",
            &format!("mqtt://{}", recorder.address()),
        )
        .env("TIDEGATE__LISTENERS__0__NAME", "renamed")
        .start();
    let _client = topology.connect(version, "client");
    assert_eq!(recorder.connections(), 1);
    assert_eq!(topology.service().checks()[0].session().listener, "renamed");
});

#[test]
fn sigterm_tells_the_clients_and_exits_with_0() {
    let mut topology = Topology::scripted().start();
    let mut v311 = topology.connect(Version::V311, "v311");
    let mut v5 = topology.connect(Version::V5, "v5");
    let address = topology.gate().address();
    let asked = Instant::now();
    topology.gate_mut().program().signal(Signal::TERM);
    v5.expect_end(0x8B);
    v311.expect_end(0x8B);
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
    println!("drained and ended {:?} after SIGTERM", asked.elapsed());
    assert!(std::net::TcpStream::connect(address).is_err());
    for index in 0..2 {
        topology.recorder().wait_closed(index);
    }
}

#[test]
fn a_message_that_was_acknowledged_before_sigterm_is_at_the_broker() {
    let mut topology = Topology::scripted().start();
    let mut client = topology.connect(Version::V5, "client");
    for _ in 0..10 {
        let id = client.publish(1, "t", "");
        client.complete(1, id);
    }
    topology.gate_mut().program().signal(Signal::TERM);
    client.expect_end(0x8B);
    assert_eq!(topology.recorder().topics().len(), 10);
}

#[test]
fn sigterm_without_any_client_exits_with_0() {
    let mut topology = Topology::scripted().start();
    topology.gate_mut().program().signal(Signal::TERM);
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
}
