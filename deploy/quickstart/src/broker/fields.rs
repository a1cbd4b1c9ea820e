//! Fields of MQTT packets: numbers, texts and properties.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::str;

/// A packet that can't be read, and what of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed packet: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Takes fields off the front of a packet's body.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed("too short"))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.0.try_get_u16().map_err(|_| Malformed("too short"))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| Malformed("too short"))
    }

    fn variable(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number of more than four bytes"))
    }

    pub(super) fn binary(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.binary()?;
        let text = str::from_utf8(&bytes).map_err(|_| Malformed("a text that is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// The properties that stand here, with their length before them.
    pub(super) fn properties(&mut self) -> Result<Vec<Property>, Malformed> {
        let length = self.variable()?;
        let mut block = Self(self.take(length as usize)?);
        let mut properties = Vec::new();
        while !block.is_empty() {
            properties.push(block.property()?);
        }
        Ok(properties)
    }

    fn property(&mut self) -> Result<Property, Malformed> {
        let rest = self.0.clone();
        let id = self.u8()?;
        let number = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => u32::from(self.u8()?),
            0x13 | 0x21 | 0x22 | 0x23 => u32::from(self.u16()?),
            0x02 | 0x11 | 0x18 | 0x27 => self.u32()?,
            0x0B => self.variable()?,
            0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => {
                self.binary()?;
                0
            }
            0x26 => {
                self.binary()?;
                self.binary()?;
                0
            }
            _ => return Err(Malformed("an unknown property")),
        };
        let raw = rest.slice(..rest.len() - self.0.len());
        Ok(Property { id, number, raw })
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.0.len() {
            return Err(Malformed("too short"));
        }
        Ok(self.0.split_to(length))
    }
}

/// One property of MQTT 5.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) id: u8,
    /// Its value, if that is a number.
    pub(super) number: u32,
    /// Identifier and value, as they came.
    pub(super) raw: Bytes,
}

pub(super) fn put_variable(out: &mut BytesMut, mut value: usize) {
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

/// Texts of this broker come out of packets, so they are never longer than a packet can say.
pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_come_back() {
        for value in [0, 127, 128, 16_383, 16_384, 2_097_151, 268_435_455] {
            let mut out = BytesMut::new();
            put_variable(&mut out, value);
            let read = Fields(out.freeze()).variable().unwrap();
            assert_eq!(read as usize, value);
        }
        let endless = Fields(Bytes::from_static(&[0x80; 5])).variable();
        assert!(endless.is_err());
    }

    #[test]
    fn properties_keep_their_bytes() {
        let block = b"\x0e\x21\x00\x14\x26\x00\x01a\x00\x01b\x01\x01rest";
        let mut fields = Fields(Bytes::from_static(block));
        // The block is one byte too long for what stands in it: "r" is no property.
        assert!(fields.properties().is_err());

        let block = b"\x0c\x21\x00\x14\x26\x00\x01a\x00\x01b\x01\x01rest";
        let mut fields = Fields(Bytes::from_static(block));
        let properties = fields.properties().unwrap();
        let ids: Vec<_> = properties.iter().map(|it| (it.id, it.number)).collect();
        assert_eq!(ids, [(0x21, 20), (0x26, 0), (0x01, 1)]);
        assert_eq!(&properties[1].raw[..], b"\x26\x00\x01a\x00\x01b");
        assert_eq!(&fields.0[..], b"rest");
    }
}
