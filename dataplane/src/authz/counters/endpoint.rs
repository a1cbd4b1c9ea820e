//! What is counted for each endpoint of the service.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{super::hook::HookKind, Histogram};

/// One endpoint, as one hook sees it.
#[derive(Debug)]
pub struct EndpointCounters {
    /// The hook whose connection it is; that of wills is CONNECT's.
    pub hook: HookKind,
    /// `host:port` or `unix:/path`.
    pub address: String,
    is_up: AtomicBool,
    is_serving: AtomicBool,
    has_answered: AtomicBool,
    ejected_until: Mutex<Option<Instant>>,
    calls: Mutex<BTreeMap<(&'static str, &'static str), Arc<Histogram>>>,
}

impl EndpointCounters {
    pub(super) fn new(hook: HookKind, address: String) -> Self {
        Self {
            hook,
            address,
            is_up: AtomicBool::new(false),
            is_serving: AtomicBool::new(true),
            has_answered: AtomicBool::new(false),
            ejected_until: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// Whether it is connected and does not say that it is unwell.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.is_up.load(Ordering::Relaxed) && self.is_serving.load(Ordering::Relaxed)
    }

    /// Whether the service behind it has answered since the connection was made.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Whether it is left alone for having failed call after call.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        let until = *lock(&self.ejected_until);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Durations of its calls by hook and status: the service's own word in capitals, or else what
    /// stood in its place: `transport`, `timeout`, `not_grpc`, `unreadable`.
    #[must_use]
    pub fn calls(&self) -> Vec<(&'static str, &'static str, Arc<Histogram>)> {
        let calls = lock(&self.calls);
        calls
            .iter()
            .map(|((hook, status), histogram)| (*hook, *status, Arc::clone(histogram)))
            .collect()
    }

    /// It is dialled as if nothing were known of it.
    pub(super) fn begin_again(&self) {
        self.set_up(false);
        self.set_serving(true);
        *lock(&self.ejected_until) = None;
    }

    pub(in crate::authz) fn call(&self, hook: HookKind, status: &'static str, took: Duration) {
        let mut calls = lock(&self.calls);
        calls
            .entry((hook.as_str(), status))
            .or_default()
            .record(took);
    }

    pub(in crate::authz) fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
        self.has_answered.store(false, Ordering::Relaxed);
    }

    pub(in crate::authz) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    pub(in crate::authz) fn set_serving(&self, is_serving: bool) {
        self.is_serving.store(is_serving, Ordering::Relaxed);
    }

    pub(in crate::authz) fn eject_until(&self, until: Instant) {
        *lock(&self.ejected_until) = Some(until);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
