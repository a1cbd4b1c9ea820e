//! The way from the root of the tree to a value.

use std::fmt;

/// A key path that lives on the stack while the tree is walked. Shown as `listeners.0.bind`.
#[derive(Clone, Copy)]
pub(crate) enum Key<'a> {
    Root,
    Name(&'a Self, &'a str),
    Index(&'a Self, usize),
}

impl Key<'_> {
    /// Appends a name to a path that is text already.
    pub(crate) fn join(parent: &str, name: &str) -> String {
        if parent.is_empty() {
            name.to_owned()
        } else {
            format!("{parent}.{name}")
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parent, last): (_, &dyn fmt::Display) = match self {
            Self::Root => return Ok(()),
            Self::Name(parent, name) => (parent, name),
            Self::Index(parent, index) => (parent, index),
        };
        if matches!(parent, Self::Root) {
            write!(f, "{last}")
        } else {
            write!(f, "{parent}.{last}")
        }
    }
}
