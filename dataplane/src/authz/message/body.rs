//! The fields of a check that are its own: all but metadata and session.

use bytes::Bytes;
use gatekeeper::{PublishQuestion, UserProperty};
use tidegate_proto::v1;

use super::super::hook;

/// What can be the body of a check of this kind.
pub trait Body<H>: prost::Message {}

impl Body<hook::Connect> for v1::ConnectCheck {}
impl Body<hook::Subscribe> for v1::SubscribeCheck {}
impl Body<hook::Publish> for PublishBody {}
impl Body<hook::Will> for PublishBody {}
#[cfg(test)]
impl Body<hook::Publish> for v1::PublishCheck {}
#[cfg(test)]
impl Body<hook::Will> for v1::PublishCheck {}

/// A [`v1::PublishCheck`] on the memory of the packet. Bytes where that has strings: they look the same
/// on the wire, and the gatekeeper lets nothing in here that is not UTF-8.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PublishBody {
    #[prost(bytes = "bytes", tag = "3")]
    topic: Bytes,
    #[prost(uint32, tag = "4")]
    qos: u32,
    #[prost(bool, tag = "5")]
    retain: bool,
    #[prost(bool, tag = "6")]
    dup: bool,
    #[prost(enumeration = "v1::PublishOrigin", tag = "7")]
    origin: i32,
    #[prost(uint32, tag = "8")]
    payload_size: u32,
    #[prost(bytes = "bytes", tag = "11")]
    content_type: Bytes,
    #[prost(bytes = "bytes", tag = "12")]
    response_topic: Bytes,
    #[prost(message, repeated, tag = "13")]
    user_properties: Vec<UserPropertyBody>,
}

/// A [`v1::UserProperty`], likewise.
#[derive(Clone, PartialEq, prost::Message)]
struct UserPropertyBody {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

impl PublishBody {
    /// The question about a PUBLISH or a will, in the contract's terms.
    #[must_use]
    pub fn new(question: PublishQuestion, origin: v1::PublishOrigin) -> Self {
        Self {
            topic: question.topic.into_bytes(),
            qos: question.qos as u32,
            retain: question.retain,
            dup: question.dup,
            origin: origin.into(),
            // No payload reaches 4 GiB: an MQTT packet ends at 256 MiB.
            payload_size: u32::try_from(question.payload_size).unwrap_or(u32::MAX),
            content_type: question.content_type.unwrap_or_default().into_bytes(),
            response_topic: question.response_topic.unwrap_or_default().into_bytes(),
            user_properties: question
                .user_properties
                .into_iter()
                .map(UserPropertyBody::from)
                .collect(),
        }
    }
}

impl From<UserProperty> for UserPropertyBody {
    fn from(property: UserProperty) -> Self {
        Self {
            key: property.key.into_bytes(),
            value: property.value.into_bytes(),
        }
    }
}
