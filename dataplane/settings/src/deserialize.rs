//! From the tree to a configuration type, by serde.
//!
//! serde's errors know what was expected but not where. Each time a value is handed to its type, an
//! error that comes back is given the value's key and origin, unless a deeper one has done so.

mod access;
mod failure;

use crate::{
    error::Error,
    file,
    key::Key,
    node::{Node, Value},
};
use access::{Elements, Entries, TaggedVariant};
use failure::Failure;
use serde::{
    de::{DeserializeOwned, Deserializer, Error as _, Unexpected, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};

/// Makes the tree a `T`. `prefix` is for the hint how a missing key can be set.
pub(crate) fn from_tree<T: DeserializeOwned>(root: &Node, prefix: &str) -> Result<T, Error> {
    let value = At {
        node: root,
        key: Key::Root,
    };
    T::deserialize(value).map_err(|failure: Failure| failure.at(&value).into_error(prefix))
}

/// A value and the key that leads to it.
#[derive(Clone, Copy)]
struct At<'a> {
    node: &'a Node,
    key: Key<'a>,
}

impl<'de> At<'_> {
    /// Loose text becomes a number if it is one; the visitor checks the range.
    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Value::Loose(text) = &self.node.value else {
            return self.deserialize_any(visitor);
        };
        let text = text.trim();
        if let Ok(number) = text.parse::<i64>() {
            visitor.visit_i64(number)
        } else if let Ok(number) = text.parse::<u64>() {
            visitor.visit_u64(number)
        } else if let Ok(number) = text.parse::<f64>() {
            visitor.visit_f64(number)
        } else {
            Err(Failure::invalid_type(Unexpected::Str(text), &visitor))
        }
    }

    /// Loose text is read as TOML where a table or an array is wanted.
    fn container<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Value::Loose(text) = &self.node.value else {
            return self.deserialize_any(visitor);
        };
        let expected = failure::expectation(&visitor);
        self.parsed(text, &expected, |value| value.deserialize_any(visitor))
    }

    /// Reads text as TOML, and goes on with that.
    fn parsed<T>(
        self,
        text: &str,
        expected: &str,
        then: impl FnOnce(At<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Ok(node) = file::parse_value(text, &self.node.origin) else {
            let expected = format!("{expected}, written as TOML");
            return Err(Failure::invalid_type(
                Unexpected::Str(text),
                &expected.as_str(),
            ));
        };
        let key = self.key;
        let parsed = At { node: &node, key };
        then(parsed).map_err(|failure| failure.at(&parsed))
    }
}

/// All numbers are read alike.
macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.number(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) | Value::Loose(text) => visitor.visit_str(text),
            Value::Array(elements) => visitor.visit_seq(Elements::new(&self.key, elements)),
            Value::Table(table) => visitor.visit_map(Entries::new(&self.key, table)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Loose(text) => match text.trim() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                other => Err(Failure::invalid_type(Unexpected::Str(other), &visitor)),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.container(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.container(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.container(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.container(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Loose(text) => self.parsed(text, "a table", |table| {
                table.deserialize_struct(name, fields, visitor)
            }),
            Value::Table(table) => {
                // Whether or not the type asks for it: a misspelt key must not pass for a default.
                let known = |name: &String| fields.contains(&name.as_str());
                if let Some((name, node)) = table.iter().find(|(name, _)| !known(name)) {
                    let key = Key::Name(&self.key, name);
                    return Err(Failure::unknown_field(name, fields).at(&At { node, key }));
                }
                self.deserialize_any(visitor)
            }
            // Derived types would take an array for a struct.
            _ => Err(Failure::invalid_type(Unexpected::Seq, &"a table")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Loose(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Loose(text) if text.trim_start().starts_with('{') => {
                self.parsed(text, "a table", |table| {
                    table.deserialize_enum(name, variants, visitor)
                })
            }
            Value::Text(text) | Value::Loose(text) => {
                visitor.visit_enum(StrDeserializer::new(text))
            }
            Value::Table(table) if table.len() == 1 => {
                visitor.visit_enum(TaggedVariant::new(&self.key, table))
            }
            _ => Err(Failure::unknown_variant("", variants)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct identifier
    }
}
