//! What goes in: a typed check and what is known about it besides.

use std::sync::Arc;

use bytestring::ByteString;
use tokio::time::Instant;
use tracing::Span;

use crate::mount::Template;

use super::{hook::Hook, message::Message, seat::Seat, wire::Outcome};

/// One question to the authorization service.
#[derive(Debug)]
pub struct Check<H: Hook> {
    /// The check as it travels. Item id and trace context are filled in on the way; everything else
    /// is the caller's.
    pub message: Message<H>,
    /// What does not travel.
    pub context: Context,
}

impl<H: Hook> Clone for Check<H> {
    fn clone(&self) -> Self {
        Self {
            message: self.message.clone(),
            context: self.context.clone(),
        }
    }
}

/// What the stack has to know about a check and the service has not.
#[derive(Debug, Clone)]
pub struct Context {
    /// When it is asked.
    pub asked_at: Instant,
    /// The answer is worthless after this time. By default the arrival of the packet plus
    /// [`Authz::time_limit`](super::Authz::time_limit).
    pub deadline: Instant,
    /// Span of the packet; disabled if it was not sampled.
    pub span: Span,
    /// The session, for the lanes.
    pub seat: Arc<Seat>,
    /// Who asks, for the decision log.
    pub who: Arc<Who>,
    /// Topic name of a PUBLISH or will, filter of a SUBSCRIBE; empty for CONNECT. For the decision log.
    pub topic: ByteString,
    /// Bytes of the packet that waits for the answer.
    pub packet_bytes: usize,
    /// Where the topics of the client begin, if it is let in. CONNECT only.
    pub mount: Option<Arc<Template>>,
    /// What is known of it before it goes its way. Of a check that has not been asked: nothing.
    pub known: Known,
}

/// What is known of a check that went another way first (`express`): that it is counted,
/// and how it ended. When it is asked again, which a clone of it is for, this is history.
#[derive(Debug, Default)]
pub struct Known(Option<First>);

#[derive(Debug)]
struct First {
    epoch: u64,
    outcome: Box<Outcome>,
}

impl Known {
    /// A check that ended in this way, having been asked when this was the last directive.
    pub(super) fn new(epoch: u64, outcome: Outcome) -> Self {
        Self(Some(First {
            epoch,
            outcome: Box::new(outcome),
        }))
    }

    /// Whether it was asked before.
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The last directive when it was asked.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.0.as_ref().map(|first| first.epoch)
    }

    /// How it ended.
    pub(super) fn take(&mut self) -> Option<Box<Outcome>> {
        self.0.take().map(|first| first.outcome)
    }
}

impl Clone for Known {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Who asks, for the decision log. One per session, shared by its checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// Unique name of the network connection.
    pub session_id: String,
    /// MQTT client identifier.
    pub client_id: String,
    /// MQTT user name.
    pub username: Option<String>,
    /// Identity that the service gave; empty during CONNECT.
    pub principal: String,
}
