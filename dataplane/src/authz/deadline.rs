//! The check's own deadline, whatever the layers below are waiting for.
//!
//! The call has a deadline of its own, the latest of its checks, to free resources; nobody relies on
//! it. This one holds even if the lane, the channel or the runtime of the channel hangs.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::{
    check::Check,
    decision::Decision,
    failure::{Cause, Failure},
    hook::Hook,
    wire::Outcome,
};

/// Fails checks that are not answered by their deadline.
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
}

impl<S> Deadline<S> {
    /// Wraps the rest of the stack.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, H> Service<Check<H>> for Deadline<S>
where
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>>,
    H: Hook,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        let deadline = check.context.deadline;
        ResponseFuture {
            inner: self.inner.call(check),
            deadline,
            sleep: None,
        }
    }
}

pin_project! {
    /// Future of [`Deadline`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        deadline: Instant,
        // Made by the first poll that has to wait. Most checks of a session are answered before they
        // are at the head of its queue and polled at all: they never cost a timer.
        sleep: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        if let Poll::Ready(outcome) = this.inner.poll(cx) {
            return Poll::Ready(match outcome {
                // Nobody looked in time, so it must not depend on when somebody looks.
                Ok(decision) if decision.decided_at > *this.deadline => Err(Box::new(Failure {
                    facts: decision.facts,
                    ..Cause::Timeout.into()
                })),
                outcome => outcome,
            });
        }
        // The timer may be a little late, and whoever looks at this moment wants to know now.
        if Instant::now() >= *this.deadline {
            return Poll::Ready(Err(Cause::Timeout.into()));
        }
        let sleep = this
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(*this.deadline)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(Cause::Timeout.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::time::advance;
    use tokio_test::{assert_pending, assert_ready, task};
    use tower::ServiceExt;
    use tower_test::mock;

    use super::*;
    use crate::authz::{hook, testing};

    type Handle = mock::Handle<Check<hook::Publish>, Decision>;

    async fn ask() -> (task::Spawn<impl Future<Output = Outcome>>, Handle) {
        let (service, mut handle) = mock::pair::<_, Decision>();
        handle.allow(1);
        // tower-test answers with boxed errors; the stack wants failures.
        let service = service.map_err(|_| Box::<Failure>::from(Cause::Lost));
        let mut stack = Deadline::new(service);
        poll_fn(|cx| stack.poll_ready(cx)).await.unwrap();
        (task::spawn(stack.call(testing::publish("t"))), handle)
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_without_an_answer_fails_at_its_deadline() {
        let (mut answer, _service) = ask().await;
        assert_pending!(answer.poll());
        advance(Duration::from_millis(999)).await;
        assert_pending!(answer.poll());
        advance(Duration::from_millis(1)).await;
        assert!(answer.is_woken());
        let failure = assert_ready!(answer.poll()).unwrap_err();
        assert_eq!(failure.cause, Cause::Timeout);
    }

    // The session's own timer may be quicker than this one's, and whom it asks then has to know.
    #[tokio::test(start_paused = true)]
    async fn who_looks_at_the_deadline_hears_of_it() {
        let (mut answer, _service) = ask().await;
        advance(Duration::from_secs(1)).await;
        let failure = assert_ready!(answer.poll()).unwrap_err();
        assert_eq!(failure.cause, Cause::Timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_counts_by_when_it_was_made() {
        for (made_after, is_in_time) in [(1000, true), (1001, false)] {
            let (mut answer, mut service) = ask().await;
            let (_, reply) = service.next_request().await.unwrap();
            advance(Duration::from_millis(made_after)).await;
            reply.send_response(testing::allowed());
            // Long after: nobody has polled in between.
            advance(Duration::from_secs(60)).await;
            assert_eq!(assert_ready!(answer.poll()).is_ok(), is_in_time);
        }
    }
}
