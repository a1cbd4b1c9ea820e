//! A batch under way: the call, the answers, and the search for a check that makes calls fail.
//!
//! When the service itself says of a call with several checks that it failed, one of them may be to blame
//! for all. Then each half is asked again, and so on, as long as there is time and [`Budget`] for it: what
//! is not to blame is decided, and what fails alone is known.

use std::{collections::VecDeque, marker::PhantomData, pin::pin, sync::Arc};

use tokio::{select, time::Instant};
use tonic::Code;
use tower::{Service, ServiceExt};
use tracing::warn;

use crate::log_limit::LogLimit;

use super::{
    batch::{Seats, Waiter, shipment},
    budget::Budget,
    call::Shipment,
    counters::Counters,
    failure::Cause,
    hook::Hook,
    message::Preamble,
    seat::Seat,
    wire::{self, Answers, Outcome, Rules},
};

/// What the flights of a lane share.
pub(super) struct Airline<H> {
    pub(super) preamble: Preamble,
    pub(super) rules: Rules,
    pub(super) counters: Arc<Counters>,
    pub(super) budget: Budget,
    pub(super) complaints: LogLimit,
    pub(super) hook: PhantomData<fn() -> H>,
}

/// A batch that departs.
pub(super) struct Flight<H> {
    pub(super) waiters: Vec<Waiter<H>>,
    pub(super) seats: Seats,
    /// Whether it is a session's that travels alone.
    pub(super) is_apart: bool,
    pub(super) departed_at: Instant,
}

/// What a flight that ended has to tell.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) seats: Seats,
    pub(super) is_apart: bool,
    pub(super) departed_at: Instant,
    pub(super) size: usize,
    /// Whether the service answered the first call.
    pub(super) is_answered: bool,
}

/// Checks of a flight that are asked together, from the one with this index on.
struct Part<H> {
    first: usize,
    waiters: Vec<Waiter<H>>,
}

impl<H: Hook> Airline<H> {
    /// Makes the calls and answers each check. If nobody waits for a call any more it is dropped,
    /// which cancels it at the service, too.
    pub(super) async fn fly<C>(self: Arc<Self>, call: C, flight: Flight<H>) -> Landed
    where
        C: Service<Shipment, Error = Cause> + Clone,
        C::Response: Into<Answers<H::Result>>,
    {
        let mut landed = Landed {
            size: flight.waiters.len(),
            seats: flight.seats,
            is_apart: flight.is_apart,
            departed_at: flight.departed_at,
            is_answered: false,
        };
        let counters = self.counters.hook(H::KIND);
        for waiter in &flight.waiters {
            let queued = landed
                .departed_at
                .saturating_duration_since(waiter.queued_at);
            counters.queue_duration.record(queued);
        }
        let mut trips = self.budget.trips(landed.size);
        let mut parts = VecDeque::from([Part {
            first: 0,
            waiters: flight.waiters,
        }]);
        let mut is_first = true;
        while let Some(mut part) = parts.pop_front() {
            let shipment = shipment(&mut part.waiters, &self.preamble);
            let flying = counters.call(shipment.size, shipment.request.len());
            let deadline = shipment.deadline;
            let earliest = part.waiters.iter().map(|waiter| waiter.deadline).min();
            let mut calling = pin!(call.clone().oneshot(shipment));
            let ended = select! {
                biased;
                ended = &mut calling => ended,
                () = all_gone(&mut part.waiters) => {
                    if earliest.is_some_and(|earliest| Instant::now() < earliest) {
                        continue;
                    }
                    // They left because it was too late. The endpoint has to hear of that, and will at once:
                    // it is the call's time, too.
                    calling.await
                }
            };
            drop(flying);
            landed.is_answered |= is_first && ended.is_ok();
            match ended {
                Ok(answers) => {
                    self.deliver(part, answers.into(), landed.departed_at, landed.size);
                }
                Err(cause) => {
                    counters.calls_failed.add(1);
                    let is_alone = part.waiters.len() == 1;
                    let blames = is_blaming(&cause);
                    if blames && !is_alone && Instant::now() < deadline && trips.take_two() {
                        parts.extend(part.halves());
                    } else {
                        if blames && is_alone && landed.size > 1 || landed.is_apart && blames {
                            blame::<H>(&landed.seats, part.first);
                        }
                        answer(part, Vec::new(), &cause, landed.departed_at, landed.size);
                    }
                }
            }
            is_first = false;
        }
        landed
    }

    fn deliver(
        &self,
        part: Part<H>,
        answers: Answers<H::Result>,
        departed_at: Instant,
        size: usize,
    ) {
        let mut matched =
            wire::match_results::<H>(part.waiters.len(), answers.results, &self.rules);
        for decision in matched.outcomes.iter_mut().flatten() {
            if let Some(reuse) = &mut decision.facts.reuse {
                reuse.maker.clone_from(&answers.maker);
            }
        }
        if matched.unknown_items > 0 {
            let count = matched.unknown_items;
            self.counters.protocol_errors.unknown_item.add(count);
            if let Some(suppressed) = self.complaints.permit() {
                warn!(
                    hook = %H::KIND,
                    count,
                    suppressed,
                    "the service answered checks that it was not asked; ignored"
                );
            }
        }
        let missing = Cause::MissingResult;
        answer(part, matched.outcomes, &missing, departed_at, size);
    }
}

impl<H> Part<H> {
    fn halves(mut self) -> [Self; 2] {
        let middle = self.waiters.len() / 2;
        let second = Self {
            first: self.first + middle,
            waiters: self.waiters.split_off(middle),
        };
        [self, second]
    }
}

/// Whether the service itself said that something about the request is wrong, not about itself.
fn is_blaming(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Status {
            code: Code::Unknown | Code::Internal | Code::InvalidArgument,
            ..
        }
    )
}

/// Remembers whose check it was.
fn blame<H: Hook>(seats: &[(Arc<Seat>, usize)], mut index: usize) {
    for (seat, count) in seats {
        if index < *count {
            seat.standing(H::KIND).failed_alone();
            return;
        }
        index -= count;
    }
}

/// Tells everybody who waits their outcome, or the cause for having none.
///
/// The last comes first: a session waits for the first of its checks, and when that wakes it, all that
/// came with it is to be there.
fn answer<H>(
    part: Part<H>,
    mut outcomes: Vec<Outcome>,
    without: &Cause,
    departed_at: Instant,
    batch_size: usize,
) {
    outcomes.resize_with(part.waiters.len(), || Err(without.clone().into()));
    for (waiter, mut outcome) in part.waiters.into_iter().zip(outcomes).rev() {
        let facts = match &mut outcome {
            Ok(decision) => &mut decision.facts,
            Err(failure) => &mut failure.facts,
        };
        facts.queued = departed_at.saturating_duration_since(waiter.queued_at);
        facts.batch_size = batch_size;
        // Err: its owner dropped it meanwhile.
        let _ = waiter.reply.send(outcome);
    }
}

async fn all_gone<H>(waiters: &mut [Waiter<H>]) {
    for waiter in waiters {
        waiter.reply.closed().await;
    }
}
