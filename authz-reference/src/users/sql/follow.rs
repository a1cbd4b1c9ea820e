//! Following a database: opening it, however long that takes, and telling its changes from then on.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sqlx::{
    SqlitePool,
    postgres::{PgListener, PgNotification, PgPool},
};
use tokio::{
    sync::{Notify, mpsc},
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
    users::changes::{Change, ChangeSender, Changed},
};

/// Between two tries to reach a database.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// How often SQLite is looked at: one read of shared memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long PostgreSQL may tell nothing before it is asked: a notification may have been lost.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// No statement here may take longer, whatever the network does.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// What PostgreSQL's trigger notifies.
const CHANNEL: &str = "tidegate_users";
/// Changes that are told one by one. More, as after an import, are told as "anything may have changed".
const TOLD_ONE_BY_ONE: i64 = 1_000;
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

/// Runs until it is dropped.
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) bell: Bell,
    /// Rung when this process decides by other rules.
    pub(super) rules: Arc<Notify>,
    pub(super) changes: ChangeSender,
    /// How long session states live: older changes concern nobody.
    pub(super) remember: Duration,
}

impl Follower {
    pub(super) async fn run(self) {
        // Ended together with this task.
        let mut ringing = JoinSet::new();
        let (ring, mut rung) = mpsc::channel(1);
        let mut seen = None;
        loop {
            let looked = timeout(PATIENCE, self.look(seen)).await;
            let looked = looked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            match looked {
                Ok(now) => {
                    if self.shared.opening.send_replace(Opening::Done) != Opening::Done {
                        info!(source = self.shared.name, "the user database can be asked");
                    }
                    if seen.is_none() {
                        // Who rings before it is listened to is heard by the next look.
                        self.hang_bell(&mut ringing, ring.clone());
                    }
                    seen = Some(now);
                    timeout(ASK_AFTER, rung.recv()).await.ok();
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
    fn hang_bell(&self, tasks: &mut JoinSet<()>, ring: mpsc::Sender<()>) {
        match &self.bell {
            Bell::Sqlite(pool) => {
                tasks.spawn(watch_sqlite(pool.clone(), ring));
            }
            Bell::Postgres(pool) => {
                tasks.spawn(listen_to_postgres(pool.clone(), ring, self.changes.clone()));
                tasks.spawn(rules::tell(
                    Arc::clone(&self.shared),
                    Arc::clone(&self.rules),
                ));
            }
        }
    }

    /// Tells what has changed after revision `seen`; `None` is a first look. Returns the revision of now.
    async fn look(&self, seen: Option<i64>) -> Result<i64, String> {
        if seen.is_none() {
            self.shared.prepare().await?;
        }
        let (now, changes) = self.read(seen).await.map_err(|error| describe(&error))?;
        for change in changes {
            // Nobody listens while the service ends, and in tests.
            self.changes.send(change).await.ok();
        }
        Ok(now)
    }

    async fn read(&self, seen: Option<i64>) -> Result<(i64, Vec<Change>), sqlx::Error> {
        let mut lease = self.shared.pool.lease().await?;
        let found = match seen {
            None => self.first_look(&mut lease).await?,
            Some(seen) => self.next_look(&mut lease, seen).await?,
        };
        lease.done();
        Ok(found)
    }

    /// What sessions that are older than this process may not know.
    async fn first_look(&self, lease: &mut Lease) -> Result<(i64, Vec<Change>), sqlx::Error> {
        for hash in queries::sample(lease, TOLD_ONE_BY_ONE).await? {
            self.shared.imitate(&hash);
        }
        let now = queries::revision(lease).await?;
        let since = SystemTime::now()
            .checked_sub(self.remember)
            .and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or(0, milliseconds);
        let older = queries::revision_before(lease, since).await?;
        let rows = queries::changes(lease, 0, since, TOLD_ONE_BY_ONE + 1).await?;
        let changes = tell(rows, |row| {
            let at = SystemTime::UNIX_EPOCH
                + Duration::from_millis(u64::try_from(row.changed_at).unwrap_or(0))
                + CLOCK_MARGIN;
            (at.min(SystemTime::now()), row.credentials > older)
        });
        Ok((now, changes))
    }

    async fn next_look(
        &self,
        lease: &mut Lease,
        seen: i64,
    ) -> Result<(i64, Vec<Change>), sqlx::Error> {
        let now = queries::revision(lease).await?;
        if now < seen {
            warn!(
                source = self.shared.name,
                "the user database is older than it was: restored from a backup?"
            );
            return Ok((now, vec![Change::Unknown]));
        }
        if now == seen {
            return Ok((now, Vec::new()));
        }
        let rows = queries::changes(lease, seen, 0, TOLD_ONE_BY_ONE + 1).await?;
        let now = rows.last().map_or(now, |row| row.revision.max(now));
        for row in &rows {
            if let Some(Ok(user)) = &row.user {
                self.shared.imitate_costlier(&user.password);
            }
        }
        // Sessions were sealed with what was there until now, whatever the change's own stamp says.
        let changes = tell(rows, |row| (SystemTime::now(), row.credentials > seen));
        Ok((now, changes))
    }
}

/// `when` says from when on who has changed is that, and whether what they log in with is another.
fn tell(rows: Vec<ChangedRow>, when: impl Fn(&ChangedRow) -> (SystemTime, bool)) -> Vec<Change> {
    if rows.len() > usize::try_from(TOLD_ONE_BY_ONE).unwrap_or(usize::MAX) {
        return vec![Change::Unknown];
    }
    let tell = |row: ChangedRow| {
        let (at, credentials) = when(&row);
        // Nobody has ever been somebody by a name that is none.
        let name = UserName::new(&row.name).ok()?;
        let user = match row.user {
            Some(Ok(user)) => Some(Arc::new(user.account)),
            Some(Err(problem)) => {
                warn!(user = %name, problem, "this user is stored wrongly and cannot log in");
                None
            }
            None => None,
        };
        Some(Change::User(Changed {
            name,
            credentials: credentials || user.is_none(),
            user,
            at,
        }))
    };
    rows.into_iter().filter_map(tell).collect()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `data_version` of one connection tells whether others have written, in this process or in another.
async fn watch_sqlite(pool: SqlitePool, ring: mpsc::Sender<()>) {
    loop {
        if let Ok(connection) = pool.acquire().await {
            let mut connection = connection.detach();
            let mut known = None;
            while let Ok(version) = sqlx::query_scalar::<_, i64>("PRAGMA data_version")
                .fetch_one(&mut connection)
                .await
            {
                if known.replace(version) != Some(version) {
                    ring.try_send(()).ok();
                }
                sleep(LOOK_EVERY).await;
            }
        }
        sleep(RETRY).await;
    }
}

async fn listen_to_postgres(pool: PgPool, ring: mpsc::Sender<()>, changes: ChangeSender) {
    let mut was_away = false;
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen_all([CHANNEL, rules::CHANNEL]).await.is_ok()
        {
            // What was committed before is not notified again.
            ring.try_send(()).ok();
            if std::mem::replace(&mut was_away, true) {
                changes.send(Change::Rules).await.ok();
            }
            while let Ok(notified_or_lost) = listener.try_recv().await {
                // `None` is a lost connection; it is dialled again by the next call, and something may have been missed.
                let is_user = |told: &PgNotification| told.channel() == CHANNEL;
                if !notified_or_lost.as_ref().is_some_and(is_user) {
                    changes.send(Change::Rules).await.ok();
                }
                ring.try_send(()).ok();
            }
            // The server said good-bye: whether it is still there is to be found out now.
            ring.try_send(()).ok();
        }
        sleep(RETRY).await;
    }
}
