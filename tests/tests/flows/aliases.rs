//! Topic aliases: they end at the gate, and nobody notices.

use tidegate_tests::{
    Client, Connect, Publish, Topology, Version,
    packet::property,
    reference::password,
    topology::{login, unique},
};

/// What a PUBLISH with an alias comes to.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// A message to this topic.
    To(&'static str),
    /// The end of the connection with this code.
    End(u8),
}
use Fate::{End, To};

/// Stands for the largest alias that CONNACK allows.
const HIGHEST: u16 = 10_000;
const ABOVE: u16 = HIGHEST + 1;

/// One connection a line; topic, alias and fate of each message on it.
const CASES: [&[(&str, Option<u16>, Fate)]; 14] = [
    &[("a", Some(1), To("a")), ("", Some(1), To("a"))],
    &[
        ("a", Some(1), To("a")),
        ("", Some(1), To("a")),
        ("", Some(1), To("a")),
    ],
    &[
        ("a", Some(1), To("a")),
        ("b", Some(1), To("b")),
        ("", Some(1), To("b")),
    ],
    &[
        ("a", Some(1), To("a")),
        ("a", Some(1), To("a")),
        ("", Some(1), To("a")),
    ],
    &[
        ("a", Some(1), To("a")),
        ("b", Some(2), To("b")),
        ("", Some(1), To("a")),
        ("", Some(2), To("b")),
    ],
    &[
        ("a", Some(1), To("a")),
        ("a", Some(2), To("a")),
        ("", Some(2), To("a")),
    ],
    &[("a", Some(HIGHEST), To("a")), ("", Some(HIGHEST), To("a"))],
    &[
        ("a", Some(1), To("a")),
        ("b", None, To("b")),
        ("", Some(1), To("a")),
    ],
    &[("a", Some(ABOVE), End(0x94))],
    &[("a", Some(u16::MAX), End(0x94))],
    &[("a", Some(0), End(0x94))],
    &[("", Some(0), End(0x94))],
    &[("", Some(1), End(0x82))],
    &[("a", Some(1), To("a")), ("", Some(2), End(0x82))],
];

#[test]
fn aliases_are_set_reused_remapped_and_refused() {
    let topology = Topology::shared();
    let base = unique("alice/alias");
    let full = |topic: &str| match topic {
        "" => String::new(),
        topic => format!("{base}/{topic}"),
    };
    let mut witness = topology.witness(&[&full("#")]);
    for case in CASES {
        println!("{case:?}");
        let (mut client, highest) = connect(&topology);
        for &(topic, alias, fate) in case {
            let message = Publish::new(full(topic), "x");
            client.send(&match alias {
                Some(HIGHEST) => message.property(property::topic_alias(highest)),
                Some(ABOVE) => message.property(property::topic_alias(highest + 1)),
                Some(alias) => message.property(property::topic_alias(alias)),
                None => message,
            });
            match fate {
                To(topic) => {
                    let packet = witness.expect_publish(&full(topic), "x");
                    assert_eq!(packet.property(property::TOPIC_ALIAS), None);
                }
                End(code) => client.expect_end(code),
            }
        }
    }
}

/// A client, and the largest alias that it may set.
fn connect(topology: &Topology) -> (Client, u16) {
    let mut client = topology.try_connect(Version::V5, &login("alice"));
    let told = client
        .expect_connack(0)
        .number(property::TOPIC_ALIAS_MAXIMUM)
        .expect("a Topic Alias Maximum");
    (client, u16::try_from(told).expect("a number of two bytes"))
}

// §3.3.2.3.4: a mapping lasts as long as the network connection, not the session.
#[test]
fn aliases_end_with_the_connection() {
    let topology = Topology::shared();
    let topic = unique("alice/alias");
    let connect = Connect::new(unique("device"))
        .login("alice", password("alice"))
        .resume();
    let mut client = topology.join(Version::V5, &connect);
    let by_alias = |topic: &str| Publish::new(topic, "x").property(property::topic_alias(1));
    client.send(&by_alias(&topic).qos(1).id(1));
    client.complete(1, 1);
    drop(client);
    let mut client = topology.try_connect(Version::V5, &connect);
    assert!(client.expect_connack(0).session_present());
    client.send(&by_alias(""));
    client.expect_end(0x82);
}

// The client may have asked for aliases; they would have to be resolved before a topic is mapped.
#[test]
fn deliveries_have_their_topics() {
    let topology = Topology::shared();
    let topic = unique("alice/alias");
    let connect = login("alice").property(property::two_bytes(property::TOPIC_ALIAS_MAXIMUM, 10));
    let mut client = topology.join(Version::V5, &connect);
    crate::subscribe(&mut client, &topic, 0);
    for _ in 0..3 {
        client.publish(0, &topic, "x");
        client.expect_publish(&topic, "x");
    }
}
