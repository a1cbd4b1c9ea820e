//! Arrays, tables and enum variants, element by element.

use super::{At, failure::Failure};
use crate::{key::Key, node::Node};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::StrDeserializer,
};
use std::collections::{BTreeMap, btree_map};

/// Hands a value to its type, and gives an error that comes back its place.
fn read<'de, T: DeserializeSeed<'de>>(seed: T, value: At<'_>) -> Result<T::Value, Failure> {
    seed.deserialize(value)
        .map_err(|failure| failure.at(&value))
}

pub(super) struct Elements<'a> {
    key: &'a Key<'a>,
    elements: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'a> Elements<'a> {
    pub(super) fn new(key: &'a Key<'a>, elements: &'a [Node]) -> Self {
        let elements = elements.iter().enumerate();
        Self { key, elements }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let Some((index, node)) = self.elements.next() else {
            return Ok(None);
        };
        let key = Key::Index(self.key, index);
        read(seed, At { node, key }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.len())
    }
}

pub(super) struct Entries<'a> {
    key: &'a Key<'a>,
    entries: btree_map::Iter<'a, String, Node>,
    /// The entry whose name was read and whose value was not.
    current: Option<(&'a str, &'a Node)>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(key: &'a Key<'a>, table: &'a BTreeMap<String, Node>) -> Self {
        Self {
            key,
            entries: table.iter(),
            current: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let Some((name, node)) = self.entries.next() else {
            return Ok(None);
        };
        self.current = Some((name, node));
        let key = Key::Name(self.key, name);
        seed.deserialize(StrDeserializer::new(name))
            .map(Some)
            .map_err(|failure: Failure| failure.at(&At { node, key }))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some((name, node)) = self.current.take() else {
            return Err(serde::de::Error::custom("a value was read before its key"));
        };
        let key = Key::Name(self.key, name);
        read(seed, At { node, key })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// `{ variant = content }`.
pub(super) struct TaggedVariant<'a> {
    key: &'a Key<'a>,
    table: &'a BTreeMap<String, Node>,
}

impl<'a> TaggedVariant<'a> {
    /// `table` has exactly one entry.
    pub(super) fn new(key: &'a Key<'a>, table: &'a BTreeMap<String, Node>) -> Self {
        Self { key, table }
    }
}

impl<'a, 'de> EnumAccess<'de> for TaggedVariant<'a> {
    type Error = Failure;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content<'a>), Failure> {
        let Some((name, node)) = self.table.iter().next() else {
            return Err(serde::de::Error::custom(
                "expected a variant, found nothing",
            ));
        };
        let key = Key::Name(self.key, name);
        let variant = seed.deserialize(StrDeserializer::new(name))?;
        Ok((variant, Content(At { node, key })))
    }
}

pub(super) struct Content<'a>(At<'a>);

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        let failure: Failure = serde::de::Error::custom("this variant has no content");
        Err(failure.at(&self.0))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        read(seed, self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let read = self.0.deserialize_tuple(length, visitor);
        read.map_err(|failure| failure.at(&self.0))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let read = self.0.deserialize_struct("variant", fields, visitor);
        read.map_err(|failure| failure.at(&self.0))
    }
}
