//! The settings of the decision pipeline. They are validated where they are read, not here.

use std::{fmt, time::Duration};

use super::{
    endpoints::{Lookup, Target, Tls, system_lookup},
    hook::HookKind,
    ladder::FailurePolicy,
    mutations::Mutations,
    shadow::Mode,
};

/// Settings of [`Authz`](super::Authz).
#[derive(Debug, Clone)]
pub struct AuthzOptions {
    /// Where the service is: at least one, each with the same policy.
    pub endpoints: Vec<Target>,
    /// For endpoints over TLS; without it, none of these can be reached.
    pub tls: Option<Tls>,
    /// Time for one attempt to connect, name resolution and handshakes included.
    pub connect_timeout: Duration,
    /// Whether endpoints are asked for their health (`grpc.health.v1`).
    pub health_check: bool,
    /// How the names of endpoints are looked up.
    pub lookup: NameLookup,
    /// CONNECT, and its will.
    pub connect: HookOptions,
    /// PUBLISH.
    pub publish: HookOptions,
    /// One filter of a SUBSCRIBE.
    pub subscribe: HookOptions,
    /// Largest batch in bytes of its checks. A check that is larger travels alone.
    pub max_bytes: usize,
    /// Largest check in bytes; a larger one fails with [`TooLarge`](gatekeeper::Why::TooLarge). Leaves
    /// room below the 4 MiB that gRPC servers usually accept.
    pub max_check_bytes: usize,
    /// Largest answer to one call in bytes.
    pub max_response_bytes: usize,
    /// Most calls of a lane in flight before the next batch waits for company.
    pub k_soft_max: usize,
    /// Most calls of a lane in flight, over all endpoints; below the 100 streams that HTTP/2 servers usually
    /// grant.
    pub k_hard: usize,
    /// Longest wait of the first check of a batch behind slow calls.
    pub overflow_wait: Duration,
    /// Most checks that wait in one lane. Sessions stop reading at three quarters of it.
    pub queue_checks: usize,
    /// Most bytes of checks that wait in one lane. Sessions stop reading at three quarters of it.
    pub queue_bytes: usize,
    /// What the service may change.
    pub mutations: Mutations,
    /// Largest session state that the service may give to a session, in bytes.
    pub max_session_state: usize,
    /// Decisions that are used again. `None`: each check is asked.
    pub cache: Option<CacheOptions>,
    /// Most bytes of packets that are held for a service that fails.
    pub hold_bytes: usize,
    /// Most spans per second that are made afterwards, for denials and failures of packets that were not
    /// traced.
    pub retroactive_spans_per_second: u32,
    /// How the decision log looks.
    pub decision_log: DecisionLog,
}

/// How the names of endpoints are looked up: by the system, but for tests.
#[derive(Clone)]
pub struct NameLookup(pub(super) Lookup);

impl Default for NameLookup {
    fn default() -> Self {
        Self(system_lookup())
    }
}

impl fmt::Debug for NameLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameLookup")
    }
}

/// Settings of one hook.
#[derive(Debug, Clone, Default)]
pub struct HookOptions {
    /// Time from the arrival of a packet to its decision.
    pub deadline: Duration,
    /// Most checks in one call.
    pub max_items: usize,
    /// What becomes of checks that nobody decided.
    pub on_failure: FailurePolicy,
    /// Whether the answers count.
    pub mode: Mode,
}

/// Settings of the cache of decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheOptions {
    /// Longest time for which a decision is used again, whatever the service permits.
    pub max_ttl: Duration,
    /// Longest time after that for which an allow is used while the service fails.
    pub max_stale: Duration,
    /// Most decisions of one session.
    pub max_entries_per_session: usize,
    /// Most bytes of decisions, over all sessions.
    pub max_bytes: usize,
}

/// How the decision log (target `decision`) looks. Denials are at INFO, failures at WARN.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    /// Whether an allow is at INFO, like a denial, or at DEBUG.
    pub allows_at_info: bool,
    /// Most lines about denials per second; the others are counted and the count is told.
    pub denials_per_second: u32,
    /// Most lines about failures per second; the others are counted and the count is told.
    pub failures_per_second: u32,
}

impl AuthzOptions {
    /// The settings of one hook. A will is part of its CONNECT.
    #[must_use]
    pub fn hook(&self, hook: HookKind) -> &HookOptions {
        match hook {
            HookKind::Connect | HookKind::Will => &self.connect,
            HookKind::Publish => &self.publish,
            HookKind::Subscribe => &self.subscribe,
        }
    }
}

impl Default for AuthzOptions {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            tls: None,
            connect_timeout: Duration::from_secs(1),
            health_check: true,
            lookup: NameLookup::default(),
            connect: HookOptions {
                deadline: Duration::from_secs(5),
                // Hashing dominates: a batch would only make quick ones wait for slow ones.
                max_items: 1,
                ..HookOptions::default()
            },
            publish: HookOptions {
                deadline: Duration::from_secs(1),
                max_items: 64,
                ..HookOptions::default()
            },
            subscribe: HookOptions {
                deadline: Duration::from_secs(2),
                max_items: 64,
                ..HookOptions::default()
            },
            max_bytes: 256 * 1024,
            max_check_bytes: 4 * 1024 * 1024 - 64 * 1024,
            max_response_bytes: 1024 * 1024,
            k_soft_max: 8,
            k_hard: 64,
            overflow_wait: Duration::from_millis(1),
            queue_checks: 10_000,
            queue_bytes: 32 * 1024 * 1024,
            mutations: Mutations::default(),
            max_session_state: 1024,
            cache: None,
            hold_bytes: 32 * 1024 * 1024,
            retroactive_spans_per_second: 10,
            decision_log: DecisionLog {
                allows_at_info: false,
                denials_per_second: 100,
                failures_per_second: 10,
            },
        }
    }
}
