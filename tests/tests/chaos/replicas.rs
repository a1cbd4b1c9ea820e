//! One of three replicas of the service is slow, dead or a liar.

use std::collections::BTreeMap;

use tidegate_tests::{
    Client, Topology, Version,
    framed::{Framed, Kind as Asked, Lie, Play},
    metrics::{Metrics, sum_in},
    packet::Kind,
    wait::eventually,
};

/// Failed calls in a row after which a replica is left alone.
const PATIENCE: usize = 5;
/// Messages that are published once it is known which replica is bad.
const MESSAGES: usize = 150;

/// Three replicas and a gate in front of them.
struct Scene {
    replicas: [Framed; 3],
    topology: Topology,
}

impl Scene {
    fn start() -> Self {
        let replicas = [(); 3].map(|()| Framed::start());
        let endpoints: Vec<_> = replicas.iter().map(Framed::endpoint).collect();
        let topology = Topology::scripted()
            .services_at(&endpoints)
            .set("metrics.bind", "127.0.0.1:0")
            .set("authz.publish.deadline", "1s")
            .start();
        Self { replicas, topology }
    }

    fn metrics(&self) -> Metrics {
        self.topology.gate().metrics()
    }

    /// A gauge of a replica, for PUBLISH.
    fn gauge(&self, name: &str, replica: usize) -> u64 {
        let address = self.replicas[replica].endpoint();
        let address = address.trim_start_matches("http://");
        let labels = [("hook", "publish"), ("server_address", address)];
        sum_in(&self.metrics().text(), name, &labels)
    }

    /// Waits until all three are connected for PUBLISH.
    fn settle(&self, client: &mut Client) {
        publish(client, "settle");
        eventually("all replicas are connected", || {
            let up = |replica| self.gauge("tidegate_authz_endpoint_healthy", replica) == 1;
            (0..3).all(up).then_some(())
        });
    }

    /// What is at the broker, but for the messages that were to settle things.
    fn forwarded(&self) -> usize {
        let topics = self.topology.recorder().topics();
        topics.iter().filter(|topic| *topic != "settle").count()
    }
}

/// Publishes at QoS 1, and yields the code of the answer.
fn publish(client: &mut Client, topic: &str) -> u8 {
    client.publish(1, topic, "");
    client.expect(Kind::Puback).codes()[0]
}

/// Publishes one after the other, and counts the answers by their codes.
fn publish_all(client: &mut Client, count: usize) -> BTreeMap<u8, usize> {
    let mut codes = BTreeMap::new();
    for _ in 0..count {
        *codes.entry(publish(client, "t")).or_default() += 1;
    }
    codes
}

#[test]
fn a_dead_replica_costs_no_decision() {
    let mut scene = Scene::start();
    let mut client = scene.topology.connect(Version::V5, "client");
    scene.settle(&mut client);
    let [dead, ..] = &mut scene.replicas;
    dead.stop();
    let codes = publish_all(&mut client, MESSAGES);
    println!("one of three replicas dies: {codes:?}");
    assert_eq!(codes, [(0, MESSAGES)].into());
    assert_eq!(scene.forwarded(), MESSAGES);
}

#[test]
fn a_replica_that_breaks_every_connection_costs_no_decision() {
    let scene = Scene::start();
    let mut client = scene.topology.connect(Version::V5, "client");
    scene.settle(&mut client);
    scene.replicas[1].play(Asked::Publish, Play::Cut);
    let codes = publish_all(&mut client, MESSAGES);
    let retries = scene
        .metrics()
        .value("tidegate_authz_call_retries_total", &[("hook", "publish")]);
    println!("one of three replicas resets connections: {codes:?}, {retries} second attempts");
    assert_eq!(codes, [(0, MESSAGES)].into());
    assert!(retries > 0);
}

#[test]
fn a_slow_replica_is_left_alone() {
    for play in [Play::Hang, Play::Freeze] {
        let scene = Scene::start();
        let mut client = scene.topology.connect(Version::V5, "client");
        scene.settle(&mut client);
        scene.replicas[2].play(Asked::Publish, play);
        let mut failed = 0;
        let ejected = "tidegate_authz_endpoint_ejected";
        eventually("the slow replica is left alone", || {
            for (code, count) in publish_all(&mut client, 10) {
                match code {
                    0 => {}
                    0x83 => failed += count,
                    code => panic!("PUBACK {code:02x}"),
                }
            }
            (scene.gauge(ejected, 2) == 1).then_some(())
        });
        println!("one of three replicas: {play:?}: {failed} failures until it is left alone");
        assert!(failed <= PATIENCE, "{play:?}: {failed} failures");
        let codes = publish_all(&mut client, MESSAGES);
        assert_eq!(codes, [(0, MESSAGES)].into(), "{play:?}");
        assert_eq!(scene.gauge(ejected, 0) + scene.gauge(ejected, 1), 0);
    }
}

/// What it says is the service's word: nobody can tell that it lies but by the words, so it is asked again, and
/// everything that it was asked fails closed.
#[test]
fn a_lying_replica_opens_nothing() {
    for (lie, offence) in [
        (Lie::Unset, "unset_decision"),
        (Lie::WrongIds, "unknown_item"),
        (Lie::Twice, "duplicate_item"),
    ] {
        let scene = Scene::start();
        let mut client = scene.topology.connect(Version::V5, "client");
        scene.settle(&mut client);
        scene.replicas[0].play(Asked::Publish, Play::Lie(lie));
        let codes = publish_all(&mut client, MESSAGES);
        let lied = scene.replicas[0].played();
        println!("one of three replicas: {lie:?}: {codes:?}");
        assert!(lied > 0);
        assert_eq!(codes, [(0, MESSAGES - lied), (0x83, lied)].into());
        assert_eq!(scene.forwarded(), MESSAGES - lied, "{lie:?}");
        let offences = "tidegate_authz_protocol_errors_total";
        let counted = scene.metrics().value(offences, &[("kind", offence)]);
        assert_eq!(counted, lied as u64, "{lie:?}");
    }
}
