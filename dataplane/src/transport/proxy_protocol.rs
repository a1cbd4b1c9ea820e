//! The PROXY protocol (haproxy.org, proxy-protocol.txt), versions 1 and 2, as a receiver.
//!
//! Exactly the header is read: the byte behind it is the client's. What it says besides the client's address
//! (TLVs) is not looked at: it is the word of a machine in between, not of the client.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::{io::AsyncReadExt, net::TcpStream};

use super::HandshakeError;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// The client's address, and the one at which it came in.
    From {
        client: SocketAddr,
        gate: SocketAddr,
    },
    /// The sender speaks for itself: the addresses of the socket count.
    Local,
    /// The sender does not know, or has nothing that means anything here. The address of the socket counts,
    /// but it is not the client's.
    Unknown,
}

/// Longest header of version 1, in bytes.
const MAX_V1: usize = 107;

/// What headers of version 2 begin with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Longest header of version 2 behind its fixed part, in bytes. Addresses take 216 at most; the rest is TLVs.
const MAX_V2: usize = 4096;

/// Reads the line of version 1.
pub(super) async fn read_v1(stream: &mut TcpStream) -> Result<Header, HandshakeError> {
    let mut line = [0; MAX_V1];
    let mut length = 0;
    loop {
        // What is looked at is taken only as far as it is the line.
        let seen = stream.peek(&mut line[length..]).await?;
        if seen == 0 {
            // Balancers look whether somebody listens, and say nothing.
            return Err(match length {
                0 => HandshakeError::Gone(std::io::ErrorKind::UnexpectedEof.into()),
                _ => refuse("the connection ended"),
            });
        }
        let end = line[length..length + seen]
            .iter()
            .position(|byte| *byte == b'\n');
        let taken = end.map_or(seen, |at| at + 1);
        stream.read_exact(&mut line[length..length + taken]).await?;
        length += taken;
        if !line[..length].starts_with(&b"PROXY "[..length.min(6)]) {
            return Err(refuse("no header"));
        }
        if end.is_some() {
            return parse_v1(&line[..length]);
        }
        if length == MAX_V1 {
            return Err(refuse("the header is too long"));
        }
    }
}

fn parse_v1(line: &[u8]) -> Result<Header, HandshakeError> {
    let malformed = || refuse("a malformed header");
    let text = line.strip_suffix(b"\r\n").ok_or_else(malformed)?;
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    let mut words = text.split(' ');
    if words.next() != Some("PROXY") {
        return Err(malformed());
    }
    let family = words.next().ok_or_else(malformed)?;
    if family == "UNKNOWN" {
        return Ok(Header::Unknown);
    }
    let words: Vec<_> = words.collect();
    let [source, destination, source_port, destination_port] = words[..] else {
        return Err(malformed());
    };
    let (source, destination) = (parse_ip(family, source), parse_ip(family, destination));
    let (port, destination_port) = (parse_port(source_port), parse_port(destination_port));
    let both = (source.zip(destination), port.zip(destination_port));
    let (Some((source, destination)), Some((port, destination_port))) = both else {
        return Err(malformed());
    };
    Ok(Header::From {
        client: SocketAddr::new(source, port),
        gate: SocketAddr::new(destination, destination_port),
    })
}

fn parse_ip(family: &str, text: &str) -> Option<std::net::IpAddr> {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(Into::into),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(Into::into),
        _ => None,
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_shortest = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && is_shortest)
}

/// Reads the header of version 2.
pub(super) async fn read_v2(stream: &mut TcpStream) -> Result<Header, HandshakeError> {
    let mut fixed = [0; 16];
    stream.read_exact(&mut fixed).await?;
    let [signature @ .., version, family, high, low] = fixed;
    if signature != SIGNATURE {
        return Err(refuse("no header"));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_V2 {
        return Err(refuse("the header is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    parse_v2(version, family, &rest)
}

fn parse_v2(version: u8, family: u8, rest: &[u8]) -> Result<Header, HandshakeError> {
    match version {
        0x20 => return Ok(Header::Local),
        0x21 => {}
        _ => return Err(refuse("an unknown version or command")),
    }
    let short = || refuse("the header is too short");
    match family {
        // Unspecified: what the sender does not know.
        0x00 => Ok(Header::Unknown),
        0x11 => {
            let fields: &[u8; 12] = rest.first_chunk().ok_or_else(short)?;
            let end = |address: usize, port: usize| {
                let octets = [0, 1, 2, 3].map(|at| fields[address + at]);
                let port = u16::from_be_bytes([fields[port], fields[port + 1]]);
                SocketAddr::from((Ipv4Addr::from(octets), port))
            };
            Ok(Header::From {
                client: end(0, 8),
                gate: end(4, 10),
            })
        }
        0x21 => {
            let fields: &[u8; 36] = rest.first_chunk().ok_or_else(short)?;
            let end = |address: usize, port: usize| {
                let octets: [u8; 16] = std::array::from_fn(|at| fields[address + at]);
                let port = u16::from_be_bytes([fields[port], fields[port + 1]]);
                SocketAddr::from((Ipv6Addr::from(octets), port))
            };
            Ok(Header::From {
                client: end(0, 32),
                gate: end(16, 34),
            })
        }
        // A client on a Unix socket of the sender's machine has no address that means anything here.
        0x31 => Ok(Header::Unknown),
        _ => Err(refuse("an unknown family or protocol")),
    }
}

fn refuse(reason: &'static str) -> HandshakeError {
    HandshakeError::ProxyProtocol(reason)
}

#[cfg(test)]
mod tests;
