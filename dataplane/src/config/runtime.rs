//! The part about what the process takes of its machine.

use std::{num::NonZeroUsize, thread::available_parallelism};

use serde::{Deserialize, Serialize};

/// What the process takes of its machine.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// Threads that serve clients. Absent: half of the processors that the process may use (its cgroup's
    /// limit counts), at least one: the others are for the broker and the authorization service. More
    /// threads serve more clients, and make each message dearer, for what they share has to go to and fro
    /// between processors.
    pub worker_threads: Option<NonZeroUsize>,
}

impl Runtime {
    /// The number of threads.
    #[must_use]
    pub fn workers(&self) -> usize {
        let half = || available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        self.worker_threads.map_or_else(half, NonZeroUsize::get)
    }
}
