//! The broker as its clients see it, byte by byte.

use super::serve;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const CONNACK_3: &[u8] = b"\x20\x02\x00\x00";
const CONNACK_5: &[u8] = b"\x20\x0c\x00\x00\x09\x11\x00\x00\x00\x00\x29\x00\x2a\x00";
const PING: &[u8] = b"\xc0\x00";
const PONG: &[u8] = b"\xd0\x00";

async fn broker() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    address
}

/// A client that is told what to send and what to expect, byte by byte.
struct Client(TcpStream);

impl Client {
    /// MQTT 3.1.1, a clean session, this one-letter client id.
    async fn v3(broker: SocketAddr, id: u8) -> Self {
        let connect = [b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01", &[id][..]].concat();
        Self::connect(broker, &connect, CONNACK_3).await
    }

    /// MQTT 5.0, a clean start, this one-letter client id.
    async fn v5(broker: SocketAddr, id: u8) -> Self {
        let connect = [
            b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01",
            &[id][..],
        ]
        .concat();
        Self::connect(broker, &connect, CONNACK_5).await
    }

    async fn connect(broker: SocketAddr, connect: &[u8], connack: &[u8]) -> Self {
        let mut client = Self(TcpStream::connect(broker).await.unwrap());
        client.send(connect).await;
        client.expect(connack).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let mut read = vec![0; bytes.len()];
        let all = timeout(Duration::from_secs(5), self.0.read_exact(&mut read));
        let all = all
            .await
            .unwrap_or_else(|_| panic!("nothing came, but {bytes:02x?} should"));
        all.unwrap();
        assert_eq!(read, bytes, "read {read:02x?}, not {bytes:02x?}");
    }

    /// Sends one packet and expects another.
    async fn ask(&mut self, bytes: &[u8], answer: &[u8]) {
        self.send(bytes).await;
        self.expect(answer).await;
    }

    /// Nothing but the answer to a ping is on the way to this client.
    async fn expect_silence(&mut self) {
        self.ask(PING, PONG).await;
    }

    async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let end = timeout(Duration::from_secs(5), self.0.read_to_end(&mut rest));
        end.await.unwrap().unwrap();
        assert_eq!(rest, b"");
    }
}

#[tokio::test]
async fn messages_go_from_one_version_to_the_other() {
    let broker = broker().await;
    let mut old = Client::v3(broker, b'o').await;
    let mut new = Client::v5(broker, b'n').await;
    old.ask(b"\x82\x06\x00\x01\x00\x01t\x01", b"\x90\x03\x00\x01\x01")
        .await;
    new.ask(
        b"\x82\x07\x00\x01\x00\x00\x01t\x01",
        b"\x90\x04\x00\x01\x00\x01",
    )
    .await;

    // From MQTT 5, with a user property; without it to MQTT 3.1.1.
    let publish = b"\x32\x0e\x00\x01t\x00\x07\x07\x26\x00\x01a\x00\x01bx";
    new.send(publish).await;
    old.expect(b"\x32\x06\x00\x01t\x00\x01x").await;
    new.expect(b"\x40\x02\x00\x07").await;
    new.expect(b"\x32\x0e\x00\x01t\x00\x01\x07\x26\x00\x01a\x00\x01bx")
        .await;

    // From MQTT 3.1.1, at QoS 0.
    old.send(b"\x30\x04\x00\x01ty").await;
    new.expect(b"\x30\x05\x00\x01t\x00y").await;
}

#[tokio::test]
async fn qos_2_hands_on_once_however_often_it_is_sent() {
    let broker = broker().await;
    let mut reader = Client::v3(broker, b'r').await;
    reader
        .ask(b"\x82\x06\x00\x01\x00\x01t\x02", b"\x90\x03\x00\x01\x02")
        .await;
    let mut writer = Client::v3(broker, b'w').await;
    writer
        .ask(b"\x34\x06\x00\x01t\x00\x05x", b"\x50\x02\x00\x05")
        .await;
    writer
        .ask(b"\x3c\x06\x00\x01t\x00\x05x", b"\x50\x02\x00\x05")
        .await;
    writer.ask(b"\x62\x02\x00\x05", b"\x70\x02\x00\x05").await;
    writer
        .ask(b"\x34\x06\x00\x01t\x00\x05y", b"\x50\x02\x00\x05")
        .await;

    reader.expect(b"\x34\x06\x00\x01t\x00\x01x").await;
    reader.expect(b"\x34\x06\x00\x01t\x00\x02y").await;
    reader.ask(b"\x50\x02\x00\x01", b"\x62\x02\x00\x01").await;
    reader.send(b"\x70\x02\x00\x01").await;
    reader.expect_silence().await;
}

#[tokio::test]
async fn a_client_is_not_given_more_than_its_receive_maximum() {
    let broker = broker().await;
    let connect = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x01\x00\x01r";
    let mut reader = Client::connect(broker, connect, CONNACK_5).await;
    reader
        .ask(
            b"\x82\x07\x00\x01\x00\x00\x01t\x01",
            b"\x90\x04\x00\x01\x00\x01",
        )
        .await;
    let mut writer = Client::v3(broker, b'w').await;
    for payload in [b'1', b'2'] {
        let publish = [b"\x32\x06\x00\x01t\x00\x01", &[payload][..]].concat();
        writer.ask(&publish, b"\x40\x02\x00\x01").await;
    }

    reader.expect(b"\x32\x07\x00\x01t\x00\x01\x001").await;
    reader.expect_silence().await;
    reader
        .ask(b"\x40\x02\x00\x01", b"\x32\x07\x00\x01t\x00\x02\x002")
        .await;
}

#[tokio::test]
async fn a_retained_message_is_kept_and_ended_by_an_empty_one() {
    let broker = broker().await;
    let mut client = Client::v3(broker, b'c').await;
    client.send(b"\x31\x04\x00\x01tx").await;
    let subscribe = b"\x82\x06\x00\x01\x00\x01+\x00";
    client
        .ask(subscribe, b"\x90\x03\x00\x01\x00\x31\x04\x00\x01tx")
        .await;
    // A live copy does not say that it is retained.
    client.ask(b"\x31\x03\x00\x01t", b"\x30\x03\x00\x01t").await;
    client.ask(subscribe, b"\x90\x03\x00\x01\x00").await;
    client.expect_silence().await;
}

#[tokio::test]
async fn subscription_options_of_mqtt_5_are_kept_to() {
    let broker = broker().await;
    let mut client = Client::v5(broker, b'c').await;
    client.send(b"\x31\x05\x00\x01t\x00x").await;
    // Retain as published, no local; retained messages only for a new subscription.
    let subscribe = b"\x82\x07\x00\x01\x00\x00\x01t\x1c";
    client
        .ask(subscribe, b"\x90\x04\x00\x01\x00\x00\x31\x05\x00\x01t\x00x")
        .await;
    client.ask(subscribe, b"\x90\x04\x00\x01\x00\x00").await;
    client.send(b"\x31\x05\x00\x01t\x00y").await;
    client.expect_silence().await;

    let mut other = Client::v3(broker, b'o').await;
    other.send(b"\x31\x04\x00\x01tz").await;
    client.expect(b"\x31\x05\x00\x01t\x00z").await;
}

#[tokio::test]
async fn unsubscribing_ends_messages_and_knows_what_there_was() {
    let broker = broker().await;
    let mut client = Client::v5(broker, b'c').await;
    client
        .ask(
            b"\x82\x07\x00\x01\x00\x00\x01t\x00",
            b"\x90\x04\x00\x01\x00\x00",
        )
        .await;
    let unsubscribe = b"\xa2\x09\x00\x02\x00\x00\x01t\x00\x01u";
    client
        .ask(unsubscribe, b"\xb0\x05\x00\x02\x00\x00\x11")
        .await;
    client.send(b"\x30\x05\x00\x01t\x00x").await;
    client.expect_silence().await;
}

#[tokio::test]
async fn what_the_broker_does_not_have_is_refused_filter_by_filter() {
    let broker = broker().await;
    let mut client = Client::v5(broker, b'c').await;
    let subscribe = b"\x82\x14\x00\x01\x00\x00\x01t\x01\x00\x0a$share/g/t\x01";
    client.ask(subscribe, b"\x90\x05\x00\x01\x00\x01\x9e").await;
}

#[tokio::test]
async fn a_will_is_published_when_its_client_is_lost_and_only_then() {
    let broker = broker().await;
    let mut reader = Client::v3(broker, b'r').await;
    reader
        .ask(b"\x82\x06\x00\x01\x00\x01w\x00", b"\x90\x03\x00\x01\x00")
        .await;
    let connect = b"\x10\x13\x00\x04MQTT\x04\x06\x00\x00\x00\x01m\x00\x01w\x00\x01x";

    let mut polite = Client::connect(broker, connect, CONNACK_3).await;
    polite.send(b"\xe0\x00").await;
    polite.expect_end().await;
    reader.expect_silence().await;

    let rude = Client::connect(broker, connect, CONNACK_3).await;
    drop(rude);
    reader.expect(b"\x30\x04\x00\x01wx").await;

    // In MQTT 5, DISCONNECT can ask for the will; its delay ends with the session.
    let connect = b"\x10\x1a\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01m\
                    \x05\x18\x00\x00\x00\x09\x00\x01w\x00\x01y";
    let mut particular = Client::connect(broker, connect, CONNACK_5).await;
    particular.send(b"\xe0\x02\x04\x00").await;
    reader.expect(b"\x30\x04\x00\x01wy").await;
}

#[tokio::test]
async fn a_client_id_belongs_to_the_latest_connection() {
    let broker = broker().await;
    let mut first = Client::v5(broker, b'c').await;
    let mut second = Client::v5(broker, b'c').await;
    first.expect(b"\xe0\x01\x8e").await;
    first.expect_end().await;
    second.expect_silence().await;
}

#[tokio::test]
async fn a_client_that_is_silent_too_long_is_lost() {
    let broker = broker().await;
    let connect = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x01\x00\x00\x01c";
    let mut client = Client::connect(broker, connect, CONNACK_5).await;
    client.expect(b"\xe0\x01\x8d").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_client_without_an_id_is_given_one() {
    let broker = broker().await;
    let connect = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00";
    let connack = b"\x20\x17\x00\x00\x14\x11\x00\x00\x00\x00\x29\x00\x2a\x00\x12\x00\x08client-1";
    Client::connect(broker, connect, connack).await;
}
