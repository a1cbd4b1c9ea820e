//! HAProxy in TCP mode: what a proxy costs that reads nothing of what it passes on.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use super::{Certificate, Proxy, child::Child};

/// Connections at once; each takes two descriptors, and test machines allow 20,000.
const MAX_CONNECTIONS: usize = 9_800;
const PATIENCE: Duration = Duration::from_secs(10);

/// For the first byte behind a handshake: what Tidegate gives for a CONNECT.
const FIRST_BYTE: &str = "10s";

pub(super) fn start(
    program: &Path,
    sink: SocketAddr,
    certificate: Option<&Certificate>,
) -> anyhow::Result<Proxy> {
    let address = free_address()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("haproxy.cfg");
    let (bind, rules) = certificate.map_or_else(Default::default, by_tls);
    let configuration = format!(
        "global\n    maxconn {MAX_CONNECTIONS}\n\
         defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n\
         listen mqtt\n    bind {address}{bind}\n    maxconn {MAX_CONNECTIONS}\n{rules}    server sink {sink}\n"
    );
    fs::write(&file, configuration)?;
    let child = Child::start(
        "haproxy",
        Command::new(program).arg("-db").arg("-f").arg(file),
        Some(folder),
    )?;
    let give_up = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        ensure!(Instant::now() < give_up, "haproxy does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Proxy { child, address })
}

/// What makes it TLS, and has it do for a client that says nothing what Tidegate does: it waits for the first
/// byte, and without one it does not go to the broker.
fn by_tls(certificate: &Certificate) -> (String, String) {
    let file = certificate.both.display();
    (
        format!(" ssl crt {file} alpn mqtt ssl-min-ver TLSv1.2"),
        format!(
            "    tcp-request inspect-delay {FIRST_BYTE}\n    \
             tcp-request content accept if {{ req.len gt 0 }}\n    tcp-request content reject\n"
        ),
    )
}

/// A port that was free a moment ago: HAProxy can't say which one it was given.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}
