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
mod operations;
mod paths;
mod permit;
mod runtime;
mod schema;
mod telemetry;
mod transport;
mod validate;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_settings::{Error, Loaded, Loader};

pub use self::{
    authz::{Authz, AuthzTls, ConnectHook, OnDeny, OnDenyV3, PublishHook, SubscribeHook},
    broker::{Broker, BrokerProxyProtocol, BrokerTls, Will},
    control::Control,
    events::{EventKind, Events},
    limits::Limits,
    listener::{Listener, Listeners, Resume, Transport},
    on_failure::{Cache, HookMode, OffAction, OnFailure},
    operations::{Admin, AdminAddress, Drain, Probes, Reload},
    permit::Permit,
    runtime::Runtime,
    telemetry::{Log, Metrics, SampleRatio, Telemetry},
    transport::{
        Certificate, ClientCertificates, ListenerTls, ProxyProtocol, ProxyVersion, TlsVersion,
        WebSocket,
    },
};

/// All that can be configured.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// How a new configuration is taken.
    pub reload: Reload,
    /// Probes and metrics.
    pub probes: Probes,
    /// The administrator's listener.
    pub admin: Admin,
    /// How this instance introduces itself to the service.
    pub instance: Instance,
    /// What the process takes of its machine.
    pub runtime: Runtime,
    /// Traces.
    pub telemetry: Telemetry,
    /// Metrics.
    pub metrics: Metrics,
    /// Logs.
    pub log: Log,
}

/// How this instance introduces itself to the service.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instance {
    /// Stable name, for example the pod's. Empty: the host name.
    pub id: String,
    /// Labels, for the service's use.
    pub labels: BTreeMap<String, String>,
}

impl Config {
    /// The JSON Schema of the configuration file.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::of_file()
    }

    /// Reads defaults, the file if there is one, and the environment, in this order.
    ///
    /// # Errors
    ///
    /// Names the key, what was found, what was expected, and the place it came from.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        Source::new(file, environment)
            .load()
            .map(|loaded| loaded.value)
    }

    /// Where probes and metrics are served.
    #[must_use]
    pub fn probes_bind(&self) -> Option<SocketAddr> {
        self.probes.bind.or(self.metrics.bind)
    }
}

/// Where a configuration comes from. It can be read more than once: the file is opened anew each time.
#[derive(Debug, Clone)]
pub struct Source {
    file: Option<PathBuf>,
    loader: Loader,
}

impl Source {
    /// The file, if there is one, and these variables of the environment above it.
    #[must_use]
    pub fn new(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut loader = Loader::new("TIDEGATE").environment(environment);
        if let Some(file) = file {
            loader = loader.file(file);
        }
        Self {
            file: file.map(Path::to_owned),
            loader,
        }
    }

    /// Sets one key above all else.
    #[must_use]
    pub fn flag(mut self, key: String, value: String) -> Self {
        self.loader = self.loader.flag(key, value);
        self
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads it, and checks it.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load(&self) -> Result<Loaded<Config>, Error> {
        let mut loaded = self.loader.load::<Config>()?;
        validate::check(&loaded.value, &loaded.tree)?;
        if let Some(folder) = self.file.as_deref().and_then(Path::parent) {
            loaded.value.relative_to(folder);
        }
        Ok(loaded)
    }
}
