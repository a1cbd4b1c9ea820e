//! Room 2: what stands between a socket and MQTT. PROXY protocol first, then TLS, then WebSocket; each only
//! if the listener has it, none ever guessed from what the client sends.
//!
//! Whoever waits for a handshake bounds it in time, over all of its parts.

mod facts;
mod proxy_protocol;
mod stream;
mod tls;
mod ws;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use thiserror::Error;
use tidegate_proto::v1;
use tokio::net::TcpStream;

use crate::{
    config::{Listener, ProxyVersion, Transport},
    tls::pem::PemError,
};

pub(crate) use self::{
    stream::Stream,
    tls::{Reload, TlsServer},
    ws::is_origin,
};

#[cfg(test)]
pub(crate) use self::ws::WebSocket;

use self::{
    proxy_protocol::Header,
    ws::{Upgrade, Violation},
};

/// How connections of a listener become streams of MQTT.
#[derive(Debug)]
pub(crate) struct Doorway {
    kind: v1::Transport,
    proxy: ProxyVersion,
    trusted: Vec<IpNet>,
    tls: Option<Arc<TlsServer>>,
    ws: Option<Upgrade>,
}

/// The way that a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where it comes from.
    pub(crate) peer: SocketAddr,
    /// The address at which it came in. `None`: `peer` is a load balancer that does not know whose the
    /// connection is.
    pub(crate) local: Option<SocketAddr>,
}

/// A connection that is through.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) presented: Presented,
}

/// What a client has shown before its CONNECT. Headers may be secrets.
#[derive(Clone, Default)]
pub struct Presented {
    /// What TLS says.
    pub tls: Option<Box<v1::TlsInfo>>,
    /// Headers of its request for a WebSocket that the service wants to see.
    pub http_headers: Vec<v1::UserProperty>,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("tls", &self.tls)
            .field("http_headers", &self.http_headers.len())
            .finish()
    }
}

/// Why a connection did not come through.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    /// No header of the PROXY protocol, or a bad one.
    #[error("PROXY protocol: {0}")]
    ProxyProtocol(&'static str),
    /// TLS was not agreed upon.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// No request for a WebSocket that is granted.
    #[error("WebSocket: {0}")]
    WebSocket(&'static str),
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Gone(#[from] io::Error),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// The gate is shutting down.
    #[error("the gate is shutting down")]
    Drain,
}

impl HandshakeError {
    /// All the words that [`as_str`](Self::as_str) has.
    pub(crate) const NAMES: [&'static str; 6] = [
        "proxy_protocol",
        "tls",
        "websocket",
        "gone",
        "timeout",
        "drain",
    ];

    /// The word for it in logs and metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::ProxyProtocol(_) => "proxy_protocol",
            Self::Tls(_) => "tls",
            Self::WebSocket(_) => "websocket",
            Self::Gone(_) => "gone",
            Self::Timeout => "timeout",
            Self::Drain => "drain",
        }
    }
}

impl Doorway {
    /// Reads the files that the listener names.
    ///
    /// # Errors
    ///
    /// A file that can't be used.
    pub(crate) fn load(listener: &Listener) -> Result<Self, PemError> {
        let proxy = &listener.proxy_protocol;
        let alpn: &[u8] = match listener.transport.is_websocket() {
            true => b"http/1.1",
            false => b"mqtt",
        };
        let tls = listener.tls.as_ref();
        Ok(Self {
            kind: match listener.transport {
                Transport::Tcp => v1::Transport::Tcp,
                Transport::Tls => v1::Transport::Tls,
                Transport::Ws => v1::Transport::Ws,
                Transport::Wss => v1::Transport::Wss,
            },
            proxy: proxy.version,
            trusted: proxy
                .trusted
                .iter()
                .filter_map(|text| network(text))
                .collect(),
            tls: match listener.transport.is_tls() {
                true => Some(Arc::new(TlsServer::load(
                    tls.cloned().unwrap_or_default(),
                    alpn,
                )?)),
                false => None,
            },
            ws: listener.transport.is_websocket().then(|| {
                let websocket = listener.websocket.clone().unwrap_or_default();
                Upgrade::new(websocket, listener.transport.is_tls())
            }),
        })
    }

    /// What clients speak.
    pub(crate) fn kind(&self) -> v1::Transport {
        self.kind
    }

    /// Whether connections are streams of MQTT as they come.
    pub(crate) fn is_open(&self) -> bool {
        self.kind == v1::Transport::Tcp && !self.is_proxied()
    }

    /// Whether connections come from load balancers, which say where they really come from.
    pub(crate) fn is_proxied(&self) -> bool {
        self.proxy != ProxyVersion::Off
    }

    /// Whether this address may say where clients come from.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// TLS, if there is any.
    pub(crate) fn tls(&self) -> Option<&Arc<TlsServer>> {
        self.tls.as_ref()
    }

    /// Where a connection really comes from: what the load balancer says, or `socket` if it speaks for
    /// itself.
    pub(crate) async fn route(
        &self,
        stream: &mut TcpStream,
        socket: Route,
    ) -> Result<Route, HandshakeError> {
        let header = match self.proxy {
            ProxyVersion::Off => return Ok(socket),
            ProxyVersion::V1 => proxy_protocol::read_v1(stream).await?,
            ProxyVersion::V2 => proxy_protocol::read_v2(stream).await?,
        };
        Ok(match header {
            Header::From { client, gate } => Route {
                peer: client,
                local: Some(gate),
            },
            Header::Local => socket,
            Header::Unknown => Route {
                local: None,
                ..socket
            },
        })
    }

    /// Makes a stream of MQTT of a connection.
    pub(crate) async fn open(&self, stream: TcpStream) -> Result<Opened, HandshakeError> {
        let mut presented = Presented::default();
        let stream = match (&self.tls, &self.ws) {
            (None, None) => Stream::Tcp(stream),
            (Some(tls), None) => {
                let stream = tls.accept(stream, &mut presented).await?;
                Stream::Tls(Box::new(stream))
            }
            (None, Some(ws)) => {
                let stream = ws.accept(stream, &mut presented).await?;
                Stream::Ws(Box::new(stream))
            }
            (Some(tls), Some(ws)) => {
                let stream = tls.accept(stream, &mut presented).await?;
                let stream = ws.accept(stream, &mut presented).await?;
                Stream::Wss(Box::new(stream))
            }
        };
        Ok(Opened { stream, presented })
    }
}

/// The code of the Close that a client got which broke the rules of WebSocket. `None`: its connection has ended otherwise.
pub(crate) fn close_code(error: &io::Error) -> Option<u16> {
    let violation = error.get_ref()?.downcast_ref::<Violation>()?;
    Some(violation.code())
}

/// An address, or a network, as text.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let address = || {
        text.parse::<IpAddr>()
            .map(|address| address.to_canonical().into())
    };
    text.parse().or_else(|_| address()).ok()
}
