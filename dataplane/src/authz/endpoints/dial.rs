//! From an address to an HTTP/2 connection.

use std::{error::Error, time::Duration};

use http::Uri;
use hyper::client::conn::http2;
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tower::ServiceExt;

use super::{
    address::{Address, Socket},
    connection::{Connection, Origin},
    cork::Cork,
    no_connection::NoConnection,
    tls::Tls,
};
use crate::authz::{failure::shortened, options::AuthzOptions};

/// Idle time before TCP asks whether the peer is still there.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between two such questions.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Questions without an answer before the connection is given up.
const KEEP_ALIVE_RETRIES: u32 = 3;
/// Shortest time in which a peer has to acknowledge bytes: above a hiccup of the network.
const MIN_USER_TIMEOUT: Duration = Duration::from_secs(1);

/// HTTP/2 windows. Never equal, so that one stalled answer cannot stop the others.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// An answer needs a few hundred bytes of headers; `grpc-message` may be some text.
const MAX_HEADER_LIST: u32 = 16 * 1024;
/// Calls given up by us whose late answers are remembered and dropped quietly.
const MAX_RESET_STREAMS: usize = 256;

/// Makes connections.
#[derive(Debug)]
pub(super) struct Dialer {
    tcp: HttpConnector,
    tls: Option<Tls>,
    connect_timeout: Duration,
}

/// A new connection, and the task that moves its bytes: it ends with the connection.
pub(super) struct Dialled {
    pub(super) connection: Connection,
    pub(super) driver: JoinHandle<Result<(), hyper::Error>>,
}

impl Dialer {
    /// For calls with this deadline.
    pub(super) fn new(options: &AuthzOptions, deadline: Duration) -> Self {
        Self {
            tcp: tcp_connector(options.connect_timeout, deadline),
            tls: options.tls.clone(),
            connect_timeout: options.connect_timeout,
        }
    }

    /// Connects, name resolution and handshakes included, within the time for one attempt.
    ///
    /// # Errors
    ///
    /// What went wrong, and whether anybody was there.
    pub(super) async fn dial(&self, address: &Address) -> Result<Dialled, NoConnection> {
        let until = Instant::now() + self.connect_timeout;
        let is_over = || format!("no connection within {:?}", self.connect_timeout);
        let stream = match timeout_at(until, self.reach(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(NoConnection::of(&*error)),
            Err(_) => return Err(NoConnection::nobody(is_over())),
        };
        match timeout_at(until, self.greet(address, stream)).await {
            Ok(Ok(dialled)) => Ok(dialled),
            Ok(Err(error)) => Err(NoConnection::somebody(chain(&*error))),
            Err(_) => Err(NoConnection::somebody(is_over())),
        }
    }

    /// A connection of bytes.
    async fn reach(&self, address: &Address) -> Result<Box<dyn Stream>, AnyError> {
        Ok(match &address.socket {
            Socket::Tcp(uri) => Box::new(self.tcp(uri).await?),
            Socket::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }

    /// What two that speak HTTP/2 say to each other first.
    async fn greet(&self, address: &Address, stream: Box<dyn Stream>) -> Result<Dialled, AnyError> {
        let stream: Box<dyn Stream> = match address.is_tls {
            true => Box::new(self.tls(address, stream).await?),
            false => stream,
        };
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_concurrent_reset_streams(MAX_RESET_STREAMS)
            .handshake(TokioIo::new(Cork::new(stream)))
            .await?;
        let origin = Origin::new(address.is_tls, address.authority.clone());
        Ok(Dialled {
            connection: Connection::new(sender, origin),
            driver: tokio::spawn(connection),
        })
    }

    async fn tcp(&self, uri: &Uri) -> Result<TcpStream, AnyError> {
        let stream = self.tcp.clone().oneshot(uri.clone()).await?;
        Ok(stream.into_inner())
    }

    async fn tls(
        &self,
        address: &Address,
        stream: Box<dyn Stream>,
    ) -> Result<impl Stream + use<>, AnyError> {
        // Without settings there is no connection: never one in plain text instead.
        let tls = self.tls.as_ref().ok_or("TLS is not set up")?;
        let name = match &tls.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(address.name.clone())?,
        };
        let connector = TlsConnector::from(tls.config().await);
        let stream = connector.connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("the peer's TLS does not offer HTTP/2 (ALPN h2)".into());
        }
        Ok(stream)
    }
}

/// A peer that dies without a word (a lost host, a lost route) acknowledges nothing. TCP alone would
/// go on for a quarter of an hour; with the user timeout the connection is given up as soon as a check
/// could have timed out. HTTP/2 pings are left off: gRPC servers close connections that ping more often
/// than every five minutes.
fn tcp_connector(connect_timeout: Duration, deadline: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    // Small messages both ways: Nagle's algorithm would cost 40 ms here and there.
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_timeout));
    connector.set_keepalive(Some(KEEP_ALIVE_IDLE));
    connector.set_keepalive_interval(Some(KEEP_ALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    connector.set_tcp_user_timeout(Some(deadline.max(MIN_USER_TIMEOUT)));
    connector
}

/// An error with what lies below it, shortened, on one line.
pub(in crate::authz) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    shortened(&text)
}

type AnyError = Box<dyn Error + Send + Sync>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_prompt_and_notices_a_dead_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialer = Dialer::new(&AuthzOptions::default(), Duration::from_secs(2));
        let uri = format!("http://{address}").parse().unwrap();
        let stream = dialer.tcp(&uri).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(2))
        );
    }
}
