//! The sessions of one client identifier, in the order in which they dial the broker: a client that
//! comes back at once must not overtake itself.
//!
//! Its last session may still wait for decisions when the next one is allowed already. If that one
//! came to the broker first, the broker would take the client over: what still waits would be lost,
//! and the will published although the client said goodbye ([MQTT-3.14.4-3], [MQTT-3.1.2-10]).

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// All sessions from their dialling on, by the client identifier that the broker gets.
#[derive(Debug, Clone, Default)]
pub struct Succession(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    next: u64,
    by_client: BTreeMap<Key, Entry>,
}

/// Client identifier, and the number of the session.
type Key = (Arc<str>, u64);

#[derive(Debug)]
struct Entry {
    stage: Stage,
    /// The session right behind, if it waits. No other one does: they wait for each other.
    successor: Option<Waker>,
}

/// How far a session is, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The broker has not accepted it yet.
    Arriving,
    /// Client and broker are there. Who comes now takes it over, and that is the broker's business.
    Present,
    /// The client's side has ended; what it said may still be on its way.
    Leaving,
}

/// The place of one session, until this is dropped: after its connection to the broker.
#[derive(Debug)]
pub(super) struct Place {
    succession: Succession,
    key: Key,
    stage: Stage,
}

impl Succession {
    /// A session goes to the broker under this name.
    pub(super) fn enter(&self, client_id: &str) -> Place {
        let stage = Stage::Arriving;
        let mut places = self.lock();
        // A copy: a slice would keep the whole CONNECT.
        let key = (Arc::from(client_id), places.next);
        places.next += 1;
        let entry = Entry {
            stage,
            successor: None,
        };
        places.by_client.insert(key.clone(), entry);
        Place {
            succession: self.clone(),
            key,
            stage,
        }
    }

    fn poll_turn(&self, key: &Key, cx: &mut Context<'_>) -> Poll<()> {
        let first = (Arc::clone(&key.0), 0);
        let mut places = self.lock();
        let Some((_, before)) = places.by_client.range_mut(&first..key).next_back() else {
            return Poll::Ready(());
        };
        if before.stage == Stage::Present {
            return Poll::Ready(());
        }
        let stale = before.successor.replace(cx.waker().clone());
        // Whatever hangs on a waker must find the lock free.
        drop(places);
        drop(stale);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until it can go to the broker: not while the session before it is about to, nor while
    /// that one leaves. Nobody waits for one behind, so they can't wait for each other in a circle. To
    /// be bounded in time by the caller.
    pub(super) fn turn(&self) -> impl Future<Output = ()> + Send + use<> {
        let (succession, key) = (self.succession.clone(), self.key.clone());
        poll_fn(move |cx| succession.poll_turn(&key, cx))
    }

    /// The session is this far now, or was already.
    pub(super) fn reach(&mut self, stage: Stage) {
        if stage <= self.stage {
            return;
        }
        self.stage = stage;
        let mut places = self.succession.lock();
        let successor = places.by_client.get_mut(&self.key).and_then(|entry| {
            entry.stage = stage;
            entry.successor.take()
        });
        drop(places);
        wake(successor);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.succession.lock().by_client.remove(&self.key);
        wake(gone.and_then(|entry| entry.successor));
    }
}

fn wake(successor: Option<Waker>) {
    if let Some(successor) = successor {
        successor.wake();
    }
}
