//! The part about traces, metrics and logs.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tidegate_telemetry::LogFormat;

use super::address;

/// Traces.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// OTLP over gRPC, `http://host:port`. Absent: `OTEL_EXPORTER_OTLP_ENDPOINT` decides, and
    /// without that nothing is traced.
    pub otlp_endpoint: Option<String>,
    /// How many packets of a kind are traced.
    pub trace_sample_ratio: SampleRatio,
    /// Denials and failures of packets that were not traced get a span of the gate's own, at most so many a
    /// second; 0 is none.
    pub retroactive_spans_per_second: u32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            trace_sample_ratio: SampleRatio::default(),
            retroactive_spans_per_second: 10,
        }
    }
}

/// The share of packets that are traced, 0 to 1.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// The former place of `probes.bind`.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// The same as `probes.bind`, by its former name. Never both.
    #[serde(with = "address::option")]
    #[schemars(with = "Option<super::schema::Address>")]
    pub bind: Option<SocketAddr>,
}

/// Logs.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Text on a terminal and JSON elsewhere, or always one of them.
    #[schemars(with = "String", extend("enum" = ["auto", "text", "json"]))]
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
