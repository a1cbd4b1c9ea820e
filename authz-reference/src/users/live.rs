//! The users of a running service: the file, read again when it has changed.
//!
//! There is no watcher: a CONNECT that comes at least [`LOOK_EVERY`] after the last look has the
//! file's metadata compared first. So a new user can log in without a restart, and a bad edit
//! costs a log line, not the users that were there before.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{task, time::Instant};

use super::{
    Users,
    file::{self, UsersFileError},
    source::{Found, Login, SourceError, UserSource},
};
use crate::{deadline::Deadline, identity::UserName, policy::Refusal};

/// How long one look at the file's metadata is good for.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Users that follow their file.
#[derive(Debug)]
pub struct LiveUsers {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    users: Arc<Users>,
    /// What the file looked like when it was last read, whether that went well or not. `None`:
    /// there was no file.
    read: Option<Fingerprint>,
    looked: Instant,
}

/// Enough to notice an edit in place as well as a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    modified: SystemTime,
    size: u64,
    device: u64,
    inode: u64,
}

impl LiveUsers {
    /// Reads the file for the first time. A missing one is nobody: a warning, since the file may
    /// be made later, and nobody can log in until then.
    ///
    /// # Errors
    /// If there is a file and it cannot be used.
    pub fn open(path: PathBuf) -> Result<Self, UsersFileError> {
        // Before reading: an edit in between then shows as a change at the next look.
        let read = Fingerprint::of(&path).unwrap_or(None);
        let users = match file::load(&path) {
            Err(error) if error.is_missing() => {
                tracing::warn!(
                    file = %path.display(),
                    "there is no users file: nobody can log in until `tidegate-authz user add` \
                     has made one"
                );
                Users::default()
            }
            users => users?,
        };
        let state = State {
            users: Arc::new(users),
            read,
            looked: Instant::now(),
        };
        Ok(Self {
            path,
            state: Mutex::new(state),
        })
    }

    /// The users, after a look at the file if the last one was [`LOOK_EVERY`] ago.
    pub async fn current(&self) -> Arc<Users> {
        let (users, read) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.looked.elapsed() < LOOK_EVERY {
                return Arc::clone(&state.users);
            }
            // Whoever comes meanwhile goes on with what there is.
            state.looked = Instant::now();
            (Arc::clone(&state.users), state.read)
        };
        let path = self.path.clone();
        // A slow disk must not hold up a thread that serves others.
        let Ok(Some(change)) = task::spawn_blocking(move || Change::since(read, &path)).await
        else {
            return users;
        };
        self.adopt(change)
    }

    fn adopt(&self, change: Change) -> Arc<Users> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.read = change.read;
        match change.users {
            Ok(users) => {
                tracing::info!(users = users.len(), "read the users file again");
                state.users = Arc::new(users);
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    users = state.users.len(),
                    "the users file has changed but cannot be used; keeping the users as they were"
                );
            }
        }
        Arc::clone(&state.users)
    }
}

#[tonic::async_trait]
impl UserSource for LiveUsers {
    fn name(&self) -> &'static str {
        "file"
    }

    async fn find(&self, login: &Login<'_>, _: Deadline) -> Result<Found, SourceError> {
        let Some(name) = login.username else {
            return Ok(Found::NotMine);
        };
        let Ok(name) = UserName::new(name) else {
            return Ok(Found::Refused(Refusal::UserName));
        };
        let credential = self.current().await.credential(&name);
        Ok(Found::Stored(name, credential))
    }
}

/// A file that is not what was read before.
struct Change {
    read: Option<Fingerprint>,
    users: Result<Users, UsersFileError>,
}

impl Change {
    fn since(before: Option<Fingerprint>, path: &Path) -> Option<Self> {
        // A file that cannot even be looked at is not known to have changed.
        let read = Fingerprint::of(path).ok()?;
        (read != before).then(|| Self {
            read,
            users: file::load(path),
        })
    }
}

impl Fingerprint {
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            modified: metadata.modified()?,
            size: metadata.len(),
            device: metadata.dev(),
            inode: metadata.ino(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA";

    fn users(names: &[&str]) -> String {
        names
            .iter()
            .map(|name| format!("[users.{name}]\npassword = \"{HASH}\"\n"))
            .collect()
    }

    async fn next_look(live: &LiveUsers) -> usize {
        tokio::time::advance(LOOK_EVERY).await;
        live.current().await.len()
    }

    #[tokio::test(start_paused = true)]
    async fn follows_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let live = LiveUsers::open(path.clone()).unwrap();
        assert_eq!(live.current().await.len(), 0, "no file");

        fs::write(&path, users(&["alice"])).unwrap();
        assert_eq!(live.current().await.len(), 0, "not so soon");
        assert_eq!(next_look(&live).await, 1, "made");

        fs::write(&path, users(&["alice", "bob"])).unwrap();
        assert_eq!(next_look(&live).await, 2, "edited");

        fs::write(&path, "[users.alice]\npassword = 1").unwrap();
        assert_eq!(next_look(&live).await, 2, "spoilt: the last good one stays");

        fs::remove_file(&path).unwrap();
        assert_eq!(next_look(&live).await, 2, "gone: the last good one stays");

        fs::write(&path, users(&["carol"])).unwrap();
        assert_eq!(next_look(&live).await, 1, "back");
    }

    #[tokio::test]
    async fn a_bad_file_at_the_start_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        fs::write(&path, "[users.alice]\n").unwrap();
        assert!(LiveUsers::open(path).is_err());
    }
}
