//! Brokers that are not there, or strange, or go away.

use tidegate_tests::{
    Connect, Topology, Version, both_versions,
    packet::{Kind, disconnect, frame},
    recorder::Reply,
    service::Hook,
};

use crate::nowhere;

both_versions!(a_broker_that_is_down_is_unavailable, |version| {
    let topology = Topology::scripted().broker_at(nowhere()).start();
    let mut client = topology.try_connect(version, &Connect::new("client"));
    client.expect_refused(version.pick(0x03, 0x88));
    assert_eq!(topology.service().checks_of(Hook::Connect).len(), 1);
});

both_versions!(a_broker_that_is_silent_is_unavailable, |version| {
    let topology = Topology::scripted()
        .set("broker.connect_timeout", "200ms")
        .start();
    topology.recorder().reply_with(|_| Reply::Silence);
    let mut client = topology.try_connect(version, &Connect::new("client"));
    client.expect_refused(version.pick(0x03, 0x88));
});

both_versions!(a_broker_that_talks_nonsense_is_unavailable, |version| {
    let topology = Topology::scripted().start();
    for nonsense in [
        Vec::new(),
        vec![0xD0, 0x00],
        frame(0x20, version.pick(&[0x02, 0x00], &[0x02, 0x00, 0x00])),
        frame(0x20, version.pick(&[0x01, 0x05], &[0x01, 0x87, 0x00])),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        println!("{nonsense:02x?}");
        topology
            .recorder()
            .reply_with(move |_| Reply::Close(nonsense.clone()));
        let mut client = topology.try_connect(version, &Connect::new("client"));
        client.expect_refused(version.pick(0x03, 0x88));
    }
});

both_versions!(what_the_broker_says_to_connect_is_passed_on, |version| {
    let topology = Topology::scripted().start();
    for code in version.pick(vec![0x01, 0x02, 0x05], vec![0x85, 0x87, 0x97]) {
        let refusal = frame(0x20, version.pick(&[0, code][..], &[0, code, 0]));
        topology
            .recorder()
            .reply_with(move |_| Reply::Close(refusal.clone()));
        topology
            .try_connect(version, &Connect::new("client"))
            .expect_refused(code);
    }
});

#[test]
fn an_old_broker_that_does_not_know_mqtt_5_is_understood() {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .reply_with(|_| Reply::Close(vec![0x20, 0x02, 0x00, 0x01]));
    topology
        .try_connect(Version::V5, &Connect::new("client"))
        .expect_refused(0x84);
}

both_versions!(a_broker_that_goes_away_takes_its_client, |version| {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(version, "client");
    topology.recorder().close(0);
    client.expect_closed();
});

#[test]
fn a_reason_that_the_broker_gives_for_the_end_is_passed_on() {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(Version::V5, "client");
    topology.recorder().send(0, disconnect(0x8E));
    client.expect_end(0x8E);
    topology.recorder().wait_closed(0);
}

both_versions!(a_client_that_goes_away_leaves_the_broker, |version| {
    let topology = Topology::scripted().start();
    drop(topology.connect(version, "client"));
    topology.recorder().wait_closed(0);
    let kinds: Vec<_> = topology
        .recorder()
        .connection(0)
        .iter()
        .map(|packet| packet.kind())
        .collect();
    assert_eq!(
        kinds,
        [Kind::Connect],
        "a DISCONNECT would suppress the will"
    );
});
