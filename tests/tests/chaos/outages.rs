//! The service is gone, and something or nothing else is in its place. And then it is back.

use std::{
    any::Any,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tidegate_tests::{
    Connect, Topology, Version,
    black_hole::BlackHole,
    packet::Kind,
    rogue::{Manner, Rogue},
    topology::unique,
    wait::eventually,
};

use crate::{
    cells::{self, End, Sent},
    table::{Table, play_all},
};

/// What is in the place of the service.
#[derive(Debug, Clone, Copy)]
enum Place {
    Refused,
    BlackHole,
    Rogue(Manner),
}

impl Place {
    /// Takes the place, as long as the result lives.
    fn take(self, address: SocketAddr) -> Box<dyn Any> {
        match self {
            Self::Refused => Box::new(()),
            Self::BlackHole => Box::new(BlackHole::open_at(address)),
            Self::Rogue(manner) => Box::new(Rogue::start_at(address, manner)),
        }
    }
}

/// What is sent: a will is asked about after its CONNECT was allowed, which it can't be.
const PACKETS: [Sent; 5] = [
    Sent::Connect,
    Sent::Publish(0),
    Sent::Publish(1),
    Sent::Publish(2),
    Sent::Subscribe,
];

#[test]
fn every_outage_for_every_packet() {
    let places = [Place::Refused, Place::BlackHole];
    let rogues = Manner::ALL.into_iter().map(Place::Rogue);
    let places = places.into_iter().chain(rogues).map(|place| {
        let name = match place {
            Place::Refused => "connection refused".to_owned(),
            Place::BlackHole => "connections hang".to_owned(),
            Place::Rogue(manner) => format!("accepts, then: {manner:?}").to_lowercase(),
        };
        (name, place)
    });
    let table = play_all(places, |name, place, table| outage(name, *place, table));
    table.finish("What a packet gets while the service is away");
}

fn outage(name: &str, place: Place, table: &mut Table) {
    let mut topology = Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .set("authz.connect.deadline", "1s")
        .set("authz.publish.deadline", "1s")
        .set("authz.subscribe.deadline", "1s")
        .start();
    let mut clients = Vec::new();
    for sent in PACKETS {
        for version in Version::ALL {
            let client = eventually("a session before the outage", || {
                prepare(&topology, sent, version)
            });
            clients.push((sent, version, client));
        }
    }
    let sessions = topology.recorder().connections();
    let address = topology.service().address();
    topology.service_mut().stop();
    let there = place.take(address);
    for (sent, version, client) in &mut clients {
        // Whether it was not reached in time, or not at all, depends on who is quicker.
        let reasons = ["unavailable", "timeout"];
        let got = cells::play(&topology, client, *sent, End::Failed, &reasons);
        table.note(name, (*sent, *version, End::Failed), got);
    }
    if topology.recorder().connections() != sessions {
        table.fail(name, "a CONNECT reached the broker");
    }
    let (topics, filters) = (topology.recorder().topics(), topology.recorder().filters());
    if !topics.is_empty() || !filters.is_empty() {
        table.fail(name, format!("the broker saw {topics:?} {filters:?}"));
    }
    drop(there);
    eventually("the port is free", || {
        (!BlackHole::answers(address, Duration::from_millis(50))).then_some(())
    });
    topology.service_mut().restart();
    recover(name, &topology);
}

fn prepare(topology: &Topology, sent: Sent, version: Version) -> Option<tidegate_tests::Client> {
    if sent.is_first() {
        return Some(topology.open(version));
    }
    let mut client = topology.try_connect(version, &Connect::new(unique("client")));
    let packet = client.try_next()?;
    (packet.kind() == Kind::Connack && packet.codes() == [0]).then_some(client)
}

/// Waits until CONNECT, PUBLISH and SUBSCRIBE are allowed again, and prints how long that took.
fn recover(name: &str, topology: &Topology) {
    let back = Instant::now();
    let step = |what: &str, mut works: Box<dyn FnMut() -> Option<()> + '_>| {
        eventually(what, &mut works);
        back.elapsed()
    };
    let mut client = None;
    let connected = step(
        "CONNECT is allowed again",
        Box::new(|| {
            client = prepare(topology, Sent::Publish(1), Version::V5);
            client.as_ref().map(drop)
        }),
    );
    let mut client = client.expect("it is connected");
    let published = step(
        "PUBLISH is allowed again",
        Box::new(|| {
            client.publish(1, "after", "");
            (client.expect(Kind::Puback).codes() == [0]).then_some(())
        }),
    );
    let subscribed = step(
        "SUBSCRIBE is allowed again",
        Box::new(|| {
            let mut client = prepare(topology, Sent::Subscribe, Version::V311)?;
            client.subscribe(&["after"]);
            let packet = client.try_next()?;
            (packet.kind() == Kind::Suback && packet.codes() == [2]).then_some(())
        }),
    );
    println!(
        "{name}: back after {connected:.1?} (CONNECT), {published:.1?} (PUBLISH), {subscribed:.1?} (SUBSCRIBE)"
    );
}
