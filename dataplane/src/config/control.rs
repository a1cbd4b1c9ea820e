//! The part about directives of the service.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_settings::text;

use crate::authz::Target;

/// Directives of the service (`ControlService`): revocation.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// Whether directives are watched for.
    pub enabled: bool,
    /// Where, as `authz.endpoint`. Absent: where decisions are made. TLS is that of `authz.tls`.
    pub endpoint: Option<Target>,
    /// How long nothing may be heard, heartbeats included, before the watch is opened anew and no cached
    /// allow is used; 1s to 1h. The service sends something every 30 s at least.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub silence: Duration,
    /// Sessions that end because the service wants it, per second and at once; the others wait, silenced.
    pub terminations_per_second: u32,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            enabled: false,
            endpoint: None,
            silence: Duration::from_secs(75),
            terminations_per_second: 100,
        }
    }
}
