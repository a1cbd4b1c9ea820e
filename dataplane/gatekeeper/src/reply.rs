//! What the gate says itself.
//!
//! The simple acknowledgements are typed packets of mqttbytes, which writes these right (its readers
//! and its larger packets are another matter, see `ARCHITECTURE.md`): always into an empty buffer,
//! and with the length checked.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use mqttbytes::{v4, v5};

use crate::{
    action::{Admitted, Exempt},
    question::{QoS, Version},
    reason::{Origin, ReasonCode},
    verdict::Deny,
    wire::{disconnect, text},
};

/// The code in words of mqttbytes, which has them twice: for PUBACK and for PUBREC.
macro_rules! publish_reason {
    ($reason:ident, $code:expr) => {
        match $code {
            ReasonCode::SUCCESS => v5::$reason::Success,
            // The broker's, for a client that said the same again.
            ReasonCode::NO_MATCHING_SUBSCRIBERS => v5::$reason::NoMatchingSubscribers,
            ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR => v5::$reason::ImplementationSpecificError,
            ReasonCode::NOT_AUTHORIZED => v5::$reason::NotAuthorized,
            ReasonCode::TOPIC_NAME_INVALID => v5::$reason::TopicNameInvalid,
            ReasonCode::PACKET_IDENTIFIER_IN_USE => v5::$reason::PacketIdentifierInUse,
            ReasonCode::QUOTA_EXCEEDED => v5::$reason::QuotaExceeded,
            ReasonCode::PAYLOAD_FORMAT_INVALID => v5::$reason::PayloadFormatInvalid,
            _ => v5::$reason::UnspecifiedError,
        }
    };
}

/// A refusal on its way to the wire: the code that was meant, before it is mapped to one that the
/// packet may carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ReasonCode,
    pub(crate) origin: Origin,
    pub(crate) reason_string: Option<ByteString>,
    pub(crate) server_reference: Option<ByteString>,
}

impl Refusal {
    /// The policy said no.
    pub(crate) fn denial(deny: Deny) -> Self {
        Self {
            code: deny.code.unwrap_or(ReasonCode::NOT_AUTHORIZED),
            origin: Origin::Denial,
            reason_string: deny.reason_string,
            server_reference: deny.server_reference,
        }
    }

    /// Something failed.
    pub(crate) fn failure(code: ReasonCode) -> Self {
        Self {
            code,
            origin: Origin::Failure,
            reason_string: None,
            server_reference: None,
        }
    }
}

/// PUBACK or PUBREC of the gate, whichever answers this QoS. On 3.1.1, which has no code in it, a
/// success is all that can be said.
pub(crate) fn publish_ack(
    version: Version,
    qos: QoS,
    id: NonZeroU16,
    code: ReasonCode,
    reason_string: Option<&str>,
) -> Bytes {
    let pkid = id.get();
    let reason_string = sayable(reason_string);
    match (version, qos) {
        (Version::V31 | Version::V311, QoS::ExactlyOnce) => {
            encode(|buffer| v4::PubRec::new(pkid).write(buffer))
        }
        (Version::V31 | Version::V311, _) => encode(|buffer| v4::PubAck::new(pkid).write(buffer)),
        (Version::V5, QoS::ExactlyOnce) => {
            let mut packet = v5::PubRec::new(pkid);
            packet.reason = publish_reason!(PubRecReason, code);
            packet.properties = reason_string.map(|reason| v5::PubRecProperties {
                reason_string: Some(reason),
                user_properties: Vec::new(),
            });
            encode(|buffer| packet.write(buffer))
        }
        (Version::V5, _) => {
            let mut packet = v5::PubAck::new(pkid);
            packet.reason = publish_reason!(PubAckReason, code);
            packet.properties = reason_string.map(|reason| v5::PubAckProperties {
                reason_string: Some(reason),
                user_properties: Vec::new(),
            });
            encode(|buffer| packet.write(buffer))
        }
    }
}

/// PUBCOMP of the gate, for a PUBREL whose PUBREC was the gate's too, or that belongs to nothing:
/// there is a code for that on MQTT 5.
pub(crate) fn pubcomp(version: Version, id: NonZeroU16, code: ReasonCode) -> Bytes {
    let pkid = id.get();
    match version {
        Version::V31 | Version::V311 => encode(|buffer| v4::PubComp::new(pkid).write(buffer)),
        Version::V5 => {
            let mut packet = v5::PubComp::new(pkid);
            if code == ReasonCode::PACKET_IDENTIFIER_NOT_FOUND {
                packet.reason = v5::PubCompReason::PacketIdentifierNotFound;
            }
            encode(|buffer| packet.write(buffer))
        }
    }
}

/// PUBREL of the gate, for a message that the broker may hold and the client gave up. It has the same
/// bytes in all versions.
pub(crate) fn pubrel(id: NonZeroU16) -> Bytes {
    encode(|buffer| v4::PubRel::new(id.get()).write(buffer))
}

/// PINGREQ of the gate.
pub(crate) const PINGREQ: Bytes = Bytes::from_static(&[0xC0, 0x00]);

/// DISCONNECT of the gate for a broker that is not to publish the will [MQTT-3.14.4-3].
pub(crate) fn will_suppression(version: Version) -> Admitted {
    let bytes = match version {
        Version::V31 | Version::V311 => Bytes::from_static(&[0xE0, 0x00]),
        Version::V5 => disconnect::encode_v5(ReasonCode::SUCCESS, None, None),
    };
    Admitted::exempt(Exempt::SuppressWill, bytes)
}

/// SUBACK of the gate for a SUBSCRIBE of which nothing went to the broker, one code per filter, in
/// the words of the version ([`code_for_client`](crate::wire::suback::code_for_client)).
pub(crate) fn suback(
    version: Version,
    id: NonZeroU16,
    codes: &[ReasonCode],
    reason_string: Option<&str>,
) -> Bytes {
    match version {
        Version::V31 | Version::V311 => {
            let codes = codes.iter().map(|code| suback_code_v3(*code));
            let packet = v4::SubAck::new(id.get(), codes.collect());
            encode(|buffer| packet.write(buffer))
        }
        Version::V5 => {
            let codes = codes.iter().map(|code| suback_reason(*code));
            let mut packet = v5::SubAck::new(id.get(), codes.collect());
            packet.properties = sayable(reason_string).map(|reason| v5::SubAckProperties {
                reason_string: Some(reason),
                user_properties: Vec::new(),
            });
            encode(|buffer| packet.write(buffer))
        }
    }
}

/// A text that a packet can carry; any other is left out. mqttbytes would write it all the same, with
/// a length field that wraps around.
fn sayable(text: Option<&str>) -> Option<String> {
    text.filter(|text| text.len() <= usize::from(u16::MAX) && text::check(text).is_ok())
        .map(str::to_owned)
}

/// Writes a packet of mqttbytes, which is right only in an empty buffer.
fn encode(write: impl FnOnce(&mut BytesMut) -> Result<usize, mqttbytes::Error>) -> Bytes {
    let mut buffer = BytesMut::with_capacity(8);
    let written = write(&mut buffer);
    debug_assert_eq!(written, Ok(buffer.len()), "mqttbytes wrote another length");
    buffer.freeze()
}

fn suback_code_v3(code: ReasonCode) -> v4::SubscribeReasonCode {
    use v4::SubscribeReasonCode as Code;
    match code {
        ReasonCode::SUCCESS => Code::Success(mqttbytes::QoS::AtMostOnce),
        ReasonCode::GRANTED_QOS_1 => Code::Success(mqttbytes::QoS::AtLeastOnce),
        ReasonCode::GRANTED_QOS_2 => Code::Success(mqttbytes::QoS::ExactlyOnce),
        _ => Code::Failure,
    }
}

fn suback_reason(code: ReasonCode) -> v5::SubscribeReasonCode {
    use v5::SubscribeReasonCode as Reason;
    match code {
        ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR => Reason::ImplementationSpecific,
        ReasonCode::NOT_AUTHORIZED => Reason::NotAuthorized,
        ReasonCode::TOPIC_FILTER_INVALID => Reason::TopicFilterInvalid,
        ReasonCode::PACKET_IDENTIFIER_IN_USE => Reason::PkidInUse,
        ReasonCode::QUOTA_EXCEEDED => Reason::QuotaExceeded,
        ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED => Reason::SharedSubscriptionsNotSupported,
        ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED => Reason::SubscriptionIdNotSupported,
        ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED => {
            Reason::WildcardSubscriptionsNotSupported
        }
        _ => Reason::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> NonZeroU16 {
        NonZeroU16::new(0x0102).unwrap()
    }

    #[test]
    fn acknowledgements_have_the_bytes_of_the_standard() {
        let ack = |version, qos, code| publish_ack(version, qos, id(), code, None);
        let refused = ReasonCode::NOT_AUTHORIZED;
        let (one, two) = (QoS::AtLeastOnce, QoS::ExactlyOnce);
        assert_eq!(ack(Version::V311, one, refused), &[0x40, 2, 1, 2][..]);
        assert_eq!(ack(Version::V311, two, refused), &[0x50, 2, 1, 2][..]);
        assert_eq!(ack(Version::V5, one, refused), &[0x40, 3, 1, 2, 0x87][..]);
        assert_eq!(ack(Version::V5, two, refused), &[0x50, 3, 1, 2, 0x87][..]);
        assert_eq!(
            ack(Version::V5, one, ReasonCode::SUCCESS),
            &[0x40, 2, 1, 2][..]
        );
        let success = ReasonCode::SUCCESS;
        let unknown = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
        for version in [Version::V311, Version::V5] {
            assert_eq!(pubcomp(version, id(), success), &[0x70, 2, 1, 2][..]);
        }
        let bytes = pubcomp(Version::V311, id(), unknown);
        assert_eq!(bytes, &[0x70, 2, 1, 2][..]);
        let bytes = pubcomp(Version::V5, id(), unknown);
        assert_eq!(bytes, &[0x70, 3, 1, 2, 0x92][..]);
        assert_eq!(pubrel(id()), &[0x62, 2, 1, 2][..]);
    }

    #[test]
    fn reason_string_goes_along() {
        let bytes = publish_ack(
            Version::V5,
            QoS::AtLeastOnce,
            id(),
            ReasonCode::NOT_AUTHORIZED,
            Some("no"),
        );
        assert_eq!(bytes, &[0x40, 9, 1, 2, 0x87, 5, 0x1F, 0, 2, b'n', b'o'][..]);
    }

    #[test]
    fn reason_string_that_no_packet_can_carry_is_left_out() {
        let refused = ReasonCode::NOT_AUTHORIZED;
        for text in ["x".repeat(65_536), "a\0b".to_owned()] {
            let ack = publish_ack(Version::V5, QoS::ExactlyOnce, id(), refused, Some(&text));
            assert_eq!(ack, &[0x50, 3, 1, 2, 0x87][..]);
            let ack = suback(Version::V5, id(), &[refused], Some(&text));
            assert_eq!(ack, &[0x90, 4, 1, 2, 0, 0x87][..]);
        }
    }

    #[test]
    fn every_code_that_a_publish_acknowledgement_may_carry_is_written_as_itself() {
        let all = (0..=255).map(|code| ReasonCode::new(code).for_publish_ack());
        for code in all.chain([ReasonCode::NO_MATCHING_SUBSCRIBERS]) {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let bytes = publish_ack(Version::V5, qos, id(), code, Some("x"));
                assert_eq!(bytes.get(4), Some(&code.get()), "{code} at {qos:?}");
            }
        }
    }

    #[test]
    fn every_code_that_a_suback_may_carry_is_written_as_itself() {
        for code in (0x80..=255).map(ReasonCode::new) {
            let mapped = code.for_suback();
            let bytes = suback(Version::V5, id(), &[mapped, mapped], None);
            assert_eq!(
                bytes,
                &[0x90, 5, 1, 2, 0, mapped.get(), mapped.get()][..],
                "{code}"
            );
            let bytes = suback(Version::V311, id(), &[mapped], None);
            assert_eq!(bytes, &[0x90, 3, 1, 2, 0x80][..], "{code}");
        }
        for granted in 0..3 {
            let bytes = suback(Version::V31, id(), &[ReasonCode::new(granted)], None);
            assert_eq!(bytes, &[0x90, 3, 1, 2, granted][..]);
        }
    }
}
