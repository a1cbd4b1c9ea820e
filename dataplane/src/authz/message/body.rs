//! The fields of a check that are its own: all but metadata and session.

use bytes::BufMut;
use bytestring::ByteString;
use gatekeeper::{PublishQuestion, UserProperty};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};
use tidegate_proto::v1;

use super::{
    super::hook,
    field::{number_len, put_number, put_text, text_len},
};

/// What can be the body of a check of this kind.
pub trait Body<H> {
    /// Bytes that it takes.
    fn size(&self) -> usize;

    /// Writes as many.
    fn write(&self, buffer: &mut impl BufMut);
}

macro_rules! generated {
    ($hook:ty, $body:ty) => {
        impl Body<$hook> for $body {
            fn size(&self) -> usize {
                self.encoded_len()
            }

            fn write(&self, buffer: &mut impl BufMut) {
                self.encode_raw(buffer);
            }
        }
    };
}

generated!(hook::Connect, v1::ConnectCheck);
generated!(hook::Subscribe, v1::SubscribeCheck);
#[cfg(test)]
generated!(hook::Publish, v1::PublishCheck);
#[cfg(test)]
generated!(hook::Will, v1::PublishCheck);

/// Fields of [`v1::PublishCheck`].
const TOPIC: u32 = 3;
const QOS: u32 = 4;
const RETAIN: u32 = 5;
const DUP: u32 = 6;
const ORIGIN: u32 = 7;
const PAYLOAD_SIZE: u32 = 8;
const CONTENT_TYPE: u32 = 11;
const RESPONSE_TOPIC: u32 = 12;
const USER_PROPERTIES: u32 = 13;
/// Fields of [`v1::UserProperty`].
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// A [`v1::PublishCheck`] written from the question itself: of no text of the packet is there a copy but the
/// encoded one.
#[derive(Debug)]
pub struct PublishBody<'a> {
    question: &'a PublishQuestion,
    origin: v1::PublishOrigin,
}

impl<'a> PublishBody<'a> {
    /// The question about a PUBLISH or a will, in the contract's terms.
    #[must_use]
    pub fn new(question: &'a PublishQuestion, origin: v1::PublishOrigin) -> Self {
        Self { question, origin }
    }

    /// Its numbers by their fields, in order.
    fn numbers(&self) -> [(u32, u64); 5] {
        let Self { question, origin } = self;
        // No payload reaches 4 GiB: an MQTT packet ends at 256 MiB.
        let payload_size = u32::try_from(question.payload_size).unwrap_or(u32::MAX);
        [
            (QOS, question.qos as u64),
            (RETAIN, question.retain.into()),
            (DUP, question.dup.into()),
            (ORIGIN, *origin as u64),
            (PAYLOAD_SIZE, payload_size.into()),
        ]
    }

    /// The optional texts, likewise.
    fn texts(&self) -> [(u32, &str); 2] {
        let text = |text: &'a Option<ByteString>| text.as_deref().unwrap_or_default();
        [
            (CONTENT_TYPE, text(&self.question.content_type)),
            (RESPONSE_TOPIC, text(&self.question.response_topic)),
        ]
    }
}

macro_rules! publish {
    ($hook:ty) => {
        impl Body<$hook> for PublishBody<'_> {
            fn size(&self) -> usize {
                self.publish_len()
            }

            fn write(&self, buffer: &mut impl BufMut) {
                self.write_publish(buffer);
            }
        }
    };
}

publish!(hook::Publish);
publish!(hook::Will);

impl PublishBody<'_> {
    fn publish_len(&self) -> usize {
        let numbers = self.numbers().into_iter();
        let texts = self.texts().into_iter();
        let properties = self.question.user_properties.iter();
        text_len(TOPIC, &self.question.topic)
            + numbers
                .map(|(tag, number)| number_len(tag, number))
                .sum::<usize>()
            + texts.map(|(tag, text)| text_len(tag, text)).sum::<usize>()
            + properties.map(property_len).sum::<usize>()
    }

    fn write_publish(&self, buffer: &mut impl BufMut) {
        put_text(TOPIC, &self.question.topic, buffer);
        for (tag, number) in self.numbers() {
            put_number(tag, number, buffer);
        }
        for (tag, text) in self.texts() {
            put_text(tag, text, buffer);
        }
        for property in &self.question.user_properties {
            encode_key(USER_PROPERTIES, WireType::LengthDelimited, buffer);
            encode_varint(pair_len(property) as u64, buffer);
            put_text(KEY, &property.key, buffer);
            put_text(VALUE, &property.value, buffer);
        }
    }
}

fn pair_len(property: &UserProperty) -> usize {
    text_len(KEY, &property.key) + text_len(VALUE, &property.value)
}

fn property_len(property: &UserProperty) -> usize {
    let len = pair_len(property);
    key_len(USER_PROPERTIES) + encoded_len_varint(len as u64) + len
}
