//! What is of WebSocket and not of MQTT.

use tidegate_tests::{
    Connect, Door, Topology, Version,
    door::{self, Ws},
    packet::{Encode as _, Kind, PINGREQ},
};
use tungstenite::{Message, protocol::frame::coding::CloseCode};

/// [MQTT-6.0.0-1]: text ends it, and the will is published, for that was no DISCONNECT.
#[test]
fn text_is_refused_with_its_code() {
    let topology = Door::Ws.of(Topology::scripted()).start();
    let stream = door::connect(topology.gate().address());
    let mut ws = Ws::connect(stream, &[]).unwrap();
    let connect = Connect::new("client").encode(Version::V5);
    // [MQTT-6.0.0-2]: a packet over several messages.
    for byte in connect {
        ws.socket()
            .send(Message::Binary(vec![byte].into()))
            .unwrap();
    }
    let connack = ws.socket().read().unwrap();
    assert_eq!(connack.into_data()[0], 0x20);
    // Several packets in a message.
    let twice = [PINGREQ, PINGREQ].concat();
    ws.socket().send(Message::Binary(twice.into())).unwrap();
    let mut pongs = Vec::new();
    while pongs.len() < 4 {
        pongs.extend_from_slice(&ws.socket().read().unwrap().into_data());
    }
    assert_eq!(pongs, [0xD0, 0, 0xD0, 0]);
    ws.socket().send(Message::text("text")).unwrap();
    let Message::Close(Some(close)) = ws.socket().read().unwrap() else {
        panic!("no Close");
    };
    assert_eq!(close.code, CloseCode::Unsupported);
    topology.recorder().wait_closed(0);
    assert_eq!(topology.recorder().count(Kind::Disconnect), 0);
}

#[test]
fn other_pages_are_refused() {
    let topology = Door::Ws.of(Topology::scripted()).start();
    let stream = door::connect(topology.gate().address());
    let refused = Ws::connect(stream, &[("origin", "https://evil.example")]);
    let Err(tungstenite::Error::Http(response)) = refused else {
        panic!("it was let in");
    };
    assert_eq!(response.status(), 403);
}

/// A denial reaches the client before the Close.
#[test]
fn an_end_is_told_in_both_languages() {
    for door in [Door::Ws, Door::Wss] {
        let topology = door.of(Topology::recorded()).start();
        let mut client = door.open(&topology, Version::V5);
        client.send(&Connect::new("client").login("alice", "wrong"));
        client.expect_refused_with_any(&[0x86, 0x87]);
    }
}
