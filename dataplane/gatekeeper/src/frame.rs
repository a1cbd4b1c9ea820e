//! The scanner: cuts a stream of bytes into packets, and refuses what no version allows as soon as
//! the fixed header shows it, before the body has arrived.

mod kind;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::question::Version;
use crate::reason::Sender;
use crate::shelf::Shelf;
use crate::violation::Violation;
use crate::wire::varint;

pub use kind::PacketType;

/// A header that is right, of a CONNECT that is larger than this gate takes. Before the CONNECT, no
/// other violation comes from an MQTT client.
pub(crate) const CONNECT_TOO_LARGE: Violation =
    Violation::too_large("CONNECT exceeds the maximum size", "§3.1");

/// Who sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Client,
    /// The broker.
    Broker,
}

impl Side {
    /// The role that MQTT gives to this side.
    #[must_use]
    pub const fn sender(self) -> Sender {
        match self {
            Self::Client => Sender::Client,
            Self::Broker => Sender::Server,
        }
    }
}

/// One whole packet, as it was sent. Its fixed header is right; nothing is known about its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    kind: PacketType,
    from: Side,
    header_len: usize,
    minimal: bool,
}

/// What [`scan`] found at the beginning of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// A whole packet, taken out of the buffer.
    Frame(Frame),
    /// The beginning of a packet. Nothing was taken out.
    Incomplete {
        /// How many bytes the buffer must hold before another scan can tell more: the size of the
        /// whole packet once its header is there. A peer chose this number for five bytes of
        /// effort, so it is not to be reserved in advance.
        needed: usize,
    },
}

/// Takes the first packet out of `buffer`, if it is there as a whole. `max_packet_size` counts the
/// whole packet, header included, as Maximum Packet Size does (MQTT 5.0 §3.1.2.11.4).
///
/// # Errors
/// On a header that nobody may send, or this side may not send, or that announces a packet above
/// `max_packet_size` (0x95). The buffer is left as it was, so that the same call fails in the same
/// way: there is no way to go on behind a violation.
pub fn scan(buffer: &mut BytesMut, from: Side, max_packet_size: usize) -> Result<Scan, Violation> {
    let Some(header) = Header::read(buffer, from, max_packet_size)? else {
        let needed = buffer.len() + 1;
        return Ok(Scan::Incomplete { needed });
    };
    let needed = header.len + header.remaining;
    if buffer.len() < needed {
        return Ok(Scan::Incomplete { needed });
    }
    Ok(Scan::Frame(
        header.frame(buffer.split_to(needed).freeze(), from),
    ))
}

impl Frame {
    /// A packet that was cut out before, and may have been written anew since.
    ///
    /// # Errors
    /// If `bytes` are anything but one whole packet with a header that this side may send.
    pub(crate) fn of_packet(bytes: Bytes, from: Side) -> Result<Self, Violation> {
        let header = Header::read(&bytes, from, usize::MAX)?
            .filter(|header| header.len + header.remaining == bytes.len())
            .ok_or(Violation::malformed("not one packet", "MQTT-4.13.1-1"))?;
        Ok(header.frame(bytes, from))
    }

    /// The type of the packet.
    #[must_use]
    pub fn kind(&self) -> PacketType {
        self.kind
    }

    /// Who sent it.
    #[must_use]
    pub fn from(&self) -> Side {
        self.from
    }

    /// The four flag bits of the fixed header.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.bytes.first().map_or(0, |first| first & 0x0F)
    }

    /// The whole packet.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What follows the fixed header. Shares the memory of the packet.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.bytes.slice(self.header_len..)
    }

    /// Where the body begins.
    pub(crate) fn header_len(&self) -> usize {
        self.header_len
    }

    /// Size of the whole packet; never 0.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a packet has at least two bytes"
    )]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the remaining length used as few bytes as it can.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        self.minimal
    }

    /// Refuses a remaining length in more bytes than needed where the version has that rule.
    /// All readers of packets call it; who looks at a packet without a body has to.
    ///
    /// # Errors
    /// On MQTT 5.0, if [`is_minimal`](Self::is_minimal) is false.
    pub fn check_minimal(&self, version: Version) -> Result<(), Violation> {
        if self.minimal || version != Version::V5 {
            return Ok(());
        }
        Err(varint::NOT_MINIMAL)
    }

    /// Refuses DUP on a packet that is no PUBLISH where the version does not have it: only MQTT 3.1
    /// does. All readers of packets call it.
    ///
    /// # Errors
    /// On MQTT 3.1.1 and 5.0, if the flag is set.
    pub fn check_dup(&self, version: Version) -> Result<(), Violation> {
        if version == Version::V31 || !self.has_stray_dup() {
            return Ok(());
        }
        Err(kind::RESERVED_FLAGS)
    }

    fn has_stray_dup(&self) -> bool {
        self.kind != PacketType::Publish && self.flags() & kind::DUP != 0
    }

    /// The same, where it may wait beside packets of `waiting` bytes.
    pub(crate) fn shelved(self, shelf: &mut Shelf, waiting: usize) -> Self {
        Self {
            bytes: shelf.keep(self.bytes, waiting),
            ..self
        }
    }

    /// The packet with a minimal remaining length and without the DUP that only MQTT 3.1 has on
    /// some packets: the same bytes, or a copy if they were not canonical. MQTT 3.x has no rule
    /// about the first and brokers differ, so they get one form only.
    #[must_use]
    pub fn into_canonical(self) -> Bytes {
        let stray = self.has_stray_dup();
        if self.minimal && !stray {
            return self.bytes;
        }
        let (header, body) = self.bytes.split_at(self.header_len);
        let mut canonical = BytesMut::with_capacity(self.bytes.len());
        let clear = if stray { kind::DUP } else { 0 };
        canonical.extend(header.iter().take(1).map(|first| first & !clear));
        varint::put(&mut canonical, body.len());
        canonical.put_slice(body);
        canonical.freeze()
    }
}

impl fmt::Debug for Frame {
    /// Leaves the bytes out: there are passwords among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind)
            .field("from", &self.from)
            .field("flags", &self.flags())
            .field("len", &self.len())
            .field("minimal", &self.minimal)
            .finish()
    }
}

struct Header {
    kind: PacketType,
    len: usize,
    remaining: usize,
    minimal: bool,
}

impl Header {
    /// Judges as much of the header as is there; `None` if it goes on.
    fn read(bytes: &[u8], from: Side, max_packet_size: usize) -> Result<Option<Self>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let kind = PacketType::of(first)?;
        kind.check_sender(from)?;
        kind.check_flags(first & 0x0F)?;

        let Some(length) = varint::read(rest)? else {
            return Ok(None);
        };
        let header = Self {
            kind,
            len: 1 + length.width,
            remaining: length.value,
            minimal: length.is_minimal(),
        };
        kind.check_length(header.remaining)?;
        if header.len + header.remaining > max_packet_size {
            return Err(match kind {
                PacketType::Connect => CONNECT_TOO_LARGE,
                _ => Violation::too_large(
                    "packet exceeds the maximum packet size",
                    "MQTT-3.1.2-24, MQTT-3.2.2-15",
                ),
            });
        }
        Ok(Some(header))
    }

    /// The packet that begins with this header.
    fn frame(self, bytes: Bytes, from: Side) -> Frame {
        Frame {
            bytes,
            kind: self.kind,
            from,
            header_len: self.len,
            minimal: self.minimal,
        }
    }
}
