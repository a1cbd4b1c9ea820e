//! What a client can take: Receive Maximum, Maximum Packet Size, and time.

use std::{
    thread,
    time::{Duration, Instant},
};

use tidegate_tests::{
    Publish, Topology, Version, all_versions,
    packet::{Kind, ack, property},
    topology::{login, unique},
};

use crate::{publish, subscribe};

// [MQTT-3.3.4-9]: the broker may have no more on the way than the client says.
#[test]
fn a_client_with_a_small_receive_maximum_is_not_flooded() {
    let topology = Topology::shared();
    let topic = unique("alice/window");
    let connect = login("alice").property(property::receive_maximum(2));
    let mut receiver = topology.join(Version::V5, &connect);
    subscribe(&mut receiver, &topic, 1);
    let mut sender = topology.connect(Version::V5, "alice");
    for number in 0..6_u8 {
        publish(&mut sender, 1, &topic, [number]);
    }
    let mut waiting: Vec<u16> = (0..2)
        .map(|number: u8| receiver.expect_publish_only(&topic, [number]).id())
        .collect();
    receiver.expect_nothing_before_pong();
    for number in 2..6_u8 {
        receiver.send_raw(&ack(Kind::Puback, waiting.remove(0)));
        waiting.push(receiver.expect_publish_only(&topic, [number]).id());
    }
    for id in waiting {
        receiver.send_raw(&ack(Kind::Puback, id));
    }
    receiver.expect_nothing_before_pong();
}

// [MQTT-3.1.2-24], [MQTT-3.1.2-25]: what is too large for it is as if it had been sent.
#[test]
fn a_client_is_spared_what_is_too_large_for_it() {
    let topology = Topology::shared();
    let topic = unique("alice/size");
    let connect = login("alice").property(property::maximum_packet_size(100));
    let mut receiver = topology.join(Version::V5, &connect);
    subscribe(&mut receiver, &topic, 2);
    let mut sender = topology.connect(Version::V5, "alice");
    for qos in 0..=2 {
        publish(&mut sender, qos, &topic, [b'x'; 101]);
        publish(&mut sender, qos, &topic, "small");
        receiver.expect_publish(&topic, "small");
    }
}

all_versions!(a_client_that_falls_silent_is_left, |version| {
    let topology = Topology::shared();
    let topic = unique("alice/will");
    let mut witness = topology.witness(&[&topic]);
    let connect = login("alice")
        .keep_alive(1)
        .will(Publish::new(&topic, "fell silent"));
    let mut client = topology.join(version, &connect);
    let begin = Instant::now();
    client.expect_end(0x8D);
    assert!(begin.elapsed() >= Duration::from_millis(1400));
    witness.expect_publish(&topic, "fell silent");
});

all_versions!(a_client_that_pings_is_not_left, |version| {
    let topology = Topology::shared();
    let mut client = topology.join(version, &login("alice").keep_alive(1));
    // A client that does nothing says when it would have been time.
    let mut silent = topology.join(version, &login("alice").keep_alive(1));
    let silent = thread::spawn(move || silent.expect_end(0x8D));
    while !silent.is_finished() {
        client.expect_nothing_before_pong();
        thread::sleep(Duration::from_millis(100));
    }
    silent.join().expect("the other one was left");
    client.expect_nothing_before_pong();
});
