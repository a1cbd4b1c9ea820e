//! The part about the broker, and about the wills that it keeps.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_settings::text;

/// The broker behind the gate.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// `mqtt://host:port` (without a port 1883), `mqtts://host:port` (8883), `ws://host:port/path` (80),
    /// `wss://host:port/path` (443) or `unix:/path`. All addresses of a name are tried.
    pub url: String,
    /// TLS, if the URL asks for it.
    pub tls: BrokerTls,
    /// Whether each connection begins by saying for which client it is. The broker has to expect that, and
    /// should believe nobody else.
    pub proxy_protocol: BrokerProxyProtocol,
    /// From dialling to CONNACK, TLS and the rest included.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub connect_timeout: Duration,
    /// For a PINGRESP.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub ping_timeout: Duration,
    /// Whether clients see its Server Reference. It is a private name, most often.
    pub pass_server_reference: bool,
    /// First levels of topics to which no client may publish, whatever the service says: the broker
    /// keeps them for itself, or reads another topic out of what follows. Each begins with `$`.
    /// The service is asked about `$SYS/broker/connection/<name>/state` all the same: bridges need it.
    pub reserved_topics: Vec<String>,
    /// First levels of filters to which no client may subscribe: to some brokers `$queue/a` is `a`.
    pub reserved_filters: Vec<String>,
}

impl Default for Broker {
    fn default() -> Self {
        let gate = gatekeeper::Rules::default();
        Self {
            url: "mqtt://127.0.0.1:1884".to_owned(),
            tls: BrokerTls::default(),
            proxy_protocol: BrokerProxyProtocol::Off,
            connect_timeout: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(10),
            pass_server_reference: false,
            reserved_topics: gate.reserved_topics,
            reserved_filters: gate.reserved_filters,
        }
    }
}

/// TLS towards the broker. Files are PEM, and read again when they have changed: the next connection is made
/// with the new ones.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerTls {
    /// Certificates of the authorities to believe. Absent: those of the system, as they are when the
    /// files of this section are read: at start, and again when one of them has changed.
    pub ca: Option<PathBuf>,
    /// Our own certificate with those that lead to an authority, if the broker asks for one. Needs `key`.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
    /// The name in the broker's certificate, and in SNI. Absent: the host of the URL.
    pub server_name: Option<String>,
}

/// How the broker is told of the clients' addresses.
#[derive(
    schemars::JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum BrokerProxyProtocol {
    /// Not at all.
    #[default]
    Off,
    /// By a header of the PROXY protocol, version 2, before everything else.
    V2,
}

/// What becomes of wills.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Will {
    /// Endings, by their word in the log (`reason`), after which the broker is told not to publish the
    /// will, though the client did not say goodbye. MQTT wants it published.
    pub suppress_on: Vec<String>,
    /// Whether wills may go to topics that begin with `$`.
    pub dollar_topics: bool,
    /// Longest Will Delay Interval, in whole seconds; a longer one is shortened. `"none"`: no bound.
    #[serde(with = "text::duration::or_none")]
    #[schemars(with = "super::schema::DurationOrNone")]
    pub max_delay: Option<Duration>,
}
