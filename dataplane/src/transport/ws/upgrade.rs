//! The opening handshake (RFC 6455, 4.2).

use std::{io, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use tidegate_proto::v1;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tungstenite::handshake::{
    machine::TryParse,
    server::{Request, create_response, write_response},
};

use crate::config;

use super::{
    super::{HandshakeError, Presented},
    WebSocket,
};

/// Largest head of a request.
const MAX_HEAD: usize = 8 * 1024;

/// For the whole head to come. It counts within the listener's own deadline.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// For a refusal to be read. A socket that is closed with unread input resets the connection, and the peer may
/// never see what it was told.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client that speaks something else, or another version, is told (RFC 6455, 4.4).
const UPGRADE_REQUIRED: &str = "426 Upgrade Required";

/// The subprotocol of MQTT [MQTT-6.0.0-3].
const MQTT: &str = "mqtt";

/// How requests for a WebSocket are answered.
#[derive(Debug)]
pub(in crate::transport) struct Upgrade {
    settings: config::WebSocket,
    headers: Vec<HeaderName>,
    is_tls: bool,
}

/// Why a request is refused: the status line, and a word for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal(&'static str, &'static str);

impl Upgrade {
    pub(in crate::transport) fn new(settings: config::WebSocket, is_tls: bool) -> Self {
        let names = settings.headers.iter();
        Self {
            headers: names.filter_map(|name| name.parse().ok()).collect(),
            settings,
            is_tls,
        }
    }

    /// Reads the request and answers it.
    pub(in crate::transport) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
        presented: &mut Presented,
    ) -> Result<WebSocket<S>, HandshakeError> {
        let head = timeout(HEAD_DEADLINE, read_head(&mut stream)).await;
        let head = head.unwrap_or(Ok(Err(Refusal(
            "408 Request Timeout",
            "no request in time",
        ))))?;
        let answer = head.and_then(|head| self.answer(&head));
        match answer {
            Ok((response, headers)) => {
                stream.write_all(&response).await?;
                stream.flush().await?;
                presented.http_headers = headers;
                Ok(WebSocket::new(stream, self.settings.max_message_size))
            }
            Err(Refusal(status, reason)) => {
                let version = match status {
                    UPGRADE_REQUIRED => "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
                    _ => "",
                };
                let response = format!(
                    "HTTP/1.1 {status}\r\n{version}Connection: close\r\nContent-Length: 0\r\n\r\n"
                );
                stream.write_all(response.as_bytes()).await?;
                stream.shutdown().await?;
                let _ = timeout(FAREWELL, discard(&mut stream)).await;
                Err(HandshakeError::WebSocket(reason))
            }
        }
    }

    /// What is said to a request, and what the service is told of it.
    fn answer(&self, head: &[u8]) -> Result<(Vec<u8>, Vec<v1::UserProperty>), Refusal> {
        const BAD: &str = "400 Bad Request";
        let Ok(Some((length, request))) = Request::try_parse(head) else {
            return Err(Refusal(BAD, "no request that can be read"));
        };
        if length != head.len() {
            return Err(Refusal(BAD, "more than a request"));
        }
        let headers = request.headers();
        if request.uri().path() != self.settings.path {
            return Err(Refusal("404 Not Found", "another path"));
        }
        if !headers.contains_key(header::UPGRADE) {
            return Err(Refusal(UPGRADE_REQUIRED, "no upgrade"));
        }
        if !self.is_welcome(headers) {
            return Err(Refusal("403 Forbidden", "an origin that is not allowed"));
        }
        if headers.get_all(header::HOST).iter().count() != 1 {
            return Err(Refusal(BAD, "not exactly one host"));
        }
        let version = headers.get(header::SEC_WEBSOCKET_VERSION);
        if version.is_none_or(|version| version != "13") {
            return Err(Refusal(UPGRADE_REQUIRED, "no WebSocket of version 13"));
        }
        let mut response =
            create_response(&request).map_err(|_| Refusal(BAD, "no request for a WebSocket"))?;
        if !offers_mqtt(headers) {
            return Err(Refusal(BAD, "no subprotocol mqtt"));
        }
        let protocol = HeaderValue::from_static(MQTT);
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        let mut bytes = Vec::new();
        write_response(&mut bytes, &response).map_err(|_| Refusal(BAD, "no answer"))?;
        Ok((bytes, self.selected(headers)))
    }

    /// Whether the page that asks may. Who names no origin is no page, and could name any.
    ///
    /// A page of the gate's own host may where the certificate says that it is: without TLS, whoever owns a name
    /// can lead it to the gate's address, and their page would then have the gate's own host (DNS rebinding).
    fn is_welcome(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => return false,
        };
        let allowed = &self.settings.origins;
        if allowed.iter().any(|allowed| allowed == "*") {
            return true;
        }
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        let host = headers.get(header::HOST).filter(|_| self.is_tls);
        let host = host.and_then(|host| host.to_str().ok());
        let own = host.and_then(|host| Origin::parse(&format!("https://{host}")));
        let mut allowed = allowed.iter().filter_map(|allowed| Origin::parse(allowed));
        own.is_some_and(|own| own == origin) || allowed.any(|allowed| allowed == origin)
    }

    /// The headers that the service wants to see. One that is no text is left out.
    fn selected(&self, headers: &HeaderMap) -> Vec<v1::UserProperty> {
        let all = self.headers.iter().flat_map(|name| {
            let values = headers.get_all(name).iter();
            values.filter_map(|value| {
                let value = std::str::from_utf8(value.as_bytes()).ok()?;
                Some(v1::UserProperty {
                    key: name.to_string(),
                    value: value.to_owned(),
                })
            })
        });
        all.collect()
    }
}

/// Reads a request up to its empty line, and no more than a read brings behind it.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<Vec<u8>, Refusal>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let from = head.len().saturating_sub(3);
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head[from..].windows(4).any(|end| end == b"\r\n\r\n") && head.len() <= MAX_HEAD {
            return Ok(Ok(head));
        }
        if head.len() >= MAX_HEAD {
            let status = "431 Request Header Fields Too Large";
            return Ok(Err(Refusal(status, "a request that is too large")));
        }
    }
}

async fn discard<S: AsyncRead + Unpin>(stream: &mut S) {
    // Not in the future, of which there is one for each handshake.
    let mut nowhere = Vec::with_capacity(1024);
    while let Ok(1..) = stream.read_buf(&mut nowhere).await {
        nowhere.clear();
    }
}

fn offers_mqtt(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|protocol| protocol.trim() == MQTT)
}

/// Scheme, host and port of a web page.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let authority = uri.authority()?;
        let is_said = authority.as_str().len() > authority.host().len();
        let port = match (scheme.as_str(), authority.port_u16()) {
            (_, Some(port)) => port,
            (_, None) if is_said => return None,
            ("https", None) => 443,
            ("http", None) => 80,
            _ => 0,
        };
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        (is_bare && !authority.as_str().contains('@')).then(|| Self {
            scheme,
            host: authority.host().to_ascii_lowercase(),
            port,
        })
    }
}

/// Whether this is the origin of a web page, such as `https://app.example`.
pub(crate) fn is_origin(text: &str) -> bool {
    Origin::parse(text).is_some()
}

#[cfg(test)]
mod tests;
