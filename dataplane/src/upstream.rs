//! Room 6: the connection to the broker, one per client, dialled only when the CONNECT is allowed.
//!
//! ```text
//! look up ─► connect (all addresses) ─► PROXY header ─► TLS ─► WebSocket ─► MQTT
//! ```
//!
//! The gatekeeper has the deadline for all of it, `broker.connect_timeout`: a dial that takes longer is
//! dropped. Whatever fails here is an answer to the client that the broker is not available.

mod eyeballs;
mod proxy_protocol;
mod stream;
mod target;
mod tls;
mod websocket;

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::{Instant, sleep},
};
use tracing::info;

use crate::{
    log_limit::LogLimit,
    metrics::TlsMetrics,
    socket,
    tls::client::{TlsError, TlsFiles},
};

pub use self::{
    proxy_protocol::Ends,
    stream::BrokerStream,
    target::{Target, TargetError},
    websocket::WebSocket,
};
use self::{target::Place, tls::Tls};

/// The wait for a place in the queue of a Unix domain socket, the first and the longest.
const QUEUE_FULL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// A dial that is given up sooner is not worth a line: its client may simply have left.
const HUNG: Duration = Duration::from_secs(1);

/// Lines about dials that hung: all sessions see the same broker.
const HUNG_PER_SECOND: u32 = 5;

/// Opens connections to the broker. A trait, so that the session can be driven over a duplex stream.
pub trait Dial: Send + Sync + 'static {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one, for a client between these ends. Dropping the future gives it up.
    fn dial(&self, ends: Option<Ends>) -> BoxFuture<'static, io::Result<Self::Stream>>;
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
}

/// The way to the broker.
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Way>);

#[derive(Debug)]
struct Way {
    target: Target,
    tls: Option<Tls>,
    proxy_header: bool,
    max_packet: usize,
    hung: LogLimit,
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
        Ok(Self(Arc::new(Way {
            target,
            tls,
            proxy_header: options.proxy_header,
            max_packet: options.max_packet,
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

    fn dial(&self, ends: Option<Ends>) -> BoxFuture<'static, io::Result<BrokerStream>> {
        let way = Arc::clone(&self.0);
        Box::pin(async move {
            let mut attempt = Attempt::begin(&way);
            let outcome = way.connect(ends, &mut attempt).await;
            attempt.step = None;
            outcome
        })
    }
}

impl Way {
    async fn connect(
        &self,
        ends: Option<Ends>,
        attempt: &mut Attempt<'_>,
    ) -> io::Result<BrokerStream> {
        let (host, port) = match &self.target.place {
            Place::Host(host, port) => (host, *port),
            Place::Unix(path) => {
                let mut stream = unix(path)
                    .await
                    .map_err(|error| self.explain(None, error))?;
                self.introduce(&mut stream, ends).await?;
                return Ok(BrokerStream::Unix(stream));
            }
        };
        let mut stream = eyeballs::connect(host, port).await?;
        socket::tune(&stream)?;
        self.introduce(&mut stream, ends).await?;
        if self.target.tls {
            attempt.step = Some(Step::Tls);
            return Box::pin(self.secure(stream, attempt)).await;
        }
        match &self.target.websocket {
            None => Ok(BrokerStream::Tcp(stream)),
            Some(_) => {
                attempt.step = Some(Step::Upgrade);
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
            .map_err(|error| self.explain(Some(Step::Tls), error))?;
        if self.target.websocket.is_none() {
            return Ok(BrokerStream::Tls(Box::new(stream)));
        }
        attempt.step = Some(Step::Upgrade);
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
            .map_err(|error| self.explain(Some(Step::Upgrade), error))
    }

    /// An error for the log: which broker, what was tried, what went wrong.
    fn explain(&self, step: Option<Step>, error: io::Error) -> io::Error {
        let step = step.unwrap_or(Step::Connect);
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

/// What a dial is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Tls,
    Upgrade,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Upgrade => "the WebSocket upgrade",
        })
    }
}

/// A dial that goes on. Whoever gives it up does not know where it hung: this tells.
struct Attempt<'a> {
    way: &'a Way,
    began: Instant,
    /// `None`: it has come to an end.
    step: Option<Step>,
}

impl<'a> Attempt<'a> {
    fn begin(way: &'a Way) -> Self {
        Self {
            way,
            began: Instant::now(),
            step: Some(Step::Connect),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Some(step) = self.step else {
            return;
        };
        let after = self.began.elapsed();
        if after >= HUNG
            && let Some(suppressed) = self.way.hung.permit()
        {
            let broker = &self.way.target;
            info!(%broker, %step, ?after, suppressed, "the broker did not answer and was given up");
        }
    }
}

#[cfg(test)]
mod tests;
