//! Limits that the broker states in its CONNACK hold at the gate already: the service is not asked,
//! and the broker does not see what it would have to refuse.

use tidegate_tests::{
    Connect, Publish, Subscribe, Topology, Version,
    packet::{Connack, Disconnect, Encode as _, property},
    topology::unique,
};

use crate::seen_behind_connect;

fn publish(qos: u8) -> Publish {
    Publish::new("t", "x").qos(qos)
}

fn subscribe(filters: &[&str]) -> Subscribe {
    let filters = filters.iter();
    filters.fold(Subscribe::new(1), |packet, filter| {
        packet.filter(*filter, 0)
    })
}

/// A broker that has not this feature, or has it to this degree.
fn only(id: u8, value: u8) -> Connack {
    Connack::new().property(property::byte(id, value))
}

/// What the broker says, what the client sends all the same, and the code with which it is told.
fn breaches() -> Vec<(Connack, Vec<u8>, u8)> {
    use property::{
        MAXIMUM_QOS, RETAIN_AVAILABLE, SHARED_AVAILABLE, SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
        WILDCARDS_AVAILABLE,
    };
    let v5 = Version::V5;
    let with_id = subscribe(&["t"]).property(property::subscription_identifier(1));
    let small = || Connack::new().property(property::maximum_packet_size(64));
    let of_size = |size: usize| Publish::new("t", vec![b'x'; size - 6]).encode(v5);
    vec![
        (only(MAXIMUM_QOS, 1), publish(2).encode(v5), 0x9B),
        (only(MAXIMUM_QOS, 0), publish(2).encode(v5), 0x9B),
        (only(MAXIMUM_QOS, 0), publish(1).encode(v5), 0x9B),
        (
            only(RETAIN_AVAILABLE, 0),
            publish(0).retain().encode(v5),
            0x9A,
        ),
        (
            only(RETAIN_AVAILABLE, 0),
            publish(1).retain().encode(v5),
            0x9A,
        ),
        (
            only(RETAIN_AVAILABLE, 0),
            Publish::new("t", "").retain().encode(v5),
            0x9A,
        ),
        (
            only(WILDCARDS_AVAILABLE, 0),
            subscribe(&["#"]).encode(v5),
            0xA2,
        ),
        (
            only(WILDCARDS_AVAILABLE, 0),
            subscribe(&["a/+/b"]).encode(v5),
            0xA2,
        ),
        (
            only(WILDCARDS_AVAILABLE, 0),
            subscribe(&["a", "a/#"]).encode(v5),
            0xA2,
        ),
        (
            only(WILDCARDS_AVAILABLE, 0),
            subscribe(&["$share/g/a/+"]).encode(v5),
            0xA2,
        ),
        (
            only(SUBSCRIPTION_IDENTIFIERS_AVAILABLE, 0),
            with_id.encode(v5),
            0xA1,
        ),
        (
            only(SHARED_AVAILABLE, 0),
            subscribe(&["$share/g/a"]).encode(v5),
            0x9E,
        ),
        (
            only(SHARED_AVAILABLE, 0),
            subscribe(&["a", "$share/g/a"]).encode(v5),
            0x9E,
        ),
        (small(), of_size(65), 0x95),
        (small(), of_size(100), 0x95),
        (small(), subscribe(&[&"f".repeat(60)]).encode(v5), 0x95),
        (Connack::new(), aliased(33), 0x94),
    ]
}

fn aliased(alias: u16) -> Vec<u8> {
    let message = Publish::new("t", "x").property(property::topic_alias(alias));
    message.encode(Version::V5)
}

#[test]
fn what_the_broker_can_not_do_is_refused_at_the_gate() {
    let topology = Topology::scripted().start();
    let canary = Publish::new("canary", "").encode(Version::V5);
    for (connack, packet, code) in breaches() {
        println!("{connack:?} {packet:02x?}");
        topology.recorder().accept_with(connack);
        let mut client = topology.connect(Version::V5, "client");
        client.send_in_vain(&[&packet[..], &canary].concat());
        client.expect_end(code);
        assert_eq!(seen_behind_connect(&topology), []);
    }
    let asked = topology.service().checks();
    assert!(
        asked.iter().all(|check| check.topic().is_empty()),
        "{asked:?}"
    );
}

/// What is still within the limits passes.
fn within() -> Vec<(Connack, Vec<u8>)> {
    use property::{
        MAXIMUM_QOS, RETAIN_AVAILABLE, SHARED_AVAILABLE, SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
        WILDCARDS_AVAILABLE,
    };
    let v5 = Version::V5;
    let with_id = || subscribe(&["t"]).property(property::subscription_identifier(1));
    let small = Connack::new().property(property::maximum_packet_size(64));
    vec![
        (only(MAXIMUM_QOS, 1), publish(1).encode(v5)),
        (only(MAXIMUM_QOS, 0), publish(0).encode(v5)),
        // It is for messages: a subscription may ask for more, and is granted less.
        (
            only(MAXIMUM_QOS, 0),
            Subscribe::new(1).filter("t", 2).encode(v5),
        ),
        (only(RETAIN_AVAILABLE, 0), publish(1).encode(v5)),
        (only(RETAIN_AVAILABLE, 1), publish(1).retain().encode(v5)),
        (
            only(WILDCARDS_AVAILABLE, 0),
            subscribe(&["a", "b/c"]).encode(v5),
        ),
        (only(WILDCARDS_AVAILABLE, 1), subscribe(&["#"]).encode(v5)),
        (
            only(SUBSCRIPTION_IDENTIFIERS_AVAILABLE, 0),
            subscribe(&["#"]).encode(v5),
        ),
        (
            only(SUBSCRIPTION_IDENTIFIERS_AVAILABLE, 1),
            with_id().encode(v5),
        ),
        (
            only(SHARED_AVAILABLE, 0),
            subscribe(&["$SHARE/g/a"]).encode(v5),
        ),
        (
            only(SHARED_AVAILABLE, 1),
            subscribe(&["$share/g/a"]).encode(v5),
        ),
        (small, Publish::new("t", [b'x'; 58]).encode(v5)),
    ]
}

#[test]
fn what_the_broker_can_do_passes() {
    let topology = Topology::scripted().start();
    for (connack, packet) in within() {
        println!("{connack:?} {packet:02x?}");
        topology.recorder().accept_with(connack);
        let mut client = topology.connect(Version::V5, "client");
        client.send_raw(&packet);
        client.send(&Disconnect::new(0));
        client.drain();
        let seen = seen_behind_connect(&topology);
        assert_eq!(seen[0].bytes(), packet);
    }
}

// What a broker can't do says nothing about the next one, or about the next connection.
#[test]
fn limits_are_those_of_the_connection() {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .accept_with(only(property::MAXIMUM_QOS, 0));
    let mut limited = topology.connect(Version::V5, "client");
    topology.recorder().accept_with(Connack::new());
    let mut free = topology.connect(Version::V5, "client");
    let id = free.publish(2, "t", "x");
    free.complete(2, id);
    limited.publish(1, "t", "x");
    limited.expect_end(0x9B);
}

// With the statement of the specification that was not kept.
#[test]
fn each_broken_limit_is_told_in_the_log() {
    let topology = Topology::scripted().start();
    for (connack, packet, code) in breaches() {
        topology.recorder().accept_with(connack);
        let client_id = unique("breach");
        let mut client = topology.join(Version::V5, &Connect::new(&client_id));
        client.send_in_vain(&packet);
        client.expect_end(code);
        let (reason, detail) = topology.gate().ending_of(&client_id);
        assert_eq!(reason, "client_violation");
        let cites = ["MQTT-", "§"].iter().any(|begin| detail.contains(begin));
        assert!(cites, "{code:02x}: {detail:?}");
    }
}
