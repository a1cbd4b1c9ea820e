//! What an idle client costs, by the door through which it came.
//!
//! Measured from outside, as resident memory: so it counts what libraries hold, and what the allocator does not
//! give back. The figures are printed by `-- --nocapture`. What is known when the program is built has a budget of
//! its own, to the byte (`listener/sizes.rs` of the data plane).

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::patient;

use tidegate_tests::{
    Client, Connect, Door, Topology, Version, topology::unique, wait::eventually,
};

/// Clients before the base is taken: what is made once is part of it.
const FIRST: usize = 100;

const CLIENTS: usize = 1_000;

/// How long memory has to be the same before it counts: sessions give some back a moment after their last packet.
const STILL: Duration = Duration::from_millis(500);

#[test]
fn an_idle_client_by_tcp_stays_within_its_budget() {
    stays_within(Door::Tcp, 5.6);
}

#[test]
fn an_idle_client_by_tls_stays_within_its_budget() {
    stays_within(Door::Tls, 14.8);
}

#[test]
fn an_idle_client_by_wss_stays_within_its_budget() {
    stays_within(Door::Wss, 15.0);
}

/// `budget` is in KiB for each client, both legs: 15 % above what a build without optimizations used.
#[track_caller]
fn stays_within(door: Door, budget: f64) {
    let mut topology = patient(door.of(Topology::scripted())).start();
    let gate = topology.gate_mut().program().id();
    let _first: Vec<_> = (0..FIRST).map(|_| idle(door, &topology)).collect();
    let base = settled(gate);
    let clients: Vec<_> = (0..CLIENTS).map(|_| idle(door, &topology)).collect();
    let used = (settled(gate) - base) / clients.len() as f64;
    let connections = topology.recorder().connections();
    assert_eq!(connections, FIRST + CLIENTS, "somebody came twice");
    println!("{door:?}: {used:.1} KiB for each of {CLIENTS} idle clients (budget {budget})");
    assert!(
        used <= budget,
        "{door:?}: {used:.1} KiB, and {budget} are allowed"
    );
}

fn idle(door: Door, topology: &Topology) -> Client {
    let mut client = door.open(topology, Version::V5);
    client.send(&Connect::new(unique("idle")).keep_alive(0));
    client.expect_connack(0);
    client
}

/// Resident memory when it no longer changes.
fn settled(process: u32) -> f64 {
    let mut last = (resident(process), Instant::now());
    eventually("memory settles", || {
        let now = resident(process);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() >= STILL).then_some(now)
    })
}

/// In KiB. Not `VmRSS` of `status`, which is behind by some pages for each thread.
fn resident(process: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
