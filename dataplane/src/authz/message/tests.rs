//! What we encode is what the generated types of the contract decode.

use bytestring::ByteString;
use gatekeeper::{PublishQuestion, QoS, UserProperty};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::authz::hook;

fn text() -> impl Strategy<Value = String> {
    // Empty ones and such that need two bytes for their length, too.
    prop_oneof!["", "\\PC{1,20}", "[a-z/+]{120,300}"]
}

fn bytes_text() -> impl Strategy<Value = ByteString> {
    text().prop_map(ByteString::from)
}

fn session() -> impl Strategy<Value = v1::Session> {
    let names = (text(), text(), option::of(text()), text(), text());
    let rest = (
        0..4_i32,
        vec(any::<u8>(), 0..300),
        vec((text(), text()), 0..3),
    );
    (names, rest).prop_map(|(names, rest)| {
        let (session_id, client_id, username, listener, principal) = names;
        let (protocol_version, session_state, attributes) = rest;
        v1::Session {
            session_id,
            client_id,
            username,
            protocol_version,
            listener,
            principal,
            session_state: session_state.into(),
            attributes: attributes.into_iter().collect(),
        }
    })
}

fn question() -> impl Strategy<Value = PublishQuestion> {
    let qos = prop_oneof![
        Just(QoS::AtMostOnce),
        Just(QoS::AtLeastOnce),
        Just(QoS::ExactlyOnce)
    ];
    let properties = vec((bytes_text(), bytes_text()), 0..4).prop_map(|properties| {
        let property = |(key, value)| UserProperty { key, value };
        properties.into_iter().map(property).collect()
    });
    let texts = (
        bytes_text(),
        option::of(bytes_text()),
        option::of(bytes_text()),
        properties,
    );
    let flags = (qos, any::<bool>(), any::<bool>(), any::<u32>());
    (texts, flags).prop_map(|(texts, flags)| {
        let (topic, content_type, response_topic, user_properties) = texts;
        let (qos, retain, dup, payload_size) = flags;
        PublishQuestion {
            topic,
            qos,
            retain,
            dup,
            payload_size: payload_size as usize,
            content_type,
            response_topic,
            user_properties,
        }
    })
}

/// The question in the generated type.
fn publish_check(question: PublishQuestion, origin: v1::PublishOrigin) -> v1::PublishCheck {
    let text = |text: Option<ByteString>| text.unwrap_or_default().to_string();
    let user_properties = question.user_properties.into_iter();
    v1::PublishCheck {
        topic: question.topic.to_string(),
        qos: question.qos as u32,
        retain: question.retain,
        dup: question.dup,
        origin: origin.into(),
        payload_size: u32::try_from(question.payload_size).unwrap(),
        content_type: text(question.content_type),
        response_topic: text(question.response_topic),
        user_properties: user_properties
            .map(|property| v1::UserProperty {
                key: property.key.to_string(),
                value: property.value.to_string(),
            })
            .collect(),
        ..v1::PublishCheck::default()
    }
}

fn received_at() -> impl Strategy<Value = SystemTime> {
    any::<u32>().prop_map(|ms| SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(ms.into()))
}

/// Who asks, in the tests.
fn data_plane() -> v1::DataPlane {
    v1::DataPlane {
        instance_id: "instance".to_owned(),
        version: "1".to_owned(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
    }
}

/// The request of these checks; their sizes have to be what was said before.
fn request<H>(messages: Vec<Message<H>>) -> Bytes {
    let sizes: usize = messages.iter().map(Message::encoded_len).sum();
    let mut request = Preamble::from(&data_plane()).request(sizes);
    let (empty, capacity) = (request.len(), request.capacity());
    for (message, item_id) in messages.into_iter().zip(1_u32..) {
        let before = message.encoded_len();
        let length = request.len();
        message.put(item_id, &mut request);
        let grown = request.len() - length;
        assert!((before..=before + 8).contains(&grown), "{before}: {grown}");
    }
    assert!(request.len() - empty >= sizes);
    assert!(
        request.capacity() == capacity || sizes < 256,
        "it has moved"
    );
    request.into()
}

fn metadata(
    item_id: u32,
    sequence: u64,
    received_at: SystemTime,
    traceparent: &str,
) -> Option<v1::CheckMetadata> {
    Some(v1::CheckMetadata {
        item_id,
        sequence,
        received_at: Some(received_at.into()),
        traceparent: traceparent.to_owned(),
        tracestate: String::new(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn publish_checks_decode_to_what_was_asked(
        session in session(),
        questions in vec((question(), any::<u64>(), received_at(), text()), 1..5),
    ) {
        let encoded = SessionBytes::from(&session);
        let origin = v1::PublishOrigin::Client;
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for (index, (question, sequence, received_at, traceparent)) in questions.into_iter().enumerate() {
            let item_id = u32::try_from(index + 1).unwrap();
            expected.push(v1::PublishCheck {
                metadata: metadata(item_id, sequence, received_at, &traceparent),
                session: Some(session.clone()),
                ..publish_check(question.clone(), origin)
            });
            let body = PublishBody::new(&question, origin);
            let mut message = Message::<hook::Publish>::new(sequence, received_at, &encoded, &body);
            message.set_traceparent(traceparent);
            messages.push(message);
        }
        let decoded = v1::AuthorizePublishRequest::decode(request(messages)).unwrap();
        prop_assert_eq!(decoded.checks, expected);
        prop_assert_eq!(decoded.data_plane, Some(data_plane()));
    }

    #[test]
    fn subscribe_and_connect_checks_decode_to_what_was_asked(
        session in session(),
        sequence in any::<u64>(),
        received_at in received_at(),
        texts in (text(), text(), text()),
        flags in (0..3_u32, any::<bool>(), any::<bool>()),
    ) {
        let encoded = SessionBytes::from(&session);
        let property = v1::UserProperty { key: texts.0.clone(), value: texts.1.clone() };
        let subscribe = v1::SubscribeCheck {
            topic_filter: texts.0.clone(),
            share_name: texts.1.clone(),
            qos: flags.0,
            no_local: flags.1,
            retain_as_published: flags.2,
            user_properties: vec![property.clone()],
            ..v1::SubscribeCheck::default()
        };
        let connect = v1::ConnectCheck {
            password: flags.1.then(|| texts.0.clone().into()),
            clean_start: flags.2,
            peer: Some(v1::Peer { ip: texts.2.clone(), port: flags.0, ..v1::Peer::default() }),
            user_properties: vec![property],
            ..v1::ConnectCheck::default()
        };
        let messages = vec![Message::<hook::Subscribe>::new(sequence, received_at, &encoded, &subscribe)];
        let decoded = v1::AuthorizeSubscribeRequest::decode(request(messages)).unwrap();
        prop_assert_eq!(decoded.checks, vec![v1::SubscribeCheck {
            metadata: metadata(1, sequence, received_at, ""),
            session: Some(session.clone()),
            ..subscribe
        }]);
        let messages = vec![Message::<hook::Connect>::new(sequence, received_at, &encoded, &connect)];
        let decoded = v1::AuthorizeConnectRequest::decode(request(messages)).unwrap();
        prop_assert_eq!(decoded.checks, vec![v1::ConnectCheck {
            metadata: metadata(1, sequence, received_at, ""),
            session: Some(session),
            ..connect
        }]);
    }
}

#[test]
fn nothing_of_it_is_shown() {
    let session = v1::Session {
        session_state: Bytes::from_static(b"canary"),
        ..v1::Session::default()
    };
    let connect = v1::ConnectCheck {
        password: Some(Bytes::from_static(b"canary")),
        ..v1::ConnectCheck::default()
    };
    let session = SessionBytes::from(&session);
    let message = Message::<hook::Connect>::new(1, SystemTime::UNIX_EPOCH, &session, &connect);
    let shown = format!("{message:?} {session:?}");
    assert!(
        !shown.contains("canary") && !shown.contains("99, 97"),
        "{shown}"
    );
}
