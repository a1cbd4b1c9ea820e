//! The users of a running service: the file, read again when it has changed.
//!
//! Its metadata is looked at four times a second. So a new user can log in without a restart, live sessions hear of a
//! removed one within a second, and a bad edit costs a log line, not the users that were there before.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    task::{self, AbortHandle},
    time::sleep,
};

use super::{
    Users,
    changes::{self, ChangeSender, Changed},
    file::{self, FileFormat, UsersFileError},
    source::{Found, Login, SourceError, UserSource},
};
use crate::{deadline::Deadline, identity::UserName, policy::Refusal};

/// Between two looks at the file's metadata.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Changes that are told one by one. More are told as "anything may have changed".
const TOLD_ONE_BY_ONE: usize = 1_000;

/// Users that follow their file, until this is dropped.
#[derive(Debug)]
pub struct LiveUsers {
    users: Arc<Mutex<Arc<Users>>>,
    following: AbortHandle,
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
    /// Reads the file for the first time, and follows it from then on. A missing one is nobody: a warning, since the
    /// file may be made later, and nobody can log in until then.
    ///
    /// To be called within a Tokio runtime.
    ///
    /// # Errors
    /// If there is a file and it cannot be used.
    pub fn open(
        path: PathBuf,
        format: FileFormat,
        changes: ChangeSender,
    ) -> Result<Self, UsersFileError> {
        // Before reading: an edit in between then shows as a change at the next look.
        let read = Fingerprint::of(&path).unwrap_or(None);
        let users = match file::load(&path, format) {
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
        let users = Arc::new(Mutex::new(Arc::new(users)));
        let follower = Follower {
            path,
            format,
            changes,
            users: Arc::clone(&users),
        };
        Ok(Self {
            users,
            following: task::spawn(follower.run(read)).abort_handle(),
        })
    }

    /// The users, as they were read last.
    #[must_use]
    pub fn current(&self) -> Arc<Users> {
        Arc::clone(&self.users.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for LiveUsers {
    fn drop(&mut self) {
        self.following.abort();
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
            // A token is no name, and somebody else's to look at.
            return Ok(match super::token::looks_like_one(name) {
                true => Found::NotMine,
                false => Found::Refused(Refusal::UserName),
            });
        };
        let credential = self.current().credential(&name);
        Ok(Found::Stored(name, credential))
    }
}

struct Follower {
    path: PathBuf,
    format: FileFormat,
    changes: ChangeSender,
    users: Arc<Mutex<Arc<Users>>>,
}

impl Follower {
    /// `read` is what the file looked like when it was last read, whether that went well or not; `None`: there was
    /// no file.
    async fn run(self, mut read: Option<Fingerprint>) {
        loop {
            sleep(LOOK_EVERY).await;
            let (path, format) = (self.path.clone(), self.format);
            // A slow disk must not hold up a thread that serves others.
            let look = task::spawn_blocking(move || NewFile::since(read, &path, format));
            if let Ok(Some(new)) = look.await {
                read = new.read;
                self.adopt(new.users).await;
            }
        }
    }

    async fn adopt(&self, users: Result<Users, UsersFileError>) {
        let before = self.current();
        let after = match users {
            Ok(users) => Arc::new(users),
            Err(error) => {
                tracing::error!(
                    %error,
                    users = before.len(),
                    "the users file has changed but cannot be used; keeping the users as they were"
                );
                return;
            }
        };
        tracing::info!(users = after.len(), "read the users file again");
        // Who is told to come back must meet the new users.
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&after);
        for change in differences(&before, &after) {
            // Nobody listens while the service ends.
            self.changes.send(change).await.ok();
        }
    }

    fn current(&self) -> Arc<Users> {
        Arc::clone(&self.users.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who is gone, new or different.
fn differences(before: &Users, after: &Users) -> Vec<changes::Change> {
    let at = SystemTime::now();
    let gone = before
        .by_name
        .keys()
        .filter(|name| !after.by_name.contains_key(*name));
    let gone = gone.map(|name| Changed {
        name: name.clone(),
        user: None,
        credentials: true,
        at,
    });
    let different = after.by_name.iter().filter_map(|(name, user)| {
        let was = before.by_name.get(name);
        let credentials = was.is_none_or(|was| was.password != user.password)
            || user.account.disabled && was.is_none_or(|was| !was.account.disabled);
        (was != Some(user)).then(|| Changed {
            name: name.clone(),
            user: Some(Arc::new(user.account.clone())),
            credentials,
            at,
        })
    });
    let all: Vec<_> = gone.chain(different).map(changes::Change::User).collect();
    if all.len() > TOLD_ONE_BY_ONE {
        return vec![changes::Change::Unknown];
    }
    all
}

/// A file that is not what was read before.
struct NewFile {
    read: Option<Fingerprint>,
    users: Result<Users, UsersFileError>,
}

impl NewFile {
    fn since(before: Option<Fingerprint>, path: &Path, format: FileFormat) -> Option<Self> {
        // A file that cannot even be looked at is not known to have changed.
        let read = Fingerprint::of(path).ok()?;
        (read != before).then(|| Self {
            read,
            users: file::load(path, format),
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

    async fn until(live: &LiveUsers, count: usize) {
        for _ in 0..100 {
            if live.current().len() == count {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
        panic!("never {count} users");
    }

    fn open(path: &Path) -> (LiveUsers, changes::Changes) {
        let (changes, heard) = tokio::sync::mpsc::channel(16);
        let live = LiveUsers::open(path.to_owned(), FileFormat::Auto, changes).unwrap();
        (live, heard)
    }

    #[tokio::test(start_paused = true)]
    async fn follows_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let (live, _heard) = open(&path);
        assert_eq!(live.current().len(), 0, "no file");

        fs::write(&path, users(&["alice"])).unwrap();
        until(&live, 1).await;
        fs::write(&path, users(&["alice", "bob"])).unwrap();
        until(&live, 2).await;

        for spoil in [true, false] {
            if spoil {
                fs::write(&path, "[users.alice]\npassword = 1").unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
            sleep(4 * LOOK_EVERY).await;
            assert_eq!(live.current().len(), 2, "the last good one stays");
        }

        fs::write(&path, format!("carol:{HASH}\n")).unwrap();
        until(&live, 1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn tells_who_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        fs::write(&path, users(&["alice", "bob", "carol", "dave", "erin"])).unwrap();
        let (_live, mut heard) = open(&path);

        let other = HASH.replace("AAAA", "BBBB");
        let edited = format!(
            "[users.alice]\npassword = \"{HASH}\"\n[users.bob]\npassword = \"{other}\"\n\
             [users.carol]\npassword = \"{HASH}\"\nroles = [\"r\"]\n\
             [users.dave]\npassword = \"{HASH}\"\ndisabled = true\n"
        );
        fs::write(&path, edited).unwrap();
        let mut told = Vec::new();
        for _ in 0..4 {
            let Some(changes::Change::User(changed)) = heard.recv().await else {
                panic!("no change of a user");
            };
            let user = changed
                .user
                .map(|account| (account.disabled, account.roles.len()));
            told.push((changed.name.to_string(), user, changed.credentials));
        }
        told.sort();
        let expected = [
            ("bob".to_owned(), Some((false, 0)), true),
            ("carol".to_owned(), Some((false, 1)), false),
            ("dave".to_owned(), Some((true, 0)), true),
            ("erin".to_owned(), None, true),
        ];
        assert_eq!(told, expected);
        assert!(heard.try_recv().is_err(), "alice is as she was");
    }

    #[tokio::test]
    async fn a_bad_file_at_the_start_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        fs::write(&path, "[users.alice]\n").unwrap();
        let (changes, _heard) = tokio::sync::mpsc::channel(1);
        assert!(LiveUsers::open(path, FileFormat::Auto, changes).is_err());
    }
}
