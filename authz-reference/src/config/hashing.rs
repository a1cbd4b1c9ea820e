//! `[hashing]`: the bounds of the hashing pool.

use std::{num::NonZeroUsize, thread};

use serde::{Deserialize, Serialize};

use crate::hashing::HashingLimits;

/// About four seconds of work at 60 ms a hash: what comes later would miss the data plane's
/// default deadline for CONNECT anyway.
pub(super) const QUEUED_PER_WORKER: usize = 64;

/// The bounds of the [hashing pool](crate::hashing).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HashingConfig {
    /// Password checks at the same time; each takes a core and, by default parameters, 19 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<NonZeroUsize>,
    /// Password checks that wait for a worker. Those beyond are told that the service is busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<usize>,
}

impl HashingConfig {
    /// The bounds, with defaults for this machine.
    #[must_use]
    pub fn limits(&self) -> HashingLimits {
        let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = self.workers.unwrap_or_else(cores);
        let queue = self
            .queue
            .unwrap_or(workers.get().saturating_mul(QUEUED_PER_WORKER));
        HashingLimits { workers, queue }
    }
}
