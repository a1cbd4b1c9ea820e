//! Why nobody decided, in enough detail for the operator.
//!
//! A [`Cause`] is what the log says; [`Why`] is the short word that spans, metrics and the gatekeeper
//! know. Every error of the stack is a [`Failure`], and the only thing that can become of one is an
//! `Unavailable`.

use gatekeeper::Why;
use tidegate_proto::v1::FailureCode;
use tokio::time::Instant;
use tonic::Code;

use super::decision::Facts;

/// A check that nobody decided: the error type of every layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// What went wrong.
    pub cause: Cause,
    /// What is known besides.
    pub facts: Facts,
    /// When it was clear that nobody decides.
    pub failed_at: Instant,
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            facts: Facts::default(),
            failed_at: Instant::now(),
        }
    }
}

impl From<Cause> for Box<Failure> {
    fn from(cause: Cause) -> Self {
        Self::new(cause.into())
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Our own clock said so, or the service's.
    #[error("no answer within the deadline")]
    Timeout,
    /// The service could not be reached, or the connection broke before it had answered.
    #[error("no connection to the service, or it broke: {0}")]
    Transport(String),
    /// Every endpoint has been tried, and nobody is there: no address, or no connection of bytes.
    #[error("the service cannot be reached: {0}")]
    Unreachable(String),
    /// Something answered that is no gRPC service.
    #[error("what answers at the endpoint does not speak gRPC (HTTP status {0})")]
    NotGrpc(u16),
    /// The service itself answered with a status other than OK.
    #[error("gRPC status {code:?}: {message}")]
    Status {
        /// The status.
        code: Code,
        /// What the service said about it, shortened.
        message: String,
    },
    /// The response is not a response message, or too large.
    #[error("unreadable response: {0}")]
    Unreadable(String),
    /// The service said that it could not decide this check.
    #[error("the service could not decide ({}): {message}", code.as_str_name())]
    Service {
        /// Kind of failure.
        code: FailureCode,
        /// What the service said about it, shortened.
        message: String,
    },
    /// The response held no result for the check.
    #[error("no result for this check (item_id must be echoed)")]
    MissingResult,
    /// The response held several results for the check.
    #[error("more than one result for this check")]
    DuplicateResult,
    /// The result held no decision, or one that this program does not know.
    #[error("the result holds neither allow, deny nor failure")]
    UnsetDecision,
    /// A denial with a reason code that is none, or that says success.
    #[error("the denial has no valid reason code: {0}")]
    IllegalReasonCode(i32),
    /// A denial with an action that is unknown, or that the packet cannot carry out.
    #[error("the denial has an action that is unknown or not possible here: {0}")]
    IllegalAction(i32),
    /// An allow with a field that makes no sense.
    #[error("the allow is not valid: {0}")]
    InvalidAllow(&'static str),
    /// An allow that changes something that may not be changed.
    #[error("the allow sets `{0}`, which is not permitted")]
    MutationNotPermitted(&'static str),
    /// An allow that changes something into what is not MQTT.
    #[error("the allow sets `{0}` to what is not valid in MQTT")]
    MutationInvalid(&'static str),
    /// Too little time was left to send it.
    #[error("the time was up before the check could be sent")]
    ExpiredInQueue,
    /// The queue of the lane is full.
    #[error("the queue of checks is full")]
    QueueFull,
    /// It was not asked: the service is overloaded.
    #[error("not asked: the service is overloaded")]
    Throttled,
    /// The check is larger than a request may be.
    #[error("the check has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Size of the check in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The check is larger than a request may be by the wish of the service.
    #[error("the check has {size} bytes, the service accepts {limit} (GetCapabilities)")]
    TooLargeForService {
        /// Size of the check in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Directives about the session came faster than answers.
    #[error("every allow was overtaken by a directive about the session")]
    Outdated,
    /// The task that should have answered is gone.
    #[error("the check was lost inside the data plane")]
    Lost,
}

impl Cause {
    /// The short word for it.
    #[must_use]
    pub fn why(&self) -> Why {
        match self {
            // No answer in time that would still hold.
            Self::Timeout
            | Self::Outdated
            | Self::Status {
                code: Code::DeadlineExceeded,
                ..
            } => Why::Timeout,
            Self::Transport(_)
            | Self::Unreachable(_)
            | Self::NotGrpc(_)
            | Self::Lost
            | Self::Status {
                code: Code::Unavailable,
                ..
            } => Why::Unavailable,
            Self::Status {
                code: Code::ResourceExhausted,
                ..
            } => Why::Overloaded,
            Self::Status { .. } => Why::GrpcStatus,
            Self::Service { code, .. } => match code {
                FailureCode::Overloaded => Why::Overloaded,
                FailureCode::SessionStateInvalid => Why::SessionStateInvalid,
                FailureCode::InvalidCheck => Why::InvalidCheck,
                FailureCode::Unspecified
                | FailureCode::Internal
                | FailureCode::DependencyUnavailable
                | FailureCode::Timeout => Why::ServiceFailure,
            },
            // Not `TooLarge`: that is for ever, and told as a denial.
            Self::TooLargeForService { .. } => Why::ServiceFailure,
            Self::MissingResult => Why::MissingResult,
            Self::Unreadable(_)
            | Self::DuplicateResult
            | Self::UnsetDecision
            | Self::IllegalReasonCode(_)
            | Self::IllegalAction(_)
            | Self::InvalidAllow(_) => Why::InvalidResult,
            Self::MutationNotPermitted(_) | Self::MutationInvalid(_) => Why::InvalidMutation,
            Self::ExpiredInQueue => Why::ExpiredInQueue,
            Self::QueueFull => Why::QueueFull,
            Self::Throttled => Why::Throttled,
            Self::TooLarge { .. } => Why::TooLarge,
        }
    }
}

/// Longest text of a peer that is kept, in characters.
const MAX_MESSAGE: usize = 200;

/// A text that a peer chose, shortened, on one line.
pub(super) fn shortened(text: &str) -> String {
    text.chars()
        .take(MAX_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
