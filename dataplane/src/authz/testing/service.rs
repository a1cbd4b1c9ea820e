//! A service that misbehaves on purpose, frame by frame.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::{BufMut, Bytes, BytesMut};
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use prost::Message;
use tidegate_proto::v1;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What it does with a call.
#[derive(Debug, Clone)]
pub(in crate::authz) enum Play {
    /// A head, these bytes, and a status in the trailers.
    Answer(Bytes, i32),
    /// A status and nothing else.
    OnlyStatus(i32),
    /// A head and these bytes, but no trailers.
    NoTrailers(Bytes),
    /// Trailers without a status.
    EmptyTrailers(Bytes),
    /// An answer with this HTTP status and content type, complete with message and `grpc-status: 0`.
    Http(u16, &'static str),
    /// RST_STREAM instead of an answer.
    Reset(Reason),
    /// RST_STREAM after the head.
    ResetMidway(Reason),
    /// The connection breaks after the head and some of the message.
    BreakMidway,
    /// GOAWAY and the end of the connection, instead of an answer.
    GoAway,
    /// A graceful GOAWAY beside the answer: this connection takes no more calls.
    Retire(Bytes),
    /// Nothing, for ever.
    Hang,
    /// A head and these bytes, and no end.
    Say(Bytes),
    /// A status with `grpc-retry-pushback-ms`.
    PushBack(i32, &'static str),
}

/// A call as it arrived.
#[derive(Debug)]
pub(in crate::authz) struct Seen {
    pub(in crate::authz) path: String,
    pub(in crate::authz) headers: HeaderMap,
    pub(in crate::authz) request: v1::AuthorizePublishRequest,
}

/// A running service. Stops, with all of its connections, when it is dropped.
pub(in crate::authz) struct Scripted {
    pub(in crate::authz) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    /// Stops it and waits until its port is closed.
    pub(in crate::authz) async fn stop(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Plays the same for every call.
    pub(in crate::authz) async fn start(play: Play) -> Self {
        Self::each(move |_| play.clone()).await
    }

    /// Asks the script what to do for each call with checks, which it sees. Does not implement
    /// anything else.
    pub(in crate::authz) async fn each(
        script: impl Fn(Seen) -> Play + Send + Sync + 'static,
    ) -> Self {
        Self::every(ANY, checks_only(script)).await
    }

    /// Asks the script what to do for every call whatsoever.
    pub(in crate::authz) async fn every(
        at: SocketAddr,
        script: impl Fn(Seen) -> Play + Send + Sync + 'static,
    ) -> Self {
        let script = Arc::new(script);
        Self::accept(at, move |socket| {
            let script = Arc::clone(&script);
            async move { connection(socket, script).await }
        })
        .await
    }

    /// The same over TLS.
    pub(in crate::authz) async fn tls(
        acceptor: tokio_rustls::TlsAcceptor,
        script: impl Fn(Seen) -> Play + Send + Sync + 'static,
    ) -> Self {
        let script = Arc::new(checks_only(script));
        Self::accept(ANY, move |socket| {
            let (script, acceptor) = (Arc::clone(&script), acceptor.clone());
            async move {
                if let Ok(socket) = acceptor.accept(socket).await {
                    connection(socket, script).await;
                }
            }
        })
        .await
    }

    /// The same on a Unix domain socket.
    pub(in crate::authz) fn unix(
        path: &std::path::Path,
        script: impl Fn(Seen) -> Play + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        let script = Arc::new(checks_only(script));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(connection(socket, Arc::clone(&script)));
            }
        });
        Self { address: ANY, task }
    }

    /// Says these bytes to whoever connects and has said something, and closes.
    pub(in crate::authz) async fn raw(bytes: &'static [u8]) -> Self {
        Self::accept(ANY, move |mut socket| async move {
            let mut heard = [0; 1024];
            let _ = socket.read(&mut heard).await;
            let _ = socket.write_all(bytes).await;
        })
        .await
    }

    async fn accept<F, C>(at: SocketAddr, on_connection: F) -> Self
    where
        F: Fn(TcpStream) -> C + Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(on_connection(socket));
            }
        });
        Self { address, task }
    }
}

/// A port of its own choice.
pub(in crate::authz) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn checks_only(
    script: impl Fn(Seen) -> Play + Send + Sync + 'static,
) -> impl Fn(Seen) -> Play + Send + Sync + 'static {
    move |seen| match seen.path.contains("/Authorize") {
        true => script(seen),
        false => Play::OnlyStatus(12),
    }
}

async fn connection<S>(socket: S, script: Arc<impl Fn(Seen) -> Play + Send + Sync + 'static>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Ok(mut connection) = h2::server::handshake(socket).await else {
        return;
    };
    let (close, mut closed) = tokio::sync::mpsc::channel::<Play>(1);
    let mut streams = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let (script, close) = (Arc::clone(&script), close.clone());
                streams.spawn(async move {
                    let play = script(read(request).await);
                    if matches!(play, Play::GoAway | Play::BreakMidway | Play::Retire(_)) {
                        let _ = close.send(play.clone()).await;
                    }
                    respond_with(respond, play).await;
                });
            }
            Some(how) = closed.recv() => {
                if matches!(how, Play::Retire(_)) {
                    connection.graceful_shutdown();
                    continue;
                }
                if matches!(how, Play::GoAway) {
                    connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
                }
                // What is queued goes out, then the socket is dropped.
                for _ in 0..10 {
                    let polled = std::future::poll_fn(|cx| {
                        std::task::Poll::Ready(connection.poll_closed(cx).is_ready())
                    });
                    if polled.await {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                return;
            }
        }
    }
}

async fn read(request: Request<RecvStream>) -> Seen {
    let (head, mut body) = request.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        bytes.put(data);
    }
    let message = bytes.get(5..).unwrap_or_default();
    Seen {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        request: v1::AuthorizePublishRequest::decode(message).unwrap_or_default(),
    }
}

async fn respond_with(mut respond: SendResponse<Bytes>, play: Play) {
    let head = |status: u16, content_type: &str| {
        Response::builder()
            .status(status)
            .header("content-type", content_type)
    };
    let grpc = || head(200, "application/grpc").body(()).unwrap();
    let trailers =
        |code: i32| HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.into())]);
    match play {
        Play::Retire(message) => {
            let mut body = respond.send_response(grpc(), false).unwrap();
            body.send_data(message, false).unwrap();
            body.send_trailers(trailers(0)).unwrap();
        }
        Play::Answer(message, code) => {
            let mut body = respond.send_response(grpc(), false).unwrap();
            body.send_data(message, false).unwrap();
            body.send_trailers(trailers(code)).unwrap();
        }
        Play::OnlyStatus(code) => {
            let mut head = grpc();
            head.headers_mut().extend(trailers(code));
            respond.send_response(head, true).unwrap();
        }
        Play::NoTrailers(message) => {
            let mut body = respond.send_response(grpc(), false).unwrap();
            body.send_data(message, true).unwrap();
        }
        Play::EmptyTrailers(message) => {
            let mut body = respond.send_response(grpc(), false).unwrap();
            body.send_data(message, false).unwrap();
            let nothing = HeaderMap::from_iter([("x".parse().unwrap(), 1.into())]);
            body.send_trailers(nothing).unwrap();
        }
        Play::Http(status, content_type) => {
            let head = head(status, content_type).body(()).unwrap();
            let mut body = respond.send_response(head, false).unwrap();
            body.send_data(framed(&allow_first()), false).unwrap();
            body.send_trailers(trailers(0)).unwrap();
        }
        Play::Reset(reason) => respond.send_reset(reason),
        Play::ResetMidway(reason) => {
            let mut body = respond.send_response(grpc(), false).unwrap();
            body.send_reset(reason);
        }
        Play::BreakMidway => {
            let mut body = respond.send_response(grpc(), false).unwrap();
            let half = framed(&allow_first()).slice(..6);
            body.send_data(half, false).unwrap();
            std::future::pending::<()>().await;
        }
        Play::Say(message) => {
            let mut body = respond.send_response(grpc(), false).unwrap();
            body.send_data(message, false).unwrap();
            std::future::pending::<()>().await;
        }
        Play::PushBack(code, pushback) => {
            let mut head = grpc();
            head.headers_mut().extend(trailers(code));
            let pushback = pushback.parse().unwrap();
            head.headers_mut()
                .insert("grpc-retry-pushback-ms", pushback);
            respond.send_response(head, true).unwrap();
        }
        Play::GoAway | Play::Hang => std::future::pending().await,
    }
}

/// A response that allows the first check, which has the id 1.
pub(in crate::authz) fn allow_first() -> v1::AuthorizePublishResponse {
    v1::AuthorizePublishResponse {
        results: vec![super::result(1, super::yes())],
        policy_revision: String::new(),
    }
}

/// A response that allows every check.
pub(in crate::authz) fn allow_all(seen: &Seen) -> Play {
    let ids = seen.request.checks.iter();
    let ids = ids.filter_map(|check| Some(check.metadata.as_ref()?.item_id));
    let response = v1::AuthorizePublishResponse {
        results: ids.map(|id| super::result(id, super::yes())).collect(),
        policy_revision: String::new(),
    };
    Play::Answer(framed(&response), 0)
}

/// A message as it stands in the body of a call.
pub(in crate::authz) fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}
