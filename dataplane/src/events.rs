//! What happened, told to the service's EventService after it happened: in batches, as well as it can be
//! done, and never so that traffic waits. What does not fit is lost, and the losses are counted and told.

mod queue;
mod record;
mod report;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use tidegate_proto::v1::EventKind;

use self::{queue::Queue, record::Record};

pub(crate) use self::record::{Happened, SessionField};
pub use self::report::{EventOptions, Reporter};

/// Where events go. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Events(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// A bit for each kind that is wanted.
    kinds: u32,
    /// Whether sessions are told with their state.
    with_state: bool,
    queue: Queue,
}

/// What has become of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The service has taken them.
    pub(crate) sent: u64,
    /// Nobody will hear of them.
    pub(crate) dropped: u64,
    /// They wait.
    pub(crate) queued: u64,
}

impl Events {
    fn new(options: &EventOptions) -> Self {
        let bits = options.kinds.iter().map(|kind| bit(*kind));
        Self(Some(Arc::new(Inner {
            kinds: bits.fold(0, |kinds, bit| kinds | bit),
            with_state: options.with_state,
            queue: Queue::new(options.queue_events, options.queue_bytes),
        })))
    }

    /// Whether anything is told at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the operator wants this kind to be told.
    pub(crate) fn wants(&self, kind: EventKind) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.kinds & bit(kind) != 0)
    }

    /// Whether sessions are told with the state that the service gave them.
    pub(crate) fn with_state(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.with_state)
    }

    /// Something has happened in a session.
    pub(crate) fn tell(&self, session: &SessionField, happened: Happened) {
        if self.wants(happened.kind()) {
            self.push(&Record::new(session.0.clone(), happened, SystemTime::now()));
        }
    }

    /// A directive has been carried out.
    pub(crate) fn directive_applied(&self, resume_token: String) {
        let happened = Happened::DirectiveApplied { resume_token };
        if self.wants(happened.kind()) {
            self.push(&Record::new(Bytes::new(), happened, SystemTime::now()));
        }
    }

    /// One that would have been told was lost before it was known.
    pub(crate) fn lost_one(&self) {
        if let Some(inner) = &self.0 {
            inner.queue.lost(1);
        }
    }

    /// What has become of them so far.
    pub(crate) fn tally(&self) -> Tally {
        let inner = self.0.as_ref();
        inner.map_or_else(Tally::default, |inner| inner.queue.tally())
    }

    fn push(&self, record: &Record) {
        if let Some(inner) = &self.0 {
            inner.queue.push(record.encode());
        }
    }
}

fn bit(kind: EventKind) -> u32 {
    1 << kind as u32
}

#[cfg(test)]
impl Events {
    /// Events that nobody reports.
    pub(crate) fn keeping(kinds: &[EventKind]) -> Self {
        Self::new(&EventOptions {
            kinds: kinds.to_vec(),
            queue_events: 1000,
            queue_bytes: 1024 * 1024,
            with_state: false,
        })
    }

    /// The resume tokens of what waits.
    pub(crate) fn take_tokens(&self) -> Vec<String> {
        use prost::Message as _;
        let inner = self.0.as_ref().unwrap();
        let events = inner.queue.take().into_iter();
        let events = events.map(|event| tidegate_proto::v1::Event::decode(event).unwrap());
        events.map(|event| event.resume_token).collect()
    }
}
