//! What becomes of a check: a grant, a refusal, or a fault of somebody's.

use std::time::Duration;

use thiserror::Error;
use tidegate_proto::v1::{FailureCode, Session};

use crate::{
    hashing::Busy,
    identity::UserName,
    login::NotIn,
    policy::{Grant, Refusal},
    session_state::{InvalidState, TooLarge},
    users::{source::SourceError, topic_oracle::TopicAction},
};

/// What a decision function returns; `?` leaves it at the first "no" or "cannot tell".
pub(super) type Verdict<A> = Result<Allowed<A>, NotAllowed>;

/// What the rules of this service make of a check of a topic.
#[derive(Debug)]
pub(super) enum Decided<A> {
    /// It is decided.
    Now(Verdict<A>),
    /// Somebody else is to be asked.
    Ask(Question),
}

/// What somebody else is asked about a check.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) user: UserName,
    pub(super) client_id: String,
    pub(super) topic: String,
    pub(super) action: TopicAction,
    /// To publish to, too; empty if there is none.
    pub(super) response_topic: String,
}

/// Yes, by this rule, and with this to go with it.
#[derive(Debug)]
pub(super) struct Allowed<A> {
    pub(super) grant: Grant,
    pub(super) allow: A,
}

/// Anything but yes. The two are never mixed up: a refusal is the policy's answer, a fault means
/// that there is none.
#[derive(Debug)]
pub(super) enum NotAllowed {
    Refused(Refusal),
    Faulty(Fault),
}

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Fault {
    #[error("the check has no session")]
    NoSession,
    #[error("the session has no id")]
    NoSessionId,
    #[error("the topic is not a valid topic name")]
    Topic,
    #[error("the response topic is not a valid topic name")]
    ResponseTopic,
    #[error("the topic filter is not a valid one")]
    TopicFilter,
    #[error("the share name holds topic syntax")]
    ShareName,
    #[error("there is no such QoS")]
    Qos,
    #[error(transparent)]
    Users(#[from] SourceError),
    #[error(transparent)]
    State(#[from] InvalidState),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl Fault {
    pub(super) fn code(&self) -> FailureCode {
        match self {
            Self::NoSession
            | Self::NoSessionId
            | Self::Topic
            | Self::ResponseTopic
            | Self::TopicFilter
            | Self::ShareName
            | Self::Qos => FailureCode::InvalidCheck,
            Self::Users(SourceError::Unavailable { .. } | SourceError::NotYet { .. }) => {
                FailureCode::DependencyUnavailable
            }
            Self::State(_) => FailureCode::SessionStateInvalid,
            Self::Users(SourceError::Busy(_)) | Self::Busy(Busy::QueueFull | Busy::Late) => {
                FailureCode::Overloaded
            }
            Self::TooLarge(_) | Self::Busy(Busy::Lost) => FailureCode::Internal,
        }
    }

    pub(super) fn rule(&self) -> &'static str {
        match self.code() {
            _ if matches!(self, Self::TooLarge(_)) => "session-state-too-large",
            FailureCode::InvalidCheck => "invalid-check",
            FailureCode::SessionStateInvalid => "session-state-invalid",
            FailureCode::Overloaded => "overloaded",
            FailureCode::DependencyUnavailable => "users-unavailable",
            _ => "internal",
        }
    }

    /// When asking again makes sense; never, unless it is load that will pass.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        (self.code() == FailureCode::Overloaded).then_some(Duration::from_secs(1))
    }
}

impl From<Refusal> for NotAllowed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for NotAllowed {
    fn from(fault: Fault) -> Self {
        Self::Faulty(fault)
    }
}

impl From<InvalidState> for NotAllowed {
    fn from(invalid: InvalidState) -> Self {
        Self::Faulty(invalid.into())
    }
}

impl From<NotIn> for NotAllowed {
    fn from(not_in: NotIn) -> Self {
        match not_in {
            NotIn::Refused(refusal) => Self::Refused(refusal),
            NotIn::Unavailable(error) => Self::Faulty(error.into()),
            NotIn::Busy(busy) => Self::Faulty(busy.into()),
        }
    }
}

/// The session of a check, without which there is nobody to decide about.
pub(super) fn session(session: Option<&Session>) -> Result<&Session, Fault> {
    let session = session.ok_or(Fault::NoSession)?;
    // States of sessions without an id would open for each other.
    if session.session_id.is_empty() {
        Err(Fault::NoSessionId)
    } else {
        Ok(session)
    }
}
