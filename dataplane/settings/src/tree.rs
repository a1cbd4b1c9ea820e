//! Every key of a loaded configuration, what it is, and why.

use crate::{
    error::Error,
    key::Key,
    node::{Node, Value},
    origin::Origin,
    redact,
};
use serde::Serialize;
use serde_json::Value as Json;
use std::{collections::BTreeMap, fmt};

/// Where the values of a configuration came from. Holds no secrets.
#[derive(Debug, Clone)]
pub struct Tree {
    /// What is in force, in the order of the keys.
    entries: Vec<(String, String, Origin)>,
    /// What the layers have set.
    set: BTreeMap<String, SetKey>,
}

#[derive(Debug, Clone)]
struct SetKey {
    origin: Origin,
    /// All below it came from there too: a scalar, or a table given as text.
    whole: bool,
}

/// One key of a configuration. Shown as `broker.url = "mqtt://…"  # tidegate.toml:6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key: `listeners.0.bind`.
    pub key: &'a str,
    /// The value as TOML, `<redacted>` if the key's name suggests a secret, or `(unset)`.
    pub value: &'a str,
    /// Where the value came from.
    pub origin: &'a Origin,
}

impl Tree {
    /// Looks at what is in force (`value`) and at what was set (`root`). Defaults are in the former
    /// only, and origins in the latter.
    pub(crate) fn new(root: &Node, value: &impl Serialize) -> Result<Self, Error> {
        let value = serde_json::to_value(value).map_err(|error| Error::Show(error.to_string()))?;
        let mut tree = Self {
            entries: Vec::new(),
            set: BTreeMap::new(),
        };
        tree.add_set(Key::Root, root);
        tree.add_entries(Key::Root, &value);
        Ok(tree)
    }

    /// The same for a value that no layer has set.
    ///
    /// # Errors
    ///
    /// [`Error::Show`] if the type does not serialize.
    pub fn of_defaults(value: &impl Serialize) -> Result<Self, Error> {
        Self::new(&Node::empty_table(Origin::Default), value)
    }

    /// All keys, whether they were set or are defaults.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries
            .iter()
            .map(|(key, value, origin)| Entry { key, value, origin })
    }

    /// Where the value of a key or table came from; `None` if there is no such key. For errors that
    /// a program finds by its own rules, see [`Error::invalid`].
    #[must_use]
    pub fn origin_of(&self, key: &str) -> Option<&Origin> {
        self.origin_if_set(key).or_else(|| {
            let known = |entry: Entry<'_>| {
                let rest = entry.key.strip_prefix(key);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            self.entries().any(known).then_some(&Origin::Default)
        })
    }

    /// Where to look for a key that something is wrong with: where its value came from or, if nobody has set
    /// it, where the nearest table above it did: line 8 for `listeners.1.tls`, if the second `[[listeners]]` is there.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Option<&Origin> {
        let origin = self.origin_of(key);
        match origin {
            None | Some(Origin::Default) => self.above(key).map(|set| &set.origin).or(origin),
            set => set,
        }
    }

    fn origin_if_set(&self, key: &str) -> Option<&Origin> {
        if let Some(set) = self.set.get(key) {
            return Some(&set.origin);
        }
        let above = self.above(key).filter(|set| set.whole);
        above.map(|set| &set.origin)
    }

    /// The nearest above a key that was set.
    fn above(&self, key: &str) -> Option<&SetKey> {
        let mut above = key;
        while let Some((parent, _)) = above.rsplit_once('.') {
            if let Some(set) = self.set.get(parent) {
                return Some(set);
            }
            above = parent;
        }
        None
    }

    fn add_set(&mut self, key: Key<'_>, node: &Node) {
        let whole = match &node.value {
            Value::Table(table) => {
                for (name, child) in table {
                    self.add_set(Key::Name(&key, name), child);
                }
                false
            }
            Value::Array(elements) => {
                for (index, child) in elements.iter().enumerate() {
                    self.add_set(Key::Index(&key, index), child);
                }
                false
            }
            _ => true,
        };
        let origin = node.origin.clone();
        self.set.insert(key.to_string(), SetKey { origin, whole });
    }

    fn add_entries(&mut self, key: Key<'_>, value: &Json) {
        match value {
            Json::Object(table) if !table.is_empty() => {
                for (name, child) in table {
                    self.add_entries(Key::Name(&key, name), child);
                }
            }
            Json::Array(elements) if !elements.is_empty() => {
                for (index, child) in elements.iter().enumerate() {
                    self.add_entries(Key::Index(&key, index), child);
                }
            }
            scalar => {
                let key = key.to_string();
                let origin = self.origin_if_set(&key).unwrap_or(&Origin::Default).clone();
                let shown = shown(&key, scalar);
                self.entries.push((key, shown, origin));
            }
        }
    }
}

fn shown(key: &str, value: &Json) -> String {
    match value {
        Json::Null => "(unset)".to_owned(),
        _ if redact::is_secret(key) => redact::REDACTED.to_owned(),
        // JSON's escapes are TOML's.
        Json::String(text) => Json::from(redact::without_url_password(text)).to_string(),
        other => other.to_string(),
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}  # {}", self.key, self.value, self.origin)
    }
}
