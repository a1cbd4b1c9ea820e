//! Shared subscriptions, which brokers honour in every version.

use tidegate_tests::{
    Client, Subscribe, Topology, Unsubscribe, Version, all_versions, packet::Kind, topology::unique,
};

use crate::{publish, subscribe};

all_versions!(a_message_goes_to_one_of_a_group, |version| {
    const COUNT: u8 = 20;
    let topology = Topology::shared();
    let topic = unique("alice/shared");
    let filter = format!("$share/group/{topic}");
    let mut members = [(); 3].map(|()| {
        let mut client = topology.connect(version, "alice");
        subscribe(&mut client, &filter, 1);
        client
    });
    let mut single = topology.connect(version, "alice");
    subscribe(&mut single, &topic, 1);
    let mut sender = topology.connect(version, "alice");
    for number in 0..COUNT {
        publish(&mut sender, 1, &topic, [number]);
        single.expect_publish(&topic, [number]);
    }
    let mut seen: Vec<u8> = members.iter_mut().flat_map(all_payloads).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..COUNT));
});

/// The payloads, of a byte each, that have been delivered up to now.
fn all_payloads(client: &mut Client) -> Vec<u8> {
    client.send_raw(&tidegate_tests::packet::PINGREQ);
    let mut payloads = Vec::new();
    loop {
        let packet = client.next_packet();
        match packet.kind() {
            Kind::Pingresp => return payloads,
            _ => payloads.push(packet.payload()[0]),
        }
        client.acknowledge(&packet);
    }
}

all_versions!(a_group_is_left_by_its_full_name, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/shared");
    let filter = format!("$share/group/{topic}");
    let mut client = topology.connect(version, "alice");
    subscribe(&mut client, &filter, 1);
    for (left, code) in [
        (topic.as_str(), 0x11),
        (&format!("$share/other/{topic}"), 0x11),
        (&filter, 0x00),
    ] {
        client.send(&Unsubscribe::new(7, &[left]));
        let codes = client.expect(Kind::Unsuback).codes();
        assert_eq!(codes, version.pick(vec![], vec![code]), "{left}");
    }
    let mut sender = topology.connect(version, "alice");
    publish(&mut sender, 1, &topic, "nobody is left");
    client.expect_nothing_before_pong();
});

/// What becomes of a filter that begins like that of a shared subscription.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It delivers this topic.
    Delivers(&'static str),
    /// It is a filter like any other, and delivers nothing here.
    Plain,
    /// It is malformed: MQTT 5 has a word for that. 3.x has none, as it does not know shared
    /// subscriptions, and refuses the filter.
    Malformed,
    /// It is refused in every version.
    Refused,
}
use Fate::{Delivers, Malformed, Plain, Refused};

/// Filters, with `T` for a topic.
const GRAMMAR: [(&str, Fate); 21] = [
    ("$share/g/T", Delivers("T")),
    ("$share/g//T", Delivers("/T")),
    ("$share/g/T/#", Delivers("T")),
    ("$share/$g/T", Delivers("T")),
    ("$share/g g/T", Delivers("T")),
    ("$SHARE/g/T", Plain),
    ("$queues/T", Plain),
    ("$share2/g/T", Plain),
    ("$share", Malformed),
    ("$share/", Malformed),
    ("$share/g", Malformed),
    ("$share/g/", Malformed),
    ("$share//T", Malformed),
    ("$share///T", Malformed),
    ("$share/+/T", Malformed),
    ("$share/#", Malformed),
    ("$share/g/$share/h/T", Refused),
    ("$share/g/$share", Refused),
    ("$queue/T", Refused),
    ("$exclusive/T", Refused),
    ("$share/g/$queue/T", Refused),
];

// Brokers differ about these, in every version, so the gate lets none pass that is not clear.
all_versions!(the_grammar_of_shared_subscriptions_is_strict, |version| {
    let topology = Topology::shared();
    let mut sender = topology.connect(version, "root");
    let mut client = topology.connect(version, "root");
    for (filter, fate) in GRAMMAR {
        println!("{filter} {fate:?}");
        let topic = unique("alice/shared");
        client.send(&Subscribe::new(1).filter(filter.replace('T', &topic), 1));
        let refused = match (fate, version) {
            (Delivers(_) | Plain, _) => None,
            (Malformed, Version::V5) => {
                client.expect_end(0x81);
                client = topology.connect(version, "root");
                continue;
            }
            (_, Version::V31) => None,
            (_, Version::V311) => Some(0x80),
            (_, Version::V5) => Some(0x8F),
        };
        client.expect_suback(1, &[refused.unwrap_or(1)]);

        let mut witness = topology.witness(&[&topic, &format!("/{topic}")]);
        for begin in ["", "/"] {
            let sent = format!("{begin}{topic}");
            publish(&mut sender, 1, &sent, "x");
            witness.expect_publish(&sent, "x");
        }
        if let Delivers(delivered) = fate {
            client.expect_publish(&delivered.replace('T', &topic), "x");
        }
        client.expect_nothing_before_pong();
    }
});
