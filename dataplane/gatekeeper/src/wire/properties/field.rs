//! The data types that a property can have.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::question::{Secret, UserProperty};
use crate::violation::Violation;
use crate::wire::cursor::Cursor;
use crate::wire::write::put_binary;
use crate::wire::{TooLong, varint};

/// How a value of this type is read and written.
pub(super) trait Field: Sized {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation>;

    /// Moves behind a value that was read before.
    fn skip(cursor: &mut Cursor<'_>) -> Result<(), Violation> {
        Self::read(cursor).map(drop)
    }

    fn write(&self, name: &'static str, out: &mut BytesMut) -> Result<(), TooLong>;
}

/// A number that is written as a variable byte integer.
pub(super) type VarInt = usize;

impl Field for u8 {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        cursor.u8()
    }

    fn write(&self, _: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        out.put_u8(*self);
        Ok(())
    }
}

impl Field for u16 {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        cursor.u16()
    }

    fn write(&self, _: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        out.put_u16(*self);
        Ok(())
    }
}

impl Field for u32 {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        cursor.u32()
    }

    fn write(&self, _: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        out.put_u32(*self);
        Ok(())
    }
}

impl Field for VarInt {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        cursor.varint()
    }

    fn write(&self, field: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        if *self > varint::MAX {
            return Err(TooLong { field });
        }
        varint::put(out, *self);
        Ok(())
    }
}

impl Field for ByteString {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        cursor.text()
    }

    fn skip(cursor: &mut Cursor<'_>) -> Result<(), Violation> {
        cursor.skip_binary()
    }

    fn write(&self, field: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        put_binary(out, field, self.as_bytes())
    }
}

impl Field for Bytes {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        cursor.binary()
    }

    fn skip(cursor: &mut Cursor<'_>) -> Result<(), Violation> {
        cursor.skip_binary()
    }

    fn write(&self, field: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        put_binary(out, field, self)
    }
}

impl Field for Secret {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        cursor.binary().map(Self::new)
    }

    fn skip(cursor: &mut Cursor<'_>) -> Result<(), Violation> {
        cursor.skip_binary()
    }

    fn write(&self, field: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        put_binary(out, field, self.expose())
    }
}

impl Field for UserProperty {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Violation> {
        let key = cursor.text()?;
        let value = cursor.text()?;
        Ok(Self { key, value })
    }

    fn skip(cursor: &mut Cursor<'_>) -> Result<(), Violation> {
        cursor.skip_binary()?;
        cursor.skip_binary()
    }

    fn write(&self, field: &'static str, out: &mut BytesMut) -> Result<(), TooLong> {
        self.key.write(field, out)?;
        self.value.write(field, out)
    }
}
