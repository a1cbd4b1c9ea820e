//! Property sections as they were sent.

use std::fmt;
use std::iter;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::table::Property;
use super::{REASON_STRING, SERVER_REFERENCE, USER_PROPERTY};
use crate::violation::Violation;
use crate::wire::cursor::Cursor;
use crate::wire::{TooLong, text, varint};

/// The bytes of a property section, without the length in front of them.
///
/// Only a reader that has checked them, and the functions below, can make them, so they are
/// properties. What is passed on is passed on byte by byte and in order ([MQTT-3.3.2-17],
/// [MQTT-3.3.2-18]).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawProperties(Bytes);

impl RawProperties {
    /// All that the cursor goes over.
    pub(super) fn read(mut section: Cursor<'_>) -> Self {
        Self(section.rest())
    }

    /// The properties of a refusal: a Reason String for people and a Server Reference where to go
    /// instead. A text that no packet can carry is left out: it only explains, and the refusal has
    /// to be told all the same.
    #[must_use]
    pub fn explanation(reason_string: Option<&str>, server_reference: Option<&str>) -> Self {
        let mut out = BytesMut::new();
        for (id, text) in [
            (REASON_STRING, reason_string),
            (SERVER_REFERENCE, server_reference),
        ] {
            let Some(text) = text.filter(|text| text::check(text).is_ok()) else {
                continue;
            };
            let Ok(len) = u16::try_from(text.len()) else {
                continue;
            };
            out.put_u8(id);
            out.put_u16(len);
            out.put_slice(text.as_bytes());
        }
        Self(out.freeze())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same without the properties that `drop` names by identifier.
    #[must_use]
    pub fn without(&self, drop: &[u8]) -> Self {
        let kept = self.iter().filter(|(id, _)| !drop.contains(id));
        Self(kept.flat_map(|(_, bytes)| bytes).copied().collect())
    }

    /// The same without the user properties that have one of these keys.
    #[must_use]
    pub fn without_user_properties(&self, keys: &[ByteString]) -> Self {
        if keys.is_empty() {
            return self.clone();
        }
        let kept = self.iter().filter(|(_, bytes)| {
            !user_property_key(bytes)
                .is_some_and(|key| keys.iter().any(|drop| drop.as_bytes() == key))
        });
        Self(kept.flat_map(|(_, bytes)| bytes).copied().collect())
    }

    /// The same with these behind all others. As in [`with`](Self::with), values are written as they
    /// are; that a property which must not repeat does not is for the caller to see to.
    ///
    /// # Errors
    /// If a value is too long for its length field, or all together for theirs.
    pub fn and(&self, more: &[Property]) -> Result<Self, TooLong> {
        if more.is_empty() {
            return Ok(self.clone());
        }
        let mut out = BytesMut::with_capacity(self.0.len() + 32 * more.len());
        out.extend_from_slice(&self.0);
        for property in more {
            property.write(&mut out)?;
        }
        Self::bounded(out)
    }

    /// The value of the first property of this identifier, which has to be one with a text.
    pub(crate) fn text(&self, wanted: u8) -> Option<ByteString> {
        let (_, bytes) = self.iter().find(|(id, _)| *id == wanted)?;
        let text = bytes.get(3..)?;
        ByteString::try_from(self.0.slice_ref(text)).ok()
    }

    /// The same, with each of `changes` in the place of the property of that name, or behind all
    /// others if there was none. Values are written as they are: texts of others than the gate go
    /// through [`explanation`](Self::explanation).
    ///
    /// # Errors
    /// If a value is too long for its length field.
    pub fn with(&self, changes: &[Property]) -> Result<Self, TooLong> {
        let mut out = BytesMut::with_capacity(self.0.len() + 16 * changes.len());
        let mut pending: Vec<&Property> = changes.iter().collect();
        for (id, bytes) in self.iter() {
            match pending.iter().position(|change| change.id() == id) {
                Some(index) => pending.remove(index).write(&mut out)?,
                None if changes.iter().any(|change| change.id() == id) => {}
                None => out.extend_from_slice(bytes),
            }
        }
        for change in pending {
            change.write(&mut out)?;
        }
        Self::bounded(out)
    }

    fn bounded(out: BytesMut) -> Result<Self, TooLong> {
        if out.len() > varint::MAX {
            return Err(TooLong {
                field: "properties",
            });
        }
        Ok(Self(out.freeze()))
    }

    /// Appends the section with its length.
    pub(in crate::wire) fn put(&self, out: &mut BytesMut) {
        varint::put(out, self.0.len());
        out.extend_from_slice(&self.0);
    }

    /// Appends the section, without the properties that `drop` names, with its length.
    pub(in crate::wire) fn put_without(&self, drop: &[u8], out: &mut BytesMut) {
        let kept = || self.iter().filter(|(id, _)| !drop.contains(id));
        varint::put(out, kept().map(|(_, bytes)| bytes.len()).sum());
        kept().for_each(|(_, bytes)| out.extend_from_slice(bytes));
    }

    /// Where in its packet the value of a property begins. The section is one that was checked.
    pub(in crate::wire) fn value_at(mut section: Cursor<'_>, id: u8) -> Option<usize> {
        loop {
            let at = section.position() + 1;
            if step(&mut section).ok()? == id {
                return Some(at);
            }
        }
    }

    /// Identifier and bytes of each property.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut cursor = Cursor::over(&self.0);
        iter::from_fn(move || {
            let start = cursor.position();
            let id = step(&mut cursor).ok()?;
            Some((id, self.0.get(start..cursor.position())?))
        })
    }
}

/// The key of a user property: the bytes behind its identifier and length.
fn user_property_key(bytes: &[u8]) -> Option<&[u8]> {
    let [USER_PROPERTY, high, low, rest @ ..] = bytes else {
        return None;
    };
    rest.get(..u16::from_be_bytes([*high, *low]).into())
}

/// Moves behind the next property. It fails at the end and nowhere else: the bytes were checked.
fn step(cursor: &mut Cursor<'_>) -> Result<u8, Violation> {
    let id = cursor.u8()?;
    Property::skip(id, cursor)?;
    Ok(id)
}

impl fmt::Debug for RawProperties {
    /// Leaves the bytes out: there is authentication data among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes of properties>", self.0.len())
    }
}
