//! Sparing a service that is overloaded, without ever leaving it alone.
//!
//! A circuit breaker that opens asks nothing, and then has to guess when to close. This asks less the
//! less comes back: each check is refused here with a probability that follows from how many were
//! decided of those that were asked lately (Google's SRE book, "Handling Overload"):
//!
//! ```text
//!   p = (requests - K * accepts) / (requests + 1)        0 to 0.9, over 30 s
//! ```
//!
//! * Requests are decisions, signs of overload (`RESOURCE_EXHAUSTED`, `OVERLOADED`, deadlines) and what
//!   was refused here. A denial is a decision. All other failures are not counted: they say nothing of
//!   load, and a client may be able to cause them. Nor are those of a session that travels alone: it is known
//!   that they are its own doing.
//! * New CONNECTs are refused first: theirs is the highest probability of all hooks, with K = 2.
//!   Sessions that exist are the goodput: K = 3 for their checks, and the probability is their hook's.
//! * Below ten signs of overload nothing happens. One check in a tenth of a second always
//!   passes; and the first decision after a second without one ends it all at once, so that a service
//!   that comes back has all of its work within a second.

mod window;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use gatekeeper::Verdict;
use pin_project_lite::pin_project;
use tidegate_proto::v1::FailureCode;
use tokio::time::Instant;
use tonic::Code;
use tower::Service;

use self::window::Window;
use super::{
    check::Check,
    counters::Counters,
    decision::Decision,
    failure::{Cause, Failure},
    hook::{Hook, HookKind},
    seat::Seat,
};

/// How many times as many checks as are decided are asked.
const K_CONNECT: f64 = 2.0;
const K_OTHERS: f64 = 3.0;

/// What all hooks know of the service's load.
#[derive(Debug)]
pub(super) struct Load {
    /// Whether some window holds a sign of overload: what every check looks at.
    is_alarmed: AtomicBool,
    windows: [Mutex<Window>; HookKind::ALL.len()],
    counters: Arc<Counters>,
}

impl Load {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            is_alarmed: AtomicBool::new(false),
            windows: Default::default(),
            counters,
        }
    }

    /// Whether checks may have to be refused.
    pub(super) fn is_alarmed(&self) -> bool {
        self.is_alarmed.load(Ordering::Relaxed)
    }

    /// Whether a check has to be refused.
    fn refuses(&self, hook: HookKind) -> bool {
        self.is_alarmed() && self.weigh(hook, fastrand::f64())
    }

    fn weigh(&self, hook: HookKind, chance: f64) -> bool {
        let now = Instant::now();
        if self.windows.iter().all(|window| lock(window).is_calm(now)) {
            self.is_alarmed.store(false, Ordering::Relaxed);
        }
        let probability = match hook {
            HookKind::Connect => self.probability_of_connect(now),
            _ => self.window(hook).probability(K_OTHERS, now),
        };
        self.tell(hook, probability);
        let mut window = self.window(hook);
        if chance >= probability || window.may_probe(now) {
            window.passed(now);
            return false;
        }
        window.refused(now);
        true
    }

    /// The highest of all hooks, as far as they are overloaded at this moment.
    fn probability_of_connect(&self, now: Instant) -> f64 {
        let probabilities = HookKind::ALL.map(|hook| {
            let mut window = self.window(hook);
            let counts = hook == HookKind::Connect || window.is_recent(now);
            if counts {
                window.probability(K_CONNECT, now)
            } else {
                0.0
            }
        });
        probabilities.into_iter().fold(0.0, f64::max)
    }

    /// So many checks were decided, the last of them at this time.
    pub(super) fn decided(&self, hook: HookKind, checks: usize, at: Instant) {
        if self.window(hook).decided(checks, at) {
            self.tell(hook, 0.0);
        }
    }

    fn overloaded(&self, hook: HookKind, at: Instant) {
        self.window(hook).overloaded(at);
        self.is_alarmed.store(true, Ordering::Relaxed);
    }

    fn tell(&self, hook: HookKind, probability: f64) {
        self.counters
            .hook(hook)
            .throttle_probability
            .set(probability);
    }

    fn window(&self, hook: HookKind) -> MutexGuard<'_, Window> {
        lock(&self.windows[hook as usize])
    }
}

fn lock(window: &Mutex<Window>) -> MutexGuard<'_, Window> {
    // Sums: at worst one is a little off.
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it is a sign that the service has too much to do.
fn is_overload(cause: &Cause) -> bool {
    match cause {
        Cause::Timeout => true,
        Cause::Status { code, .. } => {
            matches!(code, Code::ResourceExhausted | Code::DeadlineExceeded)
        }
        Cause::Service { code, .. } => *code == FailureCode::Overloaded,
        _ => false,
    }
}

/// Refuses some checks while the service is overloaded.
#[derive(Debug, Clone)]
pub struct Throttle<S> {
    inner: S,
    load: Arc<Load>,
}

impl<S> Throttle<S> {
    pub(super) fn new(inner: S, load: Arc<Load>) -> Self {
        Self { inner, load }
    }
}

impl<S, H> Service<Check<H>> for Throttle<S>
where
    H: Hook,
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>>,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Failure>>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        let seat = Arc::clone(&check.context.seat);
        let asked = if !check.context.known.is_some() && self.load.refuses(H::KIND) {
            None
        } else {
            Some(self.inner.call(check))
        };
        ResponseFuture {
            asked,
            load: Arc::clone(&self.load),
            seat,
            hook: H::KIND,
        }
    }
}

pin_project! {
    /// Future of [`Throttle`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // None: refused.
        #[pin]
        asked: Option<F>,
        load: Arc<Load>,
        seat: Arc<Seat>,
        hook: HookKind,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Decision, Box<Failure>>>,
{
    type Output = Result<Decision, Box<Failure>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(asked) = this.asked.as_pin_mut() else {
            return Poll::Ready(Err(Cause::Throttled.into()));
        };
        let outcome = ready!(asked.poll(cx));
        match &outcome {
            Ok(decision) if !matches!(decision.verdict, Verdict::Unavailable(_)) => {
                this.load.decided(*this.hook, 1, decision.decided_at);
            }
            Err(failure)
                if is_overload(&failure.cause) && !this.seat.standing(*this.hook).is_apart() =>
            {
                this.load.overloaded(*this.hook, failure.failed_at);
            }
            _ => {}
        }
        Poll::Ready(outcome)
    }
}

#[cfg(test)]
mod tests;
