//! Changes of the user base that sessions have to hear of.
//!
//! A source that stores users tells each change, whoever made it and on whichever machine: the file after it was
//! read again, SQLite and PostgreSQL by the revision of each row. [`Changed::now`] is what the user is from now
//! on; who listens compares it with what it knew.
//!
//! At first it tells what sessions may not know that are older than this process ([`Change::Earlier`]), and that this
//! was all ([`Change::Heard`]).

use std::{sync::Arc, time::SystemTime};

use tokio::sync::mpsc;

use super::{Account, User};
use crate::{identity::UserName, password::HashId};

/// One user has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The source that stores them. Another source may have somebody else by the same name.
    pub source: &'static str,
    /// Who.
    pub name: UserName,
    /// What they are now.
    pub now: Current,
    /// Whether sessions from before are not theirs any more: another password, disabled, removed.
    pub credentials: bool,
    /// From when on they are that. A session state sealed before it is older than the change.
    pub at: SystemTime,
}

/// What somebody is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// They have this account, and log in with this.
    Is(Arc<Account>, HashId),
    /// There is no such user any more.
    Gone,
    /// What is stored about them makes no user, so that nobody can say what they may do.
    Unreadable,
}

/// What a source tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// One user.
    User(Changed),
    /// One user, and it may have happened before anybody listened here: for judging older sessions, no reason to end
    /// any.
    Earlier(Changed),
    /// All of [`Self::Earlier`] has been told.
    Heard {
        /// By whom.
        source: &'static str,
        /// Who was not told about was not known then: sessions of such users from up to then have to begin again.
        /// `None`: who was not told about has not changed.
        only_these: Option<SystemTime>,
    },
    /// Changes of this source may have been missed: everything known is to be asked about again.
    Unknown(&'static str),
    /// A service that shares the source decides about topics by other rules now; it may be this one.
    Rules,
}

impl From<&User> for Current {
    fn from(user: &User) -> Self {
        Self::Is(Arc::new(user.account.clone()), user.password.id())
    }
}

impl Current {
    /// The account, if there is one.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Is(account, _) => Some(account),
            Self::Gone | Self::Unreadable => None,
        }
    }
}

/// Where a source tells its changes. Bounded: who tells waits for who listens.
pub type ChangeSender = mpsc::Sender<Change>;
/// Where they are heard.
pub type Changes = mpsc::Receiver<Change>;
