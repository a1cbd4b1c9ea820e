//! Random packets, cut at random places, with random decisions after random times, against a model
//! of what has to come of them: what the client is told, and, byte for byte, what the broker sees.
//!
//! A seed makes the whole run; a failure names it. More seeds: `TIDEGATE_TEST_SEEDS=1000`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "nothing_unasked/model.rs"]
mod model;

use std::{collections::BTreeSet, env, fmt::Debug, ops::Range};

use fastrand::Rng;
use model::{Model, Step};
use tidegate_tests::{
    Check, Client, Connect, Packet, Topology, Version, all_versions,
    packet::{Encode as _, Kind, ack},
};

all_versions!(random_packets_and_decisions, |version| {
    let topology = Topology::scripted()
        .set("authz.subscribe.on_failure", "reject")
        .start();
    topology.service().answer(model::decide);
    for seed in seeds() {
        println!("seed {seed}");
        run_one(&topology, version, seed);
    }
});

fn seeds() -> Range<u64> {
    let count = env::var("TIDEGATE_TEST_SEEDS").ok();
    0..count.map_or(40, |count| count.parse().expect("a number of seeds"))
}

fn run_one(topology: &Topology, version: Version, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let model = Model::random(&mut rng, version);
    let recorder = topology.recorder();
    let connections = recorder.connections();

    let client_id = format!("client {seed}");
    let connect = Connect::new(&client_id).encode(version);
    let mut client = topology.open(version);
    if rng.bool() {
        send_in_random_pieces(&mut client, &mut rng, &[connect, model.bytes()].concat());
        client.expect_connack(0);
    } else {
        client.send_raw(&connect);
        client.expect_connack(0);
        send_in_random_pieces(&mut client, &mut rng, &model.bytes());
    }
    let told = converse(&mut client, &model);
    drop(client);
    recorder.wait_closed(connections);

    assert_told(&told, &model, seed);
    assert_seen(&recorder.connection(connections), &model, seed);
    // Some may be of an earlier client: its end does not keep them from coming.
    let mut checks = topology.service().checks();
    checks.retain(|check| check.session().client_id == client_id);
    assert_asked(&checks, &model, seed);
}

/// PUBACK comes in the order of the messages, and so does PUBREC; the other answers come in any.
fn assert_told(told: &[Step], model: &Model, seed: u64) {
    let expected = model.told();
    for kind in [Kind::Puback, Kind::Pubrec] {
        let of_kind = |steps: &[Step]| {
            let steps = steps.iter().filter(|step| step.0 == kind);
            steps.cloned().collect::<Vec<_>>()
        };
        let what = format!("seed {seed}: {kind:?} for the client");
        assert_same(&of_kind(told), &of_kind(&expected), model, &what);
    }
    let wrong = told.iter().find(|step| !expected.contains(step));
    assert_eq!(wrong, None, "seed {seed}: an answer for the client");
    if !model.ends_early() {
        assert_eq!(
            told.len(),
            expected.len(),
            "seed {seed}: answers for the client"
        );
    }
}

/// Byte for byte, and in the order in which it was sent, the broker sees what was allowed.
fn assert_seen(seen: &[Packet], model: &Model, seed: u64) {
    let of_kinds = |kinds: &[Kind]| {
        let wanted = seen.iter().filter(|packet| kinds.contains(&packet.kind()));
        wanted.cloned().collect::<Vec<_>>()
    };
    let decided = of_kinds(&[Kind::Publish, Kind::Subscribe, Kind::Unsubscribe]);
    let decided: Vec<_> = decided
        .iter()
        .map(|packet| packet.bytes().to_vec())
        .collect();
    assert_same(
        &decided,
        &model.admitted(),
        model,
        &format!("seed {seed}: packets at the broker"),
    );

    let released: BTreeSet<_> = of_kinds(&[Kind::Pubrel]).iter().map(Packet::id).collect();
    assert_eq!(
        released,
        model.released(),
        "seed {seed}: PUBREL at the broker"
    );
}

/// Nothing was asked twice, and nothing was admitted unasked.
fn assert_asked(checks: &[Check], model: &Model, seed: u64) {
    let topics = checks
        .iter()
        .map(Check::topic)
        .filter(|topic| !topic.is_empty());
    let mut asked = BTreeSet::new();
    for topic in topics {
        assert!(asked.insert(topic), "seed {seed}: {topic} was asked twice");
    }
    for topic in model.admitted_topics() {
        assert!(
            asked.contains(topic.as_str()),
            "seed {seed}: {topic} was admitted unasked"
        );
    }
}

/// Asserts that what came is what was expected. When a failure ends the connection, what was on its
/// way then may be missing, but nothing else may be there.
#[track_caller]
fn assert_same<T: PartialEq + Debug>(found: &[T], expected: &[T], model: &Model, what: &str) {
    let end = match model.ends_early() {
        true => found.len().min(expected.len()),
        false => expected.len(),
    };
    assert_eq!(found, &expected[..end], "{what}");
}

fn send_in_random_pieces(client: &mut Client, rng: &mut Rng, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=bytes.len().min(200)));
        client.send_in_vain(piece);
        bytes = rest;
    }
}

/// Reads what the client is told until it is complete, and goes on with the QoS 2 exchanges.
fn converse(client: &mut Client, model: &Model) -> Vec<Step> {
    let (mut told, mut pongs, mut open) = (Vec::new(), 0, 0);
    while told.len() < model.told().len() || pongs < model.pings() || open > 0 {
        let Some(packet) = client.try_next() else {
            break;
        };
        match packet.kind() {
            Kind::Pingresp => pongs += 1,
            Kind::Pubcomp => open -= 1,
            kind => {
                if kind == Kind::Pubrec && packet.codes()[0] < 0x80 && !model.ends_early() {
                    client.send_raw(&ack(Kind::Pubrel, packet.id()));
                    open += 1;
                }
                told.push((kind, packet.id(), packet.codes()));
            }
        }
    }
    told
}
