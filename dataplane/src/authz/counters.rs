//! What the stack counts. Plain atomics: whoever exports metrics reads them.

mod endpoint;
mod histogram;
mod room;

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use gatekeeper::Why;

pub(super) use self::room::Roomy;
pub use self::{
    endpoint::EndpointCounters,
    histogram::{Bytes, Checks, Durations, Histogram, Scale},
    room::RoomLeft,
};

use super::{failure::Cause, hook::HookKind, ladder::Step, shadow::ShadowOutcome};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The number so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, by: usize) {
        self.0.fetch_add(by as u64, Ordering::Relaxed);
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// The number now.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// What the whole stack counts.
#[derive(Debug, Default)]
pub struct Counters {
    hooks: [HookCounters; HookKind::ALL.len()],
    /// Those that are in use: names come and go.
    endpoints: Mutex<Vec<Weak<EndpointCounters>>>,
    /// Offences of the service against the contract.
    pub protocol_errors: ProtocolErrors,
    /// Decisions that are kept.
    pub cache: CacheCounters,
}

/// Decisions that are kept, over all sessions.
#[derive(Debug, Default)]
pub struct CacheCounters {
    entries: AtomicUsize,
    bytes: AtomicUsize,
    /// Decisions that made room for others.
    pub evictions: Count,
}

impl CacheCounters {
    /// Decisions that are kept now.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes that they take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// One more, if it fits.
    pub(super) fn take(&self, bytes: usize, max: usize) -> bool {
        let is_taken = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(bytes).filter(|sum| *sum <= max)
            })
            .is_ok();
        if is_taken {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// So many less, of so many bytes.
    pub(super) fn removed(&self, entries: usize, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.entries.fetch_sub(entries, Ordering::Relaxed);
    }
}

impl Counters {
    /// The counts of one hook.
    #[must_use]
    pub fn hook(&self, hook: HookKind) -> &HookCounters {
        &self.hooks[hook as usize]
    }

    /// The counts of the endpoints that are in use.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<EndpointCounters>> {
        let endpoints = self.endpoints.lock();
        let endpoints = endpoints.unwrap_or_else(PoisonError::into_inner);
        endpoints.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether the service has decided something, or an endpoint that wants calls has said what it can do.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        let decided = |hook: &HookCounters| hook.allowed.get() + hook.denied.get() > 0;
        let answers =
            |endpoint: &Arc<EndpointCounters>| endpoint.has_answered() && endpoint.is_healthy();
        self.hooks.iter().any(decided) || self.endpoints().iter().any(answers)
    }

    /// The counts of a new endpoint; they are forgotten with it. Should it come back while a call of its
    /// former life is under way, they go on.
    pub(super) fn endpoint(&self, hook: HookKind, address: String) -> Arc<EndpointCounters> {
        let endpoints = self.endpoints.lock();
        let mut endpoints = endpoints.unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|known| known.strong_count() > 0);
        let mut known = endpoints.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.find(|known| known.hook == hook && known.address == address) {
            known.begin_again();
            return known;
        }
        let counters = Arc::new(EndpointCounters::new(hook, address));
        endpoints.push(Arc::downgrade(&counters));
        counters
    }
}

/// What is counted for each hook.
///
/// `asked` = `ended()` + those still under way: each check has exactly one outcome.
#[derive(Debug, Default)]
pub struct HookCounters {
    /// Checks that came in.
    pub asked: Count,
    /// Checks that were allowed.
    pub allowed: Count,
    /// Checks that were denied.
    pub denied: Count,
    /// Checks that were allowed by a decision made before.
    pub allowed_cached: Count,
    /// Checks that were denied by a decision made before.
    pub denied_cached: Count,
    /// Checks that nobody was to be asked about.
    pub skipped: Count,
    /// Checks that nobody waited for to the end.
    pub cancelled: Count,
    failed: [Count; WHYS.len()],
    /// Allows that were not used because a directive had overtaken them.
    pub outdated: Count,
    mode: Mutex<Option<&'static str>>,
    /// Time from the arrival of a check to its decision, in seconds. After a reload it is that of new sessions.
    pub deadline: Gauge,
    /// From the arrival of a check to the moment when its session takes the outcome, an allow.
    pub check_duration: Histogram,
    /// The same of those that were denied.
    pub check_duration_denied: Histogram,
    /// The same of those that nobody decided.
    pub check_duration_failed: Histogram,
    /// From the arrival of a check to its departure; those that never departed are not in it.
    pub queue_duration: Histogram,
    /// Checks in a call.
    pub batch_size: Histogram<Checks>,
    /// Bytes of a call's message.
    pub batch_bytes: Histogram<Bytes>,
    /// Calls to the service.
    pub calls: Count,
    /// Those that are under way no more.
    pub calls_ended: Count,
    /// Checks in these calls.
    pub checks_sent: Count,
    /// Calls that ended without a readable response.
    pub calls_failed: Count,
    /// Calls that were made a second time.
    pub retries: Count,
    /// Calls that were not made a second time, for too many were already.
    pub retry_budget_exhausted: Count,
    /// Share of checks that are refused before they are asked, as of the last one; 0 to 0.9.
    pub throttle_probability: Gauge,
    /// Room where checks wait.
    pub room: RoomLeft,
    /// Checks that were answered by an earlier decision.
    pub cache_hits: Count,
    /// Checks that were asked though decisions are kept.
    pub cache_misses: Count,
    shadow: [Count; ShadowOutcome::ALL.len()],
    failure_actions: [Count; Step::ALL.len()],
    /// Panics of the lane: each is a bug.
    pub panics: Count,
}

impl HookCounters {
    /// Checks that nobody decided, for this reason.
    #[must_use]
    pub fn failed(&self, why: Why) -> u64 {
        self.failed_slot(why).map_or(0, Count::get)
    }

    /// Checks that nobody decided, for any reason.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.iter().map(Count::get).sum()
    }

    /// Checks that were asked and have an outcome.
    #[must_use]
    pub fn ended(&self) -> u64 {
        let decided = self.allowed.get() + self.denied.get();
        let cached = self.allowed_cached.get() + self.denied_cached.get();
        decided + cached + self.cancelled.get() + self.failures()
    }

    /// What decisions are good for: `enforce`, unless another word was set.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        let mode = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        mode.unwrap_or("enforce")
    }

    /// Says what decisions are good for. After a reload that is what they are good for to new sessions.
    pub(super) fn set_mode(&self, mode: &'static str) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = Some(mode);
    }

    /// A call departs; it is under way as long as this lives.
    pub(super) fn call(&self, checks: usize, bytes: usize) -> Flying<'_> {
        self.calls.add(1);
        self.checks_sent.add(checks);
        self.batch_size.add(checks as u64);
        self.batch_bytes.add(bytes as u64);
        Flying(self)
    }

    /// How often the operator's step was taken for a check that nobody decided.
    #[must_use]
    pub fn failure_action(&self, step: Step) -> &Count {
        &self.failure_actions[step as usize]
    }

    /// What was found out in the shadow.
    #[must_use]
    pub fn shadow(&self, outcome: ShadowOutcome) -> &Count {
        &self.shadow[outcome as usize]
    }

    pub(super) fn add_failure(&self, why: Why) {
        if let Some(count) = self.failed_slot(why) {
            count.add(1);
        }
    }

    fn failed_slot(&self, why: Why) -> Option<&Count> {
        let index = WHYS.iter().position(|known| *known == why)?;
        self.failed.get(index)
    }
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Flying<'a>(&'a HookCounters);

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.0.calls_ended.add(1);
    }
}

/// All reasons for a failure.
pub const WHYS: [Why; 15] = [
    Why::Timeout,
    Why::Unavailable,
    Why::GrpcStatus,
    Why::ServiceFailure,
    Why::Overloaded,
    Why::SessionStateInvalid,
    Why::InvalidCheck,
    Why::MissingResult,
    Why::InvalidResult,
    Why::InvalidMutation,
    Why::ExpiredInQueue,
    Why::QueueFull,
    Why::Throttled,
    Why::TooLarge,
    Why::ShuttingDown,
];

/// Offences of the service against the contract, by kind.
#[derive(Debug, Default)]
pub struct ProtocolErrors {
    /// Results for checks that were not in the call.
    pub unknown_item: Count,
    /// Checks without a result.
    pub missing_item: Count,
    /// Checks with more than one result.
    pub duplicate_item: Count,
    /// Results without a decision that is known here.
    pub unset_decision: Count,
    /// Denials with a reason code that no denial may have.
    pub illegal_reason_code: Count,
    /// Denials with an action that is not possible there.
    pub illegal_action: Count,
    /// Allows that change what may not be changed, or make something of it that is not MQTT.
    pub illegal_mutation: Count,
    /// Allows that make no sense otherwise.
    pub illegal_allow: Count,
}

impl ProtocolErrors {
    /// Counts the cause, if it is an offence.
    pub(super) fn add(&self, cause: &Cause) {
        let count = match cause {
            Cause::MissingResult => &self.missing_item,
            Cause::DuplicateResult => &self.duplicate_item,
            Cause::UnsetDecision => &self.unset_decision,
            Cause::IllegalReasonCode(_) => &self.illegal_reason_code,
            Cause::IllegalAction(_) => &self.illegal_action,
            Cause::MutationNotPermitted(_) | Cause::MutationInvalid(_) => &self.illegal_mutation,
            Cause::InvalidAllow(_) => &self.illegal_allow,
            _ => return,
        };
        count.add(1);
    }
}
