//! HAProxy as what receives the connections of a gate: it knows the PROXY protocol better than we do.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    pki::Identity,
    process::Program,
    wait::{PATIENCE, poll_for},
};

/// An HAProxy that wants a PROXY header on each connection, and passes it on to a broker without it.
#[derive(Debug)]
pub struct HaProxy {
    address: SocketAddr,
    program: Program,
    _folder: TempDir,
}

impl HaProxy {
    /// Starts it, with TLS if it has an identity, and waits until it accepts connections.
    ///
    /// # Panics
    /// If HAProxy is not installed: a test that can't run must not look like one that passed.
    #[must_use]
    pub fn start(broker: SocketAddr, identity: Option<&Identity>) -> Self {
        // It can't say which port it was given, so it may lose the one chosen for it.
        (0..10)
            .find_map(|_| Self::try_start(broker, identity))
            .expect("a port that stays free until HAProxy binds it")
    }

    fn try_start(broker: SocketAddr, identity: Option<&Identity>) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("a bound listener");
        drop(free);
        let folder = TempDir::new().expect("a temporary folder");
        let tls = identity.map_or_else(String::new, |identity| {
            let read = |path| fs::read_to_string(path).expect("a file of the authority");
            let path = folder.path().join("identity.pem");
            let both = read(&identity.cert) + &read(&identity.key);
            fs::write(&path, both).expect("a temporary file");
            format!("ssl crt {}", path.display())
        });
        let path = folder.path().join("haproxy.cfg");
        let text = format!(
            "global\n\
             \x20   log stdout format raw local0\n\
             defaults\n\
             \x20   mode tcp\n\
             \x20   log global\n\
             \x20   log-format \"from %ci to %fi:%fp\"\n\
             \x20   timeout connect 5s\n\
             \x20   timeout client 1m\n\
             \x20   timeout server 1m\n\
             listen mqtt\n\
             \x20   bind {address} accept-proxy {tls}\n\
             \x20   server broker {broker}\n"
        );
        fs::write(&path, text).expect("a temporary file");
        let mut command = Command::new("haproxy");
        match Command::new("haproxy").arg("-v").output() {
            Err(error) if error.kind() == ErrorKind::NotFound => panic!(
                "this test needs `haproxy` in the search path, for example by `apt-get install \
                 haproxy` or `brew install haproxy`. (Debian puts it into /usr/sbin.)"
            ),
            _ => {}
        }
        let mut program = Program::start("haproxy", command.arg("-db").arg("-f").arg(path));
        let accepts = poll_for(PATIENCE, || {
            let running = program.is_running();
            (!running || TcpStream::connect(address).is_ok()).then_some(running)
        });
        (accepts == Some(true)).then_some(Self {
            address,
            program,
            _folder: folder,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a connection has ended that was made for this client, and returns the address at
    /// which the client came in.
    #[track_caller]
    pub fn wait_served(&self, client: &str) -> SocketAddr {
        let begins = format!("from {client} to ");
        self.program
            .wait_for(&format!("it has served {client}"), |line| {
                line.strip_prefix(&begins)?.trim().parse().ok()
            })
    }
}
