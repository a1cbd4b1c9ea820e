//! Users that have changed lately: what a session state can't know, because it was sealed before.
//!
//! Checks of PUBLISH and SUBSCRIBE touch no store. So whoever hears of a change ([`crate::users::changes`]) notes it
//! here, *before* the data planes are told to ask again: what they ask then is judged by what the user is now.
//!
//! Each store is kept apart: what one of them says about a name does not concern the user of another by that name.
//! Until a store has told what changed before this process listened, sessions of its users can't be judged at all.
//!
//! Entries are kept as long as a session state can be older than they are. There is room for [`MAX_NAMES`]; where that
//! does not suffice, and where changes may have been missed, sessions from before are told to log in again.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::{
    identity::UserName,
    session_state::{CLOCKS_APART, Stored},
    users::{
        Account,
        changes::{Changed, Current},
    },
};

/// Changed users that are remembered, of each store.
pub const MAX_NAMES: usize = 100_000;

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
    /// This store has not told yet what has changed: nobody can say now.
    NotYet(&'static str),
}

/// Changed users. Cheap to ask, above all while nothing has changed.
#[derive(Debug)]
pub struct Recent {
    stores: Vec<Store>,
    /// How old a session state may be: what has been noted longer ago concerns none.
    max_age: Duration,
    max_names: usize,
}

#[derive(Debug)]
struct Store {
    name: &'static str,
    /// It has been heard from, and there is nothing to look up.
    quiet: AtomicBool,
    noted: RwLock<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    heard: bool,
    users: HashMap<UserName, Entry>,
    /// States sealed up to then, of users without an entry, may be out of date.
    horizon: Option<SystemTime>,
}

#[derive(Debug, Clone)]
struct Entry {
    now: Current,
    at: SystemTime,
    /// Sessions from up to then were opened with what is no longer valid.
    log_in_again: Option<SystemTime>,
}

impl Recent {
    /// Nothing has been heard yet from any of `stores`. `max_age` is how old session states may get.
    #[must_use]
    pub fn new(max_age: Duration, stores: &[&'static str]) -> Self {
        Self::bounded(max_age, stores, MAX_NAMES)
    }

    fn bounded(max_age: Duration, stores: &[&'static str], max_names: usize) -> Self {
        let store = |name: &&'static str| Store {
            name,
            quiet: AtomicBool::new(false),
            noted: RwLock::default(),
        };
        Self {
            stores: stores.iter().map(store).collect(),
            max_age,
            max_names,
        }
    }

    /// Remembers one change. The last one heard counts.
    pub fn note(&self, changed: &Changed) {
        self.note_at(changed, SystemTime::now());
    }

    /// The store has told what had changed before. Of whom it has not told, states sealed up to `only_these` are out
    /// of date, if that is given.
    pub fn heard(&self, source: &str, only_these: Option<SystemTime>) {
        let Some(store) = self.store(source) else {
            return;
        };
        let mut noted = store.change();
        noted.heard = true;
        noted.horizon = noted.horizon.max(only_these);
        store.settle(&noted);
    }

    /// Changes of a store may have been missed: everybody who has logged in before has to do so again.
    pub fn unknown(&self, source: &str) {
        self.unknown_at(source, SystemTime::now());
    }

    /// Whether all stores have told what had changed before this process listened.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        let heard = |store: &Store| {
            let noted = store.noted.read().unwrap_or_else(PoisonError::into_inner);
            noted.heard
        };
        self.stores.iter().all(heard)
    }

    /// What to make of a state of `name` that was sealed then.
    #[must_use]
    pub fn judge(&self, stored: &Stored, name: &UserName, sealed_at: SystemTime) -> Standing {
        let Some(store) = self.store(&stored.source) else {
            // Logged in by a store that was configured once: this service does not know the user.
            return Standing::Ask;
        };
        if store.quiet.load(Ordering::Acquire) {
            return Standing::AsSealed;
        }
        let noted = store.noted.read().unwrap_or_else(PoisonError::into_inner);
        if !noted.heard {
            return Standing::NotYet(store.name);
        }
        match noted.users.get(name) {
            Some(entry) => entry.judge(stored, sealed_at),
            None if noted
                .horizon
                .is_some_and(|horizon| is_up_to(sealed_at, horizon)) =>
            {
                Standing::Ask
            }
            None => Standing::AsSealed,
        }
    }

    fn store(&self, name: &str) -> Option<&Store> {
        self.stores.iter().find(|store| store.name == name)
    }

    fn note_at(&self, changed: &Changed, now: SystemTime) {
        let Some(store) = self.store(changed.source) else {
            return;
        };
        let mut noted = store.change();
        let before = noted.users.get(&changed.name);
        // A clock that goes back undoes nothing.
        let at = changed
            .at
            .max(before.map_or(SystemTime::UNIX_EPOCH, |entry| entry.at));
        // Somebody who comes back after they were gone is not whom the old sessions belong to.
        let returned = before.is_some_and(|entry| entry.now == Current::Gone);
        let log_in_again = if changed.credentials || changed.now == Current::Gone || returned {
            Some(at)
        } else {
            before.and_then(|entry| entry.log_in_again)
        };
        if before.is_none() && noted.users.len() >= self.max_names {
            noted.make_room(self.max_age, now);
        }
        let entry = Entry {
            now: changed.now.clone(),
            at,
            log_in_again,
        };
        noted.users.insert(changed.name.clone(), entry);
        store.settle(&noted);
    }

    fn unknown_at(&self, source: &str, now: SystemTime) {
        let Some(store) = self.store(source) else {
            return;
        };
        let mut noted = store.change();
        // What is remembered may have been overtaken as well.
        noted.users.clear();
        noted.horizon = noted.horizon.max(Some(now));
        store.settle(&noted);
    }
}

impl Store {
    fn change(&self) -> RwLockWriteGuard<'_, Noted> {
        self.noted.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, noted: &Noted) {
        let quiet = noted.heard && noted.users.is_empty() && noted.horizon.is_none();
        self.quiet.store(quiet, Ordering::Release);
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
    fn judge(&self, stored: &Stored, sealed_at: SystemTime) -> Standing {
        match &self.now {
            // Sealed by a replica that knew less, or that knows more by now.
            Current::Gone if !is_up_to(sealed_at, self.at) => Standing::Ask,
            Current::Is(account, _) if account.disabled && !is_up_to(sealed_at, self.at) => {
                Standing::Ask
            }
            _ if !is_up_to(sealed_at, self.at) => Standing::AsSealed,
            Current::Gone => Standing::Gone,
            Current::Unreadable => Standing::Ask,
            // Whose password is another one by now.
            Current::Is(_, credential) if *credential != stored.credential => Standing::Ask,
            // Without the allowance for clocks: who has logged in again at once must not have to do so for ever.
            Current::Is(..) if self.log_in_again.is_some_and(|at| sealed_at <= at) => Standing::Ask,
            Current::Is(account, _) => Standing::Now(Arc::clone(account)),
        }
    }
}

/// Whether a state was sealed no later than `at`, as far as clocks tell. To judge one that was sealed a little later by
/// what was heard does no harm; the other way round a removed grant would live on.
fn is_up_to(sealed_at: SystemTime, at: SystemTime) -> bool {
    at.checked_add(CLOCKS_APART)
        .is_none_or(|until| sealed_at <= until)
}

#[cfg(test)]
mod tests;
