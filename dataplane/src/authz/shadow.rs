//! Hooks that do not enforce: the service is asked in the shadow of the traffic, or not at all.
//!
//! It stands outside of everything that asks, so that nothing of an answer is applied, changes included,
//! and no packet waits for one. A check in the shadow is bounded like any other, by the room of its lane and
//! its deadline, and outlives its session by no more than that.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use gatekeeper::{Deny, Verdict};
use tokio::time::Instant;
use tower::Service;

use super::{
    check::Check,
    counters::Counters,
    decision::{Decision, Facts},
    failure::Failure,
    hook::{self, Hook, HookKind},
    wire::Outcome,
};

/// Whether the answers of the service count. PUBLISH and SUBSCRIBE only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They do.
    #[default]
    Enforce,
    /// It is asked, what would have happened is counted, and everything passes as it came, at once.
    Shadow,
    /// It is not asked, and nothing passes.
    Deny,
    /// It is not asked, and everything passes.
    Allow,
}

impl Mode {
    /// Its word in the metrics. What an unasked hook does with packets is not part of it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Deny | Self::Allow => "off",
        }
    }

    /// The mode of a hook that may have none but the first.
    pub(super) fn of(self, hook: HookKind) -> Self {
        match hook {
            HookKind::Connect | HookKind::Will => Self::Enforce,
            HookKind::Publish | HookKind::Subscribe => self,
        }
    }
}

/// What was found out in the shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShadowOutcome {
    /// It would have passed.
    Allow,
    /// It would have passed, changed.
    AllowChanged,
    /// It would have been denied.
    Deny,
    /// Nobody would have decided.
    Failure,
}

impl ShadowOutcome {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Allow, Self::AllowChanged, Self::Deny, Self::Failure];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowChanged => "allow_changed",
            Self::Deny => "deny",
            Self::Failure => "failure",
        }
    }

    fn of(hook: HookKind, outcome: &Outcome) -> Self {
        match outcome {
            Ok(decision) => match &decision.verdict {
                Verdict::Allow(allow) if hook::plain_allow(hook).as_ref() == Some(allow) => {
                    Self::Allow
                }
                Verdict::Allow(_) => Self::AllowChanged,
                Verdict::Deny(_) => Self::Deny,
                Verdict::Unavailable(_) => Self::Failure,
            },
            Err(_) => Self::Failure,
        }
    }
}

/// Lets packets pass, or not, whatever the rest of the stack says.
#[derive(Debug, Clone)]
pub struct Shadow<S> {
    inner: S,
    mode: Mode,
    counters: Arc<Counters>,
}

impl<S> Shadow<S> {
    /// Wraps the rest of the stack.
    pub(super) fn new(inner: S, mode: Mode, counters: Arc<Counters>) -> Self {
        Self {
            inner,
            mode,
            counters,
        }
    }
}

impl<S, H> Service<Check<H>> for Shadow<S>
where
    H: Hook,
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>>,
    S::Future: Unpin + Send + 'static,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        let verdict = match self.mode.of(H::KIND) {
            Mode::Enforce => None,
            Mode::Shadow => {
                let (asked, counters) = (self.inner.call(check), Arc::clone(&self.counters));
                tokio::spawn(async move {
                    let outcome = ShadowOutcome::of(H::KIND, &asked.await);
                    counters.hook(H::KIND).shadow(outcome).add(1);
                });
                return pass(H::KIND);
            }
            Mode::Deny => Some(Verdict::Deny(Deny::default())),
            Mode::Allow => hook::plain_allow(H::KIND).map(Verdict::Allow),
        };
        match verdict {
            Some(verdict) => {
                self.counters.hook(H::KIND).skipped.add(1);
                decided(verdict)
            }
            None => ResponseFuture::Asked(self.inner.call(check)),
        }
    }
}

/// Only hooks that may pass unasked have a mode that gets here.
fn pass<F>(hook: HookKind) -> ResponseFuture<F> {
    decided(match hook::plain_allow(hook) {
        Some(allow) => Verdict::Allow(allow),
        None => Verdict::Deny(Deny::default()),
    })
}

fn decided<F>(verdict: Verdict) -> ResponseFuture<F> {
    ResponseFuture::Decided(Some(Box::new(Decision {
        verdict,
        identity: None,
        facts: Facts::default(),
        decided_at: Instant::now(),
    })))
}

/// Future of [`Shadow`].
#[derive(Debug)]
pub enum ResponseFuture<F> {
    /// The service decides.
    Asked(F),
    /// It does not.
    Decided(Option<Box<Decision>>),
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome> + Unpin,
{
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut *self {
            Self::Asked(asked) => Poll::Ready(ready!(Pin::new(asked).poll(cx))),
            Self::Decided(decision) => decision
                .take()
                .map_or(Poll::Pending, |decision| Poll::Ready(Ok(*decision))),
        }
    }
}

#[cfg(test)]
mod tests;
