//! No allow that a directive has overtaken: it is asked for again, of whichever hook it is.
//!
//! It stands outside of whatever may answer without asking (a cache), so that live and other answers take
//! one way. While nobody watches for directives it costs nothing.

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use gatekeeper::Verdict;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use super::{
    check::Check,
    counters::Counters,
    decision::Decision,
    epoch::Epochs,
    failure::{Cause, Failure},
    hook::Hook,
    wire::Outcome,
};

/// Times that one check is put at most. The directives come faster than the answers then.
const MAX_ASKED: u32 = 4;

/// Asks again when an allow is outdated.
#[derive(Debug)]
pub struct Current<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epochs: Arc<Epochs>,
    counters: Arc<Counters>,
}

impl<S> Current<S> {
    /// Wraps the rest of the stack.
    pub(super) fn new(inner: S, epochs: Arc<Epochs>, counters: Arc<Counters>) -> Self {
        let shared = Arc::new(Shared { epochs, counters });
        Self { inner, shared }
    }
}

impl<S: Clone> Clone for Current<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, H> Service<Check<H>> for Current<S>
where
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>>,
    S: Clone + Send + 'static,
    H: Hook,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        let watched = self.shared.epochs.is_watched().then(|| {
            let watched: Box<dyn Again<S::Future>> = Box::new(Watched {
                // Before the question is put: whatever comes after this may make the answer old.
                epoch: (check.context.known.epoch())
                    .unwrap_or_else(|| self.shared.epochs.current()),
                asked: 1,
                check: check.clone(),
                inner: self.inner.clone(),
                shared: Arc::clone(&self.shared),
            });
            watched
        });
        ResponseFuture {
            answer: self.inner.call(check),
            watched,
        }
    }
}

/// What it takes to ask again, of whichever hook.
trait Again<F>: Send {
    /// Whether the decision is of the time before a directive that concerns the session.
    fn is_outdated(&self, outcome: &Outcome) -> bool;

    /// Puts the question again, as a new one: of one that it has answered before, the service may
    /// remember the answer.
    fn ask(&mut self) -> Result<F, Box<Failure>>;
}

struct Watched<S, H: Hook> {
    epoch: u64,
    asked: u32,
    check: Check<H>,
    inner: S,
    shared: Arc<Shared>,
}

impl<S, H> Again<S::Future> for Watched<S, H>
where
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>> + Send,
    H: Hook,
{
    fn is_outdated(&self, outcome: &Outcome) -> bool {
        let Ok(decision) = outcome else {
            return false;
        };
        // A denial stands: the client may ask again itself.
        if !matches!(decision.verdict, Verdict::Allow(_)) {
            return false;
        }
        let epochs = &self.shared.epochs;
        let stamp = self.check.context.seat.stamp();
        let Some(identity) = &decision.identity else {
            // One of before is as old as its own question. The directive may have reached the session only after it was found.
            let asked_in = match decision.facts.cached {
                true => decision.facts.asked_in.min(self.epoch),
                false => self.epoch,
            };
            return stamp.outdates(asked_in);
        };
        // A directive about a principal does not find those who are about to become it. The epoch comes
        // first: what comes while this looks is left to whoever makes it the principal.
        let verified = epochs.current();
        let is_named = epochs.named_since(self.epoch, &identity.principal);
        stamp.verify(verified);
        is_named || stamp.outdates(self.epoch)
    }

    fn ask(&mut self) -> Result<S::Future, Box<Failure>> {
        self.shared.counters.hook(H::KIND).outdated.add(1);
        if self.asked == MAX_ASKED || Instant::now() >= self.check.context.deadline {
            return Err(Cause::Outdated.into());
        }
        self.asked += 1;
        self.epoch = self.shared.epochs.current();
        self.check.message.renumber();
        Ok(self.inner.call(self.check.clone()))
    }
}

pin_project! {
    /// Future of [`Current`].
    pub struct ResponseFuture<F> {
        #[pin]
        answer: F,
        watched: Option<Box<dyn Again<F>>>,
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        loop {
            let outcome = ready!(this.answer.as_mut().poll(cx));
            let watched = this.watched.as_mut();
            let Some(watched) = watched.filter(|watched| watched.is_outdated(&outcome)) else {
                return Poll::Ready(outcome);
            };
            match watched.ask() {
                Ok(answer) => this.answer.set(answer),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    }
}
