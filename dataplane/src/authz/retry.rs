//! A second try for a call that never reached anybody.
//!
//! Only a service that is not there is asked twice, or one that says when to come back: whatever else
//! went wrong would go wrong again, and a service in trouble needs fewer calls and not more. So there
//! are two attempts in all, the second one elsewhere if possible, within the time of the call, and a
//! budget bounds the share of calls that are made twice. The checks are the same, down to their
//! `sequence`, by which the service knows them again.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tonic::Code;
use tower::{
    Service, ServiceExt,
    retry::budget::{Budget, TpsBudget},
};

use super::{
    counters::Counters,
    endpoints::{Address, jittered},
    failure::Cause,
    hook::HookKind,
};

/// Pause before the second attempt, give or take a fifth.
const PAUSE: Duration = Duration::from_millis(20);
/// Time that a second attempt must have.
const MIN_TIME: Duration = Duration::from_millis(5);
/// Share of the calls of the last ten seconds that may be made twice.
const SHARE: f32 = 0.1;
const WINDOW: Duration = Duration::from_secs(10);
/// Second attempts per second that are always permitted.
const MIN_PER_SECOND: u32 = 3;

/// What can be sent again, and has a time until which it makes sense.
pub(super) trait Expires {
    fn deadline(&self) -> Instant;
}

/// One attempt to make a call.
#[derive(Debug, Clone)]
pub(super) struct Attempt<Q> {
    pub(super) request: Q,
    /// How many attempts there were before.
    pub(super) number: u32,
    /// The endpoint that failed the one before.
    pub(super) avoided: Option<Box<Address>>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) cause: Cause,
    /// The endpoint. `None`: there was none.
    pub(super) address: Option<Box<Address>>,
    pub(super) advice: Advice,
}

/// What is known about another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advice {
    /// Nothing.
    None,
    /// The service has done nothing about it, and never will: this attempt was none.
    Unsent,
    /// The service says when to come back (`grpc-retry-pushback-ms`).
    After(Duration),
    /// The service says not to come back.
    Never,
}

/// Makes calls, some of them twice.
pub(super) struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    budget: TpsBudget,
    counters: Arc<Counters>,
    hook: HookKind,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, hook: HookKind, counters: Arc<Counters>) -> Self {
        Self {
            inner,
            shared: Arc::new(Shared {
                budget: TpsBudget::new(WINDOW, MIN_PER_SECOND, SHARE),
                counters,
                hook,
            }),
        }
    }
}

impl<S: Clone> Clone for Retry<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, Q> Service<Q> for Retry<S>
where
    S: Service<Attempt<Q>, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    Q: Expires + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Cause>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.inner.poll_ready(cx).map_err(|failed| failed.cause)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let (inner, shared) = (self.inner.clone(), Arc::clone(&self.shared));
        Box::pin(run(inner, shared, request))
    }
}

async fn run<S, Q>(mut inner: S, shared: Arc<Shared>, request: Q) -> Result<S::Response, Cause>
where
    S: Service<Attempt<Q>, Error = Failed>,
    Q: Expires + Clone,
{
    shared.budget.deposit();
    let mut attempt = Attempt {
        request,
        number: 0,
        avoided: None,
    };
    let mut was_unsent = false;
    loop {
        let ready = inner.ready().await.map_err(|failed| failed.cause)?;
        let failed = match ready.call(attempt.clone()).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        if failed.advice == Advice::Unsent && !was_unsent {
            was_unsent = true;
        } else if attempt.number > 0 {
            return Err(failed.cause);
        } else {
            match shared.pause(&failed, attempt.request.deadline()) {
                Some(pause) => sleep(pause).await,
                None => return Err(failed.cause),
            }
            attempt.number += 1;
        }
        attempt.avoided = failed.address;
    }
}

impl Shared {
    /// How long to wait for the second attempt. `None`: there is none.
    fn pause(&self, failed: &Failed, deadline: Instant) -> Option<Duration> {
        let pause = match failed.advice {
            Advice::Never => return None,
            Advice::After(pause) if is_away(&failed.cause) || is_busy(&failed.cause) => pause,
            Advice::None | Advice::Unsent if is_away(&failed.cause) => jittered(PAUSE),
            Advice::None | Advice::Unsent | Advice::After(_) => return None,
        };
        if pause + MIN_TIME > deadline.saturating_duration_since(Instant::now()) {
            return None;
        }
        let counters = self.counters.hook(self.hook);
        if !self.budget.withdraw() {
            counters.retry_budget_exhausted.add(1);
            return None;
        }
        counters.retries.add(1);
        Some(pause)
    }
}

/// Nobody was there to decide.
fn is_away(cause: &Cause) -> bool {
    match cause {
        Cause::Transport(_) | Cause::Unreachable(_) => true,
        Cause::Status { code, .. } => *code == Code::Unavailable,
        // What gRPC makes UNAVAILABLE of: the answers of proxies.
        Cause::NotGrpc(status) => matches!(status, 429 | 502 | 503 | 504),
        _ => false,
    }
}

fn is_busy(cause: &Cause) -> bool {
    matches!(cause, Cause::Status { code, .. } if *code == Code::ResourceExhausted)
}

#[cfg(test)]
mod tests;
