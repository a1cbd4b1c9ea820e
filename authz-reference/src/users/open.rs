//! From the configuration to user bases.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use super::{
    certificate,
    changes::ChangeSender,
    edit::UsersFile,
    file::UsersFileError,
    http, jwt,
    live::LiveUsers,
    source::UserSource,
    sql::{SqlStore, SqlUsers},
    store::UserStore,
};
use crate::config::{Config, PostgresConfig, SourceKind, UsersConfig};

/// How long a login waits for SQLite, which is at hand, to be opened.
const SQLITE_PATIENCE: Duration = Duration::from_secs(2);

/// Why a user base cannot be had. What is wrong lies in the configuration or the files that it names.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The users file is there but cannot be used.
    #[error(transparent)]
    File(#[from] UsersFileError),
    /// The database's URL can't be had or understood. Does not hold it.
    #[error("{0}")]
    Url(String),
    /// The file with the database's URL cannot be read.
    #[error("users.postgres.url_file: cannot read {}: {source}", path.display())]
    UrlFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A source that stores no users, or is none that is configured.
    #[error(
        "no source of `users.sources` stores users that could be changed here ({0} is configured)"
    )]
    NoStore(String),
    /// A source without its section.
    #[error("users.sources: `{0}` needs `[users.{0}]`")]
    NotConfigured(&'static str),
    /// The HTTP client of a source can't be made.
    #[error(transparent)]
    Http(#[from] http::OpenError),
}

/// All user bases in the order of the configuration. Those that store users tell `changes`.
///
/// A database that can't be reached is none of the errors: its users are asked for in vain until it is there. To be
/// called within a Tokio runtime.
///
/// # Errors
/// If the configuration, or a file that it names, can't be used.
pub fn open(config: &Config, changes: ChangeSender) -> Result<Vec<Box<dyn UserSource>>, OpenError> {
    let users = &config.users;
    // Older changes of users concern no session.
    let remember = config.session.max_age;
    let open = |kind| {
        let changes = changes.clone();
        let source: Box<dyn UserSource> = match kind {
            SourceKind::File => {
                Box::new(LiveUsers::open(users.file(), users.file_format, changes)?)
            }
            SourceKind::Sqlite => Box::new(sqlite(users, changes, remember)),
            SourceKind::Postgres => Box::new(postgres(&users.postgres, changes, remember)?),
            SourceKind::Http => http::open(configured(kind, &users.http)?)?,
            SourceKind::Jwt => Box::new(jwt::Tokens::open(configured(kind, &users.jwt)?)?),
            SourceKind::Certificate => {
                let settings = configured(kind, &users.certificate)?;
                Box::new(certificate::Certificates::new(settings))
            }
        };
        Ok(source)
    };
    users.sources().into_iter().map(open).collect()
}

/// The user base that `tidegate-authz user` changes: `wanted`, or the first that stores users.
///
/// To be called within a Tokio runtime.
///
/// # Errors
/// If there is none, or the configuration can't be used.
pub fn open_store(
    config: &UsersConfig,
    wanted: Option<SourceKind>,
) -> Result<Box<dyn UserStore>, OpenError> {
    let sources = config.sources();
    let stores =
        |kind: &SourceKind| kind.stores_users() && wanted.is_none_or(|wanted| wanted == *kind);
    match sources.iter().copied().find(stores) {
        Some(SourceKind::File) => Ok(Box::new(UsersFile::new(config.file(), config.file_format))),
        Some(SourceKind::Sqlite) => Ok(Box::new(SqlStore::sqlite(config.sqlite.path.clone()))),
        Some(SourceKind::Postgres) => Ok(Box::new(postgres_store(&config.postgres)?)),
        _ => {
            let names: Vec<_> = sources.into_iter().map(SourceKind::name).collect();
            Err(OpenError::NoStore(names.join(", ")))
        }
    }
}

/// The section of a source.
fn configured<T>(kind: SourceKind, section: &Option<T>) -> Result<&T, OpenError> {
    section
        .as_ref()
        .ok_or(OpenError::NotConfigured(kind.name()))
}

fn sqlite(config: &UsersConfig, changes: ChangeSender, remember: Duration) -> SqlUsers {
    SqlStore::sqlite(config.sqlite.path.clone()).follow(changes, remember, SQLITE_PATIENCE)
}

fn postgres(
    config: &PostgresConfig,
    changes: ChangeSender,
    remember: Duration,
) -> Result<SqlUsers, OpenError> {
    Ok(postgres_store(config)?.follow(changes, remember, config.connect_timeout))
}

fn postgres_store(config: &PostgresConfig) -> Result<SqlStore, OpenError> {
    let from_file;
    let url = match (&config.url, &config.url_file) {
        (Some(url), _) => url.as_str(),
        (None, Some(path)) => {
            from_file = std::fs::read_to_string(path).map_err(|source| OpenError::UrlFile {
                path: path.clone(),
                source,
            })?;
            from_file.trim()
        }
        (None, None) => {
            return Err(OpenError::Url("users.postgres.url is not set".to_owned()));
        }
    };
    SqlStore::postgres(url, config).map_err(OpenError::Url)
}
