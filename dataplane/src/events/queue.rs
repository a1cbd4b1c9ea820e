//! Events that wait to be told, within bounds. Whoever puts one in never waits.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::Tally;

/// Events in one report, and bytes of them.
pub(super) const MAX_BATCH: usize = 256;
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// Memory that an event takes beside its bytes.
const OVERHEAD: usize = 64;

/// The queue. When it is full, the oldest are lost: what is told at last is near to how things are.
#[derive(Debug)]
pub(super) struct Queue {
    max_events: usize,
    max_bytes: usize,
    state: Mutex<State>,
    /// Something came into an empty queue, or a batch is full.
    pub(super) filled: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    events: VecDeque<Bytes>,
    bytes: usize,
}

impl fmt::Debug for State {
    /// Sessions may be told with their state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("events", &self.events.len())
            .field("bytes", &self.bytes)
            .finish()
    }
}

impl Queue {
    pub(super) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            max_events,
            max_bytes,
            state: Mutex::default(),
            filled: Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn push(&self, event: Bytes) {
        let size = event.len() + OVERHEAD;
        if size > self.max_bytes {
            return self.lost(1);
        }
        let mut state = self.lock();
        let mut lost = 0;
        while state.events.len() >= self.max_events || state.bytes + size > self.max_bytes {
            let Some(oldest) = state.events.pop_front() else {
                break;
            };
            state.bytes -= oldest.len() + OVERHEAD;
            lost += 1;
        }
        state.bytes += size;
        state.events.push_back(event);
        let is_news = matches!(state.events.len(), 1 | MAX_BATCH);
        drop(state);
        if lost > 0 {
            self.lost(lost);
        }
        if is_news {
            self.filled.notify_one();
        }
    }

    /// The oldest events, as many as go into one report.
    pub(super) fn take(&self) -> Vec<Bytes> {
        let mut state = self.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < MAX_BATCH
            && let Some(event) = state
                .events
                .front()
                .filter(|event| batch.is_empty() || bytes + event.len() <= MAX_BATCH_BYTES)
                .cloned()
        {
            bytes += event.len();
            state.bytes -= event.len() + OVERHEAD;
            state.events.pop_front();
            batch.push(event);
        }
        batch
    }

    pub(super) fn len(&self) -> usize {
        self.lock().events.len()
    }

    pub(super) fn lost(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, events: u64) {
        self.sent.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            queued: self.len() as u64,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A sum that is off by one event at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
