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
    /// The client's address.
    From(SocketAddr),
    /// The sender speaks for itself, or does not know: the address of the socket counts.
    Local,
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
            return Err(refuse("the connection ended"));
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
        return Ok(Header::Local);
    }
    let words: Vec<_> = words.collect();
    let [source, destination, source_port, destination_port] = words[..] else {
        return Err(malformed());
    };
    let (source, destination) = (parse_ip(family, source), parse_ip(family, destination));
    let (port, destination_port) = (parse_port(source_port), parse_port(destination_port));
    let both = (source.zip(destination), port.zip(destination_port));
    let (Some((address, _)), Some((port, _))) = both else {
        return Err(malformed());
    };
    Ok(Header::From(SocketAddr::new(address, port)))
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
        0x00 => Ok(Header::Local),
        0x11 => {
            let fields: &[u8; 12] = rest.first_chunk().ok_or_else(short)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *fields;
            let port = u16::from_be_bytes([high, low]);
            Ok(Header::From((Ipv4Addr::new(a, b, c, d), port).into()))
        }
        0x21 => {
            let fields: &[u8; 36] = rest.first_chunk().ok_or_else(short)?;
            let address: &[u8; 16] = fields.first_chunk().ok_or_else(short)?;
            let port = u16::from_be_bytes([fields[32], fields[33]]);
            Ok(Header::From((Ipv6Addr::from(*address), port).into()))
        }
        // A client on a Unix socket of the sender's machine has no address that means anything here.
        0x31 => Ok(Header::Local),
        _ => Err(refuse("an unknown family or protocol")),
    }
}

fn refuse(reason: &'static str) -> HandshakeError {
    HandshakeError::ProxyProtocol(reason)
}

#[cfg(test)]
mod tests;
