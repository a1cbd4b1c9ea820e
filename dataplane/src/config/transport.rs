//! What stands between a listener's socket and MQTT: PROXY protocol, TLS, WebSocket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_settings::text;

/// The PROXY protocol, by which a load balancer says where a connection really comes from.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyProtocol {
    /// What every connection has to begin with.
    pub version: ProxyVersion,
    /// Addresses and networks (`"10.0.0.0/8"`) of those who may say so. Whoever else connects is
    /// refused.
    pub trusted: Vec<String>,
}

/// The version of the PROXY protocol. It is never guessed: else clients could choose.
#[derive(
    schemars::JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ProxyVersion {
    /// Connections come from clients.
    #[default]
    Off,
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

/// TLS of a listener. All files are PEM; when one changes they are read again, for handshakes to come.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificates, chosen by the name that the client asks for (SNI): the one that bears it, else one
    /// with a wildcard for it, else the first. At least one.
    pub certificates: Vec<Certificate>,
    /// Oldest version of TLS: `"1.2"` or `"1.3"`.
    pub min_version: TlsVersion,
    /// What the gate takes of the protocols that a client offers by ALPN, the best first: a client that offers others only
    /// is refused, one that offers none is not. Absent: `["mqtt"]`, on `wss` `["http/1.1"]`. Empty: ALPN is ignored.
    pub alpn: Option<Vec<String>>,
    /// Whether clients show certificates. One that is shown must be good in any case but `none`.
    pub client_certificates: ClientCertificates,
    /// Certificates of the authorities whose client certificates are good.
    pub client_ca: Option<PathBuf>,
    /// Lists of revoked certificates, of all authorities in a chain. Absent: nothing is revoked.
    pub client_crl: Option<PathBuf>,
    /// Whether the service gets the whole client certificate, too.
    pub forward_certificate: bool,
}

impl Default for ListenerTls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            min_version: TlsVersion::V12,
            alpn: None,
            client_certificates: ClientCertificates::None,
            client_ca: None,
            client_crl: None,
            forward_certificate: false,
        }
    }
}

/// A certificate of the gate.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The certificate, and those that lead to an authority, in this order.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// Whether clients show certificates.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    /// They are not asked for any.
    None,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// WebSocket of a listener.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSocket {
    /// The path that clients ask for; a query behind it is ignored.
    pub path: String,
    /// Origins of web pages that may connect, such as `"https://app.example"`; for `wss`, beside those that have
    /// the gate's own host and port. `"*"`: all. Clients that name no origin are no web pages, and may connect.
    pub origins: Vec<String>,
    /// Headers of the request that the service gets with CONNECT, if they are there.
    pub headers: Vec<String>,
    /// Largest message of a client, over all its fragments. A message is only a piece of the stream of
    /// MQTT: it may hold many packets, and is never kept as a whole.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_message_size: usize,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            path: "/mqtt".to_owned(),
            origins: Vec::new(),
            headers: Vec::new(),
            max_message_size: 4 * 1024 * 1024,
        }
    }
}
