//! A replica that is stopped in good order is missed by nobody.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use tidegate_tests::{Client, Topology, Version, gate::Settings, packet::Kind, wait::eventually};

use super::scene::Scene;

/// Clients at each gate that publish all the time.
const PUBLISHERS: usize = 4;
/// What each of them publishes before the replica is stopped, and after it is gone.
const MESSAGES: usize = 200;

#[test]
fn nobody_is_refused_while_a_replica_stops() {
    let mut scene = Scene::replicated(&Settings::default());
    let tallies: Vec<_> = (0..PUBLISHERS * 2).map(|_| AtomicUsize::new(0)).collect();
    let rejoined = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let gates = &scene.gates;
    let replica = &mut scene.replicas[1];
    let heard = thread::scope(|scope| {
        let mut heard = Vec::new();
        for (at, tally) in tallies.iter().enumerate() {
            let client = gates[at % 2].connect(Version::V5, "alice");
            heard.push(scope.spawn(|| publish(client, tally, &is_over)));
        }
        for gate in gates {
            heard.push(scope.spawn(|| come_and_go(gate, &rejoined, &is_over)));
        }
        let _end = Ending(&is_over);
        for phase in ["before", "after"] {
            let begun: Vec<_> = tallies.iter().map(load).collect();
            let joins = load(&rejoined);
            eventually(phase, || {
                let more = |(tally, begun): (&AtomicUsize, &usize)| load(tally) >= begun + MESSAGES;
                let all = tallies.iter().zip(&begun).all(more) && load(&rejoined) >= joins + 10;
                all.then_some(())
            });
            if phase == "before" {
                assert!(replica.terminate().success());
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let mut codes = BTreeMap::new();
        for (code, count) in heard.into_iter().flat_map(|it| it.join().unwrap()) {
            *codes.entry(code).or_insert(0) += count;
        }
        codes
    });
    println!("one of two replicas is stopped: {heard:02x?}");
    let is_refusal = |(_, code): &&(&str, u8)| *code >= 0x80;
    assert_eq!(heard.keys().find(is_refusal), None);
}

/// So that a failure does not leave the clients at it for ever.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Codes = BTreeMap<(&'static str, u8), usize>;

fn load(of: &AtomicUsize) -> usize {
    of.load(Ordering::Relaxed)
}

fn publish(mut client: Client, tally: &AtomicUsize, is_over: &AtomicBool) -> Codes {
    let mut codes = Codes::new();
    while !is_over.load(Ordering::Relaxed) {
        // Several at once, so that some are always being asked about.
        let ids: Vec<_> = (0..8).map(|_| client.publish(1, "alice/t", "")).collect();
        for id in ids {
            let packet = client.expect(Kind::Puback);
            assert_eq!(packet.id(), id);
            *codes.entry(("PUBACK", packet.codes()[0])).or_default() += 1;
            tally.fetch_add(1, Ordering::Relaxed);
        }
    }
    codes
}

/// Connects and subscribes, again and again.
fn come_and_go(gate: &Topology, rejoined: &AtomicUsize, is_over: &AtomicBool) -> Codes {
    let mut codes = Codes::new();
    while !is_over.load(Ordering::Relaxed) {
        let login = tidegate_tests::topology::login("bob");
        let mut client = gate.try_connect(Version::V5, &login);
        let code = client.expect(Kind::Connack).codes()[0];
        *codes.entry(("CONNACK", code)).or_default() += 1;
        if code == 0 {
            client.subscribe(&["bob/#"]);
            let code = client.expect(Kind::Suback).codes()[0];
            *codes.entry(("SUBACK", code)).or_default() += 1;
            client.leave();
        }
        rejoined.fetch_add(1, Ordering::Relaxed);
    }
    codes
}
