//! What becomes of a will, by the way in which the connection ends, with a real broker.
//!
//! As a rule the broker publishes it unless the client said goodbye ([MQTT-3.1.2-8]). The operator
//! can have it held back after the endings that `will.suppress_on` names.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "wills/endings.rs"]
mod endings;

use endings::{ENDINGS, Ending, decide};
use tidegate_tests::{
    Client, Connect, Publish, Topology, Version, all_versions,
    packet::Kind,
    process::Signal,
    topology::{Plan, unique},
};

/// A gate that leaves it to the service, by the topic, how a connection ends.
fn plan() -> Plan {
    Topology::scripted()
        .mosquitto(&[])
        .set("authz.publish.on_failure", "disconnect")
        .set("authz.subscribe.on_failure", "disconnect")
        .set("authz.publish.deadline", "60s")
        .set("broker.ping_timeout", "1s")
        .set("limits.packet_deadline", "500ms")
        .set("limits.write_stall", "500ms")
}

fn start(plan: Plan) -> Topology {
    let topology = plan.start();
    topology.service().answer(decide);
    topology
}

/// A client with a will, whose payload is the client's name. It stays in debt of nothing but an
/// ending.
fn with_will(topology: &Topology, version: Version, ending: &Ending) -> (String, Client) {
    let client_id = unique(ending.reason);
    let connect = Connect::new(&client_id)
        .keep_alive(ending.keep_alive)
        .will(Publish::new("will", &client_id).qos(1));
    let client = topology.join(version, &connect);
    (client_id, client)
}

/// Whether the will of a client was published, once the broker is through with its end.
#[track_caller]
fn is_published(topology: &Topology, witness: &mut Client, client_id: &str) -> bool {
    topology.mosquitto().wait_left(client_id);
    let mut other = topology.join_directly(Version::V5, &Connect::new(unique("other")));
    let id = other.publish(1, "marker", client_id);
    other.complete(1, id);
    let mut published = false;
    loop {
        let packet = witness.expect(Kind::Publish);
        witness.acknowledge(&packet);
        assert_eq!(packet.payload(), client_id.as_bytes());
        match packet.topic().as_str() {
            "marker" => return published,
            _ => published = true,
        }
    }
}

/// Ends a connection in each way that there is, and expects that the log has its reason, and that
/// the will is published where `published` says so.
#[track_caller]
fn expect_fates(topology: &Topology, version: Version, published: impl Fn(&Ending) -> bool) {
    expect_fates_of(|_| true, topology, version, published);
}

/// The same, for some of the endings.
#[track_caller]
fn expect_fates_of(
    wanted: impl Fn(&Ending) -> bool,
    topology: &Topology,
    version: Version,
    published: impl Fn(&Ending) -> bool,
) {
    let mut witness = topology.witness(&["will", "marker"]);
    let endings = ENDINGS.iter().filter(|ending| ending.is_of(version));
    for ending in endings.filter(|&ending| wanted(ending)) {
        println!("{}", ending.name);
        let (client_id, mut client) = with_will(topology, version, ending);
        (ending.come_about)(&mut client, topology, &client_id);
        drop(client);
        let found = is_published(topology, &mut witness, &client_id);
        assert_eq!(found, published(ending), "{}", ending.name);
    }
}

all_versions!(it_is_published_unless_the_client_said_goodbye, |version| {
    let topology = start(plan());
    expect_fates(&topology, version, |ending| !ending.is_goodbye);
});

all_versions!(it_can_be_held_back_after_every_ending, |version| {
    let words: Vec<_> = ENDINGS.iter().map(|ending| ending.reason).collect();
    let topology = start(plan().set("will.suppress_on", words));
    // What the broker ends, and what the client asks for, is as it was.
    expect_fates(&topology, version, |ending| ending.is_beyond_the_gate);
});

all_versions!(it_is_held_back_after_the_named_endings_only, |version| {
    let named = ["client_violation", "publish_denied"];
    let topology = start(plan().set("will.suppress_on", named.to_vec()));
    let others = ["client_disconnect", "client_gone", "subscribe_denied"];
    let wanted = |ending: &Ending| named.iter().chain(&others).any(|it| *it == ending.reason);
    expect_fates_of(wanted, &topology, version, |ending| {
        !ending.is_goodbye && !named.contains(&ending.reason)
    });
});

// The log's word is what the operator names, so each ending has to have the right one. Lines about
// endings are bounded, so each has a gate of its own.
#[test]
fn the_log_tells_each_ending() {
    for ending in ENDINGS {
        println!("{}", ending.name);
        let topology = start(plan().set("log.filter", "debug"));
        let (client_id, mut client) = with_will(&topology, Version::V5, ending);
        (ending.come_about)(&mut client, &topology, &client_id);
        drop(client);
        assert_eq!(topology.gate().ending_of(&client_id).0, ending.reason);
    }
}

// A broker that talks nonsense is left as it would leave a client.
all_versions!(
    it_is_published_by_a_broker_that_broke_the_protocol,
    |version| {
        for (suppressed, goodbye) in [
            (vec![], None),
            (vec!["client_violation", "broker_gone"], None),
            (vec!["broker_violation"], Some(Kind::Disconnect)),
        ] {
            let topology = Topology::scripted()
                .set("will.suppress_on", suppressed)
                .start();
            let connect = Connect::new("client").will(Publish::new("will", "client"));
            let mut client = topology.join(version, &connect);
            topology.recorder().send(0, vec![0x82, 0]);
            client.expect_end(0x80);
            topology.recorder().wait_closed(0);
            let seen = topology.recorder().kinds(0);
            assert_eq!(seen.get(1), goodbye.as_ref(), "{seen:?}");
        }
    }
);

// A gate that stops leaves its clients as a broker that stops would.
all_versions!(it_is_published_when_the_gate_stops, |version| {
    for (suppressed, published) in [(vec![], true), (vec!["drain"], false)] {
        let mut topology = start(plan().set("will.suppress_on", suppressed));
        let mut witness = topology.witness(&["will", "marker"]);
        let connect = Connect::new("client").will(Publish::new("will", "client"));
        let mut client = topology.join(version, &connect);
        topology.gate_mut().program().signal(Signal::TERM);
        client.expect_end(0x8B);
        assert_eq!(is_published(&topology, &mut witness, "client"), published);
        topology.gate_mut().program().wait_exit();
    }
});

// Not even a gate that is killed can keep it from being published.
all_versions!(it_is_published_when_the_gate_is_killed, |version| {
    let mut topology = start(plan().set("will.suppress_on", vec!["drain", "client_gone"]));
    let mut witness = topology.witness(&["will", "marker"]);
    let connect = Connect::new("client").will(Publish::new("will", "client"));
    let mut client = topology.join(version, &connect);
    topology.gate_mut().program().kill();
    client.expect_closed();
    assert!(is_published(&topology, &mut witness, "client"));
});

// A word that no ending has is a mistake of the operator's, who would wait for it for ever.
#[test]
fn an_ending_that_does_not_exist_can_not_be_named() {
    let config = "[will]\nsuppress_on = [\"drain\", \"keepalive\"]\n";
    let output = tidegate_tests::gate::run_to_end(&["check"], config, &[]);
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for word in ["will.suppress_on", "keepalive", "keep_alive_timeout"] {
        assert!(said.contains(word), "no {word} in {said}");
    }
}

// A topic that begins with `$` has a meaning that only the broker knows.
all_versions!(it_may_not_go_to_the_brokers_own_topics, |version| {
    let topology = start(plan());
    for topic in ["$SYS/x", "$CONTROL/dynamic-security/v1", "$share/g/t", "$"] {
        let connect = Connect::new("client").will(Publish::new(topic, "x"));
        topology
            .try_connect(version, &connect)
            .expect_refused(version.pick(0x05, 0x90));
    }
    assert!(
        topology
            .service()
            .checks()
            .iter()
            .all(|check| !check.is_will())
    );

    let topology = start(plan().set("will.dollar_topics", true));
    let connect = Connect::new("client").will(Publish::new("$CONTROL/x", "x"));
    let _client = topology.join(version, &connect);
});
