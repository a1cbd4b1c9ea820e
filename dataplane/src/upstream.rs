//! Room 6: the connection to the broker, one per client, dialled only when the CONNECT is allowed.
//!
//! ```text
//! look up ─► connect (all addresses) ─► PROXY header ─► TLS ─► WebSocket ─► MQTT
//! ```
//!
//! The gatekeeper has the deadline for all of it, `broker.connect_timeout`: a dial that takes longer is
//! dropped. (A look-up that the system is busy with is not: there is one for all dials, see `resolver`.)
//! Whatever fails here is an answer to the client that the broker is not available.

mod attempt;
mod eyeballs;
mod proxy_protocol;
mod resolver;
mod stream;
mod target;
mod tls;
mod websocket;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::{Instant, sleep},
};

use crate::{
    log_limit::LogLimit,
    metrics::{DialMetrics, TlsMetrics},
    socket,
    tls::client::{TlsError, TlsFiles},
};

pub(crate) use self::target::MAX_SOCKET_PATH;
use self::{
    attempt::{Attempt, Step},
    resolver::Resolver,
    target::Place,
    tls::Tls,
};
pub use self::{
    proxy_protocol::Ends,
    stream::BrokerStream,
    target::{Target, TargetError},
    websocket::WebSocket,
};

/// The wait for a place in the queue of a Unix domain socket, the first and the longest.
const QUEUE_FULL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// Lines about dials that hung: all sessions see the same broker.
const HUNG_PER_SECOND: u32 = 5;

/// Opens connections to the broker. A trait, so that the session can be driven over a duplex stream.
pub trait Dial: Send + Sync + 'static {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one, for a client between these ends. Dropping the future gives it up, and whoever waits will at
    /// `until`: it is the caller's to keep, and told for the metrics.
    fn dial(
        &self,
        ends: Option<Ends>,
        until: Instant,
    ) -> BoxFuture<'static, io::Result<Self::Stream>>;
}

/// How the broker is dialled.
#[derive(Debug, Clone)]
pub struct UpstreamOptions {
    /// Where it is.
    pub target: Target,
    /// For a target with TLS.
    pub tls: TlsFiles,
    /// Whether the broker is told of clients' addresses, by the PROXY protocol in version 2.
    pub proxy_header: bool,
    /// Largest packet of the broker, in bytes.
    pub max_packet: usize,
    /// Where dials are counted.
    pub metrics: DialMetrics,
}

/// The way to the broker.
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Way>);

#[derive(Debug)]
struct Way {
    target: Target,
    whereabouts: Whereabouts,
    tls: Option<Tls>,
    proxy_header: bool,
    max_packet: usize,
    metrics: DialMetrics,
    hung: LogLimit,
}

/// What leads to the broker.
#[derive(Debug)]
enum Whereabouts {
    Host(Arc<Resolver>),
    Unix(PathBuf),
}

impl Upstream {
    /// Reads the files that TLS needs, if it is wanted.
    ///
    /// # Errors
    ///
    /// Files that TLS can't be done with.
    pub fn new(options: UpstreamOptions) -> Result<Self, TlsError> {
        Self::counted(options, &TlsMetrics::default())
    }

    /// As [`new`](Self::new), and counts there how the files are read again.
    pub(crate) fn counted(
        options: UpstreamOptions,
        metrics: &TlsMetrics,
    ) -> Result<Self, TlsError> {
        let target = options.target;
        let tls = match &target.place {
            Place::Host(host, _) if target.tls => {
                let alpn: &[u8] = match target.websocket {
                    Some(_) => b"http/1.1",
                    None => b"mqtt",
                };
                Some(Tls::load(options.tls, host, alpn, metrics)?)
            }
            _ => None,
        };
        let whereabouts = match &target.place {
            Place::Host(host, port) => Whereabouts::Host(Arc::new(Resolver::new(host, *port))),
            Place::Unix(path) => Whereabouts::Unix(path.clone()),
        };
        Ok(Self(Arc::new(Way {
            target,
            whereabouts,
            tls,
            proxy_header: options.proxy_header,
            max_packet: options.max_packet,
            metrics: options.metrics,
            hung: LogLimit::new(HUNG_PER_SECOND),
        })))
    }

    /// When the certificate that we show expires, in Unix time. `None`: we show none.
    pub(crate) fn not_after(&self) -> Option<u64> {
        self.0.tls.as_ref()?.not_after()
    }
}

impl Dial for Upstream {
    type Stream = BrokerStream;

    fn dial(
        &self,
        ends: Option<Ends>,
        until: Instant,
    ) -> BoxFuture<'static, io::Result<BrokerStream>> {
        let way = Arc::clone(&self.0);
        Box::pin(async move {
            let mut attempt = Attempt::begin(&way, until);
            let outcome = way.connect(ends, &mut attempt).await;
            attempt.end(outcome)
        })
    }
}

impl Way {
    async fn connect(
        &self,
        ends: Option<Ends>,
        attempt: &mut Attempt<'_>,
    ) -> io::Result<BrokerStream> {
        let resolver = match &self.whereabouts {
            Whereabouts::Host(resolver) => resolver,
            Whereabouts::Unix(path) => {
                let mut stream = unix(path)
                    .await
                    .map_err(|error| self.explain(Step::Connect, error))?;
                self.introduce(&mut stream, ends).await?;
                return Ok(BrokerStream::Unix(stream));
            }
        };
        attempt.step = Step::LookUp;
        let addresses = resolver.addresses().await?;
        attempt.step = Step::Connect;
        let mut stream = eyeballs::connect(addresses, resolver).await?;
        socket::tune(&stream)?;
        self.introduce(&mut stream, ends).await?;
        if self.target.tls {
            attempt.step = Step::Tls;
            return Box::pin(self.secure(stream, attempt)).await;
        }
        match &self.target.websocket {
            None => Ok(BrokerStream::Tcp(stream)),
            Some(_) => {
                attempt.step = Step::Upgrade;
                let stream = Box::pin(self.upgrade(stream)).await?;
                Ok(BrokerStream::Ws(Box::new(stream)))
            }
        }
    }

    /// Says for whom the connection is, if the broker wants to know.
    async fn introduce(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        ends: Option<Ends>,
    ) -> io::Result<()> {
        if !self.proxy_header {
            return Ok(());
        }
        stream.write_all(&proxy_protocol::header(ends)).await
    }

    async fn secure(
        &self,
        stream: TcpStream,
        attempt: &mut Attempt<'_>,
    ) -> io::Result<BrokerStream> {
        // It is there if the target wants it. Never plain text instead.
        let tls = self.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let stream = tls
            .connect(stream)
            .await
            .map_err(|error| self.explain(Step::Tls, error))?;
        if self.target.websocket.is_none() {
            return Ok(BrokerStream::Tls(Box::new(stream)));
        }
        attempt.step = Step::Upgrade;
        let stream = self.upgrade(stream).await?;
        Ok(BrokerStream::Wss(Box::new(stream)))
    }

    async fn upgrade<S>(&self, stream: S) -> io::Result<WebSocket<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let url = self.target.websocket.clone().unwrap_or_default();
        WebSocket::connect(url, stream, self.max_packet)
            .await
            .map_err(|error| self.explain(Step::Upgrade, error))
    }

    /// An error for the log: which broker, what was tried, what went wrong.
    fn explain(&self, step: Step, error: io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!("{step} fails with {}: {error}", self.target),
        )
    }
}

/// Connects to a socket of this machine. The kernel lets nobody wait for a place in its queue, and many
/// clients may come at once.
async fn unix(path: &Path) -> io::Result<UnixStream> {
    let mut wait = QUEUE_FULL.0;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(wait).await;
                wait = (wait * 2).min(QUEUE_FULL.1);
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests;
