//! A port at which connections are neither accepted nor refused, as behind a firewall that drops packets.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// A listener whose queue of connections is full: the kernel drops whatever else wants to connect.
#[derive(Debug)]
pub struct BlackHole {
    _listener: Socket,
    _queue: Vec<Socket>,
}

/// More than fit into the shortest queue.
const CONNECTIONS: usize = 4;

impl BlackHole {
    /// Opens it where nothing listens.
    #[must_use]
    pub fn open_at(address: SocketAddr) -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP));
        let listener = socket().expect("a socket");
        listener.set_reuse_address(true).expect("an option");
        listener.bind(&address.into()).expect("a free port");
        listener.listen(0).expect("a listener");
        let queue = (0..CONNECTIONS).map(|_| {
            let socket = socket().expect("a socket");
            socket.set_nonblocking(true).expect("an option");
            // In progress, for ever in the end.
            let _ = socket.connect(&address.into());
            socket
        });
        Self {
            _queue: queue.collect(),
            _listener: listener,
        }
    }

    /// Whether a connection gets an answer within this time: none should.
    #[must_use]
    pub fn answers(address: SocketAddr, within: std::time::Duration) -> bool {
        TcpStream::connect_timeout(&address, within).is_ok()
    }
}
