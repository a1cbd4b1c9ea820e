//! Changes of the user base that sessions have to hear of.
//!
//! A source that stores users tells each change, whoever made it and on whichever machine: the file after it was
//! read again, SQLite and PostgreSQL by the revision of each row. [`Changed::user`] is what the user is from now
//! on; who listens compares it with what it knew.

use std::{sync::Arc, time::SystemTime};

use tokio::sync::mpsc;

use super::Account;
use crate::identity::UserName;

/// One user has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Who.
    pub name: UserName,
    /// What they are now; `None` if they are gone.
    pub user: Option<Arc<Account>>,
    /// Whether what they log in with is another now.
    pub credentials: bool,
    /// When, by the clock of whoever stores it. A session state sealed before it is older than the change.
    pub at: SystemTime,
}

/// What a source tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// One user.
    User(Changed),
    /// Changes may have been missed: everything known is to be asked about again.
    Unknown,
    /// A service that shares the source decides about topics by other rules now; it may be this one.
    Rules,
}

/// Where a source tells its changes. Bounded: who tells waits for who listens.
pub type ChangeSender = mpsc::Sender<Change>;
/// Where they are heard.
pub type Changes = mpsc::Receiver<Change>;
