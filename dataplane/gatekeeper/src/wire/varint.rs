//! The variable byte integer (MQTT 5.0 §1.5.5; the remaining length of MQTT 3.1.1 §2.2.3).

use bytes::BytesMut;

use crate::violation::Violation;

/// The largest value: four bytes of seven bits.
pub(crate) const MAX: usize = (1 << 28) - 1;

/// In more bytes than needed: malformed on MQTT 5.0.
pub(crate) const NOT_MINIMAL: Violation = Violation::malformed(
    "variable byte integer is longer than needed",
    "MQTT-1.5.5-1",
);

/// A value and the number of bytes it was written in.
pub(crate) struct VarInt {
    pub(crate) value: usize,
    pub(crate) width: usize,
}

impl VarInt {
    pub(crate) fn is_minimal(&self) -> bool {
        self.width == width(self.value)
    }
}

/// Reads the integer at the beginning of `bytes`; `None` if it goes on behind their end.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<VarInt>, Violation> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let width = index + 1;
            return Ok(Some(VarInt { value, width }));
        }
    }
    if bytes.len() < 4 {
        return Ok(None);
    }
    Err(Violation::malformed(
        "variable byte integer of more than four bytes",
        "§1.5.5",
    ))
}

/// How many bytes the minimal encoding of `value` takes.
pub(crate) fn width(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x001F_FFFF => 3,
        _ => 4,
    }
}

/// The minimal encoding of `value`, which is at most [`MAX`]: the first so many of these bytes.
pub(crate) fn encode(value: usize) -> ([u8; 4], usize) {
    debug_assert!(value <= MAX);
    let width = width(value);
    let mut bytes = [0; 4];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let more = if index + 1 < width { 0x80 } else { 0 };
        *byte = (value >> (7 * index) & 0x7F) as u8 | more;
    }
    (bytes, width)
}

/// Appends the minimal encoding of `value`, which is at most [`MAX`].
pub(crate) fn put(out: &mut BytesMut, value: usize) {
    let (bytes, width) = encode(value);
    out.extend(bytes.iter().take(width));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boundaries_are_those_of_the_standard() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = BytesMut::new();
            put(&mut out, value);
            assert_eq!(out, bytes);
            let found = read(bytes).unwrap().unwrap();
            assert_eq!((found.value, found.width), (value, bytes.len()));
            assert!(found.is_minimal());
        }
    }

    proptest! {
        #[test]
        fn what_is_minimal_is_what_would_be_written(bytes in proptest::collection::vec(any::<u8>(), 0..6)) {
            let Ok(Some(found)) = read(&bytes) else {
                return Ok(());
            };
            let (written, width) = encode(found.value);
            let same = written[..width] == bytes[..found.width];
            prop_assert_eq!(same, found.is_minimal());
        }
    }
}
