//! `[policy]`: what users may do.

use serde::{Deserialize, Serialize};

/// What they may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Whether clients without a user name may connect. They all share the topics under
    /// `anonymous/`, and one namespace of client ids.
    pub anonymous: bool,
    /// What becomes of client ids.
    pub client_ids: ClientIds,
}

/// What becomes of client ids on the way to the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientIds {
    /// The broker sees `<user>/<client id>`, so no user can resume or take over the session of
    /// another.
    #[default]
    Namespaced,
    /// The broker sees what the client sent. Any user can take over any session whose client id
    /// they know, with its subscriptions: only for user bases in which all trust each other.
    Off,
}
