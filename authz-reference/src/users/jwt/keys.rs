//! The issuer's keys: [`KeySet`] is what there is, [`Keys`] keeps it up to date.
//!
//! One task fetches; logins look at what it has, and may ask it to look again. So a slow issuer is asked once at a
//! time, however many clients wait, and at most every `min_refresh`, whatever key ids clients make up.

use std::{sync::Arc, time::SystemTime};

use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Duration, Instant, sleep_until, timeout_at},
};
use tracing::{debug, info, warn};

use self::fetch::{Fetch, Fetched};
pub(super) use self::set::KeySet;
use super::{Current, NAME};
use crate::{config::jwt::JwtConfig, users::http::OpenError};

mod fetch;
mod set;

/// The keys, read again now and then.
#[derive(Debug)]
pub(super) struct Keys {
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
    pace: Pace,
    task: AbortHandle,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    refresh: Duration,
    min_refresh: Duration,
    max_stale: Duration,
}

/// What the task knows.
#[derive(Debug, Clone, Default)]
struct State {
    keys: Option<Current>,
    /// When the keys were last seen to be these.
    good: Option<Instant>,
    /// The same by the clock that tokens are dated by, and not later than the issuer was asked.
    seen: Option<SystemTime>,
    /// When the last attempt ended.
    tried: Option<Instant>,
    /// Why it failed, if it did.
    problem: Option<String>,
}

impl Keys {
    /// Begins to follow the keys that `config` names, if it names some. A file is read at once, and has to be good.
    pub(super) fn open(config: &JwtConfig) -> Result<Option<Self>, OpenError> {
        let Some(fetch) = Fetch::of(config)? else {
            return Ok(None);
        };
        let mut state = State::default();
        let asked = SystemTime::now();
        if let Some(set) = fetch.read_file_now()? {
            state.learn(Ok(Fetched::Keys(set)), asked);
        }
        let pace = Pace {
            refresh: config.refresh,
            min_refresh: config.min_refresh,
            max_stale: config.max_stale,
        };
        let (sender, state) = watch::channel(state);
        let wanted = Arc::<Notify>::default();
        let task = tokio::spawn(follow(fetch, sender, Arc::clone(&wanted), pace));
        Ok(Some(Self {
            state,
            wanted,
            pace,
            task: task.abort_handle(),
        }))
    }

    /// The keys; newer ones if these are not `enough`. They may still not be enough then: the issuer has no others.
    ///
    /// # Errors
    /// If there are none that can be believed, or these are not enough and newer ones could not be had, or are not due
    /// yet.
    pub(super) async fn current(
        &self,
        enough: impl Fn(&KeySet) -> bool + Send + Sync,
    ) -> Result<Current, NotEnough> {
        let mut receiver = self.state.clone();
        let mut state = receiver.borrow_and_update().clone();
        let satisfied = |state: &State| {
            let keys = state.believed(self.pace.max_stale);
            keys.filter(|keys| enough(keys))
        };
        if let Some(keys) = satisfied(&state) {
            return Ok(keys);
        }
        let due = |tried: Instant| tried.elapsed() >= self.pace.min_refresh;
        self.wanted.notify_one();
        if !state.tried.is_none_or(due) {
            return Err(self.not_enough(&state, None));
        }
        if receiver.changed().await.is_err() {
            return Err(self.not_enough(&state, Some("nobody reads the keys any more")));
        }
        state = receiver.borrow().clone();
        match (state.believed(self.pace.max_stale), &state.problem) {
            (Some(keys), _) if enough(&keys) => Ok(keys),
            (Some(keys), None) => Ok(keys),
            _ => Err(self.not_enough(&state, None)),
        }
    }

    fn not_enough(&self, state: &State, problem: Option<&str>) -> NotEnough {
        let keys = state.believed(self.pace.max_stale);
        let too_old = keys
            .is_none()
            .then_some("there are no keys, or they are too old");
        let problem = problem.or(state.problem.as_deref()).or(too_old);
        NotEnough {
            last: keys.zip(state.seen),
            problem: problem.map(ToOwned::to_owned),
        }
    }
}

/// The keys that are known are not enough, and there are no newer ones. What the issuer has now is not known: it may
/// have changed its keys since.
#[derive(Debug)]
pub(super) struct NotEnough {
    /// The keys that are known and can be believed, and when the issuer had them.
    pub(super) last: Option<(Current, SystemTime)>,
    /// Why newer ones could not be had. Otherwise it is only too early to ask for them.
    pub(super) problem: Option<String>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(mut fetch: Fetch, state: watch::Sender<State>, wanted: Arc<Notify>, pace: Pace) {
    loop {
        let last = state.borrow().tried;
        if let Some(tried) = last {
            let failed = state.borrow().problem.is_some();
            let earliest = tried + pace.min_refresh;
            let latest = if failed {
                earliest
            } else {
                tried + pace.refresh
            };
            sleep_until(earliest).await;
            timeout_at(latest.max(earliest), wanted.notified())
                .await
                .ok();
        }
        let asked = SystemTime::now();
        let fetched = fetch.run().await;
        if let Err(problem) = &fetched {
            warn!(
                source = NAME,
                problem, "cannot read the keys of the token issuer"
            );
        }
        state.send_modify(|state| state.learn(fetched, asked));
    }
}

impl State {
    fn learn(&mut self, fetched: Result<Fetched, String>, asked: SystemTime) {
        let now = Instant::now();
        self.tried = Some(now);
        match fetched {
            Ok(Fetched::Keys(keys)) => {
                info!(
                    source = NAME,
                    keys = keys.len(),
                    "read the keys of the token issuer"
                );
                self.keys = Some(Arc::new(keys));
                self.good = Some(now);
                self.seen = Some(asked);
                self.problem = None;
            }
            Ok(Fetched::Unchanged) => {
                debug!(source = NAME, "the keys of the token issuer are the same");
                self.good = Some(now);
                self.seen = Some(asked);
                self.problem = None;
            }
            // The last good ones stay.
            Err(problem) => self.problem = Some(problem),
        }
    }

    fn believed(&self, max_stale: Duration) -> Option<Current> {
        let fresh = |good: Instant| good.elapsed() <= max_stale;
        self.keys.clone().filter(|_| self.good.is_some_and(fresh))
    }
}
