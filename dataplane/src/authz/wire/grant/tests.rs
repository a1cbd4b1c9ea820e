use bytes::Bytes;
use gatekeeper::{ConnectAllow, Why};
use v1::SessionLimits;

use super::*;
use crate::authz::{AuthzOptions, Mutations};

/// Nothing is permitted.
fn strict() -> Rules {
    Rules::from(&AuthzOptions::default())
}

/// Everything is permitted.
fn lenient() -> Rules {
    Rules {
        mutations: Mutations {
            broker_client_id: true,
            broker_username: true,
            broker_password: true,
            drop_will: true,
            force_clean_start: true,
            session_expiry: true,
            publish_topic: true,
            publish_payload: true,
            publish_retain: true,
            publish_user_properties: true,
            subscribe_qos: true,
            subscribe_filter: true,
        },
        ..strict()
    }
}

/// Permits one thing only.
fn only(permit: fn(&mut Mutations)) -> Rules {
    let mut rules = strict();
    permit(&mut rules.mutations);
    rules
}

fn connect(allow: v1::ConnectAllow) -> Result<ConnectAllow, Cause> {
    match grant_connect(allow, &lenient())?.0 {
        Allow::Connect(allow) => Ok(*allow),
        other => panic!("{other:?}"),
    }
}

fn publish(allow: v1::PublishAllow) -> Result<Option<PublishChanges>, Cause> {
    match grant_publish(allow, &lenient())?.0 {
        Allow::Publish(changes) => Ok(changes.map(|changes| *changes)),
        other => panic!("{other:?}"),
    }
}

fn subscribe(allow: v1::SubscribeAllow) -> Result<SubscribeChanges, Cause> {
    match grant_subscribe(allow, &lenient())?.0 {
        Allow::Subscribe(changes) => Ok(changes),
        other => panic!("{other:?}"),
    }
}

type Granted = Result<(Allow, Option<Identity>), Cause>;

/// A field of the contract, an allow that sets it, and the permission that it takes.
type Change<A> = (&'static str, A, fn(&mut Mutations));

fn connect_changes() -> Vec<Change<v1::ConnectAllow>> {
    let plain = v1::ConnectAllow::default;
    let text = || Some("x".to_owned());
    #[rustfmt::skip]
    let changes: Vec<Change<v1::ConnectAllow>> = vec![
        ("broker_client_id", v1::ConnectAllow { broker_client_id: text(), ..plain() }, |may| may.broker_client_id = true),
        ("broker_username", v1::ConnectAllow { broker_username: text(), ..plain() }, |may| may.broker_username = true),
        ("broker_password", v1::ConnectAllow { broker_password: Some(Bytes::new()), ..plain() }, |may| may.broker_password = true),
        ("drop_will", v1::ConnectAllow { drop_will: true, ..plain() }, |may| may.drop_will = true),
        ("max_session_expiry_seconds", v1::ConnectAllow { max_session_expiry_seconds: Some(0), ..plain() }, |may| may.session_expiry = true),
        ("force_clean_start", v1::ConnectAllow { force_clean_start: true, ..plain() }, |may| may.force_clean_start = true),
    ];
    changes
}

fn publish_changes() -> Vec<Change<v1::PublishAllow>> {
    let plain = v1::PublishAllow::default;
    let property = v1::UserProperty::default();
    #[rustfmt::skip]
    let changes: Vec<Change<v1::PublishAllow>> = vec![
        ("topic", v1::PublishAllow { topic: Some("t".to_owned()), ..plain() }, |may| may.publish_topic = true),
        ("payload", v1::PublishAllow { payload: Some(Bytes::new()), ..plain() }, |may| may.publish_payload = true),
        ("retain", v1::PublishAllow { retain: Some(false), ..plain() }, |may| may.publish_retain = true),
        ("user_property_keys_to_remove", v1::PublishAllow { user_property_keys_to_remove: vec![String::new()], ..plain() }, |may| may.publish_user_properties = true),
        ("user_properties_to_add", v1::PublishAllow { user_properties_to_add: vec![property], ..plain() }, |may| may.publish_user_properties = true),
    ];
    changes
}

fn subscribe_changes() -> Vec<Change<v1::SubscribeAllow>> {
    let plain = v1::SubscribeAllow::default;
    #[rustfmt::skip]
    let changes: Vec<Change<v1::SubscribeAllow>> = vec![
        ("max_qos", v1::SubscribeAllow { max_qos: Some(2), ..plain() }, |may| may.subscribe_qos = true),
        ("topic_filter", v1::SubscribeAllow { topic_filter: Some("f".to_owned()), ..plain() }, |may| may.subscribe_filter = true),
    ];
    changes
}

/// Each change passes with its own permission, and with no other alone.
#[track_caller]
fn assert_permissions<A: Clone + std::fmt::Debug>(
    changes: Vec<Change<A>>,
    grant: fn(A, &Rules) -> Granted,
) {
    let permissions: Vec<_> = [
        connect_changes().into_iter().map(|(.., may)| may).collect(),
        publish_changes().into_iter().map(|(.., may)| may).collect(),
        subscribe_changes()
            .into_iter()
            .map(|(.., may)| may)
            .collect::<Vec<_>>(),
    ]
    .concat();
    for (field, allow, own) in changes {
        let refused = Err(Cause::MutationNotPermitted(field));
        assert_eq!(grant(allow.clone(), &strict()), refused);
        let needed = only(own).mutations;
        for permit in &permissions {
            let rules = only(*permit);
            let granted = grant(allow.clone(), &rules);
            if rules.mutations == needed {
                assert!(granted.is_ok(), "{field}: {granted:?}");
            } else {
                assert_eq!(granted, refused);
            }
        }
    }
}

#[test]
fn every_change_needs_its_own_permission() {
    assert_permissions(connect_changes(), grant_connect);
    assert_permissions(publish_changes(), grant_publish);
    assert_permissions(subscribe_changes(), grant_subscribe);
}

#[test]
fn a_permitted_change_of_a_connect_is_granted() {
    let allow = connect(v1::ConnectAllow {
        broker_client_id: Some("id".to_owned()),
        broker_username: Some(String::new()),
        broker_password: Some(Bytes::from_static(b"canary")),
        drop_will: true,
        max_session_expiry_seconds: Some(60),
        force_clean_start: true,
        ..v1::ConnectAllow::default()
    })
    .unwrap();
    assert!(!format!("{allow:?}").contains("canary"), "{allow:?}");
    let expected = ConnectAllow {
        broker_client_id: Some("id".into()),
        broker_username: Some("".into()),
        broker_password: Some(Secret::new(Bytes::from_static(b"canary"))),
        drop_will: true,
        force_clean_start: true,
        max_session_expiry: Some(60),
        mount: None,
        expires_at: None,
        limits: gatekeeper::SessionLimits::default(),
    };
    assert_eq!(allow, expected);
}

#[test]
fn what_a_connect_is_changed_into_is_mqtt() {
    let plain = v1::ConnectAllow::default;
    let too_long = "a".repeat(65_536);
    for text in ["a\0", "a\u{7f}", "a\n", "a\u{fdd0}", &too_long] {
        let client_id = v1::ConnectAllow {
            broker_client_id: Some(text.to_owned()),
            ..plain()
        };
        let refused = Err(Cause::MutationInvalid("broker_client_id"));
        assert_eq!(connect(client_id), refused);
        let username = v1::ConnectAllow {
            broker_username: Some(text.to_owned()),
            ..plain()
        };
        let refused = Err(Cause::MutationInvalid("broker_username"));
        assert_eq!(connect(username), refused);
    }
    let empty = v1::ConnectAllow {
        broker_client_id: Some(String::new()),
        ..plain()
    };
    let refused = Err(Cause::MutationInvalid("broker_client_id"));
    assert_eq!(connect(empty), refused);
    for (length, is_ok) in [(65_535, true), (65_536, false)] {
        let password = v1::ConnectAllow {
            broker_password: Some(vec![0; length].into()),
            ..plain()
        };
        assert_eq!(connect(password).is_ok(), is_ok, "{length}");
    }
}

#[test]
fn limits_of_a_session_are_not_ignored() {
    let granted = |limits| {
        let allow = v1::ConnectAllow {
            limits: Some(limits),
            ..v1::ConnectAllow::default()
        };
        connect(allow).unwrap().limits
    };
    let none = gatekeeper::SessionLimits::default();
    assert_eq!(granted(SessionLimits::default()), none);
    let limits = SessionLimits {
        publish_per_second: 1,
        publish_bytes_per_second: 2,
        max_subscriptions: 3,
        max_packet_size: 4,
    };
    let expected = gatekeeper::SessionLimits {
        publish_per_second: NonZeroU32::new(1),
        publish_bytes_per_second: NonZeroU64::new(2),
        max_subscriptions: NonZeroU32::new(3),
        max_packet_size: NonZeroU32::new(4),
    };
    assert_eq!(granted(limits), expected);
}

#[test]
fn a_permitted_change_of_a_publication_is_granted() {
    assert_eq!(publish(v1::PublishAllow::default()), Ok(None));
    let changes = publish(v1::PublishAllow {
        topic: Some("a/b".to_owned()),
        payload: Some(Bytes::from_static(b"p")),
        retain: Some(false),
        user_property_keys_to_remove: vec!["k".to_owned(), String::new()],
        user_properties_to_add: vec![
            v1::UserProperty {
                key: "k".to_owned(),
                value: "1".to_owned(),
            },
            v1::UserProperty {
                key: "k".to_owned(),
                value: "2".to_owned(),
            },
        ],
        payload_format_indicator: Some(1),
    })
    .unwrap();
    let property = |value: &'static str| UserProperty {
        key: "k".into(),
        value: value.into(),
    };
    let expected = PublishChanges {
        topic: Some("a/b".into()),
        payload: Some(Bytes::from_static(b"p")),
        payload_format_indicator: Some(true),
        retain: Some(false),
        user_property_keys_to_remove: vec!["k".into(), "".into()],
        user_properties_to_add: vec![property("1"), property("2")],
    };
    assert_eq!(changes, Some(expected));
}

#[test]
fn what_a_publication_is_changed_into_is_mqtt() {
    let plain = v1::PublishAllow::default;
    let too_long = "a".repeat(65_536);
    for topic in ["", "a/+", "#", "a\0", "a\n", &too_long] {
        let changed = v1::PublishAllow {
            topic: Some(topic.to_owned()),
            ..plain()
        };
        assert_eq!(publish(changed), Err(Cause::MutationInvalid("topic")));
    }
    for text in ["a\0", "a\n", &too_long] {
        let changed = v1::PublishAllow {
            user_property_keys_to_remove: vec!["k".to_owned(), text.to_owned()],
            ..plain()
        };
        let refused = Err(Cause::MutationInvalid("user_property_keys_to_remove"));
        assert_eq!(publish(changed), refused);
        let refused = Err(Cause::MutationInvalid("user_properties_to_add"));
        for (key, value) in [(text, ""), ("", text)] {
            let changed = v1::PublishAllow {
                user_properties_to_add: vec![v1::UserProperty {
                    key: key.to_owned(),
                    value: value.to_owned(),
                }],
                ..plain()
            };
            assert_eq!(publish(changed), refused);
        }
    }
}

#[test]
fn a_format_indicator_comes_with_its_payload() {
    let indicator = |payload: Option<&'static [u8]>, indicator| {
        publish(v1::PublishAllow {
            payload: payload.map(Bytes::from_static),
            payload_format_indicator: Some(indicator),
            ..v1::PublishAllow::default()
        })
    };
    let refused = Err(Cause::MutationInvalid("payload_format_indicator"));
    assert!(indicator(Some(b""), 0).is_ok() && indicator(Some(b"x"), 1).is_ok());
    assert_eq!(indicator(Some(b"x"), 2), refused);
    assert_eq!(indicator(Some(b"x"), 257), refused);
    assert_eq!(indicator(None, 0), refused);
}

#[test]
fn a_permitted_change_of_a_subscription_is_granted() {
    let plain = v1::SubscribeAllow::default;
    assert_eq!(subscribe(plain()), Ok(SubscribeChanges::NONE));
    let changed = subscribe(v1::SubscribeAllow {
        max_qos: Some(1),
        topic_filter: Some("a/#".to_owned()),
    });
    let expected = SubscribeChanges {
        max_qos: Some(QoS::AtLeastOnce),
        filter: Some("a/#".into()),
    };
    assert_eq!(changed, Ok(expected));
    for max_qos in [3, 256, u32::MAX] {
        let changed = v1::SubscribeAllow {
            max_qos: Some(max_qos),
            ..plain()
        };
        assert_eq!(subscribe(changed), Err(Cause::MutationInvalid("max_qos")));
    }
    for filter in ["", "a\0", &"a".repeat(65_536)] {
        let changed = v1::SubscribeAllow {
            topic_filter: Some(filter.to_owned()),
            ..plain()
        };
        let refused = Err(Cause::MutationInvalid("topic_filter"));
        assert_eq!(subscribe(changed), refused);
    }
}

#[test]
fn a_client_that_is_allowed_has_an_identity() {
    let allow = v1::ConnectAllow {
        principal: "alice".to_owned(),
        session_state: Bytes::from_static(b"state"),
        ..v1::ConnectAllow::default()
    };
    let (_, identity) = grant_connect(allow, &strict()).unwrap();
    let identity = identity.unwrap();
    assert_eq!(identity.principal, "alice");
    assert_eq!(identity.session_state, "state");
}

#[test]
fn an_identity_is_bounded() {
    let plain = v1::ConnectAllow::default;
    #[rustfmt::skip]
    let invalid = [
        v1::ConnectAllow { principal: "p".repeat(1025), ..plain() },
        v1::ConnectAllow { session_state: vec![0; 1025].into(), ..plain() },
    ];
    for allow in invalid {
        assert_eq!(connect(allow).unwrap_err().why(), Why::InvalidResult);
    }
}

#[test]
fn an_expiry_is_in_the_future() {
    let at = |seconds, nanos| {
        connect(v1::ConnectAllow {
            expires_at: Some(prost_types::Timestamp { seconds, nanos }),
            ..v1::ConnectAllow::default()
        })
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_secs()).unwrap();
    for past in [0, now - 1, i64::MIN] {
        assert_eq!(at(past, 0).unwrap_err().why(), Why::InvalidResult);
    }
    for future in [now + 3600, now + 200 * 365 * 86_400] {
        let expires_at = at(future, 0).unwrap().expires_at.unwrap();
        assert!(expires_at > Instant::now() + Duration::from_secs(3000));
    }
    // Whatever they mean, they do not panic.
    for (seconds, nanos) in [
        (i64::MAX, i32::MAX),
        (i64::MIN, i32::MIN),
        (i64::MAX, i32::MIN),
        (0, -1),
    ] {
        let _ = at(seconds, nanos);
    }
}
