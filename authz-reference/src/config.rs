//! The configuration: one TOML file, the environment over it, defaults below.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `bind` | `127.0.0.1:50051` | where to listen, see [`Address`]; port 0 takes a free one |
//! | `tls.cert`, `tls.key` | none | serve over TLS, see [`TlsConfig`] |
//! | `tls.client_ca`, `tls.client_names` | none | let in only those with a certificate (mutual TLS) |
//! | `server.max_connection_age`, `…_grace` | `30m`, `10s` | see [`ServerConfig`] |
//! | `shutdown.delay`, `shutdown.grace` | `0s`, `5s` | see [`ShutdownConfig`] |
//! | `probes.bind` | none | `/healthz`, `/readyz`, `/metrics` and `grpc.health.v1` in plaintext |
//! | `users.sources` | `["file"]` if `users.file` is set, else `["sqlite"]` | user bases, asked in this order |
//! | `users.file` | none | the [users file](crate::users::file) |
//! | `users.file_format` | `auto` | `auto`, `toml`, `mosquitto`, `htpasswd` or `go-auth` |
//! | `users.sqlite.path` | `users.db` | the SQLite database, made if it is not there |
//! | `users.postgres.url`, `users.postgres.url_file` | none | `postgres://user:password@host/database?sslmode=verify-full`, or a file that holds it |
//! | `users.postgres.max_connections` | `10` | and one more, which listens for changes |
//! | `users.postgres.connect_timeout` | `2s` | how long a login waits for a connection |
//! | `users.postgres.query_timeout` | `2s` | how long the database may work on a statement |
//! | `users.postgres.migrate` | `true` | make the tables and bring them up to date at start |
//! | `users.http` | none | [an HTTP service](http) that knows users |
//! | `users.jwt` | none | [tokens](jwt) |
//! | `users.certificate` | none | [client certificates](certificate) |
//! | `policy.anonymous` | `false` | admit clients without a user name, as `anonymous` |
//! | `policy.prefix` | `{username}/#` | the topics that are a user's own, see [`PolicyConfig`] |
//! | `policy.anonymous_roles` | `[]` | their roles |
//! | `policy.client_ids` | `namespaced` | `namespaced`, `bound` or `off`, see [`ClientIds`] |
//! | `roles.NAME.grants` | `[]` | what a role opens, see [`Access`](crate::access::Access) |
//! | `hashing.workers` | number of cores | password checks at the same time |
//! | `hashing.queue` | 64 × workers | password checks that may wait |
//! | `hashing.cache_ttl` | `1m` | how long a password that was right is not hashed again |
//! | `session.key_file` | none | secret that seals session states, see [`SessionConfig`] |
//! | `session.key_files` | `[]` | several: the first one seals, all open |
//! | `session.max_age` | `1d` | how old a session state may get |
//! | `log.format`, `log.filter` | `auto`, `info` | see [`LogOptions`] |
//! | `telemetry.otlp_endpoint` | none | where to send traces, by OTLP over gRPC |
//!
//! Relative paths start at the folder of the configuration file, or at the working directory if
//! there is none. Every key can be set by environment: `TIDEGATE_AUTHZ__USERS__FILE=…`.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;
use tidegate_telemetry::LogOptions;

use crate::access::RoleName;

mod address;
pub mod certificate;
mod hashing;
pub mod http;
pub mod jwt;
mod policy;
mod server;
mod session;
mod telemetry;
#[cfg(test)]
mod tests;
mod tls;
mod users;

pub use address::{Address, AddressError};
pub use hashing::HashingConfig;
pub use policy::{ClientIds, PolicyConfig, RoleConfig};
pub use server::{ProbesConfig, ServerConfig, ShutdownConfig};
pub use session::SessionConfig;
pub use telemetry::TelemetryConfig;
pub use tls::TlsConfig;
pub use users::{PostgresConfig, SourceKind, SqliteConfig, UsersConfig};

/// What every environment variable of this program begins with.
pub const ENVIRONMENT_PREFIX: &str = "TIDEGATE_AUTHZ";

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub bind: Address,
    /// `[tls]`
    pub tls: TlsConfig,
    /// `[server]`
    pub server: ServerConfig,
    /// `[shutdown]`
    pub shutdown: ShutdownConfig,
    /// `[probes]`
    pub probes: ProbesConfig,
    /// `[users]`
    pub users: UsersConfig,
    /// `[policy]`
    pub policy: PolicyConfig,
    /// `[roles.NAME]`
    pub roles: BTreeMap<RoleName, RoleConfig>,
    /// `[hashing]`
    pub hashing: HashingConfig,
    /// `[session]`
    pub session: SessionConfig,
    /// `[log]`
    pub log: LogOptions,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// If anything in them is unknown or makes no sense.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, settings::Error> {
        Self::loaded(file, environment).map(|loaded| loaded.value)
    }

    /// The same, with the place that each value came from.
    pub(crate) fn loaded(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<settings::Loaded<Self>, settings::Error> {
        let mut loader = settings::Loader::new(ENVIRONMENT_PREFIX).environment(environment);
        if let Some(file) = file {
            loader = loader.file(file);
        }
        let mut loaded = loader.load::<Self>()?;
        loaded.value.check(&loaded.tree)?;
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        loaded.value = loaded.value.relative_to(folder);
        Ok(loaded)
    }

    /// Files whose content is read with the configuration, and taken by a reload.
    pub(crate) fn read_with_it(&self) -> Vec<PathBuf> {
        self.session.files()
    }

    /// What no type can say.
    fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        self.log.check().map_err(|_| {
            let expected = "a filter such as `info,decision=debug`";
            invalid(tree, "log.filter", &self.log.filter, expected)
        })?;
        self.tls.check(tree)?;
        self.policy.check(&self.roles, tree)?;
        self.session.check(tree)?;
        self.telemetry.check(tree)?;
        self.users.check(tree)?;
        Ok(())
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        if let Address::Unix(path) = self.bind {
            self.bind = Address::Unix(folder.join(path));
        }
        self.tls = self.tls.relative_to(folder);
        self.users = self.users.relative_to(folder);
        self.session = self.session.relative_to(folder);
        self
    }
}

/// A value that its type permits and its meaning does not.
fn invalid(tree: &settings::Tree, key: &str, found: &str, expected: &str) -> settings::Error {
    settings::Error::invalid(key, format!("{found:?}"), expected, tree.origin_of(key))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: (Ipv4Addr::LOCALHOST, 50051).into(),
            tls: TlsConfig::default(),
            server: ServerConfig::default(),
            shutdown: ShutdownConfig::default(),
            probes: ProbesConfig::default(),
            users: UsersConfig::default(),
            policy: PolicyConfig::default(),
            roles: BTreeMap::new(),
            hashing: HashingConfig::default(),
            session: SessionConfig::default(),
            log: LogOptions::default(),
            telemetry: TelemetryConfig::default(),
        }
    }
}
