//! The end of a gate: not ready any more, nobody new, and then one session after the other.
//!
//! ```text
//!   stop ─► readyz 503 ─► delay ─► no accept ─► waves of sessions ─► timeout ─► what remains is cut
//! ```
//!
//! Which session goes when is decided at accept: each belongs to one of 128 waves, in turn. A session has no
//! timer for it, and nothing that it would have to remember.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    select,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::config;

/// Into how many parts the sessions are divided.
const WAVES: usize = 128;

/// How far the end is, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Nobody wants it.
    None,
    /// It takes its time.
    Drain,
    /// All sessions are told at once.
    Quit,
}

/// Where the end is asked for. Clones are the same place.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Sender<Ending>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(Ending::None))
    }
}

impl Stop {
    /// Asks for this end, or a later stage of it; there is no way back.
    pub(crate) fn ask(&self, ending: Ending) {
        self.0.send_if_modified(|now| {
            let is_later = ending > *now;
            *now = ending.max(*now);
            is_later
        });
    }

    /// What was asked for.
    pub(crate) fn asked(&self) -> Ending {
        *self.0.borrow()
    }

    /// Done when this was asked for.
    pub(crate) async fn reached(&self, ending: Ending) {
        let mut asked = self.0.subscribe();
        // Err: nobody can ask any more, which is while `self` lives never so.
        let _ = asked.wait_for(|now| *now >= ending).await;
    }
}

/// The waves in which sessions are told to go.
#[derive(Debug, Clone)]
pub(crate) struct Waves(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: Vec<CancellationToken>,
    next: AtomicUsize,
}

impl Default for Waves {
    fn default() -> Self {
        Self(Arc::new(Inner {
            tokens: (0..WAVES).map(|_| CancellationToken::new()).collect(),
            next: AtomicUsize::new(0),
        }))
    }
}

impl Waves {
    /// What tells the next session to go.
    pub(crate) fn next(&self) -> CancellationToken {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.tokens[number % WAVES].clone()
    }
}

/// What a drain works on.
#[derive(Debug)]
pub(crate) struct Draining {
    /// How long it takes.
    pub(crate) times: config::Drain,
    /// Ends the accepting.
    pub(crate) accept: CancellationToken,
    /// The listeners.
    pub(crate) accepting: TaskTracker,
    /// Tells the sessions.
    pub(crate) waves: Waves,
    /// The sessions.
    pub(crate) sessions: TaskTracker,
    /// Whether there is no time for it.
    pub(crate) stop: Stop,
}

impl Draining {
    /// Goes through it.
    pub(crate) async fn run(self) {
        info!(sessions = self.sessions.len(), delay = ?self.times.delay, "draining");
        self.unless_quit(sleep(self.times.delay)).await;
        self.accept.cancel();
        self.accepting.close();
        self.accepting.wait().await;
        self.sessions.close();

        let pause = pause(self.times.duration, self.sessions.len());
        for token in &self.waves.0.tokens {
            token.cancel();
            if !pause.is_zero() && !self.sessions.is_empty() {
                let gone = async {
                    select! {
                        () = sleep(pause) => {}
                        () = self.sessions.wait() => {}
                    }
                };
                self.unless_quit(gone).await;
            }
        }
        let ended = timeout(self.times.timeout, self.sessions.wait()).await;
        if ended.is_err() {
            warn!(
                sessions = self.sessions.len(),
                "cutting the sessions that did not end in time"
            );
        }
    }

    /// Waits, if there is time for it.
    async fn unless_quit(&self, wait: impl Future<Output = ()>) {
        select! {
            biased;
            () = self.stop.reached(Ending::Quit) => {}
            () = wait => {}
        }
    }
}

/// The time from wave to wave. A few sessions are no storm, and do not take the whole time.
fn pause(duration: Duration, sessions: usize) -> Duration {
    let share = sessions.min(WAVES) as f64 / WAVES as f64;
    duration.mul_f64(share) / WAVES as u32
}

#[cfg(test)]
mod tests;
