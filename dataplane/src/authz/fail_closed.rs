//! The outermost layer: whatever goes wrong inside is an `Unavailable`, and this is the only place
//! that makes one. Nothing that is not an allow can become one here or further in.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use gatekeeper::{Allow, Verdict, Why};
use pin_project_lite::pin_project;
use tower::Service;

use super::{
    check::Check,
    decision::Decision,
    failure::Failure,
    hook::{Hook, HookKind},
    wire::Outcome,
};

/// Turns every failure into a decision.
#[derive(Debug, Clone)]
pub struct FailClosed<S> {
    inner: S,
}

impl<S> FailClosed<S> {
    /// Wraps the rest of the stack.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, H> Service<Check<H>> for FailClosed<S>
where
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>>,
    H: Hook,
{
    type Response = Decision;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // An inner layer that is broken says so in the answer to the check, where it is counted.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        ResponseFuture {
            inner: self.inner.call(check),
            hook: H::KIND,
        }
    }
}

pin_project! {
    /// Future of [`FailClosed`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        hook: HookKind,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome>,
{
    type Output = Result<Decision, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let decision = match ready!(this.inner.poll(cx)) {
            Ok(decision) if answers(*this.hook, &decision.verdict) => decision,
            Ok(other) => Decision::unavailable(Why::InvalidResult, other.facts, other.decided_at),
            Err(failure) => {
                Decision::unavailable(failure.cause.why(), failure.facts, failure.failed_at)
            }
        };
        Poll::Ready(Ok(decision))
    }
}

/// Whether the verdict answers this kind of question. The types of the inner layers say so already;
/// an allow of the wrong kind would be bad enough to look twice.
fn answers(hook: HookKind, verdict: &Verdict) -> bool {
    match (hook, verdict) {
        (_, Verdict::Deny(_))
        | (HookKind::Connect, Verdict::Allow(Allow::Connect(_)))
        | (HookKind::Will | HookKind::Publish, Verdict::Allow(Allow::Publish(_)))
        | (HookKind::Subscribe, Verdict::Allow(Allow::Subscribe(_))) => true,
        (_, Verdict::Allow(_) | Verdict::Unavailable(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::authz::{Facts, failure::Cause, hook};

    #[test]
    fn an_allow_of_another_kind_is_none() {
        for hook in HookKind::ALL {
            let kinds = [
                Allow::Connect(Box::default()),
                Allow::PUBLISH,
                Allow::SUBSCRIBE,
            ];
            let accepted = kinds
                .into_iter()
                .filter(|allow| answers(hook, &Verdict::Allow(allow.clone())))
                .count();
            assert_eq!(accepted, 1, "{hook}");
        }
    }

    #[tokio::test]
    async fn every_error_is_unavailable() {
        let mut stack = FailClosed::new(tower::service_fn(|_: Check<hook::Publish>| {
            ready(Err::<Decision, _>(Box::<Failure>::from(Cause::Lost)))
        }));
        let check = crate::authz::testing::publish("t");
        let Ok(decision) = stack.call(check).await;
        assert_eq!(decision.verdict, Verdict::Unavailable(Why::Unavailable));
        assert_eq!(decision.facts, Facts::default());
    }
}
