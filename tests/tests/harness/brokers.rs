//! Clients and brokers.

use tidegate_tests::{
    Client, Connect, Publish, Subscribe, Unsubscribe, Version, all_versions,
    mosquitto::{CommandLine, Mosquitto},
    packet::{Connack, Encode as _, Kind, ack, property},
    recorder::{Recorder, Reply},
};

use crate::connected;

all_versions!(client_speaks_with_a_real_broker, |version| {
    let broker = Mosquitto::start();
    let mut client = connected(broker.address(), version);
    let id = client.subscribe(&["a/#", "b"]);
    client.expect_suback(id, &[2, 2]);
    for qos in 0..=2 {
        let id = client.publish(qos, "c", "nobody listens");
        client.complete(qos, id);
    }
    client.publish(0, "a/b", "somebody listens");
    client.expect_publish("a/b", "somebody listens");
    client.send(&Unsubscribe::new(99, &["a/#"]));
    assert_eq!(client.expect(Kind::Unsuback).id(), 99);
    client.publish(0, "a/b", "not any more");
    client.expect_nothing_before_pong();
});

all_versions!(a_real_broker_is_content_with_bytes_one_by_one, |version| {
    let broker = Mosquitto::start();
    let mut client = Client::open(broker.address(), version);
    let will = Publish::new("w", "will").qos(1).retain();
    let connect = Connect::new("id")
        .login("u", "p")
        .will(will)
        .keep_alive(60)
        .resume();
    client.send_in_pieces(&connect.encode(version), 1);
    let connack = client.expect_connack(0);
    assert!(!connack.session_present());
    client.send_in_pieces(&Subscribe::new(5).filter("a", 1).encode(version), 1);
    client.expect_suback(5, &[1]);
});

all_versions!(a_client_that_goes_away_leaves_its_will, |version| {
    let broker = Mosquitto::start();
    let mut witness = connected(broker.address(), version);
    let id = witness.subscribe(&["w"]);
    witness.expect_suback(id, &[2]);
    let mut client = Client::open(broker.address(), version);
    client.send(&Connect::new("other").will(Publish::new("w", "gone").qos(2)));
    client.expect_connack(0);
    drop(client);
    witness.expect_publish("w", "gone");
});

all_versions!(command_line_clients_reach_a_real_broker, |version| {
    let broker = Mosquitto::start();
    let anybody = CommandLine::new(broker.address(), version).login("u", "p");
    let subscriber = anybody.subscribe(2, "a/#");
    for qos in 0..=2 {
        let message = format!("at {qos}");
        assert!(anybody.publish(qos, "a/b", &message));
        subscriber.wait_for("a/b", &message);
    }
    assert_eq!(subscriber.messages(), ["a/b at 0", "a/b at 1", "a/b at 2"]);
});

all_versions!(recorder_answers_like_a_broker_and_remembers, |version| {
    let recorder = Recorder::start();
    let mut client = connected(recorder.address(), version);
    for qos in 0..=2 {
        let id = client.publish(qos, "t", format!("at {qos}"));
        client.complete(qos, id);
    }
    let id = client.subscribe(&["a", "b"]);
    client.expect_suback(id, &[2, 2]);
    client.expect_nothing_before_pong();
    client.send(&Unsubscribe::new(7, &["a", "b"]));
    assert_eq!(
        client.expect(Kind::Unsuback).codes(),
        version.pick(vec![], vec![0, 0])
    );
    drop(client);
    recorder.wait_closed(0);
    assert_eq!(recorder.topics(), ["t", "t", "t"]);
    assert_eq!(recorder.filters(), ["a", "b"]);
    assert_eq!(recorder.packets(Kind::Publish)[1].payload(), b"at 1");
    assert_eq!(recorder.packets(Kind::Connect)[0].client_id(), "harness");
});

all_versions!(recorder_can_refuse_and_be_silent, |version| {
    let recorder = Recorder::start();
    recorder.reply_with(|packet| match packet.kind() {
        Kind::Connect if packet.client_id() == "refused" => Reply::Close(vec![0x20, 2, 0, 5]),
        Kind::Publish => Reply::Silence,
        _ => Reply::Usual,
    });
    let mut refused = Client::open(recorder.address(), version);
    refused.send(&Connect::new("refused"));
    refused.expect_refused(5);

    let mut client = connected(recorder.address(), version);
    client.publish(1, "t", "");
    client.expect_nothing_before_pong();
    recorder.send(1, ack(Kind::Puback, 1));
    client.expect_ack(Kind::Puback, 1, 0);
    recorder.close(1);
    client.expect_closed();
});

all_versions!(recorder_speaks_the_version_of_its_peer, |version| {
    let recorder = Recorder::start();
    let connack = Connack::new()
        .session_present()
        .property(property::receive_maximum(7));
    recorder.accept_with(connack);
    let mut client = Client::open(recorder.address(), version);
    client.send(&Connect::new("harness").unclean().keep_alive(60));
    let connack = client.expect_connack(0);
    assert_eq!(connack.session_present(), version != Version::V31);
    let told = connack.number(property::RECEIVE_MAXIMUM);
    assert_eq!(told, version.pick(None, Some(7)));
    let connect = recorder.connection(0).remove(0);
    assert_eq!((connect.clean_start(), connect.keep_alive()), (false, 60));

    recorder.send_packet(0, &Publish::new("t", "x").qos(2).id(9));
    client.expect_publish("t", "x");
    recorder.wait_for(Kind::Pubcomp, 1);
    let id = client.subscribe(&["a"]);
    client.expect_suback(id, &[2]);
    assert_eq!(recorder.packets(Kind::Subscribe)[0].options(), [2]);
    let kinds = [Kind::Connect, Kind::Pubrec, Kind::Pubcomp, Kind::Subscribe];
    assert_eq!(recorder.kinds(0), kinds);

    recorder.reply_to(Kind::Publish, |_| Reply::Silence);
    client.publish(1, "t", "");
    client.expect_nothing_before_pong();
    recorder.reply_as_usual();
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, 0);
});

all_versions!(packets_that_come_in_between_are_put_by, |version| {
    let recorder = Recorder::start();
    recorder.reply_to(Kind::Pubrec, move |packet| {
        let in_between = Publish::new("other", "y").encode(version);
        Reply::Bytes([in_between, ack(Kind::Pubrel, packet.id())].concat())
    });
    let mut client = connected(recorder.address(), version);
    recorder.send_packet(0, &Publish::new("t", "x").qos(2).id(9));
    client.expect_publish("t", "x");
    client.expect_publish("other", "y");
    client.expect_nothing_before_pong();
});

all_versions!(a_real_broker_takes_more_configuration, |version| {
    let broker = Mosquitto::start_with(&["max_packet_size 100".to_owned()]);
    let mut client = connected(broker.address(), version);
    client.send_in_vain(&Publish::new("t", [b'x'; 100]).encode(version));
    client.drain();
    broker.wait_left("harness");
});
