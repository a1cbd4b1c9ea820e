//! `[telemetry]`: where traces go.

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;

use super::{http::without_secrets, invalid};

/// Where traces go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// `http://host:port` of an OTLP collector. None leaves it to the standard environment
    /// variables (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
}

impl TelemetryConfig {
    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        let Some(endpoint) = &self.otlp_endpoint else {
            return Ok(());
        };
        tidegate_telemetry::check_endpoint(endpoint).map_err(|_| {
            let key = "telemetry.otlp_endpoint";
            invalid(tree, key, &without_secrets(endpoint), "http://host:port")
        })
    }
}
