//! Room 6: the connection to the broker, one per client, dialled only when the CONNECT is allowed.

use std::{fmt, io, str::FromStr};

use futures_util::future::BoxFuture;
use http::Uri;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::socket;

/// The port of MQTT over TCP, if the URL names none.
const DEFAULT_PORT: u16 = 1883;

/// Opens connections to the broker. A trait, so that the session can be driven over a duplex stream.
pub trait Dial: Send + Sync + 'static {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one. Dropping the future gives it up.
    fn dial(&self) -> BoxFuture<'static, io::Result<Self::Stream>>;
}

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
}

/// Why a broker URL can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Not a URL of the form.
    #[error("mqtt://host:port")]
    Form,
    /// A scheme that is no broker's.
    #[error("a URL with the scheme mqtt://")]
    Scheme,
    /// Something besides host and port.
    #[error("mqtt://host:port without user, path or query (the gate passes on what clients send)")]
    Extra,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let uri: Uri = text.parse().map_err(|_| TargetError::Form)?;
        if uri.scheme_str() != Some("mqtt") {
            return Err(TargetError::Scheme);
        }
        let authority = uri.authority().ok_or(TargetError::Form)?;
        let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !plain || authority.as_str().contains('@') {
            return Err(TargetError::Extra);
        }
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        if bare.is_empty() {
            return Err(TargetError::Form);
        }
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => DEFAULT_PORT,
            _ => authority
                .port_u16()
                .filter(|port| *port > 0)
                .ok_or(TargetError::Form)?,
        };
        Ok(Self {
            host: bare.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A broker over TCP.
#[derive(Debug, Clone)]
pub struct TcpUpstream {
    target: Target,
}

impl TcpUpstream {
    /// Dials this target.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target }
    }
}

impl Dial for TcpUpstream {
    type Stream = TcpStream;

    fn dial(&self) -> BoxFuture<'static, io::Result<TcpStream>> {
        let target = self.target.clone();
        Box::pin(async move {
            let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
            socket::tune(&stream)?;
            Ok(stream)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_brokers() {
        let shown = |text: &str| text.parse::<Target>().map(|target| target.to_string());
        assert_eq!(
            shown("mqtt://127.0.0.1:1884"),
            Ok("127.0.0.1:1884".to_owned())
        );
        assert_eq!(
            shown("mqtt://broker.example"),
            Ok("broker.example:1883".to_owned())
        );
        assert_eq!(shown("mqtt://[::1]:1"), Ok("[::1]:1".to_owned()));
        for bad_port in ["mqtt://h:99999", "mqtt://h:", "mqtt://h:abc", "mqtt://h:0"] {
            assert_eq!(shown(bad_port), Err(TargetError::Form), "{bad_port}");
        }
        assert_eq!(shown("mqtts://h:1"), Err(TargetError::Scheme));
        assert_eq!(shown("mqtt://user:secret@h:1"), Err(TargetError::Extra));
        assert_eq!(shown("mqtt://h:1/path"), Err(TargetError::Extra));
        assert_eq!(shown("127.0.0.1:1884"), Err(TargetError::Scheme));
        assert_eq!(shown(""), Err(TargetError::Form));
    }
}
