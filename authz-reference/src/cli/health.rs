//! `tidegate-authz health`: asks the probes of a service on this machine, for container runtimes that run a command.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use super::{Failed, print};
use crate::config::Config;

/// For one step of the conversation.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of the answer, in bytes.
const MOST: u64 = 4096;

/// What to ask, and where.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the probes are; without it, the configuration says so
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
    /// Ask whether it is alive instead of ready
    #[arg(long)]
    live: bool,
}

/// Asks. Of the configuration only what it says is read, not the files that it names.
pub(super) fn ask(
    arguments: &Arguments,
    config: impl FnOnce() -> Result<Config, Failed>,
) -> Result<(), Failed> {
    let address = match arguments.address {
        Some(address) => address,
        None => configured(&config()?).map_err(Failed::configuration)?,
    };
    let path = if arguments.live {
        "/healthz"
    } else {
        "/readyz"
    };
    let said = get(reachable(address), path).with_context(|| address.to_string())?;
    Ok(print(&format!("{said}\n"))?)
}

fn configured(config: &Config) -> anyhow::Result<SocketAddr> {
    match config.probes.bind {
        Some(address) if address.port() != 0 => Ok(address),
        Some(_) => bail!("probes.bind has port 0: --address has to say which it is"),
        None => bail!("there is no probes.bind: nobody to ask"),
    }
}

/// Where one gets to who listens on any address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The first line of the answer, if it is a yes.
fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("nobody answers")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let read = stream.take(MOST).read_to_end(&mut answer);
    read.context("no answer in time")?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let said = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let said = said.lines().next().unwrap_or_default();
    match status {
        "200" => Ok(said.to_owned()),
        _ => Err(anyhow!("{status} {said}")),
    }
}
