//! Writes packets: the body first, then the fixed header in front of it, so that no length has to
//! be computed twice.

use std::iter;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{TooLong, varint};

/// Room for the longest fixed header.
const HEADER_ROOM: usize = 5;

/// A packet in the making.
pub(super) struct Packet {
    first: u8,
    out: BytesMut,
}

impl Packet {
    /// Starts a packet with this first byte and about this much body, in a buffer of its own.
    pub(super) fn new(first: u8, capacity: usize) -> Self {
        let mut out = BytesMut::with_capacity(HEADER_ROOM + capacity);
        out.put_bytes(0, HEADER_ROOM);
        Self { first, out }
    }

    /// The body so far, to be appended to.
    pub(super) fn body(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// The packet, if a remaining length can express its size.
    pub(super) fn finish(self) -> Result<Bytes, TooLong> {
        if self.out.len() - HEADER_ROOM > varint::MAX {
            return Err(TooLong { field: "packet" });
        }
        Ok(self.finish_bounded())
    }

    /// The packet, where its fields leave no doubt that a remaining length can express its size.
    pub(super) fn finish_bounded(mut self) -> Bytes {
        let (length, width) = varint::encode(self.out.len() - HEADER_ROOM);
        self.out.advance(HEADER_ROOM - 1 - width);
        let header = iter::once(self.first).chain(length.into_iter().take(width));
        for (to, from) in self.out.iter_mut().zip(header) {
            *to = from;
        }
        self.out.freeze()
    }
}

/// Appends binary data, or the bytes of a string.
///
/// A length of more than two bytes must never be cut off: the receiver would take the rest of the
/// field for the next one.
pub(super) fn put_binary(
    out: &mut BytesMut,
    field: &'static str,
    bytes: &[u8],
) -> Result<(), TooLong> {
    let len = u16::try_from(bytes.len()).map_err(|_| TooLong { field })?;
    out.put_u16(len);
    out.put_slice(bytes);
    Ok(())
}
