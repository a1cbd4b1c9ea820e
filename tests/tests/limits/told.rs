//! What the client is told in CONNACK: the smaller of what the broker can do and what the gate lets
//! pass.

use tidegate_tests::{
    Connect, Topology, Version,
    packet::{
        Connack,
        property::{
            self, MAXIMUM_PACKET_SIZE, MAXIMUM_QOS, RECEIVE_MAXIMUM, RETAIN_AVAILABLE,
            SHARED_AVAILABLE, SUBSCRIPTION_IDENTIFIERS_AVAILABLE, TOPIC_ALIAS_MAXIMUM,
            WILDCARDS_AVAILABLE,
        },
    },
};

/// A property as the broker says it.
#[derive(Debug, Clone, Copy)]
enum Says {
    Nothing,
    Byte(u8),
    Short(u16),
    Long(u32),
}
use Says::{Byte, Long, Nothing, Short};

/// The gate takes 5 messages at once, packets of 1,000 bytes and 7 aliases. Property, what the
/// broker says, what the client is told.
const TOLD: [(u8, Says, Option<u32>); 20] = [
    (RECEIVE_MAXIMUM, Nothing, Some(5)),
    (RECEIVE_MAXIMUM, Short(1), Some(1)),
    (RECEIVE_MAXIMUM, Short(5), Some(5)),
    (RECEIVE_MAXIMUM, Short(6), Some(5)),
    (RECEIVE_MAXIMUM, Short(u16::MAX), Some(5)),
    (MAXIMUM_PACKET_SIZE, Nothing, Some(1000)),
    (MAXIMUM_PACKET_SIZE, Long(999), Some(999)),
    (MAXIMUM_PACKET_SIZE, Long(1001), Some(1000)),
    (MAXIMUM_PACKET_SIZE, Long(u32::MAX), Some(1000)),
    // Aliases end at the gate: what the broker says about them concerns the gate only.
    (TOPIC_ALIAS_MAXIMUM, Nothing, Some(7)),
    (TOPIC_ALIAS_MAXIMUM, Short(3), Some(7)),
    (TOPIC_ALIAS_MAXIMUM, Short(100), Some(7)),
    (MAXIMUM_QOS, Nothing, None),
    (MAXIMUM_QOS, Byte(0), Some(0)),
    (MAXIMUM_QOS, Byte(1), Some(1)),
    (RETAIN_AVAILABLE, Byte(0), Some(0)),
    (WILDCARDS_AVAILABLE, Byte(0), Some(0)),
    (SUBSCRIPTION_IDENTIFIERS_AVAILABLE, Byte(0), Some(0)),
    (SHARED_AVAILABLE, Byte(0), Some(0)),
    (SHARED_AVAILABLE, Byte(1), Some(1)),
];

#[test]
fn the_client_is_told_the_smaller() {
    let topology = Topology::scripted()
        .set("limits.receive_maximum", 5)
        .set("limits.max_packet_size", 1000)
        .set("limits.topic_alias_maximum", 7)
        .start();
    for (id, says, told) in TOLD {
        println!("{id:02x} {says:?}");
        let property = match says {
            Nothing => Vec::new(),
            Byte(value) => property::byte(id, value),
            Short(value) => property::two_bytes(id, value),
            Long(value) => property::four_bytes(id, value),
        };
        topology
            .recorder()
            .accept_with(Connack::new().property(property));
        let mut client = topology.try_connect(Version::V5, &Connect::new("client"));
        let connack = client.expect_connack(0);
        assert_eq!(connack.number(id), told, "in {connack:?}");
        let mut ids: Vec<_> = connack.properties().iter().map(|found| found.id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "a property comes twice in {connack:?}");
    }
}

#[test]
fn without_aliases_none_can_be_set() {
    let topology = Topology::scripted()
        .set("limits.topic_alias_maximum", 0)
        .start();
    let mut client = topology.try_connect(Version::V5, &Connect::new("client"));
    let told = client.expect_connack(0).number(TOPIC_ALIAS_MAXIMUM);
    assert_eq!(told.unwrap_or(0), 0);
    let aliased = tidegate_tests::Publish::new("t", "x").property(property::topic_alias(1));
    client.send(&aliased);
    client.expect_end(0x94);
}

// What only the broker means for the client reaches it: text, and its own names for things.
#[test]
fn the_rest_of_the_brokers_connack_is_passed_on() {
    let topology = Topology::scripted().start();
    let connack = Connack::new()
        .session_present()
        .property(property::text(property::REASON_STRING, "welcome"))
        .property(property::user("b", "1"))
        .property(property::user("a", "2"));
    topology.recorder().accept_with(connack);
    let mut client = topology.try_connect(Version::V5, &Connect::new("client").resume());
    let connack = client.expect_connack(0);
    assert!(connack.session_present());
    assert_eq!(
        connack.property(property::REASON_STRING).as_deref(),
        Some(&b"welcome"[..])
    );
    let users: Vec<_> = connack
        .properties()
        .into_iter()
        .filter(|found| found.id == property::USER_PROPERTY)
        .map(|found| found.value)
        .collect();
    let expected = [("b", "1"), ("a", "2")];
    assert_eq!(
        users,
        expected.map(|(key, value)| property::user(key, value)[1..].to_vec())
    );
}

// [MQTT-3.2.2-19], [MQTT-3.2.2-20]: words of the broker's must not make it too large for the client.
#[test]
fn words_that_make_the_connack_too_large_are_left_out() {
    let topology = Topology::scripted().start();
    let connack = Connack::new()
        .property(property::text(property::REASON_STRING, "w".repeat(200)))
        .property(property::user("k", &"v".repeat(200)));
    topology.recorder().accept_with(connack);
    let connect = Connect::new("client").property(property::maximum_packet_size(100));
    let mut client = topology.try_connect(Version::V5, &connect);
    let connack = client.expect_connack(0);
    assert!(connack.bytes().len() <= 100, "{connack:?}");
    assert_eq!(connack.property(property::REASON_STRING), None);
    client.expect_nothing_before_pong();
}

// It is a private name, most often.
#[test]
fn the_brokers_name_for_another_server_is_kept_back() {
    for (passes, told) in [(false, None), (true, Some(b"inner:1883".to_vec()))] {
        let topology = Topology::scripted()
            .set("broker.pass_server_reference", passes)
            .start();
        let refusal = Connack::new()
            .code(0x9C)
            .property(property::text(property::SERVER_REFERENCE, "inner:1883"));
        topology.recorder().accept_with(refusal);
        let mut client = topology.try_connect(Version::V5, &Connect::new("client"));
        let connack = client.expect_connack(0x9C);
        assert_eq!(connack.property(property::SERVER_REFERENCE), told);
        client.expect_closed();

        topology.recorder().accept_with(Connack::new());
        let mut client = topology.connect(Version::V5, "client");
        let goodbye = tidegate_tests::packet::Disconnect::new(0x9D)
            .property(property::text(property::SERVER_REFERENCE, "inner:1883"));
        topology.recorder().send_packet(1, &goodbye);
        let disconnect = client.expect(tidegate_tests::packet::Kind::Disconnect);
        assert_eq!(disconnect.codes(), [0x9D]);
        assert_eq!(disconnect.property(property::SERVER_REFERENCE), told);
        client.expect_closed();
    }
}
