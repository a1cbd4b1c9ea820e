//! Where the service is, as people write it.

use std::{fmt, path::PathBuf, str::FromStr};

use http::{Uri, uri::Authority};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// Where the service is: one line of `authz.endpoints`.
///
/// ```text
/// http://host:port      one connection per hook, to whichever address the name has
/// https://host:port     the same, over TLS
/// dns:host:port         every address of the name is an endpoint (a headless service of Kubernetes)
/// dns:host:port?tls     the same, over TLS
/// unix:/path            a socket of this machine
/// ```
///
/// `dns:///host:port` is the same as `dns:host:port`, as in gRPC's names. Nothing is ever dialled in
/// plain text that asks for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) place: Place,
    pub(super) tls: bool,
    text: String,
}

/// What kind of place it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A name or address; the name is looked up at every dial.
    Host(String, u16),
    /// A name all of whose addresses are endpoints.
    Names(String, u16),
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// Something else than an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("http://host:port, https://host:port, dns:host:port, dns:host:port?tls or unix:/path")]
pub struct TargetError;

impl Target {
    /// Whether it is dialled over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (place, tls) = if let Some(path) = text.strip_prefix("unix:") {
            (unix(path)?, false)
        } else if let Some(rest) = text.strip_prefix("dns:") {
            let rest = rest.strip_prefix("///").unwrap_or(rest);
            let (rest, tls) = match rest.strip_suffix("?tls") {
                Some(rest) => (rest, true),
                None => (rest, false),
            };
            let (host, port) = host_and_port(rest)?;
            (Place::Names(host, port), tls)
        } else {
            url(text)?
        };
        Ok(Self {
            place,
            tls,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|error| D::Error::custom(format_args!("expected {error}, found {text:?}")))
    }
}

/// `unix:/path` and `unix:///path`. A relative path would depend on where the program was started.
fn unix(path: &str) -> Result<Place, TargetError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.len() < 2 || !path.starts_with('/') || path.contains('\0') {
        return Err(TargetError);
    }
    Ok(Place::Unix(path.into()))
}

fn url(text: &str) -> Result<(Place, bool), TargetError> {
    let uri: Uri = text.parse().map_err(|_| TargetError)?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(TargetError),
    };
    let authority = uri.authority().ok_or(TargetError)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(TargetError);
    }
    let (host, port) = host_and_port(authority.as_str())?;
    Ok((Place::Host(host, port), tls))
}

fn host_and_port(text: &str) -> Result<(String, u16), TargetError> {
    let authority: Authority = text.parse().map_err(|_| TargetError)?;
    let host = authority.host();
    let port = authority.port_u16().filter(|port| *port > 0);
    if host.is_empty() || text.contains('@') {
        return Err(TargetError);
    }
    Ok((host.to_owned(), port.ok_or(TargetError)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Place, bool)> {
        let target: Target = text.parse().ok()?;
        assert_eq!(target.to_string(), text);
        Some((target.place, target.tls))
    }

    #[test]
    fn what_people_write() {
        let host = |host: &str, port, tls| Some((Place::Host(host.to_owned(), port), tls));
        let names = |host: &str, port, tls| Some((Place::Names(host.to_owned(), port), tls));
        let unix = |path: &str| Some((Place::Unix(path.into()), false));
        assert_eq!(read("http://authz:50051"), host("authz", 50051, false));
        assert_eq!(read("http://authz:50051/"), host("authz", 50051, false));
        assert_eq!(read("https://[::1]:443"), host("[::1]", 443, true));
        assert_eq!(read("dns:authz:50051"), names("authz", 50051, false));
        assert_eq!(read("dns:///a.b.svc:1?tls"), names("a.b.svc", 1, true));
        assert_eq!(read("unix:/run/authz.sock"), unix("/run/authz.sock"));
        assert_eq!(read("unix:///run/authz.sock"), unix("/run/authz.sock"));
    }

    #[test]
    fn what_is_no_endpoint() {
        for text in [
            "",
            "authz",
            "authz:50051",
            "http://authz",
            "http://authz:0",
            "http://:50051",
            "http://user@authz:50051",
            "http://authz:50051/path",
            "http://authz:50051?tls",
            "grpc://authz:50051",
            "dns:authz",
            "dns://8.8.8.8/authz:50051",
            "dns:authz:50051?plain",
            "dns:",
            "unix:",
            "unix:/",
            "unix:run/authz.sock",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
