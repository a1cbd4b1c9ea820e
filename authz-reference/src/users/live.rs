//! The users of a running service: the file, read again when it has changed.
//!
//! Its metadata is looked at four times a second, and it is read when it has changed and was the same at two looks: who
//! writes it in place may need a moment. So a new user can log in without a restart, live sessions hear of a removed one
//! within a second, and a bad edit costs a log line, not the users that were there before.
//!
//! A file has no history. So at first everybody who is in it is told, and that nobody else was: sessions from before are
//! judged by that.

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
    changes::{Change, ChangeSender, Changed, Current},
    file::{self, FileFormat, UsersFileError},
    source::{Found, Login, SourceError, UserSource},
};
use crate::{deadline::Deadline, identity::UserName, policy::Refusal};

/// Between two looks at the file's metadata.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What the configuration calls it.
pub(crate) const NAME: &str = "file";

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
    /// Of the metadata. A file may be moved here with its old time.
    changed: (i64, i64),
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
        NAME
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
        self.tell(earlier(&self.current())).await;
        let mut last = read;
        loop {
            sleep(LOOK_EVERY).await;
            let (path, format) = (self.path.clone(), self.format);
            // A slow disk must not hold up a thread that serves others.
            let has_users = !self.current().is_empty();
            let look =
                task::spawn_blocking(move || Look::at(&path, format, [last, read], has_users));
            // A file that cannot even be looked at is not known to have changed.
            let Ok(Ok(look)) = look.await else {
                continue;
            };
            last = look.seen;
            if let Some(users) = look.users {
                read = look.seen;
                self.adopt(users).await;
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
        self.tell(differences(&before, &after)).await;
    }

    async fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            // Nobody listens while the service ends.
            self.changes.send(change).await.ok();
        }
    }

    fn current(&self) -> Arc<Users> {
        Arc::clone(&self.users.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everybody, for sessions that are older than this process.
fn earlier(users: &Users) -> Vec<Change> {
    let at = SystemTime::now();
    let everybody = users.by_name.iter().map(|(name, user)| {
        Change::Earlier(Changed {
            source: NAME,
            name: name.clone(),
            now: Current::from(&**user),
            credentials: false,
            at,
        })
    });
    let heard = Change::Heard {
        source: NAME,
        only_these: Some(at),
    };
    everybody.chain([heard]).collect()
}

/// Who is gone, new or different.
fn differences(before: &Users, after: &Users) -> Vec<Change> {
    let at = SystemTime::now();
    let gone = before
        .by_name
        .keys()
        .filter(|name| !after.by_name.contains_key(*name));
    let gone = gone.map(|name| (name, Current::Gone, true));
    let different = after.by_name.iter().filter_map(|(name, user)| {
        let was = before.by_name.get(name);
        // Who is new has no sessions to lose.
        let credentials = was.is_some_and(|was| {
            was.password != user.password || user.account.disabled && !was.account.disabled
        });
        (was != Some(user)).then(|| (name, Current::from(&**user), credentials))
    });
    let tell = |(name, now, credentials): (&UserName, _, _)| {
        Change::User(Changed {
            source: NAME,
            name: name.clone(),
            now,
            credentials,
            at,
        })
    };
    gone.chain(different).map(tell).collect()
}

/// What a look at the file has shown.
struct Look {
    seen: Option<Fingerprint>,
    /// The users, if it is not what was read before and is not being written.
    users: Option<Result<Users, UsersFileError>>,
}

impl Look {
    /// `last` is what was seen at the last look, `read` what was read last.
    fn at(
        path: &Path,
        format: FileFormat,
        [last, read]: [Option<Fingerprint>; 2],
        has_users: bool,
    ) -> io::Result<Self> {
        let seen = Fingerprint::of(path)?;
        if seen == read || seen != last {
            return Ok(Self { seen, users: None });
        }
        let users = match seen {
            // What an editor that truncates has left so far, or a full disk. Everybody would be thrown out.
            Some(Fingerprint { size: 0, .. }) if has_users => Err(UsersFileError::Emptied {
                path: path.to_owned(),
            }),
            _ => file::load(path, format),
        };
        let after = Fingerprint::of(path)?;
        Ok(Self {
            seen: after,
            // Otherwise it may have been half of each.
            users: (after == seen).then_some(users),
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
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::changes::Changes, *};

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA";

    fn users(names: &[&str]) -> String {
        names
            .iter()
            .map(|name| format!("[users.{name}]\npassword = \"{HASH}\"\n"))
            .collect()
    }

    /// What has been told, but for what is told at the start.
    async fn next(heard: &mut Changes) -> Changed {
        loop {
            match heard.recv().await.unwrap() {
                Change::User(changed) => return changed,
                Change::Earlier(_) | Change::Heard { .. } | Change::Rules => {}
                Change::Unknown(_) => panic!("nothing is unknown"),
            }
        }
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

    fn open(path: &Path) -> (LiveUsers, Changes) {
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
            let changed = next(&mut heard).await;
            let user = changed.now.account();
            let user = user.map(|account| (account.disabled, account.roles.len()));
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

    #[tokio::test(start_paused = true)]
    async fn at_first_everybody_is_told_and_that_nobody_else_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        fs::write(&path, users(&["alice", "bob"])).unwrap();
        let begun = SystemTime::now();
        let (_live, mut heard) = open(&path);
        let mut names = Vec::new();
        loop {
            match heard.recv().await.unwrap() {
                Change::Earlier(changed) => names.push(changed.name.to_string()),
                Change::Heard { source, only_these } => {
                    assert_eq!(source, NAME);
                    assert!(only_these.unwrap() >= begun);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        names.sort();
        assert_eq!(names, ["alice", "bob"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_new_has_nothing_to_lose_however_many_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        fs::write(&path, users(&["alice"])).unwrap();
        let (_live, mut heard) = open(&path);
        let names: Vec<_> = (0..2_000).map(|number| format!("u{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let text = users(&names) + &users(&["alice"]);
        fs::write(&path, text).unwrap();
        for _ in &names {
            assert!(!next(&mut heard).await.credentials);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_being_written_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        fs::write(&path, format!("alice:{HASH}\nbob:{HASH}\n")).unwrap();
        let (live, mut heard) = open(&path);
        // Between two looks from here on.
        sleep(2 * LOOK_EVERY + LOOK_EVERY / 2).await;
        // Truncated first, as editors and `>` do.
        fs::write(&path, "").unwrap();
        sleep(8 * LOOK_EVERY).await;
        assert_eq!(live.current().len(), 2, "an empty file is nobody's will");
        fs::write(&path, "").unwrap();
        sleep(8 * LOOK_EVERY).await;
        assert_eq!(live.current().len(), 2, "not at the second time either");
        // Then it grows from look to look.
        for count in 1..8 {
            let lines: String = (0..count)
                .map(|number| format!("u{number}:{HASH}\n"))
                .collect();
            fs::write(&path, lines).unwrap();
            sleep(LOOK_EVERY).await;
            assert_eq!(live.current().len(), 2, "{count} lines");
        }
        fs::write(&path, format!("alice:{HASH}\nbob:{HASH}\ncarol:{HASH}\n")).unwrap();
        until(&live, 3).await;
        assert_eq!(
            next(&mut heard).await.name.as_str(),
            "carol",
            "nobody was gone"
        );

        fs::write(&path, "# nobody\n").unwrap();
        until(&live, 0).await;
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
