//! The part about the broker, and about the wills that it keeps.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_settings::text;

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
    /// Whether clients see its Server Reference. It is a private name, most often.
    pub pass_server_reference: bool,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            url: "mqtt://127.0.0.1:1884".to_owned(),
            connect_timeout: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(10),
            pass_server_reference: false,
        }
    }
}

/// What becomes of wills.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Will {
    /// Endings, by their word in the log (`reason`), after which the broker is told not to publish the
    /// will, though the client did not say goodbye. MQTT wants it published.
    pub suppress_on: Vec<String>,
    /// Whether wills may go to topics that begin with `$`.
    pub dollar_topics: bool,
    /// Longest Will Delay Interval, in whole seconds; a longer one is shortened. `"none"`: no bound.
    #[serde(with = "text::duration::or_none")]
    pub max_delay: Option<Duration>,
}
