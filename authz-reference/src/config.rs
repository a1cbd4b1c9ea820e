//! The configuration: one TOML file, the environment over it, defaults below.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `bind` | `127.0.0.1:50051` | where to listen; port 0 takes a free one |
//! | `users.file` | `users.toml` | the [users file](crate::users::file) |
//! | `users.http` | none | [an HTTP service](http) that knows users |
//! | `users.jwt` | none | [tokens](jwt) |
//! | `users.certificate` | none | [client certificates](certificate) |
//! | `policy.anonymous` | `false` | admit clients without a user name, as `anonymous` |
//! | `policy.client_ids` | `namespaced` | `namespaced` or `off`, see [`ClientIds`] |
//! | `hashing.workers` | number of cores | password checks at the same time |
//! | `hashing.queue` | 64 × workers | password checks that may wait |
//! | `session.key_file` | none | secret that seals session states, see [`SessionConfig`] |
//! | `log.format`, `log.filter` | `auto`, `info` | see [`LogOptions`] |
//! | `telemetry.otlp_endpoint` | none | where to send traces, by OTLP over gRPC |
//!
//! Relative paths start at the folder of the configuration file, or at the working directory if
//! there is none. Every key can be set by environment: `TIDEGATE_AUTHZ__USERS__FILE=…`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;
use tidegate_telemetry::LogOptions;

use self::{certificate::CertificateConfig, http::HttpConfig, jwt::JwtConfig};
use crate::hashing::HashingLimits;

pub mod certificate;
pub mod http;
pub mod jwt;

/// What every environment variable of this program begins with.
pub const ENVIRONMENT_PREFIX: &str = "TIDEGATE_AUTHZ";

/// About four seconds of work at 60 ms a hash: what comes later would miss the data plane's
/// default deadline for CONNECT anyway.
const QUEUED_PER_WORKER: usize = 64;

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub bind: SocketAddr,
    /// `[users]`
    pub users: UsersConfig,
    /// `[policy]`
    pub policy: PolicyConfig,
    /// `[hashing]`
    pub hashing: HashingConfig,
    /// `[session]`
    pub session: SessionConfig,
    /// `[log]`
    pub log: LogOptions,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
}

/// Who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// The users file.
    pub file: PathBuf,
    /// `[users.http]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// `[users.jwt]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
    /// `[users.certificate]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateConfig>,
}

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

/// The bounds of the [hashing pool](crate::hashing).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HashingConfig {
    /// Password checks at the same time; each takes a core and, by default parameters, 19 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<NonZeroUsize>,
    /// Password checks that wait for a worker. Those beyond are told that the service is busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<usize>,
}

/// How session states are sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// A file with at least 32 bytes of secret, for instance from `openssl rand -hex 32`; a line
    /// end after it does not count. All replicas need the same one.
    ///
    /// Without it every process makes up its own secret: after a restart, live sessions are told
    /// at their next PUBLISH or SUBSCRIBE that their state is invalid, and have to connect again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// Where traces go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// `http://host:port` of an OTLP collector. None leaves it to the standard environment
    /// variables (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
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
        let mut loader = settings::Loader::new(ENVIRONMENT_PREFIX).environment(environment);
        if let Some(file) = file {
            loader = loader.file(file);
        }
        let loaded = loader.load::<Self>()?;
        loaded.value.check(&loaded.tree)?;
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        Ok(loaded.value.relative_to(folder))
    }

    /// What no type can say.
    fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        let invalid = |key: &str, found: &str, expected: &str| {
            settings::Error::invalid(key, format!("{found:?}"), expected, tree.origin_of(key))
        };
        self.log.check().map_err(|_| {
            invalid(
                "log.filter",
                &self.log.filter,
                "a filter such as `info,decision=debug`",
            )
        })?;
        if let Some(http) = &self.users.http {
            http.check(tree)?;
        }
        if let Some(jwt) = &self.users.jwt {
            jwt.check(tree)?;
        }
        if let Some(certificate) = &self.users.certificate {
            certificate.check(tree)?;
        }
        if let Some(endpoint) = &self.telemetry.otlp_endpoint {
            tidegate_telemetry::check_endpoint(endpoint)
                .map_err(|_| invalid("telemetry.otlp_endpoint", endpoint, "http://host:port"))?;
        }
        Ok(())
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        self.users.file = folder.join(self.users.file);
        self.users.http = self.users.http.map(|http| http.relative_to(folder));
        self.users.jwt = self.users.jwt.map(|jwt| jwt.relative_to(folder));
        self.session.key_file = self.session.key_file.map(|file| folder.join(file));
        self
    }
}

/// A value that makes no sense, and where it stands.
fn invalid(tree: &settings::Tree, key: &str, found: &str, expected: &str) -> settings::Error {
    settings::Error::invalid(key, format!("{found:?}"), expected, tree.place_of(key))
}

impl HashingConfig {
    /// The bounds, with defaults for this machine.
    #[must_use]
    pub fn limits(&self) -> HashingLimits {
        let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = self.workers.unwrap_or_else(cores);
        let queue = self
            .queue
            .unwrap_or(workers.get().saturating_mul(QUEUED_PER_WORKER));
        HashingLimits { workers, queue }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: (Ipv4Addr::LOCALHOST, 50051).into(),
            users: UsersConfig::default(),
            policy: PolicyConfig::default(),
            hashing: HashingConfig::default(),
            session: SessionConfig::default(),
            log: LogOptions::default(),
            telemetry: TelemetryConfig::default(),
        }
    }
}

impl Default for UsersConfig {
    fn default() -> Self {
        Self {
            file: "users.toml".into(),
            http: None,
            jwt: None,
            certificate: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authz.toml");
        fs::write(&file, text).unwrap();
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let strip = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().to_owned();
        Config::load(Some(&file), environment)
            .map(|mut config| {
                config.users.file = strip(config.users.file);
                config.session.key_file = config.session.key_file.map(strip);
                config
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(load("", &[]), Ok(Config::default()));
        let config = Config::load(None, []).unwrap();
        assert_eq!(
            config.users.file,
            Path::new("users.toml"),
            "in the working directory"
        );
    }

    #[test]
    fn every_key_can_be_set() {
        let text = r#"
            bind = "[::1]:1"
            [users]
            file = "u.toml"
            [policy]
            anonymous = true
            client_ids = "off"
            [hashing]
            workers = 3
            queue = 0
            [session]
            key_file = "k"
            [log]
            format = "json"
            filter = "warn,decision=debug"
            [telemetry]
            otlp_endpoint = "http://127.0.0.1:4317"
        "#;
        let config = load(text, &[]).unwrap();
        assert_eq!(config.bind.port(), 1);
        assert_eq!(config.users.file, Path::new("u.toml"));
        assert_eq!(
            config.policy,
            PolicyConfig {
                anonymous: true,
                client_ids: ClientIds::Off
            }
        );
        let workers = NonZeroUsize::new(3).unwrap();
        assert_eq!(config.hashing.limits(), HashingLimits { workers, queue: 0 });
        assert_eq!(config.session.key_file.as_deref(), Some(Path::new("k")));
        assert_eq!(config.log.filter, "warn,decision=debug");
        assert_eq!(
            config.telemetry.otlp_endpoint.as_deref(),
            Some("http://127.0.0.1:4317")
        );
    }

    #[test]
    fn the_environment_wins() {
        let environment = [
            ("TIDEGATE_AUTHZ__BIND", "127.0.0.1:2"),
            ("TIDEGATE_AUTHZ__HASHING__WORKERS", "2"),
            ("TIDEGATE_AUTHZ_SERVICE_HOST", "10.0.0.1"), // Kubernetes' own
        ];
        let config = load("bind = \"127.0.0.1:1\"", &environment).unwrap();
        assert_eq!(config.bind.port(), 2);
        assert_eq!(config.hashing.limits().queue, 2 * QUEUED_PER_WORKER);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, expected) in [
            ("\nbnid = 1", [":2", "`bnid`", "`bind`"]),
            (
                "[policy]\nclient_ids = \"on\"",
                [":2", "policy.client_ids", "namespaced"],
            ),
            ("[hashing]\nworkers = 0", [":2", "hashing.workers", "0"]),
            ("[log]\nfilter = \"x=lots\"", [":2", "log.filter", "x=lots"]),
            (
                "[telemetry]\notlp_endpoint = \"here\"",
                [":2", "telemetry.otlp_endpoint", "here"],
            ),
        ] {
            let error = load(text, &[]).unwrap_err();
            for part in expected {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }
}
