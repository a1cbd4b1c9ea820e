//! What can be wrong with a configuration.

use crate::{origin::Origin, redact};
use std::{fmt, io, path::PathBuf};

/// What is wrong with a configuration: the first thing found. Never holds the value of a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is missing or unreadable.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file is no TOML.
    #[error("{origin}: {message}")]
    Syntax {
        /// The line.
        origin: Origin,
        /// What the parser expected.
        message: String,
    },
    /// The name of a variable or flag leads nowhere, or its text is not Unicode.
    #[error("{origin}: {reason}")]
    Overlay {
        /// The variable or flag.
        origin: Origin,
        /// Why it cannot be applied.
        reason: String,
    },
    /// A key that the program does not know.
    #[error("{origin}: unknown key `{key}`{hint}")]
    UnknownKey {
        /// The whole key, `listeners.0.bnd`.
        key: String,
        /// What may have been meant: `; did you mean `bind`?`, or nothing.
        hint: String,
        /// Where it stands.
        origin: Origin,
    },
    /// A key that the program needs.
    #[error("{origin}: `{key}` is missing (environment: {variable})")]
    Missing {
        /// The whole key.
        key: String,
        /// The environment variable that would set it.
        variable: String,
        /// The table that lacks it.
        origin: Origin,
    },
    /// A value that the program cannot take.
    #[error("{origin}: `{key}`: expected {expected}, found {found}")]
    Invalid {
        /// The whole key.
        key: String,
        /// The value, or `<redacted>`.
        found: String,
        /// What it should be.
        expected: String,
        /// Where the value came from.
        origin: Origin,
    },
    /// A value that its type refuses in its own words.
    #[error("{origin}: `{key}`: {message}")]
    Refused {
        /// The whole key.
        key: String,
        /// The type's own words.
        message: String,
        /// Where the value came from.
        origin: Origin,
    },
    /// The configuration cannot be shown: a type that does not serialize, a fault of the program.
    #[error("the configuration cannot be shown: {0}")]
    Show(String),
}

impl Error {
    /// An error that a program finds by its own rules, in the form of all others:
    /// `tidegate.toml:12: `authz.publish.deadline`: expected at most 60s, found 2h`.
    ///
    /// `found` is replaced if the key's name suggests a secret. `origin` is best had from
    /// [`Tree::origin_of`](crate::Tree::origin_of); `None` counts as a default.
    pub fn invalid(
        key: impl Into<String>,
        found: impl fmt::Display,
        expected: impl fmt::Display,
        origin: Option<&Origin>,
    ) -> Self {
        let key = key.into();
        let found = if redact::is_secret(&key) {
            redact::REDACTED.to_owned()
        } else {
            redact::without_url_password(&found.to_string()).into_owned()
        };
        Self::Invalid {
            key,
            found,
            expected: expected.to_string(),
            origin: origin.cloned().unwrap_or(Origin::Default),
        }
    }
}
