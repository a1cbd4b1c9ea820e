//! An authorization service that goes wrong on the level of HTTP/2: what no library would let it do.
//!
//! It answers as it should until a [`Play`] is set for one kind of check.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};

use crate::background::{self, Task};

mod answers;

pub use answers::{Kind, Lie};

/// What it does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    /// Allows every check.
    Allow,
    /// Denies every check.
    Deny,
    /// Says something that is no decision.
    Lie(Lie),
    /// A gRPC status and nothing else.
    Status(i32),
    /// A gRPC status that was preceded by a full permission.
    AllowThenStatus(i32),
    /// A permission without the trailers that would make it an answer.
    NoTrailers,
    /// A permission, and trailers without a status.
    EmptyTrailers,
    /// A permission with this HTTP status and content type.
    Http(u16, &'static str),
    /// A message of 5 MB.
    Huge,
    /// The permission comes byte by byte, and its end after any deadline.
    Trickle,
    /// The permission comes after any deadline.
    Late,
    /// Nothing, for ever.
    Hang,
    /// RST_STREAM instead of an answer.
    Reset,
    /// RST_STREAM in the middle of the permission.
    ResetMidway,
    /// GOAWAY with an error and the end of the connection, instead of an answer.
    GoAway,
    /// A graceful GOAWAY beside the permission.
    Retire,
    /// The connection is reset (TCP) instead of an answer.
    Cut,
    /// The connection is reset (TCP) in the middle of the permission.
    CutMidway,
    /// The connection stays, and nothing is read from it or written to it any more.
    Freeze,
}

/// How late an answer is that comes after any deadline of these tests.
pub const LATE: Duration = Duration::from_secs(3);

/// The service, on a port of its own.
#[derive(Debug)]
pub struct Framed {
    address: SocketAddr,
    script: Arc<Script>,
    /// None: stopped.
    running: Option<Task>,
}

#[derive(Debug, Default)]
struct Script {
    faulty: Mutex<Option<(Kind, Play)>>,
    /// Calls that were played to.
    played: AtomicUsize,
}

impl Framed {
    /// Starts a service that allows everything.
    #[must_use]
    pub fn start() -> Self {
        let listener = background::block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let script = Arc::<Script>::default();
        let scripted = Arc::clone(&script);
        let task = background::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&scripted)));
            }
        });
        Self {
            address,
            script,
            running: Some(task),
        }
    }

    /// The endpoint, for the configuration of the gate.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, plays this to calls with checks of a kind, and allows all others.
    pub fn play(&self, kind: Kind, play: Play) {
        *self.script.faulty.lock().unwrap() = Some((kind, play));
    }

    /// From now on, allows everything.
    pub fn behave(&self) {
        *self.script.faulty.lock().unwrap() = None;
    }

    /// Goes away: connections break, new ones are refused.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// How many calls there were that it did not simply allow.
    #[must_use]
    pub fn played(&self) -> usize {
        self.script.played.load(Ordering::Relaxed)
    }
}

impl Script {
    fn play_for(&self, kind: Kind) -> Play {
        match *self.faulty.lock().unwrap() {
            Some((faulty, play)) if faulty == kind => {
                self.played.fetch_add(1, Ordering::Relaxed);
                play
            }
            _ => Play::Allow,
        }
    }
}

/// What a call can do to its connection.
#[derive(Debug, Clone, Copy)]
enum Stroke {
    Retire,
    GoAway,
    Cut,
    Freeze,
}

async fn serve(socket: TcpStream, script: Arc<Script>) {
    let _ = socket.set_nodelay(true);
    // Whenever it is dropped it is reset; whoever leaves in peace has been heard before.
    let _ = socket.set_zero_linger();
    let Ok(mut connection) = h2::server::handshake(socket).await else {
        return;
    };
    let (to_connection, mut strokes) = mpsc::channel(1);
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                calls.spawn(call(request, respond, Arc::clone(&script), to_connection.clone()));
            }
            Some(stroke) = strokes.recv() => match stroke {
                Stroke::Retire => connection.graceful_shutdown(),
                Stroke::GoAway => {
                    connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
                    while connection.accept().await.is_some() {}
                    return;
                }
                Stroke::Cut => return,
                Stroke::Freeze => std::future::pending().await,
            },
        }
    }
}

async fn call(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    script: Arc<Script>,
    connection: mpsc::Sender<Stroke>,
) {
    let path = request.uri().path().to_owned();
    let message = read(request.into_body()).await;
    let Some(asked) = answers::Asked::read(&path, &message) else {
        // No check: capabilities, health.
        let _ = respond.send_response(only_status(12), true);
        return;
    };
    let play = script.play_for(asked.kind());
    // Whatever fails here fails because the gate has hung up.
    let _ = act(play, &asked, respond, &connection).await;
}

async fn act(
    play: Play,
    asked: &answers::Asked,
    mut respond: SendResponse<Bytes>,
    connection: &mpsc::Sender<Stroke>,
) -> Result<(), h2::Error> {
    let allow = framed(&asked.allow());
    match play {
        Play::Allow => answer(respond, allow, 0),
        Play::Deny => answer(respond, framed(&asked.deny()), 0),
        Play::Lie(lie) => answer(respond, lie.frame(asked), 0),
        Play::Status(code) => respond.send_response(only_status(code), true).map(drop),
        Play::AllowThenStatus(code) => answer(respond, allow, code),
        Play::NoTrailers => respond.send_response(head(), false)?.send_data(allow, true),
        Play::EmptyTrailers => {
            let mut body = respond.send_response(head(), false)?;
            body.send_data(allow, false)?;
            body.send_trailers(HeaderMap::from_iter([(
                HeaderName::from_static("x-nothing"),
                HeaderValue::from(0),
            )]))
        }
        Play::Http(status, content_type) => {
            let mut head = head();
            *head.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
            head.headers_mut()
                .insert("content-type", HeaderValue::from_static(content_type));
            finish(respond.send_response(head, false)?, allow, 0)
        }
        Play::Huge => answer(respond, framed(&vec![0; 5_000_000]), 0),
        Play::Trickle => {
            let mut body = respond.send_response(head(), false)?;
            let pause = LATE / u32::try_from(allow.len()).unwrap_or(u32::MAX);
            for byte in allow {
                sleep(pause).await;
                body.send_data(Bytes::copy_from_slice(&[byte]), false)?;
            }
            body.send_trailers(status(0))
        }
        Play::Late => {
            sleep(LATE).await;
            answer(respond, allow, 0)
        }
        Play::Hang => std::future::pending().await,
        Play::Reset => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        Play::ResetMidway => {
            let mut body = respond.send_response(head(), false)?;
            body.send_data(allow.slice(..allow.len() / 2), false)?;
            body.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        Play::GoAway => strike(connection, Stroke::GoAway).await,
        Play::Retire => {
            answer(respond, allow, 0)?;
            strike(connection, Stroke::Retire).await
        }
        Play::Cut => strike(connection, Stroke::Cut).await,
        Play::CutMidway => {
            let mut body = respond.send_response(head(), false)?;
            body.send_data(allow.slice(..allow.len() / 2), false)?;
            // Flushed by the connection before it looks for a stroke, or not: both happen.
            tokio::task::yield_now().await;
            strike(connection, Stroke::Cut).await
        }
        Play::Freeze => strike(connection, Stroke::Freeze).await,
    }
}

/// Says what is to become of the connection; the call itself gets no other answer.
async fn strike(connection: &mpsc::Sender<Stroke>, stroke: Stroke) -> Result<(), h2::Error> {
    let _ = connection.send(stroke).await;
    match stroke {
        Stroke::Retire => Ok(()),
        _ => std::future::pending().await,
    }
}

fn answer(mut respond: SendResponse<Bytes>, message: Bytes, code: i32) -> Result<(), h2::Error> {
    finish(respond.send_response(head(), false)?, message, code)
}

fn finish(mut body: SendStream<Bytes>, message: Bytes, code: i32) -> Result<(), h2::Error> {
    body.send_data(message, false)?;
    body.send_trailers(status(code))
}

fn head() -> Response<()> {
    let mut head = Response::new(());
    head.headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    head
}

fn only_status(code: i32) -> Response<()> {
    let mut head = head();
    head.headers_mut().extend(status(code));
    head
}

fn status(code: i32) -> HeaderMap {
    let name = HeaderName::from_static("grpc-status");
    HeaderMap::from_iter([(name, HeaderValue::from(code))])
}

/// The message of a request, without the five bytes in front of it.
async fn read(mut body: RecvStream) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        bytes.put(data);
    }
    let bytes = bytes.freeze();
    bytes.slice(bytes.len().min(5)..)
}

/// A message as it stands in the body of a call.
fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(message.len() + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).expect("a short message"));
    bytes.put(message);
    bytes.freeze()
}
