//! Where a value came from.

use std::{fmt, path::Path, sync::Arc};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program itself.
    Default,
    /// The configuration file.
    File {
        /// The file, as it was named to the loader.
        path: Arc<Path>,
        /// The line, counted from 1.
        line: usize,
    },
    /// The environment.
    Env {
        /// The variable's name.
        name: String,
    },
    /// The command line.
    Flag {
        /// The key that the flag was for.
        name: String,
    },
}

/// `tidegate.toml:12`, `environment variable TIDEGATE__BROKER__URL`, `flag for broker.url`,
/// `default`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env { name } => write!(f, "environment variable {name}"),
            Self::Flag { name } => write!(f, "flag for {name}"),
        }
    }
}
