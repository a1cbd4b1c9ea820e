//! The transports of clients: how the gate is told to listen, and how a client comes in.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, OnceLock},
};

use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use toml::{Table, Value};
use tungstenite::{Message, WebSocket, client::IntoClientRequest as _, http::HeaderValue};

use crate::{
    certificates::Authority,
    client::Client,
    packet::Version,
    topology::{Plan, Topology},
    wait::PATIENCE,
};

/// How clients come to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
    /// TLS, with a certificate of the client.
    Mtls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Tls, Self::Mtls, Self::Ws, Self::Wss];

    /// The authority behind the certificates of all doors.
    #[must_use]
    pub fn authority() -> &'static Authority {
        static AUTHORITY: OnceLock<Authority> = OnceLock::new();
        AUTHORITY.get_or_init(Authority::new)
    }

    /// Has the listener of a topology be this.
    #[must_use]
    pub fn of(self, plan: Plan) -> Plan {
        self.with(plan, Self::authority())
    }

    /// The same, with certificates of this authority.
    #[must_use]
    pub fn with(self, plan: Plan, authority: &Authority) -> Plan {
        let plan = plan.set("listeners.0.transport", self.transport());
        match self.tls(authority) {
            Some(tls) => plan.set("listeners.0.tls", tls),
            None => plan,
        }
    }

    /// Has a topology listen at several doors at once, each under its [`name`](Self::name), with certificates of
    /// this authority. `Gate::listens` says where.
    #[must_use]
    pub fn side_by_side(doors: &[Self], plan: Plan, authority: &Authority) -> Plan {
        let listeners = doors.iter().map(|door| door.listener(authority).into());
        plan.set("listeners", listeners.collect::<Vec<Value>>())
    }

    fn listener(self, authority: &Authority) -> Table {
        let words = [
            ("name", self.name()),
            ("bind", "127.0.0.1:0"),
            ("transport", self.transport()),
        ];
        let mut listener: Table = words
            .map(|(key, word)| (key.to_owned(), word.into()))
            .into_iter()
            .collect();
        if let Some(tls) = self.tls(authority) {
            listener.insert("tls".to_owned(), tls.into());
        }
        listener
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Mtls => "mtls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn transport(self) -> &'static str {
        match self {
            Self::Mtls => "tls",
            door => door.name(),
        }
    }

    fn tls(self, authority: &Authority) -> Option<Table> {
        match self {
            Self::Tcp | Self::Ws => None,
            Self::Tls | Self::Wss => Some(tls(authority)),
            Self::Mtls => {
                let mut tls = tls(authority);
                tls.insert("client_certificates".into(), "required".into());
                tls.insert("client_ca".into(), text(authority.ca()));
                Some(tls)
            }
        }
    }

    /// A client that has come in, and has sent nothing yet.
    #[must_use]
    #[track_caller]
    pub fn open(self, topology: &Topology, version: Version) -> Client {
        self.open_at(topology.gate().address(), version)
    }

    /// The same at any address.
    #[must_use]
    #[track_caller]
    pub fn open_at(self, address: SocketAddr, version: Version) -> Client {
        self.open_on(connect(address), version)
    }

    /// The same on a connection on which something was sent before.
    #[must_use]
    #[track_caller]
    pub fn open_on(self, stream: TcpStream, version: Version) -> Client {
        let authority = Self::authority();
        match self {
            Self::Tcp => Client::over(stream, version),
            Self::Tls => {
                let config = authority.client(false, &["mqtt"]);
                Client::over(Tls::connect(stream, config).expect("TLS"), version)
            }
            Self::Mtls => {
                let config = authority.client(true, &[]);
                Client::over(Tls::connect(stream, config).expect("TLS"), version)
            }
            Self::Ws => Client::over(Ws::connect(stream, &[]).expect("WebSocket"), version),
            Self::Wss => {
                let config = authority.client(false, &["http/1.1"]);
                let stream = Tls::connect(stream, config).expect("TLS");
                Client::over(Ws::connect(stream, &[]).expect("WebSocket"), version)
            }
        }
    }
}

/// The settings of TLS with the gate's certificate.
#[must_use]
pub fn tls(authority: &Authority) -> Table {
    let certificate = Table::from_iter([
        ("cert".to_owned(), text(authority.path("gate.crt"))),
        ("key".to_owned(), text(authority.path("gate.key"))),
    ]);
    Table::from_iter([(
        "certificates".to_owned(),
        Value::Array(vec![certificate.into()]),
    )])
}

fn text(path: std::path::PathBuf) -> Value {
    path.to_str().expect("a path in UTF-8").into()
}

/// A connection to an address, as clients have it.
#[must_use]
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address)
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
    stream.set_nodelay(true).expect("a socket without Nagle");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket with a read timeout");
    stream
}

/// What a client reads and writes.
pub trait Wire: Read + Write + fmt::Debug + Send {
    /// Says that nothing more will be sent.
    fn shut_down_writing(&mut self);
}

impl Wire for TcpStream {
    fn shut_down_writing(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// TLS over a socket.
#[derive(Debug)]
pub struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    /// Goes through the handshake, asking for the gate by its name.
    ///
    /// # Errors
    /// What either side does not like about the other.
    pub fn connect(stream: TcpStream, config: Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect_to(Authority::GATE, stream, config)
    }

    /// The same by another name.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    /// If it is no name.
    pub fn connect_to(
        name: &'static str,
        mut stream: TcpStream,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name).expect("a name");
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self(StreamOwned::new(connection, stream)))
    }

    /// The certificate that the gate has shown.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().expect("a certificate")[0].to_vec()
    }
}

impl Read for Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Tls {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Wire for Tls {
    fn shut_down_writing(&mut self) {
        self.0.conn.send_close_notify();
        let _ = self.0.flush();
        let _ = self.0.sock.shutdown(Shutdown::Write);
    }
}

/// WebSocket over anything. Each write is a message of its own.
#[derive(Debug)]
pub struct Ws<S> {
    socket: WebSocket<S>,
    rest: tungstenite::Bytes,
}

impl<S: Read + Write> Ws<S> {
    /// Goes through the handshake at `/mqtt`, with these headers beside those that have to be.
    ///
    /// # Errors
    /// The gate does not like it.
    ///
    /// # Panics
    /// If it may only be tried again, or grants something else than `mqtt`.
    pub fn connect(stream: S, headers: &[(&'static str, &str)]) -> tungstenite::Result<Self> {
        let uri = format!("ws://{}/mqtt", Authority::GATE);
        let mut request = uri.into_client_request()?;
        let mqtt = HeaderValue::from_static("mqtt");
        request.headers_mut().insert("Sec-WebSocket-Protocol", mqtt);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a header");
            request.headers_mut().append(*name, value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, response)) => {
                assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
                Ok(Self {
                    socket,
                    rest: tungstenite::Bytes::new(),
                })
            }
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(interrupted) => panic!("{interrupted}"),
        }
    }

    /// The WebSocket itself, to send what is no stream of bytes.
    pub fn socket(&mut self) -> &mut WebSocket<S> {
        &mut self.socket
    }
}

impl<S: Read + Write> Read for Ws<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.rest = bytes,
                Ok(Message::Close(_)) => return Ok(0),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("a message that is not binary: {other:?}"),
                Err(tungstenite::Error::ConnectionClosed) => return Ok(0),
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::new(io::ErrorKind::ConnectionReset, error)),
            }
        }
        let length = buf.len().min(self.rest.len());
        buf[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

impl<S: Read + Write> Write for Ws<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let message = Message::Binary(buf.to_vec().into());
        self.socket.send(message).map_err(io::Error::other)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}

impl<S: Read + Write + fmt::Debug + Send> Wire for Ws<S> {
    fn shut_down_writing(&mut self) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}
