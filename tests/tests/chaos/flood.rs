//! A flood from one client, and from one address: the others are served all the same. Nothing here is a matter
//! of time: answers are held until everything is in its place, and then checks are counted.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use tidegate_proto::v1::ConnectAllow;
use tidegate_tests::{
    Answer, Check, Client, Connect, Hold, Publish, Topology, Version,
    packet::{Encode as _, Kind},
    service::Hook,
    topology::{Plan, unique},
    wait::eventually,
};

use crate::cells::CHECKS;

/// Those who are not the flood.
const OTHERS: usize = 5;

/// A gate whose checks have all the time that a test needs.
fn patient() -> Plan {
    Topology::scripted()
        .set("metrics.bind", "127.0.0.1:0")
        .set("authz.connect.deadline", "60s")
        .set("authz.publish.deadline", "60s")
}

/// Answers PUBLISH like this, and CONNECT with the user name as the principal.
fn answer(topology: &Topology, publish: impl Fn(&Check) -> Answer + Send + Sync + 'static) {
    topology.service().answer(move |check| match check {
        Check::Connect(_) => ConnectAllow {
            principal: check.session().username.clone().unwrap_or_default(),
            ..ConnectAllow::default()
        }
        .into(),
        _ => publish(check),
    });
}

fn join(topology: &Topology, user: &str) -> Client {
    topology.join(Version::V5, &Connect::new(unique(user)).login(user, ""))
}

fn pending(topology: &Topology) -> u64 {
    let labels = [("hook", "publish")];
    let metrics = topology.gate().metrics();
    metrics.value("tidegate_authz_checks_pending", &labels)
}

// Who has asked for little is not asked about behind all that others have asked for.
#[test]
fn who_is_quiet_does_not_wait_behind_a_flood() {
    const FLOODING: usize = 4;
    const EACH: usize = 440;
    /// In flight: the hard limit times the size of a batch. All else of the flood waits in the queue.
    const BATCH: usize = 16;
    const IN_FLIGHT: usize = 64 * BATCH;
    const WAITING: usize = FLOODING * EACH - IN_FLIGHT;

    let topology = patient()
        .set("authz.publish.max_batch", BATCH as i64)
        .start();
    let hold = Hold::new();
    let held = hold.clone();
    answer(&topology, move |_| Answer::Allow.held_by(&held));
    let mut flooding: Vec<_> = (0..FLOODING).map(|_| join(&topology, "flood")).collect();
    let mut others: Vec<_> = (0..OTHERS).map(|_| join(&topology, "other")).collect();
    let message = Publish::new("flood", "").encode(Version::V5);
    for client in &mut flooding {
        client.send_raw(&message.repeat(EACH));
    }
    let all = (FLOODING * EACH) as u64;
    eventually("the flood is in", || {
        (pending(&topology) == all).then_some(())
    });
    let ids: Vec<_> = others
        .iter_mut()
        .map(|client| client.publish(1, "other", ""))
        .collect();
    eventually("the others are in", || {
        (pending(&topology) == all + OTHERS as u64).then_some(())
    });
    hold.release();
    for (client, id) in others.iter_mut().zip(ids) {
        client.expect_ack(Kind::Puback, id, 0);
    }
    topology
        .recorder()
        .wait_for(Kind::Publish, FLOODING * EACH + OTHERS);

    let checks = topology.service().checks_of(Hook::Publish);
    let floods = |check: &&Check| check.topic() == "flood";
    let last = checks.iter().rposition(|check| check.topic() == "other");
    let behind = checks[last.expect("the others were asked about")..]
        .iter()
        .filter(floods)
        .count();
    println!(
        "{behind} checks of the flood came after the last of the others, of {WAITING} or more that waited"
    );
    assert!(behind > WAITING / 2, "{behind} of {WAITING}");
}

// A flood that never ends: its own sockets are read no more, and nothing fails.
#[test]
fn an_endless_flood_from_one_client_fails_nobody() {
    const MESSAGES: usize = 30;
    let topology = patient().set("authz.queue_checks", 1_000).start();
    answer(&topology, |_| Answer::Allow.after(Duration::from_millis(5)));
    let mut others: Vec<_> = (0..OTHERS)
        .map(|number| join(&topology, &format!("other-{number}")))
        .collect();
    let mut flooding: Vec<_> = (0..2).map(|_| join(&topology, "flood")).collect();
    // Large, so that not too many of them are in the sockets' buffers when it ends.
    let burst = Publish::new("flood", vec![b'x'; 4096])
        .encode(Version::V5)
        .repeat(10);
    let is_over = AtomicBool::new(false);
    let flooded = || {
        topology
            .service()
            .calls()
            .iter()
            .map(|call| call.size)
            .sum::<usize>()
    };
    thread::scope(|scope| {
        for client in &mut flooding {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    client.send_in_vain(&burst);
                }
            });
        }
        eventually("the flood is felt", || (flooded() > 2_000).then_some(()));
        let asking = others.iter_mut().map(|client| {
            scope.spawn(move || {
                for _ in 0..MESSAGES {
                    let id = client.publish(1, "other", "");
                    client.expect_ack(Kind::Puback, id, 0);
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        let served: Vec<_> = asking.into_iter().map(|other| other.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(served.iter().all(Result::is_ok), "somebody was not served");
    });
    let metrics = topology.gate().metrics();
    let failed = metrics.value(CHECKS, &[("outcome", "failure")]);
    println!(
        "{} messages of others beside {} of the flood, {failed} failures",
        OTHERS * MESSAGES,
        flooded()
    );
    assert_eq!(failed, 0);
}

// Whoever connects again and again from one address is bounded before anybody is asked.
#[test]
fn a_flood_of_connects_from_one_address_does_not_stop_the_others() {
    flood_from_one_address(60, 30);
}

// By default an address may have more CONNECTs undecided (256) than there are calls for CONNECT (48). While the
// service does not answer them, it has three quarters of the calls.
#[test]
fn calls_in_flight_are_shared_between_addresses() {
    flood_from_one_address(110, 100);
}

/// `flood` CONNECTs come from one address, which may have `undecided` ones, and the service is slow about them.
fn flood_from_one_address(flood: usize, undecided: usize) {
    let topology = patient()
        .set("limits.max_undecided_per_address", undecided as i64)
        .start();
    let hold = Hold::new();
    let held = hold.clone();
    topology.service().answer(move |check| match check {
        Check::Connect(_) if check.session().username.as_deref() == Some("flood") => {
            Answer::Allow.held_by(&held)
        }
        _ => Answer::Allow,
    });
    let flooding: Vec<_> = (0..flood)
        .map(|_| {
            let mut client = topology.open(Version::V5);
            let connect = Connect::new(unique("flood")).login("flood", "");
            client.send_in_vain(&connect.encode(Version::V5));
            client
        })
        .collect();
    let metrics = topology.gate().metrics();
    let limit = [("limit", "max_undecided_per_address")];
    let too_many = (flood - undecided) as u64;
    metrics.wait_for("tidegate_connections_refused_total", &limit, too_many);
    topology
        .service()
        .wait_for(Hook::Connect, undecided.min(36));
    for version in [Version::V31, Version::V311, Version::V5]
        .into_iter()
        .cycle()
        .take(20)
    {
        let gate = topology.gate().address();
        let mut other = Client::open_from(Ipv4Addr::new(127, 0, 0, 2), gate, version);
        other.send(&Connect::new(unique("other")));
        other.expect_connack(0);
        let id = other.publish(1, "other", "");
        other.expect_ack(Kind::Puback, id, 0);
    }
    println!(
        "20 others were let in beside {undecided} undecided of the flood; {too_many} were turned away"
    );
    assert_eq!(topology.recorder().connections(), 20);
    hold.release();
    drop(flooding);
}
