//! What is known about a question of the line.

use std::time::Instant;

use crate::verdict::{Allow, Verdict, Why};

/// The state of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Asked; no answer counts after this time.
    Pending(Instant),
    /// Known.
    Known(Verdict),
}

impl Answer {
    /// Takes the verdict unless there is one, or it came too late. The first answer counts.
    pub(super) fn settle(&mut self, verdict: Verdict, now: Instant) {
        if let Self::Pending(until) = *self {
            *self = Self::Known(if now < until {
                verdict
            } else {
                Verdict::Unavailable(Why::Timeout)
            });
        }
    }

    /// Ends the waiting if time is up. Tells whether it did just now: the question is to be cancelled.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let expired = matches!(*self, Self::Pending(until) if until <= now);
        if expired {
            *self = Self::Known(Verdict::Unavailable(Why::Timeout));
        }
        expired
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// The verdict; a question that nobody has answered is a failure.
    pub(crate) fn into_verdict(self) -> Verdict {
        match self {
            Self::Known(verdict) => verdict,
            Self::Pending(_) => Verdict::Unavailable(Why::Timeout),
        }
    }
}

/// An allow of another kind than the question's is no allow.
pub(crate) fn fitting(verdict: Verdict, expected: &Allow) -> Verdict {
    match verdict {
        Verdict::Allow(allow)
            if std::mem::discriminant(&allow) != std::mem::discriminant(expected) =>
        {
            Verdict::Unavailable(Why::InvalidResult)
        }
        other => other,
    }
}
