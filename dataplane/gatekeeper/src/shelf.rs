//! Memory for packets that have to wait.
//!
//! A packet is a slice of the block that it was read into, and keeps all of that alive. So one that waits is
//! copied. A block of its own for each would be two allocations a packet; here those that wait together share
//! one, which is never larger than what waits already.

use bytes::{Bytes, BytesMut};

/// Packets above this size are left where they are: they are most of their block themselves.
const SMALL: usize = 4096;

/// The largest block.
const BLOCK: usize = 8192;

/// Where the waiting packets of a session lie.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    block: BytesMut,
}

impl Shelf {
    /// The same bytes in a place where they may wait, beside others that take `waiting` bytes.
    pub(crate) fn keep(&mut self, bytes: Bytes, waiting: usize) -> Bytes {
        if bytes.len() > SMALL {
            return bytes;
        }
        if self.block.capacity() < bytes.len() {
            let room = bytes.len().max(waiting.min(BLOCK));
            self.block = BytesMut::with_capacity(room);
        }
        self.block.extend_from_slice(&bytes);
        self.block.split().freeze()
    }

    /// Gives back what is left of the last block.
    pub(crate) fn clear(&mut self) {
        self.block = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_no_larger_than_what_waits() {
        let mut shelf = Shelf::default();
        let packet = Bytes::from_static(&[7; 100]);
        let mut kept = Vec::new();
        let mut blocks = 0;
        for index in 0..1000 {
            let before = shelf.block.capacity();
            kept.push(shelf.keep(packet.clone(), index * packet.len()));
            if before < packet.len() {
                blocks += 1;
                let room = shelf.block.capacity() + packet.len();
                assert!(room <= (index * packet.len()).clamp(packet.len(), BLOCK));
            }
        }
        assert!(kept.iter().all(|bytes| *bytes == packet));
        assert!(blocks < 30, "{blocks} for 1000 packets");
    }

    #[test]
    fn large_packets_are_left_where_they_are() {
        let mut shelf = Shelf::default();
        let packet = Bytes::from(vec![1; SMALL + 1]);
        assert_eq!(shelf.keep(packet.clone(), 0).as_ptr(), packet.as_ptr());
        assert_ne!(
            shelf.keep(packet.slice(..SMALL), 0).as_ptr(),
            packet.as_ptr()
        );
    }
}
