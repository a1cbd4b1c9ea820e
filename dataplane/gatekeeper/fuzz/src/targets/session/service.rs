//! What the service says.

use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use gatekeeper::{
    Allow, ConnectAllow, Deny, DenyAction, PublishChanges, QoS, Question, ReasonCode, Secret,
    SessionLimits, SubscribeChanges, UserProperty, Verdict, Why,
};

use super::program::Says;

/// The kinds of questions, as far as their allow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Connect,
    /// A will too.
    Publish,
    Subscribe,
}

impl Hook {
    pub(super) fn of(question: &Question) -> Self {
        match question {
            Question::Connect(_) => Self::Connect,
            Question::Will(_) | Question::Publish(_) => Self::Publish,
            Question::Subscribe(_) => Self::Subscribe,
        }
    }

    /// Answers that a question wants.
    pub(super) fn count(self, question: &Question) -> usize {
        match question {
            Question::Subscribe(subscribe) => subscribe.filters.len(),
            _ => 1,
        }
    }

    /// Whether this allow answers a question of this kind.
    pub(super) fn fits(self, allow: &Allow) -> bool {
        matches!(
            (self, allow),
            (Self::Connect, Allow::Connect(_))
                | (Self::Publish, Allow::Publish(_))
                | (Self::Subscribe, Allow::Subscribe(_))
        )
    }
}

const WHYS: [Why; 14] = [
    Why::Timeout,
    Why::Unavailable,
    Why::GrpcStatus,
    Why::ServiceFailure,
    Why::Overloaded,
    Why::SessionStateInvalid,
    Why::InvalidCheck,
    Why::MissingResult,
    Why::InvalidResult,
    Why::InvalidMutation,
    Why::ExpiredInQueue,
    Why::QueueFull,
    Why::TooLarge,
    Why::ShuttingDown,
];

/// What comes with every allow of a CONNECT, in bits: mount (0, 1), a clean start (2), no will (3),
/// the longest session (4, 5), credentials (6, 7).
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed(pub(super) u8);

impl Allowed {
    fn mount(self) -> Option<&'static str> {
        [None, Some("t/a/"), Some("m/"), Some("$m/")][usize::from(self.0 & 3)]
    }

    fn connect(self, changes: u8, now: Instant) -> ConnectAllow {
        let Self(bits) = self;
        let credentials = bits >> 6;
        ConnectAllow {
            broker_client_id: match changes & 3 {
                1 => Some("user/é".into()),
                2 => Some("x".repeat(70_000).into()),
                3 if changes & 0x10 != 0 => Some("".into()),
                3 => Some("user/\0".into()),
                _ => None,
            },
            broker_username: (credentials & 1 == 1).then(|| "bob".into()),
            broker_password: (credentials & 2 == 2).then(|| {
                let length = if changes & 0x20 == 0 { 3 } else { 70_000 };
                Secret::new(vec![0xFF; length].into())
            }),
            drop_will: bits & 8 != 0,
            force_clean_start: bits & 4 != 0,
            max_session_expiry: [None, Some(0), Some(30), Some(u32::MAX)]
                [usize::from(bits >> 4 & 3)],
            mount: match changes >> 6 {
                1 => Some("t/+/".into()),
                2 => Some("t/a".into()),
                _ => self.mount().map(ByteString::from_static),
            },
            expires_at: match changes >> 2 & 3 {
                0 => None,
                seconds => Some(now + Duration::from_secs(u64::from(seconds) - 1)),
            },
            limits: SessionLimits::default(),
        }
    }
}

/// A question, as far as the answer hangs on it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) hook: Hook,
    /// The topic or the filter, where there is one.
    own: ByteString,
}

impl Asked {
    /// What is asked under each ticket.
    pub(super) fn of(question: &Question) -> Vec<Self> {
        let hook = Hook::of(question);
        match question {
            Question::Connect(_) => vec![Self {
                hook,
                own: ByteString::new(),
            }],
            Question::Will(publish) | Question::Publish(publish) => vec![Self {
                hook,
                own: publish.topic.clone(),
            }],
            Question::Subscribe(subscribe) => {
                let filters = subscribe.filters.iter();
                let filters = filters.map(|filter| Self {
                    hook,
                    own: filter.filter.clone(),
                });
                filters.collect()
            }
        }
    }

    /// What nobody asked about.
    pub(super) fn nothing() -> Self {
        Self {
            hook: Hook::Publish,
            own: ByteString::new(),
        }
    }

    fn below(&self, allowed: Allowed) -> Option<ByteString> {
        let mount = allowed.mount()?;
        Some(format!("{mount}{}", self.own).into())
    }

    /// A yes. Where there is a mount, topics and filters go below it, unless something else is wanted.
    fn allow(&self, changes: u8, allowed: Allowed, now: Instant) -> Allow {
        match self.hook {
            Hook::Publish => {
                let changes = self.publish_changes(changes, allowed);
                Allow::Publish((changes != PublishChanges::default()).then(|| changes.into()))
            }
            Hook::Subscribe => Allow::Subscribe(self.subscribe_changes(changes, allowed)),
            Hook::Connect => Allow::Connect(Box::new(allowed.connect(changes, now))),
        }
    }

    /// Topic (bits 0–2), payload (3, 4), format (5), user properties (6), RETAIN (7).
    fn publish_changes(&self, changes: u8, allowed: Allowed) -> PublishChanges {
        let mut wanted = PublishChanges {
            topic: match changes & 7 {
                0 => self.below(allowed),
                1 => None,
                2 => Some("other".into()),
                3 => Some("a/+".into()),
                4 => Some("".into()),
                5 => Some("a/".repeat(300).into()),
                6 => Some("x".repeat(70_000).into()),
                _ => Some("t/a/\u{1}".into()),
            },
            payload: match changes >> 3 & 3 {
                0 => None,
                1 => Some(Bytes::from_static(b"changed")),
                2 => Some(Bytes::new()),
                _ => Some(Bytes::from_static(b"\xFF")),
            },
            payload_format_indicator: (changes & 0x20 != 0).then_some(true),
            retain: (changes & 0x80 != 0).then_some(changes & 8 == 0),
            ..PublishChanges::default()
        };
        if changes & 0x40 != 0 {
            let value = if changes & 0x20 == 0 { "w" } else { "\0" };
            wanted.user_property_keys_to_remove = match changes & 1 {
                0 => Vec::new(),
                _ => vec!["k".into()],
            };
            wanted.user_properties_to_add = vec![UserProperty {
                key: "k".into(),
                value: value.into(),
            }];
        }
        wanted
    }

    /// QoS (bits 0, 1), filter (2–4).
    fn subscribe_changes(&self, changes: u8, allowed: Allowed) -> SubscribeChanges {
        SubscribeChanges {
            max_qos: [
                None,
                Some(QoS::AtMostOnce),
                Some(QoS::AtLeastOnce),
                Some(QoS::ExactlyOnce),
            ][usize::from(changes & 3)],
            filter: match changes >> 2 & 7 {
                0 | 1 => self.below(allowed),
                2 | 3 => None,
                4 => Some("other/#".into()),
                5 => Some(self.own.clone()),
                6 => Some("".into()),
                _ => Some(format!("t/a/x{}", self.own).into()),
            },
        }
    }

    pub(super) fn verdict(&self, says: Says, allowed: Allowed, now: Instant) -> Verdict {
        match says {
            Says::Allow(changes) => Verdict::Allow(self.allow(changes, allowed, now)),
            Says::WrongKind => Verdict::Allow(match self.hook {
                Hook::Connect => Allow::PUBLISH,
                Hook::Publish => Allow::SUBSCRIBE,
                Hook::Subscribe => Allow::Connect(Box::default()),
            }),
            Says::Fail(why) => Verdict::Unavailable(WHYS[usize::from(why) % WHYS.len()]),
            Says::Deny { code, how } => Verdict::Deny(Deny {
                code: (code > 0).then(|| ReasonCode::new(code | 0x80)),
                reason_string: match how >> 2 & 3 {
                    0 => None,
                    1 => Some(ByteString::from_static("no")),
                    2 => Some("r".repeat(300).into()),
                    _ => Some("\0".into()),
                },
                action: match how & 3 {
                    0 => DenyAction::Configured,
                    1 => DenyAction::Reject,
                    2 => DenyAction::Disconnect,
                    _ => DenyAction::Drop,
                },
                server_reference: (how >> 4 & 1 == 1).then(|| "elsewhere".into()),
            }),
        }
    }
}
