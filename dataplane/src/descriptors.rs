//! Descriptors: each session takes two.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Beside sessions: listeners, connections to services, files that are being read.
const RESERVE: u64 = 64;

/// Raises the number of descriptors that the process may have to what it may raise it to, and tells if
/// `max_connections` can't be had with it.
pub(crate) fn raise(max_connections: usize) {
    let found = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: found.maximum,
        maximum: found.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => found.maximum,
        Err(error) => {
            warn!(%error, "the limit of descriptors cannot be raised");
            found.current
        }
    };
    let needed = 2 * max_connections as u64 + RESERVE;
    match current {
        Some(current) if current < needed => warn!(
            descriptors = current,
            needed,
            max_connections,
            "too few descriptors for limits.max_connections: raise the hard limit (LimitNOFILE, ulimit -Hn), or lower max_connections"
        ),
        _ => info!(descriptors = current, "descriptors"),
    }
}
