//! Following a database: opening it, however long that takes, and telling its changes from then on.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sqlx::{SqlitePool, postgres::PgPool};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{
    Opening, Shared,
    pool::{Lease, describe},
    queries::{self, ChangedRow},
    rules,
};
use crate::{
    identity::UserName,
    session_state::CLOCKS_APART,
    users::changes::{Change, ChangeSender, Changed, Current},
};

/// Between two tries to reach a database.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// How often SQLite is looked at: one read of shared memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long PostgreSQL may tell nothing before it is asked: a notification may have been lost.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// No statement here may take longer, whatever the network does.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Changes, and hashes, that are read at once.
const PAGE: i64 = 1_000;
/// Clocks differ, and a change is stamped before it is committed: who logged in shortly after a change that nobody here
/// was there to hear counts as logged in before it, and is looked up once more.
const CLOCK_MARGIN: Duration = Duration::from_secs(5);

/// What wakes a follower up.
pub(super) enum Bell {
    /// Somebody else has written to the file.
    Sqlite(SqlitePool),
    /// The trigger has notified. A pool of its own: listening takes a connection for good.
    Postgres(PgPool),
}

/// Why it is time to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    /// Something has changed.
    Told,
    /// Something may have changed while nobody listened.
    Back,
}

/// Runs until it is dropped.
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) bell: Bell,
    /// By which rules this process decides.
    pub(super) rules: watch::Receiver<Option<String>>,
    /// Notified when changes were found that nobody had told of.
    pub(super) missed: Arc<Notify>,
    pub(super) changes: ChangeSender,
    /// How long session states live: older changes concern nobody.
    pub(super) remember: Duration,
}

/// How far the changes have been told.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// Up to this revision, but for those who have changed again since.
    revision: i64,
    /// The revision when everything was told last.
    whole: i64,
    /// The revision of the first look: up to it, changes are older than what is told live.
    begun: i64,
    /// Changes from before that time (milliseconds since 1970) concern no session any more.
    since: i64,
    /// Whether all from before the first look have been told.
    heard: bool,
}

/// What a look has shown.
struct Look {
    told: Told,
    changes: Vec<Change>,
    /// There may be more already.
    is_full: bool,
}

impl Follower {
    pub(super) async fn run(self) {
        // Ended together with this task.
        let mut ringing = JoinSet::new();
        let (ring, mut rung) = mpsc::channel(2);
        let mut told: Option<Told> = None;
        let mut was_told = true;
        loop {
            let looked = timeout(PATIENCE, self.look(told)).await;
            let looked = looked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            match looked {
                Ok((now, is_full)) => {
                    if !was_told && told.is_some_and(|told| told.revision != now.revision) {
                        // Until now, checks were answered here by what was: all data planes have to ask again.
                        self.missed.notify_one();
                    }
                    if told.is_none() {
                        // Who rings before it is listened to is heard by the next look.
                        self.hang_bell(&mut ringing, ring.clone());
                    }
                    told = Some(now);
                    if is_full {
                        continue;
                    }
                    if self.shared.opening.send_replace(Opening::Done) != Opening::Done {
                        info!(source = self.shared.name, "the user database can be asked");
                    }
                    was_told = timeout(ASK_AFTER, rung.recv()).await == Ok(Some(Ring::Told));
                }
                Err(problem) => {
                    let failed = Opening::Failed(problem.clone());
                    let before = self.shared.opening.send_replace(failed);
                    if before != Opening::Failed(problem.clone()) {
                        warn!(
                            source = self.shared.name,
                            problem, "the user database cannot be asked; trying again every second"
                        );
                    }
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// It rings from now on. One ring that nobody has heard yet is as good as ten.
    fn hang_bell(&self, tasks: &mut JoinSet<()>, ring: mpsc::Sender<Ring>) {
        match &self.bell {
            Bell::Sqlite(pool) => {
                tasks.spawn(watch_sqlite(pool.clone(), ring));
            }
            Bell::Postgres(pool) => {
                let changes = self.changes.clone();
                let shared = Arc::clone(&self.shared);
                tasks.spawn(rules::listen(shared, pool.clone(), ring, changes));
                let (shared, missed) = (Arc::clone(&self.shared), Arc::clone(&self.missed));
                tasks.spawn(rules::tell(shared, self.rules.clone(), missed));
            }
        }
    }

    /// Tells what has changed since; `None` is a first look. Returns how far that is now, and whether there may be more.
    async fn look(&self, told: Option<Told>) -> Result<(Told, bool), String> {
        if told.is_none() {
            self.shared.prepare().await?;
        }
        let look = self.read(told).await.map_err(|error| describe(&error))?;
        for change in look.changes {
            // Nobody listens while the service ends, and in tests.
            self.changes.send(change).await.ok();
        }
        Ok((look.told, look.is_full))
    }

    async fn read(&self, told: Option<Told>) -> Result<Look, sqlx::Error> {
        let mut lease = self.shared.pool.lease().await?;
        let told = match told {
            Some(told) => told,
            None => self.begin(&mut lease).await?,
        };
        let look = match told.heard {
            false => self.earlier(&mut lease, told).await?,
            true => self.next(&mut lease, told).await?,
        };
        lease.done();
        Ok(look)
    }

    async fn begin(&self, lease: &mut Lease) -> Result<Told, sqlx::Error> {
        for hash in queries::sample(lease, PAGE).await? {
            self.shared.imitate(&hash);
        }
        let since = SystemTime::now()
            .checked_sub(self.remember)
            .and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or(0, milliseconds);
        Ok(Told {
            revision: 0,
            whole: 0,
            begun: queries::revision(lease).await?,
            since,
            heard: false,
        })
    }

    /// What sessions that are older than this process may not know.
    async fn earlier(&self, lease: &mut Lease, told: Told) -> Result<Look, sqlx::Error> {
        let mut rows = queries::changes(lease, told.revision, told.since, PAGE).await?;
        let last = rows.last().map(|row| row.revision);
        let next = last.filter(|last| is_page(&rows) && *last < told.begun);
        rows.retain(|row| row.revision <= told.begun);
        let tell = |row| {
            // Whoever logged in later did so as what they are now.
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(stamp(&row)) + CLOCK_MARGIN;
            let changed = self.changed(row, at.min(SystemTime::now()), false)?;
            Some(Change::Earlier(changed))
        };
        let mut changes: Vec<_> = rows.into_iter().filter_map(tell).collect();
        if next.is_none() {
            changes.push(Change::Heard {
                source: self.shared.name,
                only_these: self.made(lease, told.since).await?,
            });
        }
        Ok(Look {
            told: Told {
                revision: next.unwrap_or(told.begun),
                whole: told.begun,
                heard: next.is_none(),
                ..told
            },
            changes,
            // Of what comes next, nothing has been looked at.
            is_full: true,
        })
    }

    /// Up to when sessions can't be of users of this database: it was made later. Nothing, if that is too long ago for any
    /// session. The allowance for clocks that comes on top is taken off: sessions may begin as soon as it is there.
    async fn made(&self, lease: &mut Lease, since: i64) -> Result<Option<SystemTime>, sqlx::Error> {
        let begun = queries::begun(lease).await?;
        let begun = u64::try_from(begun).ok().filter(|_| begun >= since);
        let made = begun.map(|begun| SystemTime::UNIX_EPOCH + Duration::from_millis(begun));
        Ok(made.and_then(|made| made.checked_sub(CLOCKS_APART)))
    }

    async fn next(&self, lease: &mut Lease, told: Told) -> Result<Look, sqlx::Error> {
        let now = queries::revision(lease).await?;
        if now < told.revision {
            warn!(
                source = self.shared.name,
                "the user database is older than it was: restored from a backup?"
            );
            return Ok(Look {
                told: Told {
                    revision: now,
                    whole: now,
                    ..told
                },
                changes: vec![Change::Unknown(self.shared.name)],
                is_full: false,
            });
        }
        let rows = match now == told.revision {
            true => Vec::new(),
            false => queries::changes(lease, told.revision, 0, PAGE).await?,
        };
        let is_full = is_page(&rows);
        let revision = match rows.last() {
            Some(row) if is_full => row.revision,
            last => last.map_or(now, |row| row.revision.max(now)),
        };
        let tell = |row: ChangedRow| {
            let credentials = row.credentials > told.whole;
            // Sessions were sealed with what was there until now, whatever the change's own stamp says.
            let changed = self.changed(row, SystemTime::now(), credentials)?;
            Some(Change::User(changed))
        };
        Ok(Look {
            changes: rows.into_iter().filter_map(tell).collect(),
            told: Told {
                revision,
                whole: if is_full { told.whole } else { revision },
                ..told
            },
            is_full,
        })
    }

    fn changed(&self, row: ChangedRow, at: SystemTime, credentials: bool) -> Option<Changed> {
        // Nobody has ever been somebody by a name that is none.
        let name = UserName::new(&row.name).ok()?;
        let now = match row.user {
            Some(Ok(user)) => {
                self.shared.imitate_costlier(&user.password);
                Current::from(&user)
            }
            Some(Err(problem)) => {
                warn!(user = %name, problem, "this user is stored wrongly and cannot log in");
                Current::Unreadable
            }
            None => Current::Gone,
        };
        Some(Changed {
            source: self.shared.name,
            name,
            credentials: credentials || now == Current::Gone,
            now,
            at,
        })
    }
}

fn is_page(rows: &[ChangedRow]) -> bool {
    i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE)
}

/// When it was changed, in milliseconds since 1970 and by the database's clock.
fn stamp(row: &ChangedRow) -> u64 {
    u64::try_from(row.changed_at).unwrap_or(0)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `data_version` of one connection tells whether others have written, in this process or in another.
async fn watch_sqlite(pool: SqlitePool, ring: mpsc::Sender<Ring>) {
    loop {
        if let Ok(connection) = pool.acquire().await {
            let mut connection = connection.detach();
            let mut known = None;
            while let Ok(version) = sqlx::query_scalar::<_, i64>("PRAGMA data_version")
                .fetch_one(&mut connection)
                .await
            {
                if known.replace(version) != Some(version) {
                    ring.try_send(Ring::Told).ok();
                }
                sleep(LOOK_EVERY).await;
            }
        }
        sleep(RETRY).await;
    }
}
