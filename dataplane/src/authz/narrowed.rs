//! What the service wants to be spared: less than what is configured, never more.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The limits of one lane as far as the service has narrowed them. Reading costs an atomic load.
#[derive(Debug)]
pub struct Narrowed {
    max_batch_size: AtomicUsize,
    max_request_bytes: AtomicUsize,
    max_concurrent_calls: AtomicUsize,
}

impl Default for Narrowed {
    fn default() -> Self {
        Self {
            max_batch_size: usize::MAX.into(),
            max_request_bytes: usize::MAX.into(),
            max_concurrent_calls: usize::MAX.into(),
        }
    }
}

impl Narrowed {
    /// Takes note of the service's wishes. Zero is none.
    pub fn set(&self, max_batch_size: u32, max_request_bytes: u32, max_concurrent_calls: u32) {
        let set = |at: &AtomicUsize, wish: u32| {
            let limit = usize::try_from(wish).ok().filter(|wish| *wish > 0);
            at.store(limit.unwrap_or(usize::MAX), Ordering::Relaxed);
        };
        set(&self.max_batch_size, max_batch_size);
        set(&self.max_request_bytes, max_request_bytes);
        set(&self.max_concurrent_calls, max_concurrent_calls);
    }

    /// Most checks in one call, at least 1: the configured number, or fewer.
    #[must_use]
    pub fn max_batch_size(&self, configured: usize) -> usize {
        configured.min(self.max_batch_size.load(Ordering::Relaxed))
    }

    /// Most bytes of one request: the configured number, or fewer.
    #[must_use]
    pub fn max_request_bytes(&self, configured: usize) -> usize {
        configured.min(self.max_request_bytes.load(Ordering::Relaxed))
    }

    /// Most calls in flight, at least 1: the configured number, or fewer.
    #[must_use]
    pub fn max_concurrent_calls(&self, configured: usize) -> usize {
        configured.min(self.max_concurrent_calls.load(Ordering::Relaxed))
    }
}
