//! What an idle client costs, by the door through which it came.
//!
//! Measured from outside, as resident memory: so it counts what libraries hold, and what the allocator does not
//! give back. The figures are printed by `-- --nocapture`.

use std::{fs, time::Duration};

use crate::patient;

use tidegate_tests::{
    Client, Connect, Door, Topology, Version,
    wait::{eventually, poll_for},
};

/// Clients before the base is taken: what is made once is part of it.
const FIRST: usize = 100;

const CLIENTS: usize = 1_000;

/// KiB for each idle client, both legs, in a build without optimizations: 40 % above what was measured
/// (4.7, 12.4 and 12.6).
const BUDGETS: [(Door, f64); 3] = [(Door::Tcp, 6.5), (Door::Tls, 17.5), (Door::Wss, 17.5)];

#[test]
fn idle_clients_stay_within_their_budget() {
    for (door, budget) in BUDGETS {
        let mut topology = patient(door.of(Topology::scripted())).start();
        let gate = topology.gate_mut().program().id();
        let first: Vec<_> = (0..FIRST).map(|_| idle(door, &topology)).collect();
        let base = settled(gate);
        let clients: Vec<_> = (0..CLIENTS).map(|_| idle(door, &topology)).collect();
        let per_client = || (resident(gate) - base) / clients.len() as f64;
        let within = poll_for(Duration::from_secs(10), || {
            Some(per_client()).filter(|used| *used <= budget)
        });
        let used = within.unwrap_or_else(per_client);
        println!("{door:?}: {used:.1} KiB for each idle client (budget {budget})");
        assert!(
            within.is_some(),
            "{door:?}: {used:.1} KiB, and {budget} are allowed"
        );
        drop(first);
    }
}

fn idle(door: Door, topology: &Topology) -> Client {
    let mut client = door.open(topology, Version::V5);
    let id = tidegate_tests::topology::unique("idle");
    client.send(&Connect::new(id).keep_alive(0));
    client.expect_connack(0);
    client
}

/// Resident memory when it no longer changes.
fn settled(process: u32) -> f64 {
    let mut last = f64::NAN;
    eventually("memory settles", || {
        let now = resident(process);
        (std::mem::replace(&mut last, now) == now).then_some(now)
    })
}

/// In KiB.
fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
