//! The part about where clients come in.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::{ListenerTls, ProxyProtocol, WebSocket, address};

/// The listeners, in the order of the file. The default is one on 127.0.0.1:1883.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Listeners(pub Vec<Listener>);

impl Listeners {
    /// Connections that all of them let in at once.
    pub(crate) fn max_connections(&self) -> usize {
        let each = self.0.iter().map(|listener| listener.max_connections);
        each.fold(0, usize::saturating_add)
    }
}

impl Default for Listeners {
    fn default() -> Self {
        Self(vec![Listener::default()])
    }
}

/// One place where clients come in.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// Name for checks, logs and metrics; unique.
    pub name: String,
    /// Address and port; port 0 takes a free one.
    #[serde(with = "address")]
    #[schemars(with = "super::schema::Address")]
    pub bind: SocketAddr,
    /// What the clients speak.
    pub transport: Transport,
    /// The PROXY protocol, before anything else.
    pub proxy_protocol: ProxyProtocol,
    /// TLS, for `tls` and `wss`.
    pub tls: Option<ListenerTls>,
    /// WebSocket, for `ws` and `wss`.
    pub websocket: Option<WebSocket>,
    /// Connections at once through this listener.
    pub max_connections: usize,
    /// Connections that are accepted per second, and at once; others wait in the system's queue (`backlog`),
    /// first come, first served. Absent: no bound.
    pub accept_rate: Option<u32>,
    /// Connections that may wait to be accepted. The kernel may allow fewer (`net.core.somaxconn`); who finds the
    /// queue full tries again by itself, after a second or more. Not for sockets that were handed over.
    pub backlog: u32,
    /// What becomes of a CONNECT that wants to resume a session: its subscriptions deliver without
    /// being asked about again.
    pub resume: Resume,
    /// Where the topics of a session begin at the broker, such as `"{principal}/"`. The placeholders
    /// are `{principal}`, `{username}` and `{client_id}`, at most one between two `/`. The service puts
    /// it in front of topics and filters (`authz.permit`), the gate takes it from deliveries.
    /// Absent: what clients subscribe to is what the broker knows.
    pub mount: Option<String>,
    /// Constants for the service, for example a tenant or a region.
    pub attributes: BTreeMap<String, String>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: "mqtt".to_owned(),
            bind: SocketAddr::from(([127, 0, 0, 1], 1883)),
            transport: Transport::Tcp,
            proxy_protocol: ProxyProtocol::default(),
            tls: None,
            websocket: None,
            max_connections: 10_000,
            accept_rate: None,
            backlog: 1024,
            resume: Resume::Ask,
            mount: None,
            attributes: BTreeMap::new(),
        }
    }
}

/// What clients of a listener speak.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// MQTT over TCP.
    Tcp,
    /// MQTT over TLS.
    Tls,
    /// MQTT over WebSocket.
    Ws,
    /// MQTT over WebSocket over TLS.
    Wss,
}

impl Transport {
    /// Whether it has TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether it has WebSocket.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// What becomes of a CONNECT that wants to resume a session.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// The service decides: the check says that the client may resume.
    Ask,
    /// Every session begins anew. What the broker had queued for the client is lost, and a will that
    /// it holds back may be published.
    ForceClean,
}
