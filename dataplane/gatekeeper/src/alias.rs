//! Topic aliases of the uplink end at the gate.
//!
//! The client's aliases are resolved when a packet is read, in the order of arrival, and the broker
//! gets full topic names only. A denied PUBLISH that set an alias has still set it: the client
//! believes so, and the next one that uses it is judged on its own [MQTT-3.3.2-12].

use std::{collections::HashMap, num::NonZeroU16};

use bytestring::ByteString;

use crate::{reason::ReasonCode, violation::Violation};

/// The aliases that one client has set on this connection.
#[derive(Debug)]
pub(crate) struct AliasTable {
    maximum: u16,
    topics: HashMap<NonZeroU16, ByteString>,
}

impl AliasTable {
    /// `maximum` is what the client was told; 0 forbids aliases.
    pub(crate) fn new(maximum: u16) -> Self {
        Self {
            maximum,
            topics: HashMap::new(),
        }
    }

    /// The topic that a PUBLISH means. Sets the alias if the packet carries both.
    pub(crate) fn resolve(
        &mut self,
        topic: &ByteString,
        alias: Option<NonZeroU16>,
    ) -> Result<ByteString, Violation> {
        let Some(alias) = alias else {
            return if topic.is_empty() {
                Err(Violation::protocol(
                    "PUBLISH with neither topic name nor topic alias",
                    "§3.3.2.1",
                ))
            } else {
                Ok(topic.clone())
            };
        };
        if alias.get() > self.maximum {
            return Err(Violation {
                code: ReasonCode::TOPIC_ALIAS_INVALID,
                what: "topic alias above the maximum",
                clause: "MQTT-3.3.2-9",
            });
        }
        if topic.is_empty() {
            self.topics.get(&alias).cloned().ok_or(Violation::protocol(
                "topic alias that was never set",
                "§3.3.4",
            ))
        } else {
            self.topics.insert(alias, unpinned(topic));
            Ok(topic.clone())
        }
    }
}

/// A copy that does not hold on to the read buffer that the packet came in.
fn unpinned(topic: &ByteString) -> ByteString {
    ByteString::from(&**topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(value: u16) -> Option<NonZeroU16> {
        NonZeroU16::new(value)
    }

    #[test]
    fn an_alias_means_what_it_was_last_set_to() {
        let mut table = AliasTable::new(2);
        let (first, second) = (ByteString::from("a"), ByteString::from("b"));
        let none = ByteString::new();
        assert_eq!(table.resolve(&first, alias(1)), Ok(first.clone()));
        assert_eq!(table.resolve(&none, alias(1)), Ok(first));
        assert_eq!(table.resolve(&second, alias(1)), Ok(second.clone()));
        assert_eq!(table.resolve(&none, alias(1)), Ok(second));
    }

    #[test]
    fn unknown_and_excessive_aliases_have_codes_of_their_own() {
        let mut table = AliasTable::new(2);
        let code = |result: Result<_, Violation>| result.unwrap_err().code;
        let (topic, none) = (ByteString::from("a"), ByteString::new());
        assert_eq!(code(table.resolve(&none, None)), ReasonCode::PROTOCOL_ERROR);
        assert_eq!(
            code(table.resolve(&none, alias(2))),
            ReasonCode::PROTOCOL_ERROR
        );
        assert_eq!(
            code(table.resolve(&topic, alias(3))),
            ReasonCode::TOPIC_ALIAS_INVALID
        );
        assert_eq!(
            code(AliasTable::new(0).resolve(&topic, alias(1))),
            ReasonCode::TOPIC_ALIAS_INVALID
        );
    }
}
