//! `health`: asks the probes listener of a gate on this machine, for container runtimes that run a command.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use super::{BAD_CONFIGURATION, Place};

/// For one step of the conversation.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of the answer, in bytes.
const MOST: u64 = 4096;

/// What to ask, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The probes listener. Without it, the configuration says where it is.
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
    /// Ask whether it is alive instead of ready.
    #[arg(long)]
    live: bool,
}

/// Asks.
pub(super) fn ask(arguments: Arguments) -> ExitCode {
    let address = match arguments.address {
        Some(address) => address,
        None => match configured(arguments.place) {
            Ok(address) => address,
            Err(why) => {
                eprintln!("tidegate: {why}");
                return ExitCode::from(BAD_CONFIGURATION);
            }
        },
    };
    let path = if arguments.live {
        "/healthz"
    } else {
        "/readyz"
    };
    match get(reachable(address), path) {
        Ok((true, said)) => super::print(&format!("{said}\n")),
        Ok((false, said)) => {
            eprintln!("tidegate: {said}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidegate: {address} does not answer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Only what the configuration says is read, not the files that it names: they may be for the gate's eyes only.
fn configured(place: Place) -> Result<SocketAddr, String> {
    let loaded = place.source().load().map_err(|error| error.to_string())?;
    match loaded.value.probes_bind() {
        Some(address) if address.port() != 0 => Ok(address),
        Some(_) => Err("probes.bind has port 0: --address has to say which it is".to_owned()),
        None => Err("there is no probes.bind: nobody to ask".to_owned()),
    }
}

/// Where one gets to who listens on any address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Whether the answer is a yes, and its first line.
fn get(address: SocketAddr, path: &str) -> std::io::Result<(bool, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let said = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let said = said.lines().next().unwrap_or_default();
    Ok((status == "200", said.to_owned()))
}
