//! The operator's steps, and which failure each of them is for.

use std::{sync::Arc, time::Duration};

use gatekeeper::Why;
use tidegate_proto::v1::FailureCode;
use tokio::time::Instant;

use super::{
    super::{
        counters::Counters,
        decision::{Decision, Facts},
        endpoints::Endpoints,
        failure::Cause,
        hook::HookKind,
    },
    fail_open,
    hold::{Held, HoldRoom},
};

/// One step of the operator's for checks that nobody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Use an earlier allow of the session for the same check, as far as the service permitted that.
    ServeStale,
    /// Keep the packet and ask again, for [`hold_max`](FailurePolicy::hold_max) at most.
    Hold,
    /// Refuse the packet in a way that is no success. Always the last step, if nothing else is.
    Reject,
    /// End the session.
    Disconnect,
    /// Let the packet pass undecided, if nobody is there at any endpoint of the service. PUBLISH and SUBSCRIBE
    /// only, and nothing that a client can cause alone: who hangs, or is another than is meant, is there.
    Allow,
}

impl Step {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Reject | Self::Disconnect)
    }

    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] = [
        Self::ServeStale,
        Self::Hold,
        Self::Reject,
        Self::Disconnect,
        Self::Allow,
    ];

    /// The word for it, in the configuration and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServeStale => "serve_stale",
            Self::Hold => "hold",
            Self::Reject => "reject",
            Self::Disconnect => "disconnect",
            Self::Allow => "allow",
        }
    }
}

/// What a hook does with checks that nobody decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailurePolicy {
    /// The steps, in this order. Without a last one, the packet is refused.
    pub steps: Vec<Step>,
    /// Longest time that a packet is kept after its check failed for the first time.
    pub hold_max: Duration,
}

impl Default for FailurePolicy {
    /// The packet is refused.
    fn default() -> Self {
        Self {
            steps: vec![Step::Reject],
            hold_max: Duration::ZERO,
        }
    }
}

impl FailurePolicy {
    /// Whether a check that failed may be asked again, or allowed.
    pub(in crate::authz) fn keeps_checks(&self) -> bool {
        !self.steps.iter().all(Step::is_refusal)
    }

    /// For how long after its deadline a check may still be decided.
    #[must_use]
    pub fn hold(&self) -> Duration {
        match self.steps.contains(&Step::Hold) {
            true => self.hold_max,
            false => Duration::ZERO,
        }
    }
}

/// The steps of one hook, with what they need.
#[derive(Debug)]
pub(in crate::authz) struct Policy {
    hook: HookKind,
    /// Those that can make something else of a failure than a refusal.
    steps: Vec<Step>,
    /// What is left to do if none of them applies: it is the gatekeeper's to do.
    refusal: Step,
    hold_max: Duration,
    deadline: Duration,
    room: Arc<HoldRoom>,
    endpoints: Option<Arc<Endpoints>>,
    counters: Arc<Counters>,
}

impl Policy {
    pub(in crate::authz) fn new(
        hook: HookKind,
        deadline: Duration,
        policy: &FailurePolicy,
        room: Arc<HoldRoom>,
        endpoints: Option<Arc<Endpoints>>,
        counters: Arc<Counters>,
    ) -> Self {
        let ends = policy.steps.iter().find(|step| step.is_refusal());
        let chosen = policy.steps.iter().take_while(|step| !step.is_refusal());
        // A second line behind the validation of the configuration: nobody is let in undecided, and no will.
        let may = |step: &&Step| match hook {
            HookKind::Connect | HookKind::Will => **step == Step::Hold,
            HookKind::Publish | HookKind::Subscribe => true,
        };
        Self {
            hook,
            steps: chosen.filter(may).copied().collect(),
            refusal: ends.copied().unwrap_or(Step::Reject),
            hold_max: policy.hold_max,
            deadline,
            room,
            endpoints,
            counters,
        }
    }

    pub(super) fn keeps_checks(&self) -> bool {
        !self.steps.is_empty()
    }

    pub(super) fn step(&self, index: usize) -> Option<Step> {
        self.steps.get(index).copied()
    }

    pub(super) fn refusal(&self) -> Step {
        self.refusal
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn count(&self, step: Step) {
        self.counters.hook(self.hook).failure_action(step).add(1);
    }

    /// Keeps a packet of this size. `None`: there is no time, or no room.
    pub(super) fn hold(
        &self,
        asked_at: Instant,
        failed_at: Instant,
        patience: Option<Duration>,
        size: usize,
    ) -> Option<Held> {
        let mut until = failed_at + self.hold_max;
        if let Some(patience) = patience {
            // Whoever waits for a PINGRESP waits behind the packet.
            until = until.min(asked_at + patience.max(self.deadline));
        }
        Held::new(until, HoldRoom::take(&self.room, size)?)
    }

    /// Whether a check may pass undecided after such a failure: nobody had accepted a connection at
    /// any endpoint, and none has been reached since.
    pub(super) fn may_allow(&self, cause: &Cause) -> bool {
        let endpoints = self.endpoints.as_ref();
        matches!(cause, Cause::Unreachable(_))
            && endpoints.is_none_or(|endpoints| !endpoints.is_reachable())
    }

    pub(super) fn open(&self, facts: Facts) -> Option<Decision> {
        fail_open(self.hook, facts)
    }
}

/// Whether the operator's steps concern a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// They do.
    Covered,
    /// A client can cause it by what it sends, or it says that the session has to begin anew.
    Refused,
}

impl Coverage {
    pub(super) fn of(cause: &Cause) -> Self {
        if matches!(cause, Cause::TooLargeForService { .. }) {
            return Self::Refused;
        }
        match cause.why() {
            Why::TooLarge
            | Why::InvalidMutation
            | Why::InvalidResult
            | Why::MissingResult
            | Why::InvalidCheck
            | Why::SessionStateInvalid
            | Why::ShuttingDown => Self::Refused,
            Why::Timeout
            | Why::Unavailable
            | Why::GrpcStatus
            | Why::ServiceFailure
            | Why::Overloaded
            | Why::ExpiredInQueue
            | Why::QueueFull
            | Why::Throttled => Self::Covered,
        }
    }
}

/// Whether it may be otherwise in a moment. What the service says about a request, it says again; and who
/// finds the queue full has been told to wait before.
pub(super) fn may_hold(cause: &Cause) -> bool {
    match cause.why() {
        Why::Timeout
        | Why::Unavailable
        | Why::Overloaded
        | Why::ExpiredInQueue
        | Why::Throttled => true,
        Why::ServiceFailure => matches!(
            cause,
            Cause::Service {
                code: FailureCode::DependencyUnavailable | FailureCode::Timeout,
                ..
            }
        ),
        // What a server says about calls under way when it shuts down.
        Why::GrpcStatus => matches!(
            cause,
            Cause::Status {
                code: tonic::Code::Cancelled,
                ..
            }
        ),
        _ => false,
    }
}
