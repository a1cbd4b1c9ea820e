//! `[session]`: how session states are sealed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How session states are sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// A file with at least 32 bytes of secret, for instance from `openssl rand -hex 32`; a line
    /// end after it does not count. All replicas need the same one.
    ///
    /// Without it every process makes up its own secret: after a restart, live sessions are told
    /// at their next PUBLISH or SUBSCRIBE that their state is invalid, and have to connect again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl SessionConfig {
    pub(super) fn relative_to(self, folder: &Path) -> Self {
        Self {
            key_file: self.key_file.map(|file| folder.join(file)),
        }
    }
}
