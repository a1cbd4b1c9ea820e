//! The configuration: typed, documented, and validated before anything is bound.
//!
//! Defaults come first, then the file, then the environment (`TIDEGATE__BROKER__URL`); the crate
//! `tidegate-settings` does the merging and remembers where each value came from. What it can't know,
//! because it concerns several keys or the meaning of one, is checked in `validate`.

mod authz;
mod validate;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_settings::{Error, Loader, text};
use tidegate_telemetry::LogFormat;

pub use self::authz::{
    Authz, ConnectHook, OnDeny, OnDenyV3, OnFailure, Permit, PublishHook, SubscribeHook,
};

/// All that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients come in. At least one.
    pub listeners: Listeners,
    /// The broker behind the gate.
    pub broker: Broker,
    /// The authorization service.
    pub authz: Authz,
    /// Bounds on what peers may make the gate hold.
    pub limits: Limits,
    /// How sessions end when the gate is told to stop.
    pub drain: Drain,
    /// How this instance introduces itself to the service.
    pub instance: Instance,
    /// Traces.
    pub telemetry: Telemetry,
    /// Logs.
    pub log: Log,
}

/// The listeners, in the order of the file. The default is one on 127.0.0.1:1883.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Listeners(pub Vec<Listener>);

impl Default for Listeners {
    fn default() -> Self {
        Self(vec![Listener::default()])
    }
}

/// One place where clients come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// Name for checks, logs and metrics; unique.
    pub name: String,
    /// Address and port; port 0 takes a free one.
    #[serde(with = "address")]
    pub bind: SocketAddr,
    /// What the clients speak.
    pub transport: Transport,
    /// Connections at once through this listener.
    pub max_connections: usize,
    /// Constants for the service, for example a tenant or a region.
    pub attributes: BTreeMap<String, String>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: "mqtt".to_owned(),
            bind: SocketAddr::from(([127, 0, 0, 1], 1883)),
            transport: Transport::Tcp,
            max_connections: 10_000,
            attributes: BTreeMap::new(),
        }
    }
}

/// What clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// MQTT over TCP.
    Tcp,
}

/// The broker behind the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// `mqtt://host:port`.
    pub url: String,
    /// From dialling to CONNACK.
    #[serde(with = "text::duration")]
    pub connect_timeout: Duration,
    /// For a PINGRESP.
    #[serde(with = "text::duration")]
    pub ping_timeout: Duration,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            url: "mqtt://127.0.0.1:1884".to_owned(),
            connect_timeout: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// Bounds on what peers may make the gate hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// From accept to a complete CONNECT.
    #[serde(with = "text::duration")]
    pub handshake_deadline: Duration,
    /// Connections at once, over all listeners.
    pub max_connections: usize,
    /// Connections of one address whose CONNECT is not decided yet.
    pub max_undecided_per_address: usize,
    /// Largest CONNECT.
    #[serde(with = "text::size")]
    pub max_connect_size: usize,
    /// Largest packet of a client; at most `window_bytes`.
    #[serde(with = "text::size")]
    pub max_packet_size: usize,
    /// Largest packet of the broker.
    #[serde(with = "text::size")]
    pub max_downlink_packet_size: usize,
    /// Packets of one session that may wait for their decisions.
    pub window_packets: usize,
    /// Bytes of one session that may wait for their decisions.
    #[serde(with = "text::size")]
    pub window_bytes: usize,
    /// Topic aliases that a client may set; 0 is none.
    pub topic_alias_maximum: u16,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub max_filters: usize,
    /// Levels of a topic name or filter.
    pub max_topic_levels: usize,
    /// Wildcards in one filter.
    pub max_filter_wildcards: usize,
    /// Subscriptions of one connection.
    pub max_subscriptions: usize,
    /// User properties in one packet of a client.
    pub max_user_properties: usize,
    /// Bytes of the user properties in one packet of a client.
    #[serde(with = "text::size")]
    pub max_user_property_bytes: usize,
    /// PUBLISH packets with QoS above 0 that an MQTT 5 client may have unacknowledged, 1 to 65535.
    pub receive_maximum: u16,
    /// How long a peer may take nothing of what is written to it.
    #[serde(with = "text::duration")]
    pub write_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let gate = gatekeeper::Limits::default();
        Self {
            handshake_deadline: Duration::from_secs(10),
            max_connections: 10_000,
            max_undecided_per_address: 256,
            max_connect_size: gate.max_connect_size,
            max_packet_size: gate.max_packet_size,
            max_downlink_packet_size: gate.max_downlink_packet_size,
            window_packets: gate.window_packets,
            window_bytes: gate.window_bytes,
            topic_alias_maximum: gate.topic_alias_maximum,
            max_filters: gate.max_filters,
            max_topic_levels: gate.max_topic_levels,
            max_filter_wildcards: gate.max_filter_wildcards,
            max_subscriptions: gate.max_subscriptions,
            max_user_properties: gate.max_user_properties,
            max_user_property_bytes: gate.max_user_property_bytes,
            receive_maximum: gate.receive_maximum,
            write_stall: Duration::from_secs(30),
        }
    }
}

/// How sessions end when the gate is told to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// For all sessions to end; what remains is cut.
    #[serde(with = "text::duration")]
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
        }
    }
}

/// How this instance introduces itself to the service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instance {
    /// Stable name, for example the pod's. Empty: the host name.
    pub id: String,
    /// Labels, for the service's use.
    pub labels: BTreeMap<String, String>,
}

/// Traces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// OTLP over gRPC, `http://host:port`. Absent: `OTEL_EXPORTER_OTLP_ENDPOINT` decides, and
    /// without that nothing is traced.
    pub otlp_endpoint: Option<String>,
    /// How many packets of a kind are traced.
    pub trace_sample_ratio: SampleRatio,
}

/// The share of packets that are traced, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleRatio {
    /// CONNECT.
    pub connect: f64,
    /// SUBSCRIBE.
    pub subscribe: f64,
    /// PUBLISH.
    pub publish: f64,
}

impl Default for SampleRatio {
    fn default() -> Self {
        Self {
            connect: 1.0,
            subscribe: 1.0,
            publish: 0.01,
        }
    }
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Text on a terminal and JSON elsewhere, or always one of them.
    pub format: LogFormat,
    /// Level, or levels by target: `info,tidegate::session=debug`. `RUST_LOG` wins.
    pub filter: String,
    /// Whether the decision log has allows too, not only denials and failures.
    pub allows: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".to_owned(),
            allows: false,
        }
    }
}

/// An address as text, so that a bad one is told what was expected.
mod address {
    use std::net::SocketAddr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        address: &SocketAddr,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            D::Error::custom(format_args!(
                "expected an address with a port, such as \"127.0.0.1:1883\" or \"[::]:1883\", found {text:?}"
            ))
        })
    }
}

impl Config {
    /// Reads defaults, the file if there is one, and the environment, in this order.
    ///
    /// # Errors
    ///
    /// Names the key, what was found, what was expected, and the place it came from.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Self, Error> {
        let mut loader = Loader::new("TIDEGATE").environment(environment);
        if let Some(file) = file {
            loader = loader.file(file);
        }
        let loaded = loader.load::<Self>()?;
        validate::check(&loaded.value, &loaded.tree)?;
        Ok(loaded.value)
    }
}
