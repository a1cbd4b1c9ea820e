//! All statements. They are the same for both databases.

use serde::de::DeserializeOwned;
use sqlx::{
    SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::pool::{Connection, Lease, on};
use crate::{
    identity::UserName,
    password::PasswordHash,
    users::{Account, User},
};

const FIND: &str = "SELECT password, superuser, disabled, roles, grants FROM users WHERE name = $1";
const LIST: &str =
    "SELECT name, password, superuser, disabled, roles, grants FROM users ORDER BY name";
const COUNT: &str = "SELECT count(*) FROM users";
const SAMPLE: &str = "SELECT password FROM users LIMIT $1";
const REVISION: &str = "SELECT last FROM user_revision";
/// Changes nothing, and makes other writers wait: their revisions would come after ours.
const LOCK: &str = "UPDATE user_revision SET last = last";
const CHANGES: &str = "SELECT c.name, c.revision, c.credentials, c.changed_at, \
     u.password, u.superuser, u.disabled, u.roles, u.grants \
     FROM user_changes c LEFT JOIN users u ON u.name = c.name \
     WHERE c.revision > $1 AND c.changed_at >= $2 ORDER BY c.revision LIMIT $3";
const INSERT: &str = "INSERT INTO users (name, password, superuser, disabled, roles, grants) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const UPDATE: &str = "UPDATE users \
     SET password = $2, superuser = $3, disabled = $4, roles = $5, grants = $6 WHERE name = $1";
const BEGUN: &str = "SELECT begun_at FROM user_revision";
// PostgreSQL only, from here on.
const NOW_RULES: &str = "INSERT INTO service_rules AS known (one, revision, changed_at, told_at) \
     VALUES (true, $1, service_now(), 0) \
     ON CONFLICT (one) DO UPDATE SET revision = excluded.revision, changed_at = excluded.changed_at \
     WHERE known.revision <> excluded.revision";
const TELL_RULES: &str = "UPDATE service_rules SET told_at = service_now() \
     WHERE $1 OR changed_at > service_now() - $2 RETURNING pg_notify($3, told_at::text)";
const RULES_TOLD: &str = "SELECT told_at FROM service_rules";
const DELETE: &str = "DELETE FROM users WHERE name = $1";

/// A row of `users` without the name.
type Row = (String, bool, bool, String, String);

/// Somebody who has changed.
#[derive(Debug)]
pub(super) struct ChangedRow {
    pub(super) name: String,
    pub(super) revision: i64,
    /// The last change that sessions from before it may not outlive.
    pub(super) credentials: i64,
    /// Milliseconds since 1970, by the database's clock.
    pub(super) changed_at: i64,
    /// `None` if they are gone; an error if what is stored makes no user.
    pub(super) user: Option<Result<User, String>>,
}

/// Writes down by which rules a service decides, and tells whoever listens to `channel` when that was (milliseconds since
/// 1970): in any case, or if other rules were written down less than so many milliseconds `ago`. SQLite has no such thing.
pub(super) async fn tell_rules(
    lease: &mut Lease,
    revision: &str,
    channel: &str,
    in_any_case: bool,
    ago: i64,
) -> Result<(), sqlx::Error> {
    if let Connection::Postgres(connection) = &mut lease.connection {
        let now = sqlx::query(NOW_RULES).bind(revision);
        now.execute(&mut **connection).await?;
        let tell = sqlx::query(TELL_RULES).bind(in_any_case).bind(ago);
        tell.bind(channel).execute(&mut **connection).await?;
    }
    Ok(())
}

/// When rules were told last, in milliseconds since 1970.
pub(super) async fn rules_told(lease: &mut Lease) -> Result<Option<i64>, sqlx::Error> {
    let row: Option<(i64,)> = match &mut lease.connection {
        Connection::Postgres(connection) => {
            let told = sqlx::query_as(RULES_TOLD);
            told.fetch_optional(&mut **connection).await?
        }
        Connection::Sqlite(_) => None,
    };
    Ok(row.map(|(told,)| told))
}

/// Makes the tables, or brings them up to date. One process at a time does it.
pub(super) async fn migrate(lease: &mut Lease) -> Result<(), MigrateError> {
    let sql = match lease.connection {
        Connection::Sqlite(_) => include_str!("../../../migrations/sqlite/1_users.sql"),
        Connection::Postgres(_) => include_str!("../../../migrations/postgres/1_users.sql"),
    };
    let users = Migration::new(
        1,
        "users".into(),
        MigrationType::Simple,
        sql.into_sql_str(),
        false,
    );
    let mut migrator = Migrator::with_migrations(vec![users]);
    // An old replica that starts again beside newer ones goes on with what it knows.
    migrator.set_ignore_missing(true);
    // `run` would borrow the connection in a way that no task may.
    on!(lease, connection => migrator.run_direct(None, connection, false).await)
}

/// When this database was made, in milliseconds since 1970.
pub(super) async fn begun(lease: &mut Lease) -> Result<i64, sqlx::Error> {
    let (begun,) = on!(lease, connection => sqlx::query_as(BEGUN).fetch_one(connection).await?);
    Ok(begun)
}

/// One user; an error if what is stored makes none.
pub(super) async fn find(
    lease: &mut Lease,
    name: &UserName,
) -> Result<Option<Result<User, String>>, sqlx::Error> {
    let row: Option<Row> = on!(lease, connection => {
        sqlx::query_as(FIND).bind(name.as_str()).fetch_optional(connection).await?
    });
    Ok(row.map(user))
}

/// Everybody.
pub(super) async fn list(
    lease: &mut Lease,
) -> Result<Vec<(String, Result<User, String>)>, sqlx::Error> {
    type Named = (String, String, bool, bool, String, String);
    let rows: Vec<Named> =
        on!(lease, connection => sqlx::query_as(LIST).fetch_all(connection).await?);
    let split = |(name, password, superuser, disabled, roles, grants): Named| {
        (name, user((password, superuser, disabled, roles, grants)))
    };
    Ok(rows.into_iter().map(split).collect())
}

/// How many there are.
pub(super) async fn count(lease: &mut Lease) -> Result<i64, sqlx::Error> {
    let (count,) = on!(lease, connection => sqlx::query_as(COUNT).fetch_one(connection).await?);
    Ok(count)
}

/// Some hashes.
pub(super) async fn sample(lease: &mut Lease, at_most: i64) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> = on!(lease, connection => {
        sqlx::query_as(SAMPLE).bind(at_most).fetch_all(connection).await?
    });
    Ok(rows.into_iter().map(|(password,)| password).collect())
}

/// The revision of the last change.
pub(super) async fn revision(lease: &mut Lease) -> Result<i64, sqlx::Error> {
    let (last,) = on!(lease, connection => sqlx::query_as(REVISION).fetch_one(connection).await?);
    Ok(last)
}

/// Who has changed after revision `after` and not before `since` (milliseconds since 1970), in the order of changes.
pub(super) async fn changes(
    lease: &mut Lease,
    after: i64,
    since: i64,
    at_most: i64,
) -> Result<Vec<ChangedRow>, sqlx::Error> {
    type Joined = (
        String,
        i64,
        i64,
        i64,
        Option<String>,
        Option<bool>,
        Option<bool>,
        Option<String>,
        Option<String>,
    );
    let rows: Vec<Joined> = on!(lease, connection => {
        sqlx::query_as(CHANGES)
            .bind(after)
            .bind(since)
            .bind(at_most)
            .fetch_all(connection)
            .await?
    });
    let read = |row: Joined| {
        let (name, revision, credentials, changed_at, password, superuser, disabled, roles, grants) =
            row;
        let stored = (|| Some((password?, superuser?, disabled?, roles?, grants?)))();
        ChangedRow {
            name,
            revision,
            credentials,
            changed_at,
            user: stored.map(user),
        }
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Begins to write, when nobody else does.
pub(super) async fn begin(lease: &mut Lease) -> Result<(), sqlx::Error> {
    let begin = match lease.connection {
        // Who begins as a reader can't become the writer when there is another one.
        Connection::Sqlite(_) => "BEGIN IMMEDIATE",
        Connection::Postgres(_) => "BEGIN",
    };
    execute(lease, begin).await?;
    execute(lease, LOCK).await
}

/// Ends writing; what was written counts from now on.
pub(super) async fn commit(lease: &mut Lease) -> Result<(), sqlx::Error> {
    execute(lease, "COMMIT").await
}

async fn execute(lease: &mut Lease, statement: &'static str) -> Result<(), sqlx::Error> {
    on!(lease, connection => { sqlx::query(statement).execute(connection).await?; });
    Ok(())
}

/// Writes what a user has become.
pub(super) async fn write(
    lease: &mut Lease,
    name: &UserName,
    is_known: bool,
    user: Option<&User>,
) -> Result<(), sqlx::Error> {
    let name = name.as_str();
    let Some(User { password, account }) = user else {
        on!(lease, connection => { sqlx::query(DELETE).bind(name).execute(connection).await?; });
        return Ok(());
    };
    let statement = if is_known { UPDATE } else { INSERT };
    let json = |error: serde_json::Error| sqlx::Error::Encode(error.into());
    let roles = serde_json::to_string(&account.roles).map_err(json)?;
    let grants = serde_json::to_string(&account.grants).map_err(json)?;
    on!(lease, connection => {
        sqlx::query(statement)
            .bind(name)
            .bind(password.to_string())
            .bind(account.superuser)
            .bind(account.disabled)
            .bind(roles)
            .bind(grants)
            .execute(connection)
            .await?;
    });
    Ok(())
}

/// What a row means. The error names the column and never shows a hash.
fn user((password, superuser, disabled, roles, grants): Row) -> Result<User, String> {
    fn json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| format!("users.{column}: {error}"))
    }
    Ok(User {
        password: PasswordHash::parse(&password)
            .map_err(|error| format!("users.password: {error}"))?,
        account: Account {
            superuser,
            disabled,
            roles: json("roles", &roles)?,
            grants: json("grants", &grants)?,
            oracle: false,
        },
    })
}
