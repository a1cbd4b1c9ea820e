//! What comes out.

use std::{fmt, time::Duration};

use bytes::Bytes;
use gatekeeper::{Allow, Verdict, Why};
use tokio::time::Instant;

use super::{cache::Reuse, ladder::Step};

/// The end of a check. There is exactly one for each check that is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Yes, no, or nobody decided.
    pub verdict: Verdict,
    /// Who the client is from now on. Present if, and only if, a CONNECT was allowed.
    pub identity: Option<Identity>,
    /// What else is known about it.
    pub facts: Facts,
    /// When the answer was read, or when it was clear that there is none.
    pub decided_at: Instant,
}

impl Decision {
    /// A message that may be published as it is.
    pub(super) fn allowed(at: Instant) -> Self {
        Self {
            verdict: Verdict::Allow(Allow::PUBLISH),
            identity: None,
            facts: Facts::default(),
            decided_at: at,
        }
    }

    /// The end of a check that nobody decided.
    pub(super) fn unavailable(why: Why, facts: Facts, at: Instant) -> Self {
        Self {
            verdict: Verdict::Unavailable(why),
            identity: None,
            facts,
            decided_at: at,
        }
    }
}

/// The identity that the service gave to an allowed client. Every later check of the session carries it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Effective identity, for logs and later checks.
    pub principal: String,
    /// Opaque to us, and possibly a bearer token: it is never shown.
    pub session_state: Bytes,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("principal", &self.principal)
            .field(
                "session_state",
                &format_args!("<{} bytes, redacted>", self.session_state.len()),
            )
            .finish()
    }
}

/// What is known about a decision besides the decision, for logs and spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Rule or policy that decided, as the service named it. Empty: not said.
    pub policy: String,
    /// The service's own id of the decision. Empty: not said.
    pub decision_id: String,
    /// Extra facts from the service, ordered by key, at most [`MAX_ANNOTATIONS`].
    pub annotations: Vec<(String, String)>,
    /// How long the check waited before it was sent.
    pub queued: Duration,
    /// How many checks travelled together; 0 if it was never sent.
    pub batch_size: usize,
    /// Whether it was made for an earlier check of the session.
    pub cached: bool,
    /// The last directive when it was asked for, if it is cached.
    pub(super) asked_in: u64,
    /// What the service permits to make of it besides. `None`: nothing, or nobody wants to know.
    pub(super) reuse: Option<Box<Reuse>>,
    /// What the operator had done when nobody decided. [`Step::Hold`]: it was decided later.
    pub failure_action: Option<Step>,
    /// Why nobody decided, if the packet passes all the same.
    pub failure: Option<Why>,
}

/// Most annotations that are kept of one result; the contract allows as many.
pub const MAX_ANNOTATIONS: usize = 16;
