//! `[users]`: who may log in, and where that is known.

use std::{
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tidegate_settings::{self as settings, text};

use super::{certificate::CertificateConfig, http::HttpConfig, invalid, jwt::JwtConfig};
use crate::users::file::FileFormat;

/// Who may log in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// Which user bases are asked, in this order. Without it `file`, if [`Self::file`] is set, and otherwise
    /// `sqlite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<SourceKind>>,
    /// The users file. Without it `users.toml`, where the source `file` is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How the users file is written.
    pub file_format: FileFormat,
    /// `[users.sqlite]`
    pub sqlite: SqliteConfig,
    /// `[users.postgres]`
    pub postgres: PostgresConfig,
    /// `[users.http]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// `[users.jwt]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
    /// `[users.certificate]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateConfig>,
}

/// A user base, by its name in `users.sources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The users file
    File,
    /// A SQLite database
    Sqlite,
    /// A PostgreSQL database
    Postgres,
    /// A user manager, by HTTP
    #[value(skip)]
    Http,
    /// JSON Web Tokens
    #[value(skip)]
    Jwt,
    /// Client certificates
    #[value(skip)]
    Certificate,
}

/// Users in SQLite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteConfig {
    /// The database; made, readable by its owner only, if it is not there.
    pub path: PathBuf,
}

/// Users in PostgreSQL. Several replicas of the service share them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A file with the URL, which then is in no configuration and no environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Connections at most, and one more that listens for changes.
    pub max_connections: NonZeroU32,
    /// How long a login waits for a connection, be it a new one or one that others use.
    #[serde(with = "text::duration")]
    pub connect_timeout: Duration,
    /// How long the database may work on one statement.
    #[serde(with = "text::duration")]
    pub query_timeout: Duration,
    /// Whether the tables are made and brought up to date at start. If not, the account needs no more than SELECT.
    pub migrate: bool,
}

impl UsersConfig {
    /// The user bases in the order in which they are asked.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceKind> {
        match (&self.sources, &self.file) {
            (Some(sources), _) => sources.clone(),
            (None, Some(_)) => vec![SourceKind::File],
            (None, None) => vec![SourceKind::Sqlite],
        }
    }

    /// The names of those that store users.
    #[must_use]
    pub fn stores(&self) -> Vec<&'static str> {
        let stores = self
            .sources()
            .into_iter()
            .filter(|kind| kind.stores_users());
        stores.map(SourceKind::name).collect()
    }

    /// The users file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| "users.toml".into())
    }

    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        let sources = self.sources();
        let twice = |(at, kind): (usize, &SourceKind)| sources[..at].contains(kind);
        if sources.is_empty() || sources.iter().enumerate().any(twice) {
            return Err(invalid(
                tree,
                "users.sources",
                &format!("{sources:?}").to_lowercase(),
                "one source or more, each once",
            ));
        }
        let postgres = &self.postgres;
        if sources.contains(&SourceKind::Postgres)
            && postgres.url.is_some() == postgres.url_file.is_some()
        {
            let found = match postgres.url {
                Some(_) => "url and url_file",
                None => "neither",
            };
            return Err(invalid(
                tree,
                "users.postgres.url",
                found,
                "either url or url_file",
            ));
        }
        if let Some(http) = &self.http {
            http.check(tree)?;
        }
        if let Some(jwt) = &self.jwt {
            jwt.check(tree)?;
        }
        if let Some(certificate) = &self.certificate {
            certificate.check(tree)?;
        }
        for (kind, is_there) in [
            (SourceKind::Http, self.http.is_some()),
            (SourceKind::Jwt, self.jwt.is_some()),
            (SourceKind::Certificate, self.certificate.is_some()),
        ] {
            let name = kind.name();
            // One without the other was meant to do something.
            match (sources.contains(&kind), is_there) {
                (true, false) => {
                    let expected = format!("`[users.{name}]`, too");
                    return Err(invalid(tree, "users.sources", name, &expected));
                }
                (false, true) => {
                    let (key, expected) = (
                        format!("users.{name}"),
                        format!("`{name}` among `users.sources`"),
                    );
                    return Err(invalid(tree, &key, "it", &expected));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        if self.sources().contains(&SourceKind::File) {
            self.file = Some(folder.join(self.file()));
        }
        self.sqlite.path = folder.join(self.sqlite.path);
        self.postgres.url_file = self.postgres.url_file.map(|file| folder.join(file));
        self.http = self.http.map(|http| http.relative_to(folder));
        self.jwt = self.jwt.map(|jwt| jwt.relative_to(folder));
        self
    }
}

impl SourceKind {
    /// Whether users can be added to it.
    #[must_use]
    pub fn stores_users(self) -> bool {
        matches!(self, Self::File | Self::Sqlite | Self::Postgres)
    }

    /// Its name in the configuration, in logs and in spans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Http => "http",
            Self::Jwt => "jwt",
            Self::Certificate => "certificate",
        }
    }
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: "users.db".into(),
        }
    }
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            max_connections: NonZeroU32::MIN.saturating_add(9),
            connect_timeout: Duration::from_secs(2),
            query_timeout: Duration::from_secs(2),
            migrate: true,
        }
    }
}

/// Without the URL: it may hold a password.
impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &self.url.as_ref().map(|_| "<redacted>"))
            .field("url_file", &self.url_file)
            .field("max_connections", &self.max_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("query_timeout", &self.query_timeout)
            .field("migrate", &self.migrate)
            .finish()
    }
}
