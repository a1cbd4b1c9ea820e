//! Descriptors: each connection takes two, one for the client and one for the broker.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Beside connections: listeners, probes and administrator (32 each), connections to services, the second address of a
/// broker that is tried, files that are being read. Of few descriptors, half of them at most.
const RESERVE: u64 = 128;

/// Raises the number of descriptors that the process may have to what it may raise it to. Yields how many connections
/// can be had with it, `wanted` at most, and tells if these are fewer: to refuse one is better than to have no descriptor
/// for the broker, the service or the probes.
pub(crate) fn raise(wanted: usize) -> usize {
    let found = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: found.maximum,
        maximum: found.maximum,
    };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => found.maximum,
        Err(error) => {
            warn!(%error, "the limit of descriptors cannot be raised");
            found.current
        }
    };
    let connections = connections(descriptors, wanted);
    if connections < wanted {
        warn!(
            descriptors,
            max_connections = wanted,
            connections,
            "too few descriptors for max_connections: no more than `connections` are let in at once. Raise the hard limit (LimitNOFILE, ulimit -Hn), or lower limits.max_connections"
        );
    } else {
        info!(descriptors, connections, "descriptors");
    }
    connections
}

/// How many connections there are descriptors for. `None`: there is no limit.
fn connections(descriptors: Option<u64>, wanted: usize) -> usize {
    let Some(descriptors) = descriptors else {
        return wanted;
    };
    let left = descriptors - RESERVE.min(descriptors / 2);
    usize::try_from(left / 2).map_or(wanted, |possible| wanted.min(possible.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_takes_two_and_some_are_left() {
        for (descriptors, connections_) in [
            (Some(1_048_576), 10_000),
            (Some(20_128), 10_000),
            (Some(20_000), 9_936),
            (Some(1_024), 448),
            (Some(200), 50),
            (Some(2), 1),
            (Some(0), 1),
            (Some(u64::MAX), 10_000),
            (None, 10_000),
        ] {
            assert_eq!(
                connections(descriptors, 10_000),
                connections_,
                "{descriptors:?}"
            );
        }
    }
}
