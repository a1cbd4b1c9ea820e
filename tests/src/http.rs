//! An HTTP client for the gate's own listeners, over TCP or a Unix socket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The lines above the body.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body, read as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.body);
        parsed.unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// Asks at an address. `head` has lines for the head, each with `\r\n`; `Host` is there if it has none.
#[must_use]
#[track_caller]
pub fn ask(at: SocketAddr, method: &str, path: &str, head: &str, body: &str) -> Answer {
    let host = match head.to_ascii_lowercase().contains("host:") {
        true => String::new(),
        false => format!("Host: {at}\r\n"),
    };
    let stream = TcpStream::connect(at).expect("it listens");
    converse(stream, method, path, &(host + head), body)
}

/// Reads what is at an address.
#[must_use]
#[track_caller]
pub fn get(at: SocketAddr, path: &str) -> Answer {
    ask(at, "GET", path, "", "")
}

/// Reads what is at a path of a host, by HTTP/1.0: the answer isn't in chunks, and ends with its connection.
#[must_use]
#[track_caller]
pub fn get_whole(at: SocketAddr, host: &str, path: &str) -> Answer {
    let stream = TcpStream::connect(at).unwrap_or_else(|error| panic!("nobody at {at}: {error}"));
    exchange(
        stream,
        &format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"),
    )
}

/// Reads what is at a Unix socket.
#[must_use]
#[track_caller]
pub fn get_unix(at: &Path, path: &str) -> Answer {
    let stream = UnixStream::connect(at).expect("it listens");
    converse(stream, "GET", path, "", "")
}

#[track_caller]
fn converse(stream: impl Read + Write, method: &str, path: &str, head: &str, body: &str) -> Answer {
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}");
    exchange(stream, &request)
}

#[track_caller]
fn exchange(mut stream: impl Read + Write, request: &str) -> Answer {
    stream
        .write_all(request.as_bytes())
        .expect("a request is read");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer and its end");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
