//! Connections to either database, and what goes wrong with them.

use std::{
    fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, path::Path, str::FromStr as _,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Postgres, Sqlite,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::config::PostgresConfig;

/// Readers do not wait for anybody in SQLite, and there is one writer.
const SQLITE_CONNECTIONS: u32 = 4;
/// How long SQLite waits for another process that writes.
const SQLITE_PATIENCE: Duration = Duration::from_secs(5);

/// Connections to a database.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// One connection for a while.
///
/// It goes back to the pool only by [`Lease::done`]: whoever gives up in the middle, because of an error or a
/// deadline, leaves behind a connection that nobody knows the state of. It is closed, and its transaction with it.
pub(super) struct Lease {
    pub(super) connection: Connection,
    done: bool,
}

pub(super) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Does the same with either kind of connection: the statements are the same, only their types differ.
macro_rules! on {
    ($lease:expr, $connection:ident => $do:expr) => {
        match &mut $lease.connection {
            $crate::users::sql::pool::Connection::Sqlite($connection) => {
                let $connection = &mut **$connection;
                $do
            }
            $crate::users::sql::pool::Connection::Postgres($connection) => {
                let $connection = &mut **$connection;
                $do
            }
        }
    };
}
pub(super) use on;

/// Connections to a file, none of them made yet.
pub(super) fn sqlite(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A user who was removed must still be gone after the lights went out.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_PATIENCE)
        .disable_statement_logging();
    SqlitePoolOptions::new()
        .max_connections(SQLITE_CONNECTIONS)
        .acquire_timeout(SQLITE_PATIENCE)
        .connect_lazy_with(options)
}

/// Makes the file if it is not there: SQLite would let everybody read it.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(|_| ()),
    }
}

/// What a PostgreSQL URL says.
///
/// # Errors
/// If it is no such URL. The text does not hold it.
pub(super) fn postgres_options(
    url: &str,
    config: &PostgresConfig,
) -> Result<PgConnectOptions, String> {
    let expected = "users.postgres.url is not of the form postgres://user@host/database";
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(expected.to_owned());
    }
    let timeout = config.query_timeout.as_millis().to_string();
    Ok(PgConnectOptions::from_str(url)
        .map_err(|_| expected.to_owned())?
        .application_name("tidegate-authz")
        .options([("statement_timeout", timeout)])
        .disable_statement_logging())
}

/// Connections to a server, none of them made yet.
pub(super) fn postgres(
    options: PgConnectOptions,
    connections: u32,
    config: &PostgresConfig,
) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(config.connect_timeout)
        .connect_lazy_with(options)
}

impl Pool {
    /// A connection that works.
    pub(super) async fn lease(&self) -> Result<Lease, sqlx::Error> {
        let connection = match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Connection::Postgres(pool.acquire().await?),
        };
        Ok(Lease {
            connection,
            done: false,
        })
    }

    /// Whether all connections are in use.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(pool) => pool.num_idle() == 0 && pool.size() >= SQLITE_CONNECTIONS,
            Self::Postgres(pool) => {
                pool.num_idle() == 0 && pool.size() >= pool.options().get_max_connections()
            }
        }
    }
}

impl Lease {
    /// Everything that was asked has been answered.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.done {
            match &mut self.connection {
                Connection::Sqlite(connection) => connection.close_on_drop(),
                Connection::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}

/// What went wrong, for operators: no URL, no password, no values of a statement.
pub(super) fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("{} ({code})", error.message()),
            None => error.message().to_owned(),
        },
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
        sqlx::Error::Migrate(error) => format!("migration: {error}"),
        sqlx::Error::Protocol(_) => "the server does not speak the protocol".to_owned(),
        _ => "an unexpected answer".to_owned(),
    }
}
