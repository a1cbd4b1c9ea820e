use super::*;

/// What the sink makes of a stream that comes in pieces of this size.
fn seen(level: u8, stream: &[u8], piece: usize) -> Vec<String> {
    let mut scanner = Scanner::new(level);
    let mut seen = Vec::new();
    let mut rest = Vec::new();
    for piece in stream.chunks(piece) {
        rest.extend_from_slice(piece);
        let done = scanner
            .scan(&rest, |packet| seen.push(format!("{packet:?}")))
            .unwrap();
        rest.drain(..done);
    }
    assert_eq!(rest, [0; 0], "all is taken");
    seen
}

#[test]
fn a_stream_is_the_same_in_pieces_of_any_size() {
    for level in [V311, V5] {
        let mut stream = connect(level, "me");
        for (qos, id, size) in [(0, 0, 64), (1, 7, 3), (1, 8, 16 * 1024), (0, 0, 700)] {
            let (mut packet, at) = publish(level, qos, id, "a/b", size);
            if let Some(at) = at {
                packet[at].copy_from_slice(&77_u64.to_le_bytes());
            }
            stream.extend(packet);
        }
        stream.extend([0xc0, 0]);
        stream.extend(puback(9));
        stream.extend(DISCONNECT);

        let client_id = b"me";
        let expected = [
            Packet::Connect { level, client_id },
            Packet::Publish {
                qos: 0,
                id: 0,
                sent_ns: Some(77),
            },
            Packet::Publish {
                qos: 1,
                id: 7,
                sent_ns: None,
            },
            Packet::Publish {
                qos: 1,
                id: 8,
                sent_ns: Some(77),
            },
            Packet::Publish {
                qos: 0,
                id: 0,
                sent_ns: Some(77),
            },
            Packet::Ping,
            Packet::PubAck { id: 9 },
            Packet::Disconnect,
        ]
        .map(|packet| format!("{packet:?}"));
        for piece in [1, 2, 13, 500, 1_000, 100_000] {
            assert_eq!(seen(level, &stream, piece), expected, "pieces of {piece}");
        }
    }
}

#[test]
fn filters_of_a_subscribe_are_counted() {
    let stream = [0x82, 12, 0, 3, 0, 1, b'a', 0, 0, 3, b'b', b'/', b'#', 1];
    assert_eq!(seen(V311, &stream, 5), ["Subscribe { id: 3, filters: 2 }"]);
    assert_eq!(suback(V311, 3, 2), [0x90, 4, 0, 3, 0, 0]);
}

#[test]
fn what_is_not_mqtt_is_told_apart() {
    let mut scanner = Scanner::new(V311);
    assert_eq!(
        scanner.scan(&[0x30, 0xff, 0xff, 0xff, 0xff], |_| ()),
        Err(Garbled)
    );
    assert_eq!(scanner.scan(&[0x30, 1, 0], |_| ()), Err(Garbled));
}
