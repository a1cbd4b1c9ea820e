//! What becomes of a check that nobody decided: the operator's steps, one after the other.
//!
//! ```text
//!   answer ──► a decision: done, whatever it says
//!         └──► a failure ─► serve_stale ─► hold: ask again, later ─► … ─► reject | disconnect | allow
//! ```
//!
//! The first step that applies wins. A denial is a decision and never gets here; and a failure that a client
//! can cause by what it sends goes straight to the refusal, whatever the operator chose.
//!
//! The future of a check is polled when its turn in the session has come, so a check that failed behind
//! another one is held as of the time of its failure, and asked again at once if its pause is over by then.

mod hold;
mod policy;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use gatekeeper::Verdict;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

pub use self::policy::{FailurePolicy, Step};
use self::{hold::Held, policy::Coverage};
pub(super) use self::{hold::HoldRoom, policy::Policy};
use super::{
    cache,
    check::Check,
    decision::{Decision, Facts},
    failure::Failure,
    hook::Hook,
    seat::Seat,
    wire::Outcome,
};

/// Takes the operator's steps when the rest of the stack fails.
#[derive(Debug, Clone)]
pub struct Ladder<S> {
    inner: S,
    policy: Arc<Policy>,
}

impl<S> Ladder<S> {
    /// Wraps the rest of the stack.
    pub(super) fn new(inner: S, policy: Arc<Policy>) -> Self {
        Self { inner, policy }
    }
}

impl<S, H> Service<Check<H>> for Ladder<S>
where
    H: Hook,
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>> + Clone + Send + 'static,
    S::Future: Unpin,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        // Only what can be asked again, or looked up, is kept.
        let kept: Option<Box<dyn Kept<S::Future>>> = match self.policy.keeps_checks() {
            true => Some(Box::new(Question {
                check: check.clone(),
                stack: self.inner.clone(),
            })),
            false => None,
        };
        ResponseFuture {
            asked: Some(self.inner.call(check)),
            kept,
            policy: Arc::clone(&self.policy),
            held: None,
            step: 0,
        }
    }
}

/// A check that is kept until it is decided. Without its hook's type, so that a session can have all of
/// its checks in one queue.
trait Kept<F>: Send {
    /// Asks once more, with this deadline.
    fn ask(&mut self, deadline: Instant) -> F;
    /// A decision of the same session about the same, which may be used while the service fails.
    fn stale(&self) -> Option<Decision>;
    fn asked_at(&self) -> Instant;
    fn seat(&self) -> &Seat;
    /// Bytes that it holds, with its packet.
    fn size(&self) -> usize;
}

struct Question<H: Hook, S> {
    check: Check<H>,
    stack: S,
}

impl<H, S> Kept<S::Future> for Question<H, S>
where
    H: Hook,
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>> + Send,
{
    fn ask(&mut self, deadline: Instant) -> S::Future {
        let mut check = self.check.clone();
        // In the queue it is as young as its last attempt.
        check.context.asked_at = Instant::now();
        check.context.deadline = deadline;
        self.stack.call(check)
    }

    fn stale(&self) -> Option<Decision> {
        cache::stale(&self.check)
    }

    fn asked_at(&self) -> Instant {
        self.check.context.asked_at
    }

    fn seat(&self) -> &Seat {
        &self.check.context.seat
    }

    fn size(&self) -> usize {
        self.check.message.own_len() + self.check.context.packet_bytes
    }
}

/// Future of [`Ladder`].
pub struct ResponseFuture<F> {
    /// None: between two attempts.
    asked: Option<F>,
    kept: Option<Box<dyn Kept<F>>>,
    policy: Arc<Policy>,
    held: Option<Holding>,
    /// The step that a failure comes to next.
    step: usize,
}

struct Holding {
    held: Held,
    /// Until the next attempt. Boxed like all timers: most checks never have one.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome> + Unpin,
{
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        loop {
            if let Some(asked) = &mut this.asked {
                let outcome = ready!(Pin::new(asked).poll(cx));
                this.asked = None;
                match outcome {
                    Ok(mut decision) => {
                        if this.held.take().is_some() {
                            decision.facts.failure_action = Some(Step::Hold);
                        }
                        return Poll::Ready(Ok(decision));
                    }
                    Err(failure) => {
                        if let Some(end) = this.failed(failure) {
                            this.held = None;
                            return Poll::Ready(end);
                        }
                    }
                }
            }
            let (Some(holding), Some(kept)) = (&mut this.held, &mut this.kept) else {
                // Polled after it was ready: there is nothing more to come.
                return Poll::Pending;
            };
            if let Some(pause) = &mut holding.pause {
                ready!(pause.as_mut().poll(cx));
                holding.pause = None;
            }
            let deadline = holding.held.attempt_deadline(&this.policy, Instant::now());
            this.asked = Some(kept.ask(deadline));
        }
    }
}

impl<F> ResponseFuture<F> {
    /// Takes the steps that are left. `None`: the check is held.
    fn failed(&mut self, failure: Box<Failure>) -> Option<Outcome> {
        let coverage = Coverage::of(&failure.cause);
        while let Some(step) = self.policy.step(self.step) {
            let end = match (step, &self.kept) {
                // Whoever could cause the failure must not choose what comes of it.
                _ if coverage == Coverage::Refused => None,
                (Step::ServeStale, Some(kept)) => kept.stale().map(|decision| (decision, step)),
                (Step::Hold, Some(_)) => {
                    if self.hold(&failure) {
                        return None;
                    }
                    None
                }
                (Step::Allow, Some(_)) if self.policy.may_allow(&failure.cause) => self
                    .policy
                    .open(failure.facts.clone())
                    .map(|decision| (decision, step)),
                _ => None,
            };
            if let Some((mut decision, step)) = end {
                self.policy.count(step);
                decision.facts.failure_action = Some(step);
                decision.facts.failure = Some(failure.cause.why());
                return Some(Ok(decision));
            }
            self.step += 1;
        }
        self.policy.count(self.policy.refusal());
        Some(Err(failure))
    }

    /// Whether the check waits for another attempt.
    fn hold(&mut self, failure: &Failure) -> bool {
        let Some(kept) = &self.kept else {
            return false;
        };
        if !policy::may_hold(&failure.cause) {
            return false;
        }
        if self.held.is_none() {
            let Some(held) = self.policy.hold(
                kept.asked_at(),
                failure.failed_at,
                kept.seat().patience(),
                kept.size(),
            ) else {
                return false;
            };
            self.policy.count(Step::Hold);
            self.held = Some(Holding { held, pause: None });
        }
        let Some(holding) = &mut self.held else {
            return false;
        };
        let Some(at) = holding.held.next_attempt(failure.failed_at) else {
            return false;
        };
        holding.pause = (at > Instant::now()).then(|| Box::pin(sleep_until(at)));
        true
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("is_held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

/// An allow that nobody gave.
fn fail_open(hook: super::HookKind, facts: Facts) -> Option<Decision> {
    Some(Decision {
        verdict: Verdict::Allow(super::hook::plain_allow(hook)?),
        identity: None,
        facts,
        decided_at: Instant::now(),
    })
}
