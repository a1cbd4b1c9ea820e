//! The body of a check, encoded: usual ones without memory of their own.

use std::{
    hash::{Hash, Hasher},
    ops::Deref,
};

use bytes::Bytes;

use super::Body;

/// A PUBLISH takes some ten bytes besides its topic.
const SHORT: usize = 79;

/// Bytes that are written once. Short ones are part of the value: they travel from the session to its lane
/// without an allocation, and without a count that two processors would fight for.
#[derive(Clone)]
pub(in crate::authz) enum Encoded {
    /// As many of them as the number says.
    Short(u8, [u8; SHORT]),
    /// In memory that clones share.
    Long(Bytes),
}

impl Encoded {
    pub(super) fn of<H>(body: &impl Body<H>) -> Self {
        let len = body.size();
        match u8::try_from(len) {
            Ok(short) if len <= SHORT => {
                let mut bytes = [0; SHORT];
                body.write(&mut bytes.as_mut_slice());
                Self::Short(short, bytes)
            }
            _ => {
                let mut bytes = Vec::with_capacity(len);
                body.write(&mut bytes);
                Self::Long(bytes.into())
            }
        }
    }
}

impl Default for Encoded {
    fn default() -> Self {
        Self::Short(0, [0; SHORT])
    }
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Encoded {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Encoded {}

impl Hash for Encoded {
    fn hash<S: Hasher>(&self, state: &mut S) {
        (**self).hash(state);
    }
}

impl std::fmt::Debug for Encoded {
    /// There are passwords in some.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes, redacted>", self.len())
    }
}
