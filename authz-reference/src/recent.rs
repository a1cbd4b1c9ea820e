//! Users that have changed lately: what a session state can't know, because it was sealed before.
//!
//! Checks of PUBLISH and SUBSCRIBE touch no store. So whoever hears of a change ([`crate::users::changes`]) notes it
//! here, *before* the data planes are told to ask again: what they ask then is judged by what the user is now.
//!
//! Entries are kept as long as a session state can be older than they are. There is room for [`MAX_NAMES`]; where that
//! does not suffice, and where changes may have been missed, sessions from before are told to log in again.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::{
    identity::UserName,
    users::{Account, changes::Changed},
};

/// Changed users that are remembered.
pub const MAX_NAMES: usize = 100_000;

/// How far the clocks of replicas and stores may be apart. A state that was sealed this much *after* a change is still
/// judged by what was heard last, which does no harm; the other way round a removed grant would live on.
const SKEW: Duration = Duration::from_secs(5);

/// How what a session state says about somebody stands to what is known by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has changed since it was sealed.
    AsSealed,
    /// They have this account now.
    Now(Arc<Account>),
    /// There is no such user any more.
    Gone,
    /// They log in with something else now, or it is not known what has changed: the session has to begin again.
    Ask,
}

/// Changed users. Cheap to ask, above all while nothing has changed.
#[derive(Debug)]
pub struct Recent {
    /// Whether there is anything to look up.
    any: AtomicBool,
    noted: RwLock<Noted>,
    /// How old a session state may be: what has been noted longer ago concerns none.
    max_age: Duration,
    max_names: usize,
}

#[derive(Debug, Default)]
struct Noted {
    users: HashMap<UserName, Entry>,
    /// States sealed up to then, of users without an entry, may be out of date.
    horizon: Option<SystemTime>,
}

#[derive(Debug, Clone)]
struct Entry {
    user: Option<Arc<Account>>,
    /// The later one of when it was stored and when it was heard of.
    at: SystemTime,
    /// Sessions from up to then were opened with what is no longer valid.
    log_in_again: Option<SystemTime>,
}

impl Recent {
    /// Nothing has changed yet. `max_age` is how old session states may get.
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self::bounded(max_age, MAX_NAMES)
    }

    fn bounded(max_age: Duration, max_names: usize) -> Self {
        Self {
            any: AtomicBool::new(false),
            noted: RwLock::default(),
            max_age,
            max_names,
        }
    }

    /// Remembers one change. The last one heard counts, whatever the clocks say.
    pub fn note(&self, changed: &Changed) {
        self.note_at(changed, SystemTime::now());
    }

    /// Remembers a change that is older than this process. Who has logged in since then knows it: a restart is no reason
    /// to log in again.
    pub fn note_earlier(&self, changed: &Changed) {
        self.note_at(changed, changed.at);
    }

    /// There were changes up to then that are not known one by one: everybody who has logged in before has to do so
    /// again.
    pub fn unknown_until(&self, at: SystemTime) {
        let mut noted = self.noted.write().unwrap_or_else(PoisonError::into_inner);
        noted.horizon = noted.horizon.max(Some(at));
        self.any.store(true, Ordering::Release);
    }

    /// Changes may have been missed: everybody who has logged in before has to do so again.
    pub fn unknown(&self) {
        self.unknown_at(SystemTime::now());
    }

    /// What to make of a state of `name` that was sealed then.
    #[must_use]
    pub fn judge(&self, name: &UserName, sealed_at: SystemTime) -> Standing {
        if !self.any.load(Ordering::Acquire) {
            return Standing::AsSealed;
        }
        let noted = self.noted.read().unwrap_or_else(PoisonError::into_inner);
        match noted.users.get(name) {
            Some(entry) => entry.judge(sealed_at),
            None if noted.horizon.is_some_and(|horizon| sealed_at <= horizon) => Standing::Ask,
            None => Standing::AsSealed,
        }
    }

    fn note_at(&self, changed: &Changed, now: SystemTime) {
        let mut noted = self.noted.write().unwrap_or_else(PoisonError::into_inner);
        let before = noted.users.get(&changed.name);
        let at = changed
            .at
            .max(now)
            .max(before.map_or(SystemTime::UNIX_EPOCH, |entry| entry.at));
        // Somebody who comes back after they were gone is not whom the old sessions belong to.
        let returned = before.is_some_and(|entry| entry.user.is_none());
        let log_in_again = if changed.credentials || changed.user.is_none() || returned {
            Some(at)
        } else {
            before.and_then(|entry| entry.log_in_again)
        };
        if before.is_none() && noted.users.len() >= self.max_names {
            noted.make_room(self.max_age, now);
        }
        let entry = Entry {
            user: changed.user.clone(),
            at,
            log_in_again,
        };
        noted.users.insert(changed.name.clone(), entry);
        self.any.store(true, Ordering::Release);
    }

    fn unknown_at(&self, now: SystemTime) {
        let mut noted = self.noted.write().unwrap_or_else(PoisonError::into_inner);
        // What is remembered may have been overtaken as well.
        noted.users.clear();
        noted.horizon = noted.horizon.max(Some(now));
        self.any.store(true, Ordering::Release);
    }
}

impl Noted {
    /// Forgets what no valid state can be older than; if that is not enough, the older half.
    fn make_room(&mut self, max_age: Duration, now: SystemTime) {
        let before = self.users.len();
        self.users
            .retain(|_, entry| match entry.at.checked_add(max_age) {
                Some(until) => until >= now,
                None => true,
            });
        if self.users.len() <= before / 2 {
            return;
        }
        let mut times: Vec<SystemTime> = self.users.values().map(|entry| entry.at).collect();
        let middle = times.len() / 2;
        let (_, &mut cutoff, _) = times.select_nth_unstable(middle);
        self.users.retain(|_, entry| entry.at > cutoff);
        self.horizon = self.horizon.max(Some(cutoff));
        tracing::warn!(
            kept = self.users.len(),
            "too many users have changed to remember them all: sessions from before have to log in again"
        );
    }
}

impl Entry {
    fn judge(&self, sealed_at: SystemTime) -> Standing {
        let older = self
            .at
            .checked_add(SKEW)
            .is_none_or(|until| sealed_at <= until);
        match &self.user {
            _ if !older => Standing::AsSealed,
            None => Standing::Gone,
            // Without the allowance for clocks: who has logged in again at once must not have to do so for ever.
            Some(_) if self.log_in_again.is_some_and(|at| sealed_at <= at) => Standing::Ask,
            Some(account) => Standing::Now(Arc::clone(account)),
        }
    }
}

#[cfg(test)]
mod tests;
