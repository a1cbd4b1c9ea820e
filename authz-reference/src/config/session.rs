//! `[session]`: how session states are sealed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;

use super::invalid;

/// How session states are sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// A file with at least 32 bytes of secret, for instance from `openssl rand -hex 32`; a line
    /// end after it does not count. All replicas need the same one.
    ///
    /// Without it every process makes up its own secret: after a restart, live sessions are told
    /// at their next PUBLISH or SUBSCRIBE that their state is invalid, and have to connect again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Several such files instead: the first one seals, all of them open. To rotate, put the new one second
    /// everywhere, then first everywhere, and take the old one away after `max_age`.
    pub key_files: Vec<PathBuf>,
    /// How old a session state may get. The session ends by then and the client connects afresh, so whatever was
    /// missed meanwhile ends with it.
    #[serde(with = "settings::text::duration")]
    pub max_age: Duration,
}

/// A day: long for a lost revocation, which is the exception; short for an operator who waits for a rotated key.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Below that a client would be busy connecting.
const SHORTEST_MAX_AGE: Duration = Duration::from_secs(60);
/// A state keeps the time in milliseconds; ten years are for ever.
const LONGEST_MAX_AGE: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

impl SessionConfig {
    /// The files with the secrets, the sealing one first.
    pub fn key_paths(&self) -> impl Iterator<Item = &Path> {
        self.key_file
            .iter()
            .chain(&self.key_files)
            .map(PathBuf::as_path)
    }

    /// The same, to be watched.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.key_paths().map(Path::to_owned).collect()
    }

    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        if self.key_file.is_some() && !self.key_files.is_empty() {
            let found = format!("{} files", self.key_files.len());
            let expected = "either `key_file` or `key_files`";
            return Err(invalid(tree, "session.key_files", &found, expected));
        }
        if !(SHORTEST_MAX_AGE..=LONGEST_MAX_AGE).contains(&self.max_age) {
            let found = settings::text::duration::format(self.max_age);
            return Err(invalid(
                tree,
                "session.max_age",
                &found,
                "between 1m and ten years",
            ));
        }
        Ok(())
    }

    pub(super) fn relative_to(self, folder: &Path) -> Self {
        let below = |file: PathBuf| folder.join(file);
        Self {
            key_file: self.key_file.map(below),
            key_files: self.key_files.into_iter().map(below).collect(),
            max_age: self.max_age,
        }
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            key_file: None,
            key_files: Vec::new(),
            max_age: MAX_AGE,
        }
    }
}
