//! One connection, from its arrival to its end.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::{Status, body::Body, service::Routes};
use tower::Service as _;
use tracing::{debug, warn};

use super::{
    arrivals::Arriving,
    lifetime::Lifetime,
    preface::Prefaced,
    seldom::Seldom,
    socket::{Io, Stream},
    tls::Tls,
};
use crate::{config::ServerConfig, deadline, service::MAX_CONCURRENT_CALLS};

/// For TLS, and for the preface of HTTP/2.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Calls that a data plane gives up before this program has got to them; with one more its connection is closed, and all
/// its calls with it. The default of 20 is what a deadline that passes in a storm of connects leaves at once.
const MAX_RESETS: usize = 256;
/// A batch fits into a stream's window and several streams into the connection's, so one large
/// request does not hold up the others on its connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// A data plane that went away without a word is found out in less than a minute.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Between looks at whether the watches on an old connection have ended.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What a connection needs.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) routes: Routes,
    pub(super) settings: ServerConfig,
    pub(super) lifetime: Lifetime,
    pub(super) arrived: Arriving,
    pub(super) told: Arc<Seldom>,
}

impl Connection {
    pub(super) async fn run(self, stream: Stream) {
        let peer = stream.peer();
        let io = tokio::select! {
            io = timeout(ARRIVAL, arrive(self.tls.as_deref(), stream)) => io,
            () = self.arrived.given_up() => {
                debug!(peer, "a silent connection makes room for others");
                return;
            }
            () = self.lifetime.ended() => return,
        };
        match io {
            Ok(Ok(io)) => {
                self.arrived.arrived();
                self.converse(io).await;
            }
            // A probe that only looks whether somebody listens.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                debug!(peer, "a connection was closed before it said anything");
            }
            // Somebody with a wrong certificate, or somebody who speaks no TLS.
            Ok(Err(error)) => {
                if let Some(left_out) = self.told.turn() {
                    warn!(peer, %error, left_out, "a connection was refused");
                }
            }
            Err(_) => debug!(peer, "a connection was silent for too long"),
        }
    }

    async fn converse(self, io: Box<dyn Io>) {
        let lifetime = self.lifetime;
        let routes = self.routes;
        let calls = {
            let lifetime = lifetime.clone();
            service_fn(move |request| call(routes.clone(), lifetime.clone(), request))
        };
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MAX_CONCURRENT_CALLS)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(io), calls);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return log(ended),
            () = lifetime.ended() => {}
            () = age(self.settings.max_connection_age) => lifetime.grow_old(),
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => log(ended),
            () = out_of_grace(&lifetime, self.settings.max_connection_age_grace) => {
                debug!("closing an old connection with open calls");
            }
        }
    }
}

async fn arrive(tls: Option<&Tls>, stream: Stream) -> io::Result<Box<dyn Io>> {
    let io = stream.into_io();
    Ok(match tls {
        Some(tls) => Box::new(Prefaced::read(tls.accept(io).await?).await?),
        None => Box::new(Prefaced::read(io).await?),
    })
}

async fn call(
    mut routes: Routes,
    lifetime: Lifetime,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let deadline =
        deadline::stated(request.headers()).and_then(|it| Instant::now().checked_add(it));
    request.extensions_mut().insert(lifetime);
    let answer = routes.call(request.map(Body::new));
    match deadline {
        None => answer.await,
        Some(deadline) => match timeout_at(deadline, answer).await {
            Ok(answer) => answer,
            Err(_) => Ok(Status::deadline_exceeded("the deadline has passed").into_http()),
        },
    }
}

/// Until a connection is old: a tenth earlier or later, so that not all go at once. Zero is never.
async fn age(at: Duration) {
    if at.is_zero() {
        return std::future::pending().await;
    }
    // Any spread will do, and there is no harm in none.
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    sleep(at.mul_f64(0.9 + 0.2 * random)).await;
}

/// Until an old connection has had its grace. The program's own end has another one.
async fn out_of_grace(lifetime: &Lifetime, grace: Duration) {
    let overdue = async {
        sleep(grace).await;
        while lifetime.has_watches() {
            sleep(LOOK_AGAIN).await;
        }
    };
    tokio::select! {
        biased;
        () = lifetime.ended() => std::future::pending().await,
        () = overdue => {}
    }
}

fn log(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}
