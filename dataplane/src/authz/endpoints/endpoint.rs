//! One endpoint: its connection, its load, and what is known of its conduct.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tracing::{debug, info, warn};

use super::{
    address::Address,
    connection::Connection,
    no_connection::NoConnection,
    outlier::{Record, Sign},
};
use crate::authz::counters::EndpointCounters;

/// Longest life of a connection on which nothing is heard. A frozen service wakes up to the
/// connections that were made in vain meanwhile; there should be few.
const MAX_PATIENCE: Duration = Duration::from_secs(5);
/// The shortest: the time of a PUBLISH, less what it takes to connect, so that the first check that hears
/// nothing is the last one.
const MIN_PATIENCE: Duration = Duration::from_millis(800);

/// Failed attempts to connect in a row after which calls no longer wait for the next one.
const LASTING: u32 = 5;
/// And the time that an attempt takes that is enough by itself: no call is to wait for another like it.
const SLOW_FAILURE: Duration = Duration::from_millis(500);

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) address: Address,
    state: Mutex<State>,
    in_flight: AtomicUsize,
    /// A call found no connection anywhere.
    pub(super) wanted: Notify,
    /// Shared by the group: some endpoint got or lost its connection.
    changed: Arc<Notify>,
    counters: Arc<EndpointCounters>,
}

struct State {
    link: Link,
    is_serving: bool,
    record: Record,
    patience: Duration,
    /// Attempts in a row that led to no good connection.
    failures: u32,
    /// The last one of them, if nothing has come of any since.
    failure: Option<NoConnection>,
    /// The next attempt hardly succeeds.
    is_lasting: bool,
    /// The attempt that is under way.
    dialling_since: Option<Instant>,
    /// The last connection.
    number: u64,
    /// Something was heard on it.
    was_heard: bool,
}

enum Link {
    /// Being dialled, or about to be.
    Dialling,
    Up(Live),
    Down {
        since: Instant,
    },
}

/// A connection in use.
struct Live {
    connection: Connection,
    since: Instant,
    heard_at: Option<Instant>,
    give_up: Option<oneshot::Sender<()>>,
}

/// What a call needs to know.
pub(super) enum Standing {
    /// It has a connection.
    Up {
        is_good: bool,
        in_flight: usize,
    },
    Away(Away),
}

/// There is no connection.
pub(super) struct Away {
    pub(super) attempt: Attempt,
    /// The last attempt. `None`: there was none, or something has come of it.
    pub(super) why: Option<NoConnection>,
    /// It took long, or so did those before it fail: the next one hardly succeeds.
    pub(super) is_lasting: bool,
}

pub(super) enum Attempt {
    UnderWay {
        since: Option<Instant>,
    },
    /// The last one has ended.
    Over {
        at: Instant,
    },
}

impl Endpoint {
    pub(super) fn new(
        address: Address,
        changed: Arc<Notify>,
        counters: Arc<EndpointCounters>,
    ) -> Self {
        let state = State {
            link: Link::Dialling,
            is_serving: true,
            record: Record::default(),
            patience: MIN_PATIENCE,
            failures: 0,
            failure: None,
            is_lasting: false,
            dialling_since: None,
            number: 0,
            was_heard: false,
        };
        Self {
            address,
            state: Mutex::new(state),
            in_flight: AtomicUsize::new(0),
            wanted: Notify::new(),
            changed,
            counters,
        }
    }

    pub(super) fn counters(&self) -> &EndpointCounters {
        &self.counters
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        let state = self.lock();
        let attempt = match &state.link {
            Link::Up(live) if !live.connection.is_closed() => {
                return Standing::Up {
                    is_good: state.is_serving && !state.record.is_ejected(now),
                    in_flight: self.in_flight.load(Ordering::Relaxed),
                };
            }
            // Closed: whoever keeps it up is about to notice.
            Link::Up(_) | Link::Dialling => Attempt::UnderWay {
                since: state.dialling_since,
            },
            Link::Down { since } => Attempt::Over { at: *since },
        };
        Standing::Away(Away {
            attempt,
            why: state.failure.clone(),
            is_lasting: state.is_lasting,
        })
    }

    /// The connection for a call that departs now. `None`: there is none any more.
    pub(super) fn board(self: &Arc<Self>, now: Instant) -> Option<Ride> {
        let state = self.lock();
        let Link::Up(live) = &state.link else {
            return None;
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Ride {
            endpoint: Arc::clone(self),
            connection: live.connection.clone(),
            number: state.number,
            taken_at: now,
        })
    }

    /// Notes how a call ended; `true`: the endpoint is one to eject.
    pub(super) fn note(&self, sign: Sign) -> bool {
        self.lock().record.note(sign)
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.lock().record.is_ejected(now)
    }

    pub(super) fn eject(&self, now: Instant) {
        let time = self.lock().record.eject(now);
        self.counters.eject_until(now + time);
        warn!(endpoint = %self.address, ?time, "the endpoint fails call after call: it is left alone");
    }

    /// It says whether it wants calls.
    pub(super) fn serving(&self, is_serving: bool) {
        let was_serving = std::mem::replace(&mut self.lock().is_serving, is_serving);
        if was_serving != is_serving {
            info!(endpoint = %self.address, is_serving, "the health of an endpoint changed");
            self.counters.set_serving(is_serving);
        }
    }

    /// It is being dialled.
    pub(super) fn dialling(&self) {
        let mut state = self.lock();
        state.link = Link::Dialling;
        state.dialling_since = Some(Instant::now());
        drop(state);
        self.counters.set_up(false);
    }

    /// It has a connection; the receiver hears when that is to be given up.
    pub(super) fn up(&self, connection: Connection, number: u64) -> oneshot::Receiver<()> {
        let (give_up, given_up) = oneshot::channel();
        let mut state = self.lock();
        state.number = number;
        state.was_heard = false;
        state.dialling_since = None;
        // Somebody is there, whatever comes of it.
        state.failure = None;
        state.is_lasting = false;
        state.is_serving = true;
        state.link = Link::Up(Live {
            connection,
            since: Instant::now(),
            heard_at: None,
            give_up: Some(give_up),
        });
        drop(state);
        self.counters.set_serving(true);
        self.counters.set_up(true);
        self.changed.notify_waiters();
        given_up
    }

    /// Whether a call heard something on the last connection.
    pub(super) fn was_heard(&self) -> bool {
        self.lock().was_heard
    }

    /// Its last connection was a good one, even if no call heard anything.
    pub(super) fn was_good(&self) {
        let mut state = self.lock();
        state.failures = 0;
        state.failure = None;
        state.is_lasting = false;
    }

    /// It could not be reached.
    pub(super) fn down(&self, why: NoConnection) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let told = why.why();
        match state.failures {
            // It may be a restart; the second failure is news, and the others are not.
            2 => {
                warn!(endpoint = %self.address, why = told, "the authorization service cannot be reached")
            }
            _ => debug!(endpoint = %self.address, why = told, "an endpoint cannot be reached"),
        }
        let now = Instant::now();
        let dialled_at = state.dialling_since.take();
        let was_slow = dialled_at.is_some_and(|at| now >= at + SLOW_FAILURE);
        state.is_lasting = was_slow || state.failures >= LASTING;
        state.failure = Some(why);
        state.link = Link::Down { since: now };
        drop(state);
        self.counters.set_up(false);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Fields are set one by one, and each is whole by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's place on a connection. The endpoint's load falls when it is dropped.
pub(super) struct Ride {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) connection: Connection,
    number: u64,
    taken_at: Instant,
}

impl Ride {
    /// The peer has said something.
    pub(super) fn heard(&self) {
        let mut state = self.endpoint.lock();
        if state.number != self.number {
            return;
        }
        // The connection may have ended meanwhile, with the answer as its last word.
        if let Link::Up(live) = &mut state.link {
            live.heard_at = Some(Instant::now());
        }
        state.patience = MIN_PATIENCE;
        state.was_heard = true;
        // Only now: some accept and close at once.
        if std::mem::take(&mut state.failures) > 1 {
            let endpoint = &self.endpoint.address;
            info!(%endpoint, "the authorization service can be reached again");
        }
    }

    /// The peer has said nothing until the call's deadline. A peer can die without closing anything,
    /// or a middlebox can go on acknowledging bytes for it; so the connection is given up, unless
    /// another call heard something meanwhile.
    pub(super) fn silent(&self) {
        let mut state = self.endpoint.lock();
        let (now, patience) = (Instant::now(), state.patience);
        let is_another = state.number != self.number;
        let Link::Up(live) = &mut state.link else {
            return;
        };
        let was_heard = live.heard_at > Some(self.taken_at);
        if is_another || was_heard || now < live.since + patience {
            return;
        }
        debug!(endpoint = %self.endpoint.address, "a connection is silent: it is given up");
        if let Some(give_up) = live.give_up.take() {
            let _ = give_up.send(());
        }
        state.patience = (patience * 2).min(MAX_PATIENCE);
        state.link = Link::Dialling;
    }

    /// The connection takes no more calls (GOAWAY), even if those under way go on.
    pub(super) fn refused(&self) {
        let mut state = self.endpoint.lock();
        if state.number != self.number {
            return;
        }
        if let Link::Up(live) = &mut state.link {
            if let Some(give_up) = live.give_up.take() {
                let _ = give_up.send(());
            }
            state.link = Link::Dialling;
        }
    }
}

impl Drop for Ride {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
