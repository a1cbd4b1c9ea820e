//! `[server]`, `[shutdown]` and `[probes]`: how long connections last, how the program ends, how it is watched.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_settings::text::duration;

/// Connections to the gRPC server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// A connection this old is told to go (GOAWAY), so that data planes find new replicas; spread by a tenth to
    /// both sides. A watch of directives that is open on it stays. `0s`: never.
    #[serde(with = "duration")]
    pub max_connection_age: Duration,
    /// What calls that are open then may take.
    #[serde(with = "duration")]
    pub max_connection_age_grace: Duration,
    /// How much later than this one other replicas may be given the same configuration, or the same users file: after
    /// that, data planes are told once more to ask about what has changed, and at a start about everything. `0s`:
    /// there is only one. Replicas on one PostgreSQL tell each other of configurations when they have them.
    #[serde(with = "duration")]
    pub rollout: Duration,
}

/// The end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownConfig {
    /// Between "not ready" and the end of serving: for whoever sends clients here to hear of it.
    #[serde(with = "duration")]
    pub delay: Duration,
    /// What calls that are open then may take.
    #[serde(with = "duration")]
    pub grace: Duration,
}

/// Probes and metrics, in plaintext and read-only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbesConfig {
    /// Where to listen: `/healthz`, `/readyz`, `/metrics`, and `grpc.health.v1` on the same port. None: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connection_age: Duration::from_secs(30 * 60),
            max_connection_age_grace: Duration::from_secs(10),
            rollout: Duration::from_secs(2 * 60),
        }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            grace: Duration::from_secs(5),
        }
    }
}
