//! `[users]`: who may log in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// The users file.
    pub file: PathBuf,
}

impl UsersConfig {
    pub(super) fn relative_to(self, folder: &Path) -> Self {
        Self {
            file: folder.join(self.file),
        }
    }
}

impl Default for UsersConfig {
    fn default() -> Self {
        Self {
            file: "users.toml".into(),
        }
    }
}
