//! The authorization service of a case.

use std::time::{Duration, Instant};

use bytestring::ByteString;
use gatekeeper::{Allow, ConnectAllow, Deny, DenyAction, Question, ReasonCode, Verdict, Why};

use super::case::{Admission, BrokerId, Says};

/// The kinds of questions, as far as their allow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Connect,
    /// A will too.
    Publish,
    Subscribe,
}

impl Hook {
    pub(crate) fn of(question: &Question) -> Self {
        match question {
            Question::Connect(_) => Self::Connect,
            Question::Will(_) | Question::Publish(_) => Self::Publish,
            Question::Subscribe(_) => Self::Subscribe,
        }
    }

    /// Whether this allow answers a question of this kind.
    pub(crate) fn fits(self, allow: &Allow) -> bool {
        matches!(
            (self, allow),
            (Self::Connect, Allow::Connect(_))
                | (Self::Publish, Allow::Publish(_))
                | (Self::Subscribe, Allow::Subscribe(_))
        )
    }

    fn other(self) -> Self {
        match self {
            Self::Connect => Self::Publish,
            Self::Publish => Self::Subscribe,
            Self::Subscribe => Self::Connect,
        }
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

/// The verdict for a question of this kind; `None` if it never comes.
pub(crate) fn verdict(
    says: &Says,
    hook: Hook,
    admission: &Admission,
    now: Instant,
) -> Option<Verdict> {
    Some(match says {
        Says::Allow => Verdict::Allow(allow(hook, admission, now)),
        Says::WrongKind => Verdict::Allow(allow(hook.other(), admission, now)),
        Says::Unavailable(why) => Verdict::Unavailable(WHYS[why % WHYS.len()]),
        Says::Deny {
            code,
            action,
            reason,
        } => Verdict::Deny(Deny {
            code: code.map(ReasonCode::new),
            reason_string: reason.map(|length| ByteString::from("r".repeat(length))),
            action: match action {
                0 => DenyAction::Configured,
                1 => DenyAction::Reject,
                2 => DenyAction::Disconnect,
                _ => DenyAction::Drop,
            },
            server_reference: (*code == Some(0x9C)).then(|| ByteString::from("elsewhere")),
        }),
        Says::Nothing => return None,
    })
}

fn allow(hook: Hook, admission: &Admission, now: Instant) -> Allow {
    match hook {
        Hook::Publish => Allow::PUBLISH,
        Hook::Subscribe => Allow::SUBSCRIBE,
        Hook::Connect => Allow::Connect(Box::new(ConnectAllow {
            broker_client_id: match admission.broker_id {
                BrokerId::Own => None,
                BrokerId::Other => Some("user/é".into()),
                BrokerId::TooLong => Some("x".repeat(70_000).into()),
                BrokerId::Nul => Some("user/\0".into()),
            },
            expires_at: admission
                .expires_after
                .map(|after| now + Duration::from_millis(after)),
            ..ConnectAllow::default()
        })),
    }
}
