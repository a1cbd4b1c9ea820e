//! The gate's own limits, which hold in every version.

use tidegate_tests::{
    Client, Connect, Publish, Subscribe, Topology, Unsubscribe, Version, all_versions,
    packet::{Connack, Disconnect, Encode as _, Kind, frame, property, variable_length},
    topology::unique,
};

use crate::seen_behind_connect;

fn limited() -> Topology {
    Topology::scripted()
        .set("limits.max_filters", 2)
        .set("limits.max_topic_levels", 3)
        .set("limits.max_filter_wildcards", 1)
        .set("limits.max_packet_size", 300)
        .start()
}

fn subscribe(filters: &[&str]) -> Subscribe {
    let filters = filters.iter();
    filters.fold(Subscribe::new(1), |packet, filter| {
        packet.filter(*filter, 1)
    })
}

all_versions!(what_is_too_much_ends_the_connection, |version| {
    let topology = limited();
    for (name, packet, code) in [
        ("filters", subscribe(&["a", "b", "c"]).encode(version), 0x97),
        (
            "filters to leave",
            Unsubscribe::new(1, &["a", "b", "c"]).encode(version),
            0x97,
        ),
        (
            "bytes",
            Publish::new("t", [b'x'; 300]).encode(version),
            0x95,
        ),
        ("announced bytes", vec![0x30, 0xFF, 0xFF, 0x7F], 0x95),
        ("announced bytes", vec![0x82, 0xAD, 0x02], 0x95),
    ] {
        println!("{name}");
        let client_id = unique("client");
        let mut client = topology.join(version, &Connect::new(&client_id));
        client.send_in_vain(&packet);
        client.expect_end(code);
        assert_eq!(seen_behind_connect(&topology), []);
        assert_eq!(topology.gate().ending_of(&client_id).0, "client_violation");
    }
    let asked = topology.service().checks();
    assert!(
        asked.iter().all(|check| check.topic().is_empty()),
        "{asked:?}"
    );
});

all_versions!(a_topic_that_is_too_deep_is_refused_alone, |version| {
    let topology = limited();
    let mut client = topology.connect(version, "client");
    for topic in ["a/b/c/d", "////"] {
        client.send(&Publish::new(topic, ""));
        client.send(&Publish::new(topic, "").qos(1).id(3));
        client.expect_ack(Kind::Puback, 3, version.pick(0, 0x90));
    }
    client.expect_nothing_before_pong();
    let published = topology.recorder().connection(0);
    assert!(
        published
            .iter()
            .all(|packet| packet.kind() != Kind::Publish)
    );
});

all_versions!(what_is_just_within_passes, |version| {
    let topology = limited();
    let mut client = topology.connect(version, "client");
    client.send(&subscribe(&["a/b/c", "a/b/#"]));
    client.expect_suback(1, &[1, 1]);
    client.send(&Unsubscribe::new(2, &["a", "b"]));
    assert_eq!(client.expect(Kind::Unsuback).id(), 2);
    client.send(&Publish::new("a/b/c", "").qos(1).id(3));
    client.expect_ack(Kind::Puback, 3, 0);
    let overhead = Publish::new("t", [b'x'; 200]).encode(version).len() - 200;
    client.send(&Publish::new("t", vec![b'x'; 300 - overhead]).qos(0));
    topology.recorder().wait_for(Kind::Publish, 2);
    client.expect_nothing_before_pong();
});

/// What a filter that is too much is told; MQTT 3.1 has no word for it.
#[track_caller]
fn expect_refused_among(client: &mut Client, id: u16, granted: &[Option<u8>], codes: &[u8]) {
    let suback = client.expect(Kind::Suback);
    assert_eq!(suback.id(), id);
    for (code, granted) in suback.codes().into_iter().zip(granted) {
        match granted {
            Some(granted) => assert_eq!(code, *granted),
            None => assert!(codes.contains(&code), "{code:02x} in {suback:?}"),
        }
    }
}

all_versions!(a_filter_that_is_too_much_is_refused, |version| {
    let topology = limited();
    let mut client = topology.connect(version, "client");
    for (filters, granted) in [
        (["a", "a/b/c/d"], [Some(1), None]),
        (["a/b/c/#", "b"], [None, Some(1)]),
        (["+/+", "#"], [None, Some(1)]),
        (["+/b/#", "+/+/+"], [None, None]),
        (["$share/g/+/+", "$share/g/+"], [None, Some(1)]),
    ] {
        println!("{filters:?}");
        client.send(&subscribe(&filters));
        let refused = version.pick_of_three(&[1][..], &[0x80], &[0x8F, 0x97]);
        expect_refused_among(&mut client, 1, &granted, refused);
    }
    let seen = topology.recorder().filters();
    assert_eq!(seen, ["a", "b", "#", "$share/g/+"]);
    assert!(topology.service().checks().iter().all(|check| {
        let filter = check.topic();
        filter.is_empty() || seen.iter().any(|seen| seen.ends_with(filter))
    }));
});

all_versions!(subscriptions_are_counted, |version| {
    let topology = Topology::scripted()
        .set("limits.max_subscriptions", 2)
        .start();
    let mut client = topology.connect(version, "client");
    let full = version.pick_of_three(1, 0x80, 0x97);
    for (filters, codes) in [
        (&["a"][..], vec![1]),
        // Once more is not one more.
        (&["a"], vec![1]),
        (&["b", "c"], vec![1, full]),
        (&["d"], vec![full]),
        (&["b"], vec![1]),
    ] {
        println!("{filters:?}");
        client.send(&subscribe(filters));
        client.expect_suback(1, &codes);
    }
    client.send(&Unsubscribe::new(2, &["a"]));
    assert_eq!(client.expect(Kind::Unsuback).id(), 2);
    client.send(&subscribe(&["d"]));
    client.expect_suback(1, &[1]);
    assert_eq!(topology.recorder().filters(), ["a", "a", "b", "b", "d"]);
});

/// Three user properties, of some size.
fn three(size: usize) -> Vec<u8> {
    property::user("k", &"v".repeat(size)).repeat(3)
}

#[test]
fn user_properties_are_counted_and_weighed() {
    let v5 = Version::V5;
    for (key, bound, properties) in [
        ("limits.max_user_properties", 2, three(1)),
        ("limits.max_user_property_bytes", 100, three(50)),
    ] {
        println!("{key}");
        let topology = Topology::scripted().set(key, bound).start();
        let with_ack = |kind: Kind| {
            let length = variable_length(properties.len());
            let body = [&[0, 1, 0][..], &length, &properties].concat();
            frame((kind as u8) << 4, &body)
        };
        for packet in [
            Publish::new("t", "")
                .property(properties.clone())
                .encode(v5),
            subscribe(&["a"]).property(properties.clone()).encode(v5),
            Disconnect::new(0).property(properties.clone()).encode(v5),
            with_ack(Kind::Puback),
        ] {
            println!("{packet:02x?}");
            let mut client = topology.connect(v5, "client");
            client.send_in_vain(&packet);
            client.expect_end(0x97);
            assert_eq!(seen_behind_connect(&topology), []);
        }
        let connections = topology.recorder().connections();
        let connect = Connect::new("client").property(properties.clone());
        topology.try_connect(v5, &connect).expect_refused(0x97);
        let will = Publish::new("w", "").property(properties.clone());
        topology
            .try_connect(v5, &Connect::new("client").will(will))
            .expect_refused(0x97);
        assert_eq!(topology.recorder().connections(), connections);

        // Two of them, and small, are fine everywhere. The broker may have as many as it likes.
        let two = property::user("k", "v").repeat(2);
        let connack = properties.to_vec();
        topology
            .recorder()
            .accept_with(Connack::new().property(connack));
        let connect = Connect::new("client").property(two.clone());
        let mut client = topology.join(v5, &connect);
        client.send(&Publish::new("t", "").qos(1).property(two));
        client.expect_ack(Kind::Puback, 1, 0);
    }
}

// Nothing can be said before CONNACK but CONNACK, and there is no telling of what.
all_versions!(a_connect_that_is_too_large_is_closed, |version| {
    let topology = Topology::scripted()
        .set("limits.max_connect_size", 100)
        .start();
    let connect = Connect::new("c".repeat(100)).encode(version);
    let mut client = topology.open(version);
    client.send_in_vain(&connect);
    let said = client.drain();
    assert!(
        said.iter()
            .all(|packet| packet.kind() == Kind::Connack && packet.codes() != [0])
    );
    assert_eq!(topology.recorder().connections(), 0);
    assert!(topology.service().checks().is_empty());
    let _client = topology.join(version, &Connect::new("small"));
});

// [MQTT-3.3.2-4] lets the gate look: what says that it is text, is.
#[test]
fn a_payload_that_is_not_the_text_it_claims_to_be_is_refused() {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(Version::V5, "client");
    let message = |qos: u8, format: u8, payload: &[u8]| {
        Publish::new("t", payload)
            .qos(qos)
            .property(property::payload_format(format))
    };
    client.send(&message(1, 1, b"\xFF"));
    client.expect_ack(Kind::Puback, 1, 0x99);
    client.send(&message(2, 1, b"\xC0\x80"));
    client.expect_ack(Kind::Pubrec, 1, 0x99);
    client.send(&message(0, 1, b"\xFF"));
    client.send(&message(1, 0, b"\xFF"));
    client.expect_ack(Kind::Puback, 1, 0);
    client.send(&message(1, 1, "é".as_bytes()));
    client.expect_ack(Kind::Puback, 1, 0);
    let seen = topology.recorder().packets(Kind::Publish);
    let payloads: Vec<_> = seen.iter().map(|packet| packet.payload()).collect();
    assert_eq!(payloads, [&b"\xFF"[..], "é".as_bytes()]);
    assert_eq!(topology.service().checks().len(), 3);
}

#[test]
fn the_operator_can_have_payloads_left_alone() {
    let topology = Topology::scripted()
        .set("limits.check_payload_format", false)
        .start();
    let mut client = topology.connect(Version::V5, "client");
    let message = Publish::new("t", b"\xFF").property(property::payload_format(1));
    client.send(&message.qos(1));
    client.expect_ack(Kind::Puback, 1, 0);
}
