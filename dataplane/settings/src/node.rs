//! The tree of values as the layers make it.

use crate::origin::Origin;
use std::collections::BTreeMap;

/// A value and where it came from.
///
/// No `Debug`: it holds secrets.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

#[derive(Clone)]
pub(crate) enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Text of the environment or a flag; the type that it is read into decides what it means.
    Loose(String),
    Array(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    pub(crate) fn empty_table(origin: Origin) -> Self {
        Self {
            value: Value::Table(BTreeMap::new()),
            origin,
        }
    }
}
