//! Breaches of WebSocket behind the upgrade: each is told by a Close, and counted.

use std::io::{Read as _, Write as _};

use tidegate_tests::{
    Client, Connect, Door, Version,
    door::{self, Ws},
    packet::{Encode as _, Kind},
};

use crate::counted;

/// Largest message of a client.
const LARGEST: u16 = 2048;

/// A frame of a client: its first byte, and its payload under a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut frame = vec![first];
    match length {
        0..126 => frame.push(0x80 | payload.len() as u8),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A breach: its name, what is sent, and the code of the Close.
fn breaches() -> Vec<(&'static str, Vec<u8>, u16)> {
    vec![
        ("text", frame(0x81, b"text"), 1003),
        ("no mask", vec![0x82, 0x02, 0xC0, 0x00], 1002),
        ("reserved opcode", frame(0x83, b""), 1002),
        ("reserved bit", frame(0xC2, b""), 1002),
        ("control in fragments", frame(0x09, b""), 1002),
        ("control too long", frame(0x89, &[0; 126]), 1002),
        ("continuation of nothing", frame(0x80, b""), 1002),
        (
            "message within another",
            [frame(0x02, b""), frame(0x82, b"")].concat(),
            1002,
        ),
        ("half a close code", frame(0x88, &[3]), 1002),
        ("too large", frame(0x82, &[0; LARGEST as usize + 1]), 1009),
        (
            "too large in fragments",
            [frame(0x02, b""), frame(0x80, &[0; LARGEST as usize + 1])].concat(),
            1009,
        ),
    ]
}

/// The code of the first Close among frames of the gate.
fn close_code(mut frames: &[u8]) -> Option<u16> {
    while let [first, length, rest @ ..] = frames {
        let (payload, rest) = rest.split_at_checked(usize::from(*length))?;
        if *first == 0x88 {
            return Some(u16::from_be_bytes(payload.try_into().ok()?));
        }
        frames = rest;
    }
    None
}

#[test]
fn each_breach_has_its_code_and_is_counted() {
    let topology = Door::Ws
        .of(counted())
        .set("listeners.0.websocket.max_message_size", i64::from(LARGEST))
        .set("limits.max_packet_size", i64::from(LARGEST))
        .start();
    let metrics = topology.gate().metrics();
    let labels = [("reason", "websocket_violation"), ("by", "client")];
    for (number, (name, sent, code)) in breaches().into_iter().enumerate() {
        // Before the CONNECT in one half of the cases, and behind it in the other.
        let stream = door::connect(topology.gate().address());
        let mut ws = Ws::connect(stream, &[]).unwrap();
        let is_live = number % 2 == 0;
        let recorded = topology.recorder().connections();
        if is_live {
            let connect = Connect::new("client").encode(Version::V5);
            ws.socket()
                .get_mut()
                .write_all(&frame(0x82, &connect))
                .unwrap();
            assert_eq!(ws.socket().read().unwrap().into_data()[0], 0x20, "{name}");
        }
        let socket = ws.socket().get_mut();
        socket.write_all(&sent).unwrap();
        let mut frames = Vec::new();
        socket.read_to_end(&mut frames).unwrap();
        assert_eq!(close_code(&frames), Some(code), "{name}: {frames:02x?}");
        let total = number as u64 + 1;
        metrics.wait_for("tidegate_sessions_closed_total", &labels, total);
        // No DISCONNECT: the broker publishes the will.
        if is_live {
            topology.recorder().wait_closed(recorded);
        }
    }
    assert_eq!(topology.recorder().count(Kind::Disconnect), 0);
    for (code, count) in [("1002", 8), ("1003", 1), ("1009", 2)] {
        let found = metrics.value("tidegate_websocket_violations_total", &[("code", code)]);
        assert_eq!(found, count, "{code}");
    }
    // A Close, and an end without one, are none.
    for door in [Door::Ws, Door::Wss] {
        let topology = door.of(counted()).start();
        let mut client: Client = door.open(&topology, Version::V5);
        client.send(&Connect::new("client"));
        client.expect_connack(0);
        client.shut_down_writing();
        let gone = [("reason", "client_gone")];
        let metrics = topology.gate().metrics();
        metrics.wait_for("tidegate_sessions_closed_total", &gone, 1);
        assert_eq!(metrics.value("tidegate_websocket_violations_total", &[]), 0);
    }
}
