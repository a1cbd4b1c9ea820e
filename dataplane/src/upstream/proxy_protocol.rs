//! The PROXY protocol, version 2: who is at the other end of a connection that we make for somebody.
//!
//! The header goes before everything else, TLS included, and the receiver must be one that expects
//! it. Source: the specification of HAProxy (`proxy-protocol.txt`), section 2.2.

use std::net::{IpAddr, SocketAddr};

/// What begins every header.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, and whose connection it is: our own, or one that is passed on.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Address families, each with a stream as the transport.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Both ends of a client's connection to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client's address.
    pub client: SocketAddr,
    /// The address at which it came in.
    pub gate: SocketAddr,
}

/// The header for a connection on behalf of a client. `None`: it has no address, and the receiver
/// shall take ours.
pub(super) fn header(ends: Option<Ends>) -> Vec<u8> {
    let Some(Ends { client, gate }) = ends else {
        return assemble(LOCAL, UNSPECIFIED, &[]);
    };
    // A listener for both families sees IPv4 clients as addresses of IPv6.
    let (source, destination) = (client.ip().to_canonical(), gate.ip().to_canonical());
    let ports = [client.port().to_be_bytes(), gate.port().to_be_bytes()].concat();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            assemble(PROXY, TCP4, &[addresses, ports].concat())
        }
        (source, destination) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let addresses = [octets(source), octets(destination)].concat();
            assemble(PROXY, TCP6, &[addresses, ports].concat())
        }
    }
}

fn assemble(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(16 + addresses.len());
    header.extend_from_slice(SIGNATURE);
    header.extend_from_slice(&[command, family]);
    // 36 bytes at most.
    header.extend_from_slice(&(addresses.len() as u16).to_be_bytes());
    header.extend_from_slice(addresses);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, gate: &str) -> Option<Ends> {
        Some(Ends {
            client: client.parse().unwrap(),
            gate: gate.parse().unwrap(),
        })
    }

    #[test]
    fn an_ipv4_client() {
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C".to_vec();
        expected.extend([192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x07, 0x5B]);
        assert_eq!(
            header(ends("192.0.2.7:4711", "198.51.100.1:1883")),
            expected
        );
        // The same by way of a listener on [::].
        let mapped = ends("[::ffff:192.0.2.7]:4711", "[::ffff:198.51.100.1]:1883");
        assert_eq!(header(mapped), expected);
    }

    #[test]
    fn an_ipv6_client() {
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
        expected.extend([0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        expected.extend([0x12, 0x67, 0x22, 0xB3]);
        assert_eq!(header(ends("[2001:db8::7]:4711", "[::1]:8883")), expected);
    }

    #[test]
    fn a_client_that_a_proxy_tells_of_may_have_another_family_than_the_listener() {
        let told = header(ends("192.0.2.7:4711", "[::1]:8883"));
        assert_eq!(&told[12..16], [0x21, 0x21, 0, 0x24]);
        assert_eq!(&told[26..32], [0xFF, 0xFF, 192, 0, 2, 7]);
    }

    #[test]
    fn nobody() {
        assert_eq!(header(None), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}
