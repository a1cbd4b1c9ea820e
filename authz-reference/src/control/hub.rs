//! Directives in the order in which they were given, and those who watch for them.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidegate_proto::v1::{
    Heartbeat, InvalidateDecisions, ReasonCode, RecheckSubscriptions, SessionSelector,
    TerminateSessions, WatchDirectivesResponse, session_selector::Selector,
    watch_directives_response::Directive,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

/// Directives that are kept for those who come back or read slowly.
const KEPT: usize = 1_024;
/// Watches at the same time. A data plane has one, and for a moment two.
const MAX_WATCHES: usize = 1_024;
/// The contract asks for one in 30 s.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// What has been directed. Cheap to clone: all clones are one.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What every resume token of this process begins with: positions of another process mean nothing here.
    process: String,
    given: Mutex<Given>,
    /// The position after the last directive.
    news: watch::Sender<u64>,
    places: Arc<Semaphore>,
}

/// The last directives; the first of them has position `first`.
#[derive(Debug, Default)]
struct Given {
    first: u64,
    kept: VecDeque<Directive>,
    counts: Counts,
}

/// How many directives have been given, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// `InvalidateDecisions`.
    pub invalidate: u64,
    /// `RecheckSubscriptions`.
    pub recheck: u64,
    /// `TerminateSessions`.
    pub terminate: u64,
}

/// Whom a directive is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom<'a> {
    /// All sessions of a user.
    Principal(&'a str),
    /// Every session.
    Everybody,
}

impl Hub {
    /// Nothing given yet. `process` must be unique among all processes that data planes may watch.
    #[must_use]
    pub fn new(process: String) -> Self {
        Self(Arc::new(Inner {
            process,
            given: Mutex::default(),
            news: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(MAX_WATCHES)),
        }))
    }

    /// Has sessions ended; `reason` is for their clients.
    pub fn terminate(&self, principal: &str, reason: &str) {
        self.give([Directive::Terminate(TerminateSessions {
            sessions: Some(Whom::Principal(principal).selector()),
            reason_code: ReasonCode::AdministrativeAction.into(),
            reason_string: reason.to_owned(),
        })]);
    }

    /// Has decisions forgotten and live subscriptions asked about again.
    pub fn recheck(&self, whom: Whom<'_>) {
        self.give(doubt(whom));
    }

    /// A new watch, from the position of a token or, if that is unknown here, from now. `None`: there are too many.
    #[must_use]
    pub fn watch(&self, resume_token: &str) -> Option<Watcher> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        // Before the position is read: what is given meanwhile counts as news.
        let news = self.0.news.subscribe();
        let given = self.given();
        let resumed = self
            .position(resume_token)
            .filter(|position| (given.first..=given.end()).contains(position));
        let next = resumed.unwrap_or_else(|| given.end());
        drop(given);
        let opening = match resumed {
            // The first message comes at once, so that the data plane knows where it is.
            Some(_) => VecDeque::from([Directive::Heartbeat(Heartbeat {})]),
            None if resume_token.is_empty() => VecDeque::from([Directive::Heartbeat(Heartbeat {})]),
            None => doubt(Whom::Everybody).into(),
        };
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Watcher {
            hub: self.clone(),
            opening,
            next,
            is_resumed: resumed.is_some(),
            news,
            heartbeat,
            _place: place,
        })
    }

    /// Watches that are open.
    #[must_use]
    pub fn watches(&self) -> usize {
        MAX_WATCHES.saturating_sub(self.0.places.available_permits())
    }

    /// What has been given so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.given().counts
    }

    fn give<const N: usize>(&self, directives: [Directive; N]) {
        let mut given = self.given();
        for directive in directives {
            given.add(directive);
        }
        let end = given.end();
        drop(given);
        self.0.news.send_replace(end);
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.0.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, position: u64) -> String {
        format!("{}-{position}", self.0.process)
    }

    fn position(&self, token: &str) -> Option<u64> {
        let number = token
            .strip_prefix(self.0.process.as_str())?
            .strip_prefix('-')?;
        // Only what `token` writes: "+1" would parse as well.
        number
            .parse()
            .ok()
            .filter(|position| self.token(*position) == token)
    }
}

impl Given {
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn add(&mut self, directive: Directive) {
        match &directive {
            Directive::Invalidate(_) => self.counts.invalidate += 1,
            Directive::Recheck(_) => self.counts.recheck += 1,
            Directive::Terminate(_) => self.counts.terminate += 1,
            Directive::Heartbeat(_) => {}
        }
        self.kept.push_back(directive);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
            self.first += 1;
        }
    }

    /// `None`: not given yet.
    fn get(&self, position: u64) -> Result<Option<Directive>, Behind> {
        let place = position.checked_sub(self.first).ok_or(Behind)?;
        let place = usize::try_from(place).map_err(|_| Behind)?;
        Ok(self.kept.get(place).cloned())
    }
}

impl Whom<'_> {
    fn selector(self) -> SessionSelector {
        let selector = match self {
            Self::Principal(name) => Selector::Principal(name.to_owned()),
            Self::Everybody => Selector::SelectAll(true),
        };
        SessionSelector {
            selector: Some(selector),
        }
    }
}

/// Forget first: what is asked again must not be answered from memory.
fn doubt(whom: Whom<'_>) -> [Directive; 2] {
    let sessions = Some(whom.selector());
    [
        Directive::Invalidate(InvalidateDecisions {
            sessions: sessions.clone(),
        }),
        Directive::Recheck(RecheckSubscriptions { sessions }),
    ]
}

/// Directives have been given that are not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind;

/// What one data plane has still to hear.
#[derive(Debug)]
pub struct Watcher {
    hub: Hub,
    /// Comes before what has been given, and has no position of its own.
    opening: VecDeque<Directive>,
    next: u64,
    is_resumed: bool,
    news: watch::Receiver<u64>,
    heartbeat: Interval,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// Whether it goes on from the position of its token.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// The next message. Nothing is lost if this is dropped.
    ///
    /// # Errors
    /// If it has been too slow.
    pub async fn next(&mut self) -> Result<WatchDirectivesResponse, Behind> {
        if let Some(directive) = self.opening.pop_front() {
            // Whose stream breaks in the middle of the opening has not heard all of it, and keeps its old position.
            let position = self.opening.is_empty().then_some(self.next);
            return Ok(self.message(directive, position));
        }
        loop {
            let directive = self.hub.given().get(self.next)?;
            if let Some(directive) = directive {
                self.next += 1;
                return Ok(self.message(directive, Some(self.next)));
            }
            tokio::select! {
                biased;
                // The other end is in the hub.
                _ = self.news.changed() => {}
                _ = self.heartbeat.tick() => {
                    let heartbeat = Directive::Heartbeat(Heartbeat {});
                    return Ok(self.message(heartbeat, Some(self.next)));
                }
            }
        }
    }

    fn message(&self, directive: Directive, position: Option<u64>) -> WatchDirectivesResponse {
        WatchDirectivesResponse {
            resume_token: position.map_or_else(String::new, |position| self.hub.token(position)),
            directive: Some(directive),
        }
    }
}
