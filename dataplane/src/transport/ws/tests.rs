use std::io::{Cursor, Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tungstenite::{
    Message,
    protocol::{CloseFrame, Role, WebSocketConfig, frame::Frame},
};

use super::*;

const LIMIT: usize = 1 << 20;

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0xA5, 0x01, 0xFF, 0x3C];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// A gate's side, and the raw bytes of its client.
fn pair() -> (WebSocket<DuplexStream>, DuplexStream) {
    let (server, client) = duplex(1 << 20);
    (WebSocket::new(server, LIMIT), client)
}

/// The second opinion: tungstenite as a client, in memory.
#[derive(Default)]
struct Memory {
    incoming: Cursor<Vec<u8>>,
    outgoing: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match Read::read(&mut self.incoming, buf)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            length => Ok(length),
        }
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn second_opinion() -> tungstenite::WebSocket<Memory> {
    let config = WebSocketConfig::default().write_buffer_size(0);
    tungstenite::WebSocket::from_raw_socket(Memory::default(), Role::Client, Some(config))
}

#[tokio::test]
async fn what_another_client_sends_is_one_stream() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut client = second_opinion();
        let mut expected = Vec::new();
        let (mut pings, mut fragments) = (0, 0);
        for _ in 0..random.usize(1..20) {
            let size = *random
                .choice(&[0, 1, 7, 125, 126, 4000, 65_535, 65_536])
                .unwrap();
            let payload: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
            match random.u8(..4) {
                0 => {
                    client
                        .send(Message::Ping(payload[..size.min(125)].to_vec().into()))
                        .unwrap();
                    pings += 1;
                    continue;
                }
                1 if size > 0 => {
                    let opcode = match fragments {
                        0 => Data::Binary,
                        _ => Data::Continue,
                    };
                    let is_last = random.bool();
                    let piece = Frame::message(payload.clone(), OpCode::Data(opcode), is_last);
                    client.send(Message::Frame(piece)).unwrap();
                    fragments = if is_last { 0 } else { fragments + 1 };
                }
                _ if fragments == 0 => client
                    .send(Message::Binary(payload.clone().into()))
                    .unwrap(),
                _ => continue,
            }
            expected.extend(payload);
        }
        let sent = std::mem::take(&mut client.get_mut().outgoing);
        let (mut server, mut raw) = pair();
        let feed = tokio::spawn(async move {
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let size = random.usize(1..=rest.len().min(9000));
                raw.write_all(&rest[..size]).await.unwrap();
                rest = &rest[size..];
                tokio::task::yield_now().await;
            }
            raw.shutdown().await.unwrap();
            let mut answers = Vec::new();
            raw.read_to_end(&mut answers).await.unwrap();
            answers
        });
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert!(got == expected, "seed {seed}");
        drop(server);
        let answers = feed.await.unwrap();
        assert_eq!(answers.is_empty(), pings == 0, "seed {seed}");
    }
}

#[tokio::test]
async fn what_is_written_another_client_reads() {
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let payload: Vec<u8> = (0..random.usize(1..200_000))
            .map(|_| random.u8(..))
            .collect();
        let (server, mut raw) = duplex(random.usize(1..3000));
        let mut server = WebSocket::new(server, LIMIT);
        let sent = payload.clone();
        let writer = tokio::spawn(async move {
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let (one, two) = rest.split_at(random.usize(0..=rest.len().min(20_000)));
                let slices = [IoSlice::new(one), IoSlice::new(two)];
                let length = server
                    .write_vectored(&slices[..random.usize(1..=2)])
                    .await
                    .unwrap();
                rest = &rest[length..];
            }
            server.shutdown().await.unwrap();
            server
        });
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(std::time::Duration::from_secs(60), async {
            let mut piece = [0; 777];
            while !writer.is_finished() || bytes.len() < payload.len() {
                tokio::select! {
                    length = raw.read(&mut piece) => bytes.extend(&piece[..length.unwrap()]),
                    () = tokio::task::yield_now(), if writer.is_finished() => break,
                }
            }
        });
        read.await.unwrap();
        let server = writer.await.unwrap();
        drop(server);
        raw.read_to_end(&mut bytes).await.unwrap();
        let mut client = second_opinion();
        client.get_mut().incoming = Cursor::new(bytes);
        let mut got = Vec::new();
        loop {
            match client.read().unwrap() {
                Message::Binary(piece) => got.extend_from_slice(&piece),
                Message::Close(frame) => {
                    assert_eq!(u16::from(frame.unwrap().code), code::NORMAL);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(got == payload, "seed {seed}");
    }
}

#[tokio::test]
async fn a_ping_is_answered_between_fragments_and_within_no_frame() {
    let (mut server, mut raw) = pair();
    raw.write_all(&frame(0x02, b"ab")).await.unwrap();
    raw.write_all(&frame(0x89, b"hello")).await.unwrap();
    raw.write_all(&frame(0x80, b"cd")).await.unwrap();
    let mut got = [0; 4];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"abcd");
    let mut pong = [0; 7];
    raw.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\x8A\x05hello");
    // A Pong that nobody asked for is nothing to speak of.
    raw.write_all(&frame(0x8A, b"?")).await.unwrap();
    raw.write_all(&frame(0x82, b"e")).await.unwrap();
    server.read_exact(&mut got[..1]).await.unwrap();
    assert_eq!(got[0], b'e');
}

#[tokio::test]
async fn a_violation_is_told_and_ends_it() {
    let unmasked = b"\x82\x01x".to_vec();
    let long_form = b"\x82\xFE\x00\x01\0\0\0\0x".to_vec();
    let huge = b"\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0".to_vec();
    let fragments = |count| {
        let mut all = frame(0x02, &[0; 1 << 18]);
        for _ in 0..count {
            all.extend(frame(0x00, &[0; 1 << 18]));
        }
        all
    };
    for (name, bytes, expected) in [
        ("text", frame(0x81, b"text"), code::UNSUPPORTED),
        ("unmasked", unmasked, code::PROTOCOL_ERROR),
        ("not the shortest length", long_form, code::PROTOCOL_ERROR),
        ("too large at once", huge, code::TOO_BIG),
        ("too large in pieces", fragments(4), code::TOO_BIG),
        ("reserved bit", frame(0xC2, b""), code::PROTOCOL_ERROR),
        ("reserved opcode", frame(0x83, b""), code::PROTOCOL_ERROR),
        ("reserved control", frame(0x8B, b""), code::PROTOCOL_ERROR),
        (
            "continuation of nothing",
            frame(0x80, b""),
            code::PROTOCOL_ERROR,
        ),
        ("ping in fragments", frame(0x09, b""), code::PROTOCOL_ERROR),
        (
            "ping too long",
            frame(0x89, &[0; 126]),
            code::PROTOCOL_ERROR,
        ),
        ("half a code", frame(0x88, &[3]), code::PROTOCOL_ERROR),
        (
            "a code that can't be",
            frame(0x88, &[3, 0xED]),
            code::PROTOCOL_ERROR,
        ),
        (
            "no reason",
            frame(0x88, &[3, 0xE8, 0xFF]),
            code::PROTOCOL_ERROR,
        ),
        (
            "a message within another",
            [frame(0x02, b""), frame(0x82, b"")].concat(),
            code::PROTOCOL_ERROR,
        ),
    ] {
        let (mut server, mut raw) = pair();
        let client = tokio::spawn(async move {
            let _ = raw.write_all(&bytes).await;
            let mut answer = Vec::new();
            raw.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
        server.shutdown().await.unwrap();
        drop(server);
        let [high, low] = expected.to_be_bytes();
        assert_eq!(client.await.unwrap(), [0x88, 2, high, low], "{name}");
    }
}

#[tokio::test]
async fn the_closing_handshake() {
    // The client begins.
    let (mut server, mut raw) = pair();
    let going_away = frame(0x88, &[3, 0xE9]);
    let sent = [frame(0x82, b"last"), going_away, frame(0x82, b"too late")].concat();
    raw.write_all(&sent).await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last");
    assert!(server.write_all(b"x").await.is_err());
    server.shutdown().await.unwrap();
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x88, 2, 3, 0xE9]);

    // The gate begins, and goes on reading until it is answered.
    let (mut server, mut raw) = pair();
    server.shutdown().await.unwrap();
    let mut close = [0; 4];
    raw.read_exact(&mut close).await.unwrap();
    assert_eq!(close, [0x88, 2, 3, 0xE8]);
    raw.write_all(&frame(0x82, b"on its way")).await.unwrap();
    raw.write_all(&frame(0x88, &[3, 0xE8])).await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"on its way");
    assert_eq!(raw.read(&mut close).await.unwrap(), 0);

    // tungstenite is content with it, too.
    let mut client = second_opinion();
    client.get_mut().incoming = Cursor::new(vec![0x88, 2, 3, 0xE8]);
    let expected = CloseFrame {
        code: 1000.into(),
        reason: "".into(),
    };
    assert_eq!(client.read().unwrap(), Message::Close(Some(expected)));
}

/// The gate's socket has unread input when it gives up: closed like that, it would reset the connection.
#[tokio::test]
async fn who_is_still_sending_sees_the_code() {
    use crate::framing::Leg;
    use std::{pin::pin, task::Poll};
    use tokio::net::{TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::spawn(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let sending = tokio::spawn(async move {
            let sent = write.write_all(&frame(0x82, &vec![0; 5 * LIMIT])).await;
            drop(write);
            sent
        });
        let mut answer = Vec::new();
        read.read_to_end(&mut answer).await.unwrap();
        sending.await.unwrap().unwrap();
        answer
    });
    let (stream, _) = listener.accept().await.unwrap();
    let mut leg = Leg::new(gatekeeper::Side::Client, WebSocket::new(stream, LIMIT));
    let ended = std::future::poll_fn(|cx| match leg.poll_read(cx) {
        Poll::Ready(Ok(1..)) => Poll::Ready(None),
        other => other.map(Some),
    });
    assert!(matches!(pin!(ended).await, Some(Err(_))));
    leg.finish().await;
    let [high, low] = code::TOO_BIG.to_be_bytes();
    assert_eq!(client.await.unwrap(), [0x88, 2, high, low]);
}
