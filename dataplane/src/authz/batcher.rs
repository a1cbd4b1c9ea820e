//! "Batch while in flight": the task of a lane.
//!
//! A check that finds the lane idle leaves at once and alone. While calls are in flight, what arrives
//! meanwhile gathers in the queue; [`Permits`] says when it may leave. So the size of a batch
//! follows the load, without a timer when there is none.
//!
//! ```text
//! loop:
//!   wait for one check                       nothing is held meanwhile
//!   wait until the permits let a batch leave; it is filled then, in fair turns
//!   send: one spawned call, answered check by check
//! ```

use std::{collections::HashSet, future::poll_fn, marker::PhantomData, sync::Arc, task::Poll};

use tokio::{
    select,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tower::Service;
use tracing::error;

use crate::log_limit::LogLimit;

use super::{
    batch::Batch,
    budget::Budget,
    call::Shipment,
    counters::Counters,
    failure::Cause,
    flight::{Airline, Ended, Flight, Landed},
    hook::Hook,
    lane::{MAX_ITEM_ID_BYTES, Settings},
    message::Preamble,
    pace::Pace,
    permits::{Gate, Leave, Permits},
    queue::Queue,
    seat::SeatId,
    sizing::Sizing,
    standing::Batches,
    wire::Answers,
};

/// Calls of sessions that travel alone, at most: one in so many of the lane's.
const APART_SHARE: usize = 4;

/// The task of a lane.
pub(super) struct Batcher<H: Hook, C> {
    settings: Settings,
    queue: Arc<Queue<H>>,
    permits: Permits,
    pace: Pace,
    sizing: Sizing,
    batches: Batches,
    call: C,
    airline: Arc<Airline<H>>,
    calls: JoinSet<Landed>,
    /// Sessions that travel alone and have a call under way: they have one at a time.
    apart: HashSet<SeatId>,
}

/// What the task waits for.
enum Next {
    /// Nothing: a batch may leave.
    Leave(Leave),
    /// So many checks, or so many bytes, and at most until then.
    Arrival(usize, usize, Option<Instant>),
}

impl<H, C> Batcher<H, C>
where
    H: Hook,
    C: Service<Shipment, Error = Cause>,
    C::Response: Into<Answers<H::Result>> + Send,
    C: Clone + Send + 'static,
    C::Future: Send,
{
    pub(super) fn new(
        settings: Settings,
        queue: Arc<Queue<H>>,
        call: C,
        preamble: Preamble,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            permits: Permits::new(settings.k_soft_max, settings.k_hard, settings.overflow_wait),
            pace: Pace::new(settings.time_limit),
            sizing: Sizing::new(settings.max_items),
            batches: Batches::new(settings.time_limit),
            queue,
            call,
            airline: Arc::new(Airline {
                preamble,
                rules: settings.rules.clone(),
                counters,
                budget: Budget::default(),
                complaints: LogLimit::new(1),
                hook: PhantomData,
            }),
            settings,
            calls: JoinSet::new(),
            apart: HashSet::new(),
        }
    }

    /// Runs until the lane is gone and every call has come back. After a panic it can be run again.
    pub(super) async fn run(&mut self) {
        let mut has_yielded = false;
        loop {
            while let Some(call) = self.calls.try_join_next() {
                self.landed(call);
            }
            self.send_apart();
            let now = Instant::now();
            if let Some(at) = self.queue.next_expiry()
                && at <= now
            {
                self.queue.refuse_old(now);
            }
            let (items, bytes, until) = match self.next(now) {
                // The scheduler runs this task right after the session that woke it. The others that are
                // ready now may come along; if there are none, nothing is lost.
                Next::Leave(Leave::Free) if !has_yielded => {
                    has_yielded = true;
                    let_others_run().await;
                    continue;
                }
                Next::Leave(leave) => {
                    has_yielded = false;
                    self.send(leave, now);
                    continue;
                }
                Next::Arrival(items, bytes, until) => (items, bytes, until),
            };
            let queue = Arc::clone(&self.queue);
            select! {
                biased;
                Some(call) = self.calls.join_next() => self.landed(call),
                is_open = poll_fn(|cx| queue.poll_arrival(items, bytes, cx)) => if !is_open {
                    break;
                },
                () = sleep_until(until.unwrap_or(now)), if until.is_some() => {}
            }
        }
        while let Some(call) = self.calls.join_next().await {
            self.landed(call);
        }
    }

    fn next(&mut self, now: Instant) -> Next {
        // Who travels alone holds up nobody else.
        let in_flight = self.calls.len().saturating_sub(self.apart.len());
        let hard = self.max_calls().saturating_sub(self.apart.len());
        let Some(waiting) = self.queue.waiting(hard, in_flight) else {
            return Next::Arrival(1, usize::MAX, self.queue.next_expiry());
        };
        let (max_items, max_bytes) = (self.max_items(), self.max_bytes());
        let is_full = waiting.items >= max_items || waiting.bytes >= max_bytes;
        self.permits.set_hard(hard);
        match self.permits.gate(is_full, waiting.since, in_flight, now) {
            Gate::Open(leave) => Next::Leave(leave),
            Gate::ShutUntil(at) => Next::Arrival(max_items, max_bytes, Some(at)),
            // Woken by a call that ends; but who has waited too long has to be told.
            Gate::Shut => Next::Arrival(usize::MAX, usize::MAX, self.queue.next_expiry()),
        }
    }

    fn send(&mut self, leave: Leave, now: Instant) {
        let mut batch = Batch::new(self.max_items(), self.max_bytes());
        self.queue.take(&mut batch, self.pace.margin(), now);
        if let Some(since) = batch.waiting_since() {
            let waited = now.saturating_duration_since(since);
            let in_flight = self.calls.len().saturating_sub(self.apart.len());
            self.permits.left(leave, waited, in_flight);
            self.fly(batch, false, now);
        }
    }

    /// Sends what has batches of its own, as far as there are calls for it.
    fn send_apart(&mut self) {
        let hard = self.max_calls();
        let most = (hard / APART_SHARE).max(1);
        while self.queue.has_apart() && self.apart.len() < most && self.calls.len() < hard {
            let now = Instant::now();
            let mut batch = Batch::new(self.max_items(), self.max_bytes());
            let apart = &self.apart;
            self.queue
                .take_apart(&mut batch, self.pace.margin(), now, |id| {
                    apart.contains(&id)
                });
            if batch.is_empty() {
                return;
            }
            self.fly(batch, true, now);
        }
    }

    fn max_items(&self) -> usize {
        let limit = self.sizing.limit();
        self.settings.capabilities.max_batch_size(limit).max(1)
    }

    fn max_bytes(&self) -> usize {
        let wish = self.settings.capabilities.max_request_bytes(usize::MAX);
        let overhead = self.airline.preamble.len() + MAX_ITEM_ID_BYTES * self.max_items();
        wish.saturating_sub(overhead).min(self.settings.max_bytes)
    }

    fn max_calls(&self) -> usize {
        let Settings { k_hard, k_all, .. } = self.settings;
        // The service's wish is for all lanes.
        let wish = self.settings.capabilities.max_concurrent_calls(k_all);
        (wish * k_hard / k_all).clamp(1, k_hard.max(1))
    }

    fn fly(&mut self, batch: Batch<H>, is_apart: bool, departed_at: Instant) {
        let (items, seats, accounts) = batch.into_parts();
        if is_apart {
            self.apart.extend(seats.iter().map(|(seat, _)| seat.id()));
        }
        let flight = Flight {
            items,
            seats,
            accounts,
            is_apart,
            departed_at,
        };
        self.calls
            .spawn(Arc::clone(&self.airline).fly(self.call.clone(), flight));
    }

    fn landed(&mut self, call: Result<Landed, JoinError>) {
        let Ok(landed) = call else {
            // Whose it was is not known any more.
            self.apart.clear();
            self.queue.lost();
            let counters = &self.airline.counters;
            counters.hook(H::KIND).panics.add(1);
            error!(hook = %H::KIND, "a call panicked; its checks have failed: this is a bug");
            return;
        };
        self.queue.landed(&landed.seats, &landed.accounts);
        if landed.is_apart {
            for (seat, _) in &landed.seats {
                self.apart.remove(&seat.id());
            }
        }
        let now = Instant::now();
        let took = now - landed.departed_at;
        match landed.ended {
            Ended::Answered => {
                let is_slow = self.batches.answered(took, self.pace.quick(), now);
                for (seat, _) in &landed.seats {
                    seat.standing(H::KIND).answered(is_slow, &self.batches);
                }
                if !landed.is_apart {
                    self.pace.record(took);
                    self.sizing.record(landed.size, took, now);
                }
            }
            Ended::TimedOut => {
                let blames = self
                    .batches
                    .blames(landed.departed_at, took, self.pace.quick());
                for (seat, _) in &landed.seats {
                    seat.standing(H::KIND).timed_out(blames);
                }
            }
            Ended::Otherwise => {}
        }
    }
}

/// Lets the tasks run that are ready now. Tokio's `yield_now` looks for new events of the network, too, and is a
/// system call: idle, that is a good part of the time that a check spends here.
async fn let_others_run() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
