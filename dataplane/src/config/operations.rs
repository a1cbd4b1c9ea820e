//! The part about running the gate: its two HTTP listeners, how it ends, how it takes a new configuration.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tidegate_settings::text;

use super::address;

/// Probes and metrics: `GET /healthz`, `/readyz` and `/metrics`, read-only.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probes {
    /// Address and port, such as `"0.0.0.0:9464"`. It asks nobody who they are. Absent: nothing is served.
    #[serde(with = "address::option")]
    #[schemars(with = "Option<super::schema::Address>")]
    pub bind: Option<SocketAddr>,
}

/// The administrator's listener: `GET /`, `/config_dump`, `/sessions`, `/logging`, `POST /logging`, `/drain`,
/// `/quitquitquit`. It asks nobody who they are.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where: `"127.0.0.1:9901"`, `"[::1]:9901"` or `"unix:/path"` (a socket that only its owner may open).
    /// Absent: nothing is served.
    pub bind: Option<AdminAddress>,
    /// Has to be `true` before it may listen on an address that others than this machine can reach, or on a Unix
    /// socket that was handed over and that others than its owner may open: whoever reaches it can read who is
    /// connected, and can stop the gate.
    pub acknowledge_exposed: bool,
}

/// Where the administrator's listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl AdminAddress {
    /// Whether other machines can reach it.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl FromStr for AdminAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return match path.is_absolute() {
                true => Ok(Self::Unix(path)),
                false => {
                    Err("unix: and an absolute path, such as \"unix:/run/tidegate/admin.sock\"")
                }
            };
        }
        let address = text.parse().map(Self::Tcp);
        address.map_err(|_| "an address with a port, such as \"127.0.0.1:9901\", or unix:/path")
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for AdminAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AdminAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|expected| {
            D::Error::custom(format_args!("expected {expected}, found {text:?}"))
        })
    }
}

/// How the gate ends: `/readyz` says 503, then `delay` passes, then nobody comes in any more and sessions
/// are closed one by one over `duration`.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// For load balancers to notice that the gate is not ready, while it still serves everybody.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub delay: Duration,
    /// Over which the sessions are told to go, evenly, so that they do not all come back at once.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub duration: Duration,
    /// For the sessions to end after the last was told; what remains is cut.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            duration: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }
}

/// How a new configuration is taken.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// Whether the configuration file is looked at every second, and read again when it changed. SIGHUP reads
    /// it in any case.
    pub watch: bool,
}

impl Default for Reload {
    fn default() -> Self {
        Self { watch: true }
    }
}
