//! Reads the data types of MQTT out of a part of a packet, and never looks beyond that part.

use bytes::Bytes;
use bytestring::ByteString;

use super::{text, varint};
use crate::frame::{Frame, Side};
use crate::violation::Violation;

const TRUNCATED: Violation =
    Violation::malformed("a field runs past the end of its packet", "MQTT-4.13.1-1");

/// A position in the bytes of a packet and the end that it may not cross.
///
/// Everything that is read shares the memory of the packet.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
    end: usize,
    /// What is only advised against in a string is let be.
    lenient: bool,
}

impl<'a> Cursor<'a> {
    /// Over all of `bytes`.
    pub(crate) fn over(bytes: &'a Bytes) -> Self {
        Self {
            bytes,
            at: 0,
            end: bytes.len(),
            lenient: false,
        }
    }

    /// Over what follows the fixed header. A broker may pass on characters that are only advised
    /// against: were they taken for a breach, one retained message would keep its subscribers out.
    pub(crate) fn over_body(frame: &'a Frame) -> Self {
        Self {
            at: frame.header_len(),
            lenient: frame.from() == Side::Broker,
            ..Self::over(frame.bytes())
        }
    }

    /// Whether what is only advised against is let be.
    pub(crate) fn is_lenient(&self) -> bool {
        self.lenient
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// Where the cursor stands, counted from the beginning of the packet.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Violation> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer inside of a packet: always minimal, also where the remaining length
    /// need not be, since only MQTT 5.0 has them ([MQTT-1.5.5-1]).
    pub(crate) fn varint(&mut self) -> Result<usize, Violation> {
        let Some(found) = varint::read(self.rest_as_slice())? else {
            return Err(TRUNCATED);
        };
        if !found.is_minimal() {
            return Err(varint::NOT_MINIMAL);
        }
        self.at += found.width;
        Ok(found.value)
    }

    /// Binary data: two bytes of length, then that many bytes (§1.5.6).
    pub(crate) fn binary(&mut self) -> Result<Bytes, Violation> {
        let len = self.u16()?;
        self.slice(len.into())
    }

    /// Moves behind binary data, or a string.
    pub(crate) fn skip_binary(&mut self) -> Result<(), Violation> {
        let len = self.u16()?;
        self.advance(len.into()).map(drop)
    }

    /// A UTF-8 string (§1.5.4). Unpaired surrogates and overlong forms are not UTF-8
    /// ([MQTT-1.5.4-1]).
    pub(crate) fn text(&mut self) -> Result<ByteString, Violation> {
        let text = ByteString::try_from(self.binary()?)
            .map_err(|_| Violation::malformed("a string is not UTF-8", "MQTT-1.5.4-1"))?;
        if self.lenient {
            text::check_nul(&text)?;
        } else {
            text::check(&text)?;
        }
        Ok(text)
    }

    /// A cursor over the next `len` bytes; this one goes on behind them.
    pub(crate) fn split(&mut self, len: usize) -> Result<Self, Violation> {
        let part = Self {
            bytes: self.bytes,
            at: self.at,
            end: self.advance(len)?,
            lenient: self.lenient,
        };
        Ok(part)
    }

    /// The next `len` bytes.
    pub(crate) fn slice(&mut self, len: usize) -> Result<Bytes, Violation> {
        let start = self.at;
        let end = self.advance(len)?;
        Ok(self.bytes.slice(start..end))
    }

    /// The bytes from `start` up to the cursor.
    pub(crate) fn since(&self, start: usize) -> Bytes {
        self.bytes.slice(start.min(self.at)..self.at)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> Bytes {
        let start = self.at;
        self.at = self.end;
        self.bytes.slice(start..self.end)
    }

    /// Confirms that the packet ends here. Bytes behind its last field are read by some and skipped
    /// by others, so they are never passed on.
    pub(crate) fn finish(&self) -> Result<(), Violation> {
        if self.remaining() == 0 {
            return Ok(());
        }
        Err(Violation::malformed(
            "bytes behind the last field of the packet",
            "MQTT-4.13.1-1",
        ))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let array = *self.rest_as_slice().first_chunk().ok_or(TRUNCATED)?;
        self.at += N;
        Ok(array)
    }

    fn advance(&mut self, len: usize) -> Result<usize, Violation> {
        if len > self.remaining() {
            return Err(TRUNCATED);
        }
        self.at += len;
        Ok(self.at)
    }

    fn rest_as_slice(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<ByteString, Violation> {
        let len = (bytes.len() as u16).to_be_bytes();
        let bytes = Bytes::from([&len, bytes].concat());
        Cursor::over(&bytes).text()
    }

    #[test]
    fn strings_are_utf_8() {
        for (bytes, what) in [
            (&[0xC0, 0x80][..], "overlong U+0000"),
            (&[0xE0, 0x80, 0xAF], "overlong /"),
            (&[0xED, 0xA0, 0x80], "high surrogate"),
            (&[0xED, 0xBF, 0xBF], "low surrogate"),
            (&[0xF4, 0x90, 0x80, 0x80], "above U+10FFFF"),
            (&[0xF8, 0x88, 0x80, 0x80, 0x80], "five bytes"),
            (&[0x80], "continuation alone"),
            (&[0xE2, 0x82], "cut off"),
            (&[0xFF], "never a byte of UTF-8"),
            (b"a\0b", "U+0000"),
        ] {
            let found = text(bytes).unwrap_err();
            assert_eq!(found.code.get(), 0x81, "{what}");
        }
    }

    #[test]
    fn a_byte_order_mark_stays() {
        assert_eq!(text(b"\xEF\xBB\xBFadmin").unwrap(), "\u{FEFF}admin");
    }

    #[test]
    fn a_part_ends_where_it_ends() {
        let bytes = Bytes::from_static(&[0, 3, b'a', b'b', b'c', 9]);
        let mut whole = Cursor::over(&bytes);
        let mut part = whole.split(4).unwrap();
        assert!(part.clone().text().is_err());
        assert_eq!(part.u32().unwrap(), 0x0003_6162);
        assert!(part.u8().is_err());
        assert_eq!(part.finish(), Ok(()));
        assert_eq!(whole.u16().unwrap(), 0x6309);
        assert!(whole.split(1).is_err());
    }
}
