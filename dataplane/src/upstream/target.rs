//! Where the broker is, as people write it.

use std::{fmt, path::PathBuf, str::FromStr};

use http::{Uri, uri::Authority};
use thiserror::Error;

/// Longest path of a Unix domain socket, in bytes: `sun_path` of Linux without the final NUL.
pub(crate) const MAX_SOCKET_PATH: usize = 107;

/// Where the broker is: `broker.url`.
///
/// ```text
/// mqtt://host:port       TCP; without a port 1883
/// mqtts://host:port      TLS; 8883
/// ws://host:port/path    WebSocket; 80
/// wss://host:port/path   WebSocket over TLS; 443
/// unix:/path             a socket of this machine
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) place: Place,
    pub(super) tls: bool,
    /// The URL of the upgrade. `None`: no WebSocket.
    pub(super) websocket: Option<Uri>,
    text: String,
}

/// What kind of place it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A name or an address without brackets, and a port. What looks the name up is made of it.
    Host(String, u16),
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// Why a broker URL can't be used: what it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Not a URL of the form.
    #[error(
        "mqtt://host:port, mqtts://host:port, ws://host:port/path, wss://host:port/path or unix:/path"
    )]
    Form,
    /// A user, a query, or a path where there can be none.
    #[error(
        "a URL without user, query or, except for WebSocket, path (the gate passes on what clients send)"
    )]
    Extra,
    /// A path that no socket can have.
    #[error("unix: and an absolute path of at most {MAX_SOCKET_PATH} bytes")]
    Path,
}

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
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self {
                place: unix(path)?,
                tls: false,
                websocket: None,
                text: text.to_owned(),
            });
        }
        let uri: Uri = text.parse().map_err(|_| TargetError::Form)?;
        let (default_port, tls, is_websocket) = match uri.scheme_str() {
            Some("mqtt") => (1883, false, false),
            Some("mqtts") => (8883, true, false),
            Some("ws") => (80, false, true),
            Some("wss") => (443, true, true),
            _ => return Err(TargetError::Form),
        };
        let authority = uri.authority().ok_or(TargetError::Form)?;
        let has_path = !matches!(uri.path(), "" | "/");
        // A query may well hold a secret, which would be told in logs.
        if authority.as_str().contains('@') || uri.query().is_some() || has_path && !is_websocket {
            return Err(TargetError::Extra);
        }
        let (host, port) = host_and_port(authority, default_port)?;
        Ok(Self {
            place: Place::Host(host, port),
            tls,
            websocket: is_websocket.then_some(uri),
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn host_and_port(authority: &Authority, default: u16) -> Result<(String, u16), TargetError> {
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if bare.is_empty() {
        return Err(TargetError::Form);
    }
    let port = match authority.as_str().strip_prefix(host) {
        Some("") => default,
        _ => authority
            .port_u16()
            .filter(|port| *port > 0)
            .ok_or(TargetError::Form)?,
    };
    Ok((bare.to_owned(), port))
}

/// `unix:/path` and `unix:///path`. A relative path would depend on where the program was started.
fn unix(path: &str) -> Result<Place, TargetError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    let fits = (2..=MAX_SOCKET_PATH).contains(&path.len());
    if !fits || !path.starts_with('/') || path.contains('\0') {
        return Err(TargetError::Path);
    }
    Ok(Place::Unix(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Place, bool, bool), TargetError> {
        let target: Target = text.parse()?;
        assert_eq!(target.to_string(), text);
        Ok((target.place, target.tls, target.websocket.is_some()))
    }

    #[test]
    fn what_people_write() {
        let host = |host: &str, port| Place::Host(host.to_owned(), port);
        let unix = |path: &str| Ok((Place::Unix(path.into()), false, false));
        for (text, place, tls, websocket) in [
            (
                "mqtt://127.0.0.1:1884",
                host("127.0.0.1", 1884),
                false,
                false,
            ),
            (
                "mqtt://broker.example",
                host("broker.example", 1883),
                false,
                false,
            ),
            ("mqtt://[::1]:1", host("::1", 1), false, false),
            (
                "mqtts://broker.example",
                host("broker.example", 8883),
                true,
                false,
            ),
            (
                "mqtts://broker.example:1/",
                host("broker.example", 1),
                true,
                false,
            ),
            (
                "ws://broker.example",
                host("broker.example", 80),
                false,
                true,
            ),
            ("ws://[::1]:8080/mqtt", host("::1", 8080), false, true),
            (
                "wss://broker.example/mqtt",
                host("broker.example", 443),
                true,
                true,
            ),
        ] {
            assert_eq!(read(text), Ok((place, tls, websocket)), "{text}");
        }
        assert_eq!(read("unix:/run/mqtt.sock"), unix("/run/mqtt.sock"));
        assert_eq!(read("unix:///run/mqtt.sock"), unix("/run/mqtt.sock"));
    }

    #[test]
    fn what_is_no_broker() {
        for text in [
            "",
            "127.0.0.1:1884",
            "tcp://h:1",
            "mqtt://h:99999",
            "mqtt://h:",
            "mqtt://h:abc",
            "mqtt://h:0",
            "mqtt://:1",
        ] {
            assert_eq!(read(text), Err(TargetError::Form), "{text}");
        }
        for text in [
            "mqtt://user:secret@h:1",
            "mqtt://h:1/path",
            "mqtts://h:1?x",
            "wss://user@h:1/mqtt",
            "wss://h:1/mqtt?token=secret",
        ] {
            assert_eq!(read(text), Err(TargetError::Extra), "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        for text in ["unix:", "unix:/", "unix:run/mqtt.sock", &long] {
            assert_eq!(read(text), Err(TargetError::Path), "{text}");
        }
    }
}
