//! The same story from every kind of client to every kind of broker connection, in both versions of MQTT:
//! what is allowed arrives, what is not does not. With `--nocapture`, a table.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Instant,
};

use tidegate_tests::{
    Door, Subscribe, Topology, Version,
    mosquitto::Entrance,
    packet::Kind,
    topology::{login, unique},
};

/// How the gate reaches the broker.
const LEGS: [Entrance; 4] = [Entrance::Tcp, Entrance::Tls, Entrance::Ws, Entrance::Unix];

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// What became of one story.
struct Cell {
    door: Door,
    leg: Entrance,
    version: Version,
    is_good: bool,
    millis: u128,
}

#[test]
fn every_client_transport_to_every_broker_transport() {
    let column = |leg| {
        let doors = Door::ALL.into_iter();
        move || doors.flat_map(|door| cells(door, leg)).collect::<Vec<_>>()
    };
    let cells: Vec<_> = thread::scope(|scope| {
        let columns = LEGS.map(|leg| scope.spawn(column(leg)));
        let columns = columns.into_iter();
        columns.flat_map(|column| column.join().unwrap()).collect()
    });
    print(&cells);
    let bad = cells.iter().filter(|cell| !cell.is_good).count();
    assert_eq!(cells.len(), Door::ALL.len() * LEGS.len() * VERSIONS.len());
    assert_eq!(bad, 0, "cells that failed; the table says which");
}

fn cells(door: Door, leg: Entrance) -> Vec<Cell> {
    let topology = door.of(Topology::real().broker_over(leg)).start();
    let cell = |version| {
        let began = Instant::now();
        // A cell that fails leaves the others to be seen.
        let told = catch_unwind(AssertUnwindSafe(|| story(&topology, door, version)));
        Cell {
            door,
            leg,
            version,
            is_good: told.is_ok(),
            millis: began.elapsed().as_millis(),
        }
    };
    VERSIONS.map(cell).into()
}

fn story(topology: &Topology, door: Door, version: Version) {
    let mut alice = door.open(topology, version);
    alice.send(&login("alice"));
    alice.expect_connack(0);

    let (own, foreign) = (unique("alice/x"), unique("bob/x"));
    let id = alice.next_id();
    alice.send(&Subscribe::new(id).filter(&own, 1).filter(&foreign, 1));
    alice.expect_suback(id, &[1, version.pick(0x80, 0x87)]);

    // [MQTT-3.3.4-1]: it comes back, and the foreign one does not reach anybody.
    let mut witness = topology.witness(&[&own, &foreign]);
    let id = alice.publish(1, &foreign, "never");
    alice.expect_ack(Kind::Puback, id, version.pick(0, 0x87));
    let payload = vec![7; 100_000];
    let id = alice.publish(1, &own, &payload);
    alice.wait_for(|packet| packet.kind() == Kind::Puback && packet.id() == id);
    alice.expect_publish(&own, &payload);
    witness.expect_publish(&own, &payload);
    alice.leave();

    let mut nobody = door.open(topology, version);
    nobody.send(&login("alice").login("alice", "wrong"));
    nobody.expect_refused_with_any(version.pick(&[0x04, 0x05], &[0x86, 0x87]));
}

fn print(cells: &[Cell]) {
    let row = |name: &str, texts: [String; LEGS.len()]| {
        println!(
            "{name:<17}{}",
            texts.map(|text| format!("{text:>12}")).concat()
        );
    };
    row("client \\ broker", LEGS.map(|leg| format!("{leg:?}")));
    for door in Door::ALL {
        for version in VERSIONS {
            let is_here = |cell: &&Cell| cell.door == door && cell.version == version;
            let of = |leg| cells.iter().filter(is_here).find(|cell| cell.leg == leg);
            let texts = LEGS.map(|leg| {
                of(leg).map_or("missing".to_owned(), |cell| match cell.is_good {
                    true => format!("ok {} ms", cell.millis),
                    false => "FAILED".to_owned(),
                })
            });
            row(&format!("{door:?}, {version:?}"), texts);
        }
    }
}
