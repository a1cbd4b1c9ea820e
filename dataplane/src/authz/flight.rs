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
    batch::{Seats, runs, shipment},
    budget::Budget,
    call::Shipment,
    counters::Counters,
    failure::Cause,
    hook::Hook,
    item::{Item, Reply},
    mailbox::Ending,
    message::Preamble,
    seat::{Account, Seat},
    wire::{self, Answers, Rules},
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
    pub(super) items: Vec<Item<H>>,
    pub(super) seats: Seats,
    /// For whom it counts.
    pub(super) accounts: Vec<Account>,
    /// Whether it is a session's that travels alone.
    pub(super) is_apart: bool,
    pub(super) departed_at: Instant,
}

/// What a flight that ended has to tell.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) seats: Seats,
    pub(super) accounts: Vec<Account>,
    pub(super) is_apart: bool,
    pub(super) departed_at: Instant,
    pub(super) size: usize,
    /// How the first call ended.
    pub(super) ended: Ended,
}

/// How a call ended, as far as it tells something of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The service answered.
    Answered,
    /// It had not when the time was over.
    TimedOut,
    /// Otherwise.
    Otherwise,
}

impl Ended {
    fn of<A>(ended: &Result<A, Cause>) -> Self {
        match ended {
            Ok(_) => Self::Answered,
            Err(Cause::Timeout) => Self::TimedOut,
            // What a service says that watches the time itself, a moment before we do.
            Err(Cause::Status {
                code: Code::DeadlineExceeded | Code::Cancelled,
                ..
            }) => Self::TimedOut,
            Err(_) => Self::Otherwise,
        }
    }
}

/// Checks of a flight that are asked together, from the one with this index on.
struct Part<H> {
    first: usize,
    items: Vec<Item<H>>,
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
            size: flight.items.len(),
            seats: flight.seats,
            accounts: flight.accounts,
            is_apart: flight.is_apart,
            departed_at: flight.departed_at,
            ended: Ended::Otherwise,
        };
        let counters = self.counters.hook(H::KIND);
        // Those that were read together were queued together.
        for run in flight
            .items
            .chunk_by(|one, next| one.queued_at == next.queued_at)
        {
            if let [first, ..] = run {
                let queued = landed
                    .departed_at
                    .saturating_duration_since(first.queued_at);
                counters
                    .queue_duration
                    .record_many(queued, run.len() as u64);
            }
        }
        let mut trips = self.budget.trips(landed.size);
        let mut parts = VecDeque::from([Part {
            first: 0,
            items: flight.items,
        }]);
        let mut is_first = true;
        while let Some(mut part) = parts.pop_front() {
            let mut shipment = shipment(&part.items, &self.preamble);
            shipment.is_apart = landed.is_apart;
            let flying = counters.call(shipment.size, shipment.request.len());
            let deadline = shipment.deadline;
            let earliest = part.items.iter().map(|item| item.deadline).min();
            let mut calling = pin!(call.clone().oneshot(shipment));
            let ended = select! {
                biased;
                ended = &mut calling => ended,
                () = all_gone(&mut part, &landed.seats) => {
                    if earliest.is_some_and(|earliest| Instant::now() < earliest) {
                        continue;
                    }
                    // They left because it was too late. The endpoint has to hear of that, and will at once:
                    // it is the call's time, too.
                    calling.await
                }
            };
            drop(flying);
            if is_first {
                landed.ended = Ended::of(&ended);
            }
            match ended {
                Ok(answers) => {
                    self.deliver(part, answers.into(), &landed);
                }
                Err(cause) => {
                    counters.calls_failed.add(1);
                    let is_alone = part.items.len() == 1;
                    let blames = is_blaming(&cause);
                    if blames && !is_alone && Instant::now() < deadline && trips.take_two() {
                        parts.extend(part.halves());
                    } else {
                        if blames && is_alone && landed.size > 1 || landed.is_apart && blames {
                            blame::<H>(&landed.seats, part.first);
                        }
                        answer(part, Vec::new(), &cause, &landed);
                    }
                }
            }
            is_first = false;
        }
        landed
    }

    fn deliver(&self, part: Part<H>, answers: Answers<H::Result>, landed: &Landed) {
        let is_curious = |index: usize| {
            let item = part.items.get(index);
            item.is_none_or(|item| matches!(item.reply, Reply::Alone(_)))
        };
        let (checks, results) = (part.items.len(), answers.results);
        let mut matched = wire::match_results::<H>(checks, results, &self.rules, is_curious);
        if let Some(maker) = &answers.maker {
            for ending in matched.endings.iter_mut().flatten() {
                ending.name_maker(maker);
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
        answer(part, matched.endings, &missing, landed);
    }
}

impl<H> Part<H> {
    fn halves(mut self) -> [Self; 2] {
        let middle = self.items.len() / 2;
        let second = Self {
            first: self.first + middle,
            items: self.items.split_off(middle),
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

/// Tells everybody who waits how their check ended, or the cause for its having no end.
///
/// The last comes first: a session waits for the first of its checks, and when that wakes it, all that
/// came with it is to be there.
fn answer<H>(part: Part<H>, mut endings: Vec<Option<Ending>>, without: &Cause, landed: &Landed) {
    let checks = part.items.len();
    endings.resize_with(checks, || None);
    let mut items = part.items;
    let mut ended = items.iter_mut().zip(endings).rev();
    let mut letters = Vec::new();
    for (seat, count) in runs(&landed.seats, part.first, checks).into_iter().rev() {
        for (item, ending) in ended.by_ref().take(count) {
            let ending = ending.unwrap_or_else(|| Ending::failed(without.clone()));
            let queued = landed.departed_at.saturating_duration_since(item.queued_at);
            item.end(ending.after(queued, landed.size), &mut letters);
        }
        if !letters.is_empty() {
            seat.mailbox().deliver(&mut letters);
        }
    }
}

async fn all_gone<H>(part: &mut Part<H>, seats: &Seats) {
    let mut items = part.items.iter_mut();
    for (seat, count) in runs(seats, part.first, items.len()) {
        for item in items.by_ref().take(count) {
            item.deserted(seat).await;
        }
    }
}
