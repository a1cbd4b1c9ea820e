use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        handshake::server::{Request, Response},
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use super::*;

/// Largest packet of the broker.
const LIMIT: usize = 100_000;

/// A broker that chooses this subprotocol.
#[allow(
    clippy::result_large_err,
    reason = "the shape of the library's callback"
)]
async fn accept(
    stream: DuplexStream,
    chosen: Option<&'static str>,
) -> Result<WebSocketStream<DuplexStream>, Error> {
    accept_hdr_async(stream, |request: &Request, mut response: Response| {
        assert_eq!(request.uri(), "/mqtt");
        assert_eq!(request.headers()["host"], "broker.example:8080");
        assert_eq!(request.headers()[SEC_WEBSOCKET_PROTOCOL], SUBPROTOCOL);
        assert!(!request.headers().contains_key("sec-websocket-extensions"));
        if let Some(chosen) = chosen {
            let chosen = HeaderValue::from_static(chosen);
            response
                .headers_mut()
                .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        Ok(response)
    })
    .await
}

async fn connect(
    chosen: Option<&'static str>,
) -> (
    io::Result<WebSocket<DuplexStream>>,
    WebSocketStream<DuplexStream>,
) {
    let (ours, theirs) = duplex(1000);
    let url = Uri::from_static("ws://broker.example:8080/mqtt");
    let (gate, broker) = tokio::join!(WebSocket::connect(url, ours, LIMIT), accept(theirs, chosen));
    (gate, broker.unwrap())
}

async fn connected() -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (gate, broker) = connect(Some("mqtt")).await;
    (gate.unwrap(), broker)
}

#[tokio::test]
async fn nothing_but_mqtt_is_spoken() {
    for chosen in [None, Some("mqttv3.1")] {
        let (gate, _broker) = connect(chosen).await;
        let error = gate.unwrap_err().to_string();
        assert!(
            error.contains("SubProtocol") || error.contains("sub-protocol"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn messages_and_fragments_are_one_stream() {
    let (mut gate, mut broker) = connected().await;
    tokio::spawn(async move {
        let part = |text: &'static str, kind, is_final| {
            Message::Frame(Frame::message(text, OpCode::Data(kind), is_final))
        };
        for message in [
            Message::binary("ab"),
            Message::binary(""),
            Message::Ping(Bytes::from_static(b"?")),
            part("cd", Data::Binary, false),
            Message::Ping(Bytes::new()),
            part("ef", Data::Continue, true),
        ] {
            broker.send(message).await.unwrap();
        }
        assert_eq!(
            broker.next().await.unwrap().unwrap(),
            Message::Pong(Bytes::from_static(b"?"))
        );
        broker.close(None).await.unwrap();
    });
    let mut heard = Vec::new();
    gate.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"abcdef");
}

#[tokio::test]
async fn what_is_written_arrives_masked_and_in_order() {
    // A server of this library refuses what is not masked.
    let (mut gate, mut broker) = connected().await;
    let sent: Vec<u8> = (0..50_000_u32).map(|at| at as u8).collect();
    let (head, rest) = sent.split_at(3);
    let writing = async {
        let written = gate
            .write_vectored(&[IoSlice::new(head), IoSlice::new(rest)])
            .await
            .unwrap();
        gate.write_all(&sent[written..]).await.unwrap();
        gate.shutdown().await.unwrap();
        assert_eq!(gate.read(&mut [0]).await.unwrap(), 0);
    };
    let reading = async move {
        let mut heard = Vec::new();
        while let Some(Ok(message)) = broker.next().await {
            if let Message::Binary(message) = message {
                assert!(message.len() <= MESSAGE);
                heard.extend_from_slice(&message);
            }
        }
        heard
    };
    let ((), heard) = tokio::join!(writing, reading);
    assert!(heard == sent);
}

#[tokio::test]
async fn text_and_what_is_too_large_are_refused() {
    for message in [
        Message::text("CONNECT"),
        Message::binary(vec![0; LIMIT + NEIGHBOURS + 1]),
    ] {
        let (mut gate, mut broker) = connected().await;
        tokio::spawn(async move { broker.send(message).await });
        gate.read(&mut [0; 10]).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_broker_that_just_goes_is_at_its_end() {
    let (mut gate, broker) = connected().await;
    drop(broker);
    assert_eq!(gate.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_broker_that_says_what_is_wrong_is_heard() {
    let close = |code, reason: &'static str| {
        let reason = reason.into();
        async move {
            let (mut gate, mut broker) = connected().await;
            broker
                .close(Some(CloseFrame { code, reason }))
                .await
                .unwrap();
            gate.read(&mut [0]).await
        }
    };
    assert_eq!(close(CloseCode::Normal, "").await.unwrap(), 0);
    assert_eq!(close(CloseCode::Away, "").await.unwrap(), 0);
    let error = close(CloseCode::Size, "too large").await.unwrap_err();
    assert!(error.to_string().contains("1009 \"too large\""), "{error}");
}

#[tokio::test]
async fn the_end_is_that_of_the_connection_and_not_its_announcement() {
    let (mut gate, mut broker) = connected().await;
    gate.shutdown().await.unwrap();
    assert!(matches!(broker.next().await, Some(Ok(Message::Close(_)))));
    // The reply is sent, and the connection stays.
    assert!(broker.next().await.is_none());
    let mut byte = [0];
    let mut end = Box::pin(gate.read(&mut byte));
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), &mut end);
    early.await.unwrap_err();
    drop(broker);
    assert_eq!(end.await.unwrap(), 0);
}

#[tokio::test]
async fn an_extension_that_nobody_offered_is_refused() {
    let (ours, theirs) = duplex(1000);
    let url = Uri::from_static("ws://broker.example:8080/mqtt");
    #[allow(
        clippy::result_large_err,
        reason = "the shape of the library's callback"
    )]
    let choose = |_: &Request, mut response: Response| {
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let chosen = HeaderValue::from_static("permessage-deflate");
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, chosen);
        Ok(response)
    };
    let (gate, _broker) = tokio::join!(
        WebSocket::connect(url, ours, LIMIT),
        accept_hdr_async(theirs, choose)
    );
    let error = gate.unwrap_err().to_string();
    assert!(error.contains("extension"), "{error}");
}
