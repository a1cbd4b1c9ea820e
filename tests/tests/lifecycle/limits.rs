//! What is bounded before a CONNECT is decided.

use tidegate_tests::{
    Answer, Connect, Hold, Publish, Topology, assert_eventually, both_versions,
    packet::{Encode as _, PINGREQ, frame},
    service::Hook,
};

both_versions!(a_connect_that_does_not_come_is_not_waited_for, |version| {
    let topology = Topology::scripted()
        .set("limits.handshake_deadline", "300ms")
        .start();
    let connect = Connect::new("client").encode(version);
    for sent in [0, 1, connect.len() - 1] {
        let mut client = topology.open(version);
        client.send_raw(&connect[..sent]);
        client.expect_closed();
    }
    // A deadline for the whole CONNECT, not for each byte of it.
    let mut dribbling = topology.open(version);
    dribbling.send_in_pieces(&frame(0x10, &[0; 20_000]), 1);
    dribbling.expect_closed();
    assert_eq!(topology.recorder().connections(), 0);
    assert_eq!(topology.service().checks().len(), 0);
});

both_versions!(a_decision_may_outlast_the_handshake, |version| {
    let topology = Topology::scripted()
        .set("limits.handshake_deadline", "1s")
        .start();
    topology
        .service()
        .answer(|_| Answer::Allow.after(std::time::Duration::from_millis(1500)));
    let mut client = topology.try_connect(version, &Connect::new("client"));
    client.expect_connack(0);
});

both_versions!(what_is_no_connect_is_closed_without_a_word, |version| {
    let topology = Topology::scripted().start();
    for first in [
        PINGREQ.to_vec(),
        Publish::new("t", "").encode(version),
        vec![0xE0, 0x00],
        vec![0x20, 0x02, 0x00, 0x00],
        vec![0x00, 0x00],
        vec![0xF0, 0x00],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 0x03, 0x01, 0x02, 0x00],
    ] {
        let mut client = topology.open(version);
        client.send_in_vain(&first);
        client.expect_closed();
    }
    assert_eq!(topology.recorder().connections(), 0);
    assert_eq!(topology.service().checks().len(), 0);
});

both_versions!(a_huge_connect_is_not_read, |version| {
    let topology = Topology::scripted().start();
    for header in [
        &[0x10, 0xFF, 0xFF, 0xFF, 0x7F][..],
        &[0x10, 0x80, 0x80, 0x40],
    ] {
        let mut client = topology.open(version);
        client.send_raw(header);
        client.drain();
    }
    assert_eq!(topology.service().checks().len(), 0);
});

both_versions!(undecided_connects_of_one_address_are_bounded, |version| {
    const BOUND: usize = 2;
    let topology = Topology::scripted()
        .set("limits.max_undecided_per_address", BOUND as i64)
        .start();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer(move |_| Answer::Allow.held_by(&held));
    let mut waiting: Vec<_> = (0..BOUND)
        .map(|index| topology.try_connect(version, &Connect::new(format!("client {index}"))))
        .collect();
    topology.service().wait_for(Hook::Connect, BOUND);

    let mut one_too_many = topology.open(version);
    one_too_many.send_in_vain(&Connect::new("one too many").encode(version));
    let answers: Vec<_> = one_too_many
        .drain()
        .iter()
        .flat_map(|packet| packet.codes())
        .collect();
    assert!(answers.iter().all(|&code| code != 0), "{answers:02x?}");
    assert_eq!(topology.service().checks().len(), BOUND);

    hold.release();
    for client in &mut waiting {
        client.expect_connack(0);
    }
    // Decided ones don't count: there is room again, although they are still connected.
    let _ = topology.connect(version, "next");
});

both_versions!(connections_are_bounded, |version| {
    const BOUND: usize = 3;
    let topology = Topology::scripted()
        .set("limits.max_connections", BOUND as i64)
        .start();
    let mut clients: Vec<_> = (0..BOUND)
        .map(|_| topology.connect(version, "client"))
        .collect();
    let mut one_too_many = topology.open(version);
    one_too_many.send_in_vain(&Connect::new("one too many").encode(version));
    // Those inside are served as if nothing had happened, and the other one is not among them.
    for client in &mut clients {
        client.expect_nothing_before_pong();
    }
    assert_eq!(topology.recorder().connections(), BOUND);
    clients.pop();
    topology.recorder().wait_closed(BOUND - 1);
    assert_eventually!({
        let mut next = topology.open(version);
        next.send_in_vain(&Connect::new("next").encode(version));
        next.try_next().is_some_and(|packet| packet.codes() == [0])
    });
});
