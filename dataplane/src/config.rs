//! The configuration: typed, documented, and validated before anything is bound.
//!
//! Defaults come first, then the file, then the environment (`TIDEGATE__BROKER__URL`); the crate
//! `tidegate-settings` does the merging and remembers where each value came from. What it can't know,
//! because it concerns several keys or the meaning of one, is checked in `validate`.

mod address;
mod authz;
mod broker;
mod control;
mod events;
mod limits;
mod listener;
mod on_failure;
mod permit;
mod telemetry;
mod transport;
mod validate;

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_settings::{Error, Loader, text};

pub use self::{
    authz::{Authz, AuthzTls, ConnectHook, OnDeny, OnDenyV3, PublishHook, SubscribeHook},
    broker::{Broker, Will},
    control::Control,
    events::{EventKind, Events},
    limits::Limits,
    listener::{Listener, Listeners, Resume, Transport},
    on_failure::{Cache, HookMode, OffAction, OnFailure},
    permit::Permit,
    telemetry::{Log, Metrics, SampleRatio, Telemetry},
    transport::{
        Certificate, ClientCertificates, ListenerTls, ProxyProtocol, ProxyVersion, TlsVersion,
        WebSocket,
    },
};

/// All that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients come in. At least one.
    pub listeners: Listeners,
    /// The broker behind the gate.
    pub broker: Broker,
    /// What becomes of wills.
    pub will: Will,
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
    /// Metrics.
    pub metrics: Metrics,
    /// Logs.
    pub log: Log,
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
