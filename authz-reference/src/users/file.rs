//! The users file: TOML of our own, or `name:hash` lines as other programs write them.
//!
//! ```toml
//! [users.alice]
//! password = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
//!
//! [users.root]
//! password = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
//! superuser = true
//!
//! [users.carol]
//! password = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
//! disabled = true
//! roles = ["operators"]
//! grants = [{ topic = "news/#", subscribe = true, qos = 1 }]
//! ```

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::Spanned;

use super::{Account, User, Users, lines};
use crate::{
    access::{Access, RoleName},
    identity::UserName,
    password::PasswordHash,
};

/// Why a users file could not be used.
#[derive(Debug, Error)]
pub enum UsersFileError {
    /// It cannot be read.
    #[error("cannot read the users file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can be read but not understood. Never shows the line: it may hold a hash.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// It had users, and now there is nothing in it at all.
    #[error(
        "{} is empty, as a file is while it is written; to have no users, leave the line `# nobody` in it, whatever its format",
        path.display()
    )]
    Emptied {
        /// The file.
        path: PathBuf,
    },
}

impl UsersFileError {
    /// Whether the reason is just that there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// How a users file is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// By what is in it
    #[default]
    Auto,
    /// Our own
    #[value(skip)]
    Toml,
    /// `name:hash`, as `mosquitto_passwd` writes it
    Mosquitto,
    /// `name:hash`, as `htpasswd -B` writes it
    Htpasswd,
    /// `name:hash`, as mosquitto-go-auth reads it
    GoAuth,
}

/// Reads all users of a file.
///
/// # Errors
/// If it is missing, unreadable, or wrong in any place: half a user base is none.
pub fn load(path: &Path, format: FileFormat) -> Result<Users, UsersFileError> {
    Ok(read(path, format)?.into_iter().collect())
}

/// Reads all users of a file, in its order.
///
/// # Errors
/// If it is missing, unreadable, or wrong in any place.
pub fn read(path: &Path, format: FileFormat) -> Result<Vec<(UserName, User)>, UsersFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| UsersFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    match format {
        FileFormat::Auto if lines::are_lines(&text) => lines::parse(&text, path, format),
        FileFormat::Auto | FileFormat::Toml => parse(&text, path),
        lines => lines::parse(&text, path, lines),
    }
}

/// Understands the text of a TOML users file; `path` is for error messages.
///
/// # Errors
/// If anything in it is wrong.
pub fn parse(text: &str, path: &Path) -> Result<Vec<(UserName, User)>, UsersFileError> {
    let malformed = |span: Range<usize>, problem: String| UsersFileError::Malformed {
        path: path.to_owned(),
        line: line_of(text, span.start),
        problem,
    };
    let document: Document = toml::from_str(text)
        .map_err(|error| malformed(error.span().unwrap_or_default(), error.message().to_owned()))?;

    let user = |(name, entry): (Spanned<String>, Entry)| {
        let checked = UserName::new(name.as_ref())
            .map_err(|error| malformed(name.span(), format!("{error}: `{}`", name.as_ref())))?;
        let password = PasswordHash::parse(entry.password.as_ref()).map_err(|error| {
            malformed(
                entry.password.span(),
                format!("the password of `{checked}` is {error}"),
            )
        })?;
        Ok((
            checked,
            User {
                password,
                account: Account {
                    superuser: entry.superuser,
                    disabled: entry.disabled,
                    roles: entry.roles,
                    grants: entry.grants,
                    oracle: false,
                },
            },
        ))
    };
    document.users.into_iter().map(user).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    users: BTreeMap<Spanned<String>, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    password: Spanned<String>,
    #[serde(default)]
    superuser: bool,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    grants: Vec<Access>,
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA";

    fn problem(text: &str) -> String {
        parse(text, Path::new("users.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn reads_users() {
        let text = format!(
            "[users.bob]\npassword = \"{HASH}\"\n\
             [users.\"al.ice\"]\npassword = \"{HASH}\"\nsuperuser = true\n"
        );
        let users = parse(&text, Path::new("users.toml")).unwrap();
        let users: Users = users.into_iter().collect();
        let list: Vec<_> = users
            .list()
            .into_iter()
            .map(|(name, account)| (name.as_str(), account.superuser))
            .collect();
        assert_eq!(list, [("al.ice", true), ("bob", false)]);
        assert!(parse("", Path::new("users.toml")).unwrap().is_empty());
    }

    #[test]
    fn points_at_what_is_wrong() {
        for (text, expected) in [
            (
                "\n[users.alice]\npassword = \"secret\"\n",
                "users.toml:3: the password of `alice` is not a hash of a known format",
            ),
            (
                "[users.alice]\npassword = \"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0\"",
                "users.toml:2: the password of `alice` is a hash (format argon2id) with missing",
            ),
            (
                "[users.alice]\npassword = \"$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA\"",
                "users.toml:2: the password of `alice` is not a hash of a known format",
            ),
            (
                "[users.alice]\nsuperuser = true\n",
                "users.toml:1: missing field `password`",
            ),
            (
                "[users.alice]\npassword = \"x\"\nsuper = true\n",
                "users.toml:3: unknown field `super`",
            ),
            ("[user.alice]\n", "users.toml:1: unknown field `user`"),
            (
                "\n\n[users.\"a/b\"]\npassword = \"x\"",
                "users.toml:3: a user name may not contain `/`, `+` or `#`: `a/b`",
            ),
            ("[users.alice\n", "users.toml:1: "),
        ] {
            let problem = problem(text);
            assert!(
                problem.starts_with(expected),
                "{problem}\n  instead of\n{expected}"
            );
        }
    }

    #[test]
    fn never_shows_a_hash() {
        let text = format!("[users.alice]\npassword = \"{HASH}x!\"\n");
        assert!(!problem(&text).contains("c2FsdHNhbHRzYWx0"));
        let text = format!("[users.alice]\npassword = \"{HASH}\n");
        assert!(!problem(&text).contains("c2FsdHNhbHRzYWx0"));
    }

    #[test]
    fn what_to_leave_in_a_file_without_users() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let advice = UsersFileError::Emptied { path: path.clone() }.to_string();
        let line = advice.split('`').nth(1).unwrap();
        std::fs::write(&path, format!("{line}\n")).unwrap();
        use FileFormat::{Auto, GoAuth, Htpasswd, Mosquitto, Toml};
        for format in [Auto, Toml, Mosquitto, Htpasswd, GoAuth] {
            let users = load(&path, format).unwrap();
            assert!(users.is_empty(), "{format:?}");
        }
    }

    #[test]
    fn a_missing_file_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            load(&folder.path().join("users.toml"), FileFormat::Auto)
                .unwrap_err()
                .is_missing()
        );
        assert!(
            !load(folder.path(), FileFormat::Auto)
                .unwrap_err()
                .is_missing()
        );
    }
}
