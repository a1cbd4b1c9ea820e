//! What the service says.

use std::time::{Duration, Instant};

use bytestring::ByteString;
use gatekeeper::{Allow, ConnectAllow, Deny, DenyAction, Question, ReasonCode, Verdict, Why};

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

pub(super) fn verdict(says: Says, hook: Hook, now: Instant) -> Verdict {
    match says {
        Says::Allow(changes) => Verdict::Allow(allow(hook, changes, now)),
        Says::WrongKind => Verdict::Allow(match hook {
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

/// A yes. What the service wants changed is judged by tests of its own.
fn allow(hook: Hook, changes: u8, now: Instant) -> Allow {
    match hook {
        Hook::Publish => Allow::PUBLISH,
        Hook::Subscribe => Allow::SUBSCRIBE,
        Hook::Connect => Allow::Connect(Box::new(ConnectAllow {
            broker_client_id: match changes & 3 {
                1 => Some("user/é".into()),
                2 => Some("x".repeat(70_000).into()),
                3 => Some("user/\0".into()),
                _ => None,
            },
            expires_at: match changes >> 2 & 3 {
                0 => None,
                seconds => Some(now + Duration::from_secs(u64::from(seconds) - 1)),
            },
            ..ConnectAllow::default()
        })),
    }
}
