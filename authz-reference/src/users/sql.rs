//! Users in SQLite or PostgreSQL: [`SqlUsers`] is asked by a running service, [`SqlStore`] is for who administers.
//!
//! A user is a row of `users`. Triggers note in `user_changes`, under a revision that counts up, who has changed, so
//! that a service hears of it whoever made the change and by whatever means: from SQLite by looking five times a
//! second whether somebody has written, from PostgreSQL by LISTEN and NOTIFY.
//!
//! A database that can't be asked is a failure, never a denial; the service starts without it and goes on when it is
//! there.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    sync::{OnceCell, watch},
    task::{self, AbortHandle},
    time::sleep,
};
use tracing::{Instrument as _, Span, field, info_span};

use self::{
    flags::flags,
    follow::{Bell, Follower},
    pool::{Lease, Pool, describe},
};
use super::{
    Credential, User,
    changes::ChangeSender,
    source::{Found, Login, SourceError, UserSource},
    store::{StoreError, Tally, UserEdit, UserStore},
};
use crate::{
    config::PostgresConfig, deadline::Deadline, identity::UserName, password::PasswordHash,
    policy::Refusal,
};
use tidegate_telemetry::TRACE_TARGET;

mod flags;
mod follow;
mod pool;
mod queries;
mod rules;

/// How often a migration that another process may be making is tried again, and after how long.
const OTHERS_MIGRATE: usize = 5;
const OTHERS_TAKE: Duration = Duration::from_millis(50);

/// A database, and what is known about it.
struct Shared {
    /// `sqlite` or `postgres`.
    name: &'static str,
    /// As OpenTelemetry calls it.
    system: &'static str,
    /// The host, or the file.
    place: String,
    port: Option<u16>,
    pool: Pool,
    /// Whether tables are made, and SQLite's file.
    migrate: bool,
    prepared: OnceCell<()>,
    opening: watch::Sender<Opening>,
    /// What the password of an unknown user is verified against: as costly as the costliest that was seen.
    decoy: Mutex<Option<Arc<PasswordHash>>>,
}

/// Whether a database can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Opening {
    /// Not known yet.
    Begun,
    /// It answered last time.
    Done,
    /// It did not, and this is why.
    Failed(String),
}

/// Users in a database, for those who administer them.
pub struct SqlStore {
    shared: Arc<Shared>,
    bell: Bell,
}

/// Users in a database, for a running service. Follows the changes until it is dropped.
pub struct SqlUsers {
    shared: Arc<Shared>,
    /// How long a login waits for a database that is about to be opened.
    patience: Duration,
    following: AbortHandle,
    rules: watch::Sender<Option<String>>,
}

impl SqlStore {
    /// Users in SQLite. The file is made when it is first asked.
    ///
    /// To be called within a Tokio runtime.
    #[must_use]
    pub fn sqlite(path: PathBuf) -> Self {
        let pool = pool::sqlite(&path);
        Self::new(
            Shared {
                name: "sqlite",
                system: "sqlite",
                place: path.to_string_lossy().into_owned(),
                port: None,
                pool: Pool::Sqlite(pool.clone()),
                migrate: true,
                prepared: OnceCell::new(),
                opening: watch::Sender::new(Opening::Begun),
                decoy: Mutex::default(),
            },
            Bell::Sqlite(pool),
        )
    }

    /// Users in PostgreSQL. It is dialled when it is first asked.
    ///
    /// To be called within a Tokio runtime.
    ///
    /// # Errors
    /// If the URL is none. The text does not hold it.
    pub fn postgres(url: &str, config: &PostgresConfig) -> Result<Self, String> {
        let options: PgConnectOptions = pool::postgres_options(url, config)?;
        let pool = pool::postgres(options.clone(), config.max_connections.get(), config);
        let shared = Shared {
            name: "postgres",
            system: "postgresql",
            place: options.get_host().to_owned(),
            port: Some(options.get_port()),
            pool: Pool::Postgres(pool),
            migrate: config.migrate,
            prepared: OnceCell::new(),
            opening: watch::Sender::new(Opening::Begun),
            decoy: Mutex::default(),
        };
        Ok(Self::new(
            shared,
            Bell::Postgres(pool::postgres(options, 1, config)),
        ))
    }

    fn new(shared: Shared, bell: Bell) -> Self {
        Self {
            shared: Arc::new(shared),
            bell,
        }
    }

    /// A source for a running service, which tells `changes`, and at first those of the last `remember`.
    ///
    /// A login waits for the database to be opened for `patience`, or for its deadline.
    #[must_use]
    pub fn follow(self, changes: ChangeSender, remember: Duration, patience: Duration) -> SqlUsers {
        let Self { shared, bell } = self;
        let rules = watch::Sender::new(None);
        let follower = Follower {
            shared: Arc::clone(&shared),
            bell,
            rules: rules.subscribe(),
            missed: Arc::default(),
            changes,
            remember,
        };
        SqlUsers {
            shared,
            patience,
            following: task::spawn(follower.run()).abort_handle(),
            rules,
        }
    }

    fn error(&self, problem: String) -> StoreError {
        StoreError::Database {
            store: self.shared.name.to_owned(),
            problem,
        }
    }

    async fn lease(&self) -> Result<Lease, StoreError> {
        self.shared
            .prepare()
            .await
            .map_err(|problem| self.error(problem))?;
        let lease = self.shared.pool.lease().await;
        lease.map_err(|error| self.error(describe(&error)))
    }

    fn user(
        &self,
        name: impl fmt::Display,
        user: Result<User, String>,
    ) -> Result<User, StoreError> {
        user.map_err(|problem| self.error(format!("the user `{name}`: {problem}")))
    }
}

#[tonic::async_trait]
impl UserStore for SqlStore {
    async fn find(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let mut lease = self.lease().await?;
        let user = queries::find(&mut lease, name).await;
        let user = user.map_err(|error| self.error(describe(&error)))?;
        lease.done();
        user.map(|user| self.user(name, user)).transpose()
    }

    async fn list(&self) -> Result<Vec<(UserName, User)>, StoreError> {
        let mut lease = self.lease().await?;
        let rows = queries::list(&mut lease).await;
        let rows = rows.map_err(|error| self.error(describe(&error)))?;
        lease.done();
        let read = |(name, user): (String, Result<User, String>)| -> Result<_, StoreError> {
            let user = self.user(&name, user)?;
            let checked = UserName::new(&name);
            let name = checked.map_err(|error| self.error(format!("{error}: `{name}`")))?;
            Ok((name, user))
        };
        let mut users = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        // Databases have an order of their own.
        users.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(users)
    }

    async fn count(&self) -> Result<usize, StoreError> {
        let mut lease = self.lease().await?;
        let count = queries::count(&mut lease).await;
        let count = count.map_err(|error| self.error(describe(&error)))?;
        lease.done();
        Ok(usize::try_from(count).unwrap_or_default())
    }

    async fn change(&self, edits: Vec<UserEdit>) -> Result<Tally, StoreError> {
        let failed = |error: sqlx::Error| self.error(describe(&error));
        let mut tally = Tally::default();
        // Whatever fails from here on, the connection is closed, and nothing has happened.
        let mut lease = self.lease().await?;
        queries::begin(&mut lease).await.map_err(failed)?;
        for edit in edits {
            let name = edit.name.clone();
            let before = queries::find(&mut lease, &name).await.map_err(failed)?;
            let is_known = before.is_some();
            let (after, is_different) = match before {
                // What nobody can read can be taken away or replaced all the same.
                Some(Err(_)) if edit.overwrites() => {
                    let known = flags(&mut lease, &name).await.map_err(failed)?;
                    let after = edit.overwrite(known);
                    tally.count_overwritten(after.as_ref());
                    (after, true)
                }
                before => {
                    let before = before.map(|user| self.user(&name, user)).transpose()?;
                    let after = edit.apply(before.as_ref())?;
                    let is_different = tally.count(before.as_ref(), after.as_ref());
                    (after, is_different)
                }
            };
            if is_different {
                queries::write(&mut lease, &name, is_known, after.as_ref())
                    .await
                    .map_err(failed)?;
            }
        }
        queries::commit(&mut lease).await.map_err(failed)?;
        lease.done();
        Ok(tally)
    }
}

#[tonic::async_trait]
impl UserSource for SqlUsers {
    fn name(&self) -> &'static str {
        self.shared.name
    }

    fn is_ready(&self) -> bool {
        *self.shared.opening.borrow() == Opening::Done
    }

    fn tells_rules(&self) -> bool {
        matches!(self.shared.pool, Pool::Postgres(_))
    }

    fn rules_are(&self, revision: &str) {
        self.rules.send_replace(Some(revision.to_owned()));
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
        self.opened().await?;
        let span = self.shared.span();
        let found = self.shared.find(&name).instrument(span.clone()).await;
        let stored = found.inspect_err(|_| {
            span.record("error.type", "unavailable");
            span.record("otel.status_code", "ERROR");
        })?;
        let credential = match stored {
            Some(user) => {
                self.shared.imitate_costlier(&user.password);
                Credential::Known(Arc::new(user))
            }
            None => Credential::Unknown(self.shared.decoy()),
        };
        Ok(Found::Stored(name, credential))
    }
}

impl SqlUsers {
    /// Waits for a database that has just been named. One that is known to be away is not waited for.
    async fn opened(&self) -> Result<(), SourceError> {
        let unavailable = |problem: &str| SourceError::Unavailable {
            source_name: self.shared.name,
            problem: problem.to_owned(),
        };
        let mut opening = self.shared.opening.subscribe();
        let known = opening.wait_for(|opening| *opening != Opening::Begun);
        match tokio::time::timeout(self.patience, known).await {
            Ok(Ok(opening)) => match &*opening {
                Opening::Failed(problem) => Err(unavailable(problem)),
                Opening::Begun | Opening::Done => Ok(()),
            },
            Ok(Err(_)) | Err(_) => Err(unavailable("not opened in time")),
        }
    }
}

impl Drop for SqlUsers {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Shared {
    /// Makes file and tables, once.
    async fn prepare(&self) -> Result<(), String> {
        self.prepared.get_or_try_init(|| self.make()).await?;
        Ok(())
    }

    async fn make(&self) -> Result<(), String> {
        if let Pool::Sqlite(_) = self.pool {
            pool::make_private(self.place.as_ref())
                .map_err(|error| format!("cannot make {}: {error}", self.place))?;
        }
        if !self.migrate {
            return Ok(());
        }
        let mut migrated = self.bring_up_to_date().await;
        if let Pool::Sqlite(_) = self.pool {
            // SQLite keeps nobody out between a look and the migration: who comes second fails, and finds it done later.
            for _ in 0..OTHERS_MIGRATE {
                if migrated.is_ok() {
                    break;
                }
                sleep(OTHERS_TAKE).await;
                migrated = self.bring_up_to_date().await;
            }
        }
        migrated
    }

    async fn bring_up_to_date(&self) -> Result<(), String> {
        let leased = self.pool.lease().await;
        let mut lease = leased.map_err(|error| describe(&error))?;
        let migrated = queries::migrate(&mut lease).await;
        migrated.map_err(|error| describe(&error.into()))?;
        lease.done();
        Ok(())
    }

    async fn find(&self, name: &UserName) -> Result<Option<User>, SourceError> {
        let unavailable = |problem| SourceError::Unavailable {
            source_name: self.name,
            problem,
        };
        let mut lease = self.pool.lease().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut if self.pool.is_full() => SourceError::Busy(self.name),
            error => unavailable(describe(&error)),
        })?;
        let found = queries::find(&mut lease, name).await;
        let found = found.map_err(|error| unavailable(describe(&error)))?;
        lease.done();
        // Stored wrongly is not a wrong password.
        found.transpose().map_err(unavailable)
    }

    /// The query, within the span of the check. None, if that is not sampled.
    fn span(&self) -> Span {
        if Span::current().is_disabled() {
            return Span::none();
        }
        info_span!(
            target: TRACE_TARGET,
            "query",
            otel.name = "SELECT users",
            otel.kind = "client",
            otel.status_code = field::Empty,
            db.system.name = self.system,
            db.operation.name = "SELECT",
            db.collection.name = "users",
            server.address = self.port.map(|_| self.place.as_str()),
            server.port = self.port.map(i64::from),
            error.r#type = field::Empty,
        )
    }

    fn decoy(&self) -> Arc<PasswordHash> {
        let decoy = self.decoy.lock().unwrap_or_else(PoisonError::into_inner);
        decoy.clone().unwrap_or_default()
    }

    fn imitate(&self, hash: &str) {
        if let Ok(hash) = PasswordHash::parse(hash) {
            self.imitate_costlier(&hash);
        }
    }

    /// Unknown users cost what the costliest of the known ones does.
    fn imitate_costlier(&self, hash: &PasswordHash) {
        let mut decoy = self.decoy.lock().unwrap_or_else(PoisonError::into_inner);
        if decoy
            .as_ref()
            .is_none_or(|decoy| decoy.cost() < hash.cost())
        {
            *decoy = Some(Arc::new(hash.decoy()));
        }
    }
}

/// No pools: their options hold the database's password.
impl fmt::Debug for SqlUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlUsers").field(&self.shared.name).finish()
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlStore").field(&self.shared.name).finish()
    }
}
