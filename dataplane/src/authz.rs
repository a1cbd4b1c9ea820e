//! The decision pipeline (being written: the signatures stand, every answer is still "unavailable").

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tidegate_proto::v1;

pub mod call;
pub mod check;
pub mod counters;
pub mod decision;
pub mod failure;
pub mod hook;
pub mod options;
mod wire;

pub use self::{
    check::{Check, Context, Who},
    counters::Counters,
    decision::{Decision, Facts, Identity},
    hook::{Hook, HookKind},
    options::AuthzOptions,
};

#[doc(hidden)]
#[derive(Debug)]
pub struct Stack<H>(PhantomData<H>);

#[doc(hidden)]
#[derive(Debug)]
pub struct Stacks {
    pub(crate) connect: Stack<hook::Connect>,
    pub(crate) will: Stack<hook::Will>,
    pub(crate) publish: Stack<hook::Publish>,
    pub(crate) subscribe: Stack<hook::Subscribe>,
}

/// Handle on the decision pipeline; cheap to clone. Its tasks end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Authz {
    counters: Arc<Counters>,
    options: Arc<AuthzOptions>,
}

impl Authz {
    /// Starts the lanes. Nothing is dialled before the first check. Must be called inside a runtime.
    #[must_use]
    pub fn start(options: &AuthzOptions, data_plane: v1::DataPlane) -> Self {
        let _ = data_plane;
        Self {
            counters: Arc::default(),
            options: Arc::new(options.clone()),
        }
    }

    /// Asks. The check is on its way when this returns, whether or not the future is polled; dropping
    /// the future takes the check back.
    pub fn ask<H: Hook>(&self, check: Check<H>) -> AskFuture {
        let _ = check;
        AskFuture(std::future::ready(Ok(Decision::unavailable(
            gatekeeper::Why::ShuttingDown,
            Facts::default(),
        ))))
    }

    /// Waits until the lane has room, so that the caller stops reading rather than have its checks
    /// refused. Reserves nothing.
    pub async fn ready(&self, hook: HookKind) {
        let _ = hook;
    }

    /// Whether [`ready`](Self::ready) would return at once.
    #[must_use]
    pub fn is_ready(&self, hook: HookKind) -> bool {
        let _ = hook;
        true
    }

    /// Time from the arrival of a packet to its decision.
    #[must_use]
    pub fn time_limit(&self, hook: HookKind) -> Duration {
        self.options.deadline(hook)
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// A check under way. Unpin, so that a queue of them can be held in a `VecDeque`.
#[derive(Debug)]
#[must_use = "a check whose future is dropped is cancelled"]
pub struct AskFuture(std::future::Ready<Result<Decision, Infallible>>);

impl Future for AskFuture {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Decision> {
        Pin::new(&mut self.0).poll(cx).map(|Ok(decision)| decision)
    }
}
