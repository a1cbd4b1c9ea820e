//! Where one endpoint is dialled.

use std::{fmt, net::SocketAddr, path::PathBuf};

use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::target::{Place, Target};

/// Where one endpoint is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::authz) struct Address {
    pub(super) socket: Socket,
    pub(super) is_tls: bool,
    /// What the endpoint calls itself in HTTP/2: `:authority`.
    pub(super) authority: Authority,
    /// The name that its certificate must bear, if none is configured. No brackets.
    pub(super) name: String,
    /// Host or path, for spans.
    pub(in crate::authz) host: String,
    /// Port, for spans. `None`: a Unix domain socket.
    pub(in crate::authz) port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    /// `http://host:port`; the scheme says nothing about TLS.
    Tcp(Uri),
    Unix(PathBuf),
}

impl Address {
    /// The address of a target that is one endpoint. `None`: it is a name with many.
    pub(in crate::authz) fn of(target: &Target) -> Option<Self> {
        match &target.place {
            Place::Host(host, port) => {
                let authority: Authority = format!("{host}:{port}").parse().ok()?;
                Some(Self {
                    socket: Socket::Tcp(uri(authority.clone())?),
                    is_tls: target.tls,
                    authority,
                    name: without_brackets(host),
                    host: host.clone(),
                    port: Some(*port),
                })
            }
            Place::Unix(path) => Some(Self {
                socket: Socket::Unix(path.clone()),
                is_tls: false,
                authority: Authority::from_static("localhost"),
                name: String::new(),
                host: path.display().to_string(),
                port: None,
            }),
            Place::Names(..) => None,
        }
    }

    /// One of the addresses of a name.
    pub(super) fn resolved(target: &Target, address: SocketAddr) -> Option<Self> {
        let Place::Names(host, port) = &target.place else {
            return None;
        };
        Some(Self {
            socket: Socket::Tcp(uri(address.to_string().parse().ok()?)?),
            is_tls: target.tls,
            authority: format!("{host}:{port}").parse().ok()?,
            name: without_brackets(host),
            host: address.ip().to_string(),
            port: Some(address.port()),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(uri) => f.write_str(uri.authority().map_or("", Authority::as_str)),
            Socket::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn uri(authority: Authority) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).ok()
}

fn without_brackets(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}
