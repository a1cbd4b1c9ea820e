//! The service restarts, again and again, under load: no QoS 1 message is acknowledged as a success and lost.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use tidegate_tests::{
    Connect, Topology, Version, metrics::sum_in, packet::Kind, topology::unique, wait::eventually,
};

use crate::cells::CHECKS;

const RESTARTS: usize = 5;

/// What became of a client's messages, by their numbers.
#[derive(Debug, Default)]
struct Log {
    /// Acknowledged as a success, in this order.
    acknowledged: Vec<usize>,
    /// Refused (0x83): at the broker they are nowhere.
    refused: HashSet<usize>,
    /// Sent when the connection ended: nobody said anything.
    unsaid: usize,
    connections: usize,
}

#[test]
fn restarts_under_load_lose_nothing_that_was_acknowledged() {
    let mut topology = Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .set("authz.publish.deadline", "1s")
        .start();
    let gate = topology.gate().address();
    let stop = AtomicBool::new(false);
    let versions = [Version::V5, Version::V311, Version::V5, Version::V31];
    let logs: Vec<Log> = thread::scope(|scope| {
        let stop = &stop;
        let clients: Vec<_> = (0..)
            .zip(versions)
            .map(|(client, version)| scope.spawn(move || publish(gate, client, version, stop)))
            .collect();
        for round in 0..RESTARTS {
            // There is work in flight when it goes away.
            let decided = topology.recorder().count(Kind::Publish);
            eventually("messages arrive", || {
                (topology.recorder().count(Kind::Publish) > decided + 200).then_some(())
            });
            topology.service_mut().stop();
            let failures = failures(&topology);
            if round % 2 == 0 {
                eventually("the outage is felt", || {
                    (self::failures(&topology) > failures).then_some(())
                });
            }
            let decided = topology.recorder().count(Kind::Publish);
            topology.service_mut().restart();
            let back = Instant::now();
            eventually("messages arrive again", || {
                (topology.recorder().count(Kind::Publish) > decided).then_some(())
            });
            println!(
                "restart {round}: messages arrive again after {:.1?}",
                back.elapsed()
            );
        }
        stop.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().expect("a client that ends"))
            .collect()
    });
    // What was acknowledged is there: the acknowledgement is the broker's.
    let packets = topology.recorder().packets(Kind::Publish);
    for ((client, version), log) in (0..).zip(versions).zip(&logs) {
        let topic = topic(client);
        let mut seen = HashSet::new();
        let arrived: Vec<usize> = packets
            .iter()
            .filter(|packet| packet.topic() == topic)
            .map(|packet| {
                String::from_utf8_lossy(packet.payload())
                    .parse()
                    .expect("a number")
            })
            // The same again after a new connection is what QoS 1 permits.
            .filter(|number| seen.insert(*number))
            .collect();
        println!(
            "{version:?}: {} acknowledged, {} refused, {} unsaid, {} connections; {} at the broker",
            log.acknowledged.len(),
            log.refused.len(),
            log.unsaid,
            log.connections,
            arrived.len()
        );
        assert!(
            arrived.is_sorted(),
            "{version:?}: another order: {arrived:?}"
        );
        let lost: Vec<_> = log
            .acknowledged
            .iter()
            .filter(|it| !seen.contains(it))
            .collect();
        assert!(
            lost.is_empty(),
            "{version:?}: acknowledged and lost: {lost:?}"
        );
        let told: Vec<_> = log.refused.iter().filter(|it| seen.contains(it)).collect();
        assert!(
            told.is_empty(),
            "{version:?}: refused and forwarded: {told:?}"
        );
        assert!(log.acknowledged.is_sorted(), "{version:?}: out of turn");
    }
    let outcomes = |outcome| {
        let text = topology.gate().metrics().text();
        sum_in(&text, CHECKS, &[("hook", "publish"), ("outcome", outcome)])
    };
    println!(
        "publish checks: {} allowed, {} failed, {} given up with their session",
        outcomes("allow"),
        outcomes("failure"),
        outcomes("cancelled")
    );
    assert_eq!(outcomes("deny"), 0, "a failure is no denial");
}

fn failures(topology: &Topology) -> u64 {
    let labels = [("outcome", "failure")];
    topology.gate().metrics().value(CHECKS, &labels)
}

fn topic(client: usize) -> String {
    format!("numbers/{client}")
}

/// Publishes numbers, a few at a time, until it is told to stop. Connects again whenever it has to, and goes on
/// with the first number that was not acknowledged.
fn publish(gate: std::net::SocketAddr, client: usize, version: Version, stop: &AtomicBool) -> Log {
    const WINDOW: usize = 16;
    let mut log = Log::default();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = tidegate_tests::Client::open(gate, version);
        connection.send(&Connect::new(unique("client")));
        let connack = connection.try_next();
        if connack.is_none_or(|packet| packet.codes() != [0]) {
            // As a client would, only sooner.
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        log.connections += 1;
        // Numbers by their packet identifiers, which come back in order.
        let mut waiting = std::collections::VecDeque::new();
        'connected: loop {
            while waiting.len() < WINDOW && !stop.load(Ordering::Relaxed) {
                let id = u16::try_from(next % 60_000).expect("it is small") + 1;
                let message = tidegate_tests::Publish::new(topic(client), next.to_string());
                let bytes = tidegate_tests::packet::Encode::encode(&message.qos(1).id(id), version);
                connection.send_in_vain(&bytes);
                waiting.push_back((id, next));
                next += 1;
            }
            let Some((id, number)) = waiting.pop_front() else {
                break;
            };
            match connection.try_next() {
                Some(packet) if packet.kind() == Kind::Puback => {
                    assert_eq!(packet.id(), id, "acknowledged out of turn");
                    match packet.codes()[..] {
                        [0x00] => log.acknowledged.push(number),
                        [0x83] => drop(log.refused.insert(number)),
                        ref codes => panic!("{version:?}: PUBACK {codes:02x?}"),
                    }
                }
                other => {
                    assert!(version != Version::V5, "the session ended: {other:?}");
                    log.unsaid += waiting.len() + 1;
                    next = number;
                    break 'connected;
                }
            }
        }
    }
    log
}
