//! "Batch while in flight": the task of a lane.
//!
//! A check that finds the lane idle leaves at once and alone. While calls are in flight, what arrives
//! meanwhile gathers in the next batch; [`Permits`] says when it may leave. So the size of a batch
//! follows the load, without a timer when there is none.
//!
//! ```text
//! loop:
//!   wait for one check                       nothing is held meanwhile
//!   gather: take what is queued, until full; leave as the permits allow
//!   send: one spawned call, answered check by check
//! ```

use std::{marker::PhantomData, sync::Arc};

use tokio::{
    select,
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tower::{Service, ServiceExt};
use tracing::error;

use crate::log_limit::LogLimit;

use super::{
    batch::{Batch, Flight, Landed},
    call::Shipment,
    counters::Counters,
    failure::Cause,
    hook::Hook,
    lane::{Item, Settings},
    pace::Pace,
    permits::{Gate, Leave, Permits},
    sizing::Sizing,
};

/// The task of a lane.
pub(super) struct Batcher<H: Hook, C> {
    settings: Arc<Settings>,
    queue: mpsc::Receiver<Item<H::Check>>,
    /// Taken from the queue, but too large for the batch that was being filled.
    spilled: Option<Item<H::Check>>,
    permits: Permits,
    pace: Pace,
    sizing: Sizing,
    call: C,
    calls: JoinSet<Landed>,
    counters: Arc<Counters>,
    complaints: Arc<LogLimit>,
}

impl<H, C> Batcher<H, C>
where
    H: Hook,
    C: Service<Shipment<H::Check>, Response = Vec<H::Result>, Error = Cause>,
    C: Clone + Send + 'static,
    C::Future: Send,
{
    pub(super) fn new(
        settings: Settings,
        queue: mpsc::Receiver<Item<H::Check>>,
        call: C,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            permits: Permits::new(settings.k_soft_max, settings.k_hard, settings.overflow_wait),
            pace: Pace::new(settings.time_limit),
            sizing: Sizing::new(settings.max_items),
            settings: Arc::new(settings),
            queue,
            spilled: None,
            call,
            calls: JoinSet::new(),
            counters,
            complaints: Arc::new(LogLimit::new(1)),
        }
    }

    /// Runs until the lane is gone and every call has come back. After a panic it can be run again.
    pub(super) async fn run(&mut self) {
        while let Some(first) = self.first().await {
            let max_items = self.sizing.limit();
            let mut batch = Batch::new(first, max_items, self.settings.max_bytes);
            if let Some(leave) = self.gather(&mut batch).await {
                self.send(batch, leave);
            }
        }
        while let Some(call) = self.calls.join_next().await {
            self.landed(call);
        }
    }

    /// Waits for a check. `None`: there will be none.
    async fn first(&mut self) -> Option<Item<H::Check>> {
        if let Some(item) = self.spilled.take() {
            return Some(item);
        }
        loop {
            select! {
                biased;
                Some(call) = self.calls.join_next() => self.landed(call),
                item = self.queue.recv() => return item,
            }
        }
    }

    /// Fills the batch until it may leave. `None`: nothing of it is worth sending any more.
    async fn gather(&mut self, batch: &mut Batch<H::Check>) -> Option<Leave> {
        loop {
            while let Some(call) = self.calls.try_join_next() {
                self.landed(call);
            }
            self.top_up(batch);
            let now = Instant::now();
            batch.drop_stale(now, self.pace.margin());
            let since = batch.waiting_since()?;
            let is_full = batch.is_full() || self.spilled.is_some();
            let gate = self.permits.gate(is_full, since, self.calls.len(), now);
            let overflow_at = match gate {
                Gate::Open(leave) => return Some(leave),
                Gate::ShutUntil(at) => Some(at),
                Gate::Shut => None,
            };
            select! {
                biased;
                Some(call) = self.calls.join_next() => self.landed(call),
                Some(item) = self.queue.recv(), if !is_full => self.admit(batch, item),
                () = sleep_until(overflow_at.unwrap_or(now)), if overflow_at.is_some() => {}
            }
        }
    }

    /// Takes what is queued already.
    fn top_up(&mut self, batch: &mut Batch<H::Check>) {
        while self.spilled.is_none() && !batch.is_full() {
            let Ok(item) = self.queue.try_recv() else {
                break;
            };
            self.admit(batch, item);
        }
    }

    fn admit(&mut self, batch: &mut Batch<H::Check>, item: Item<H::Check>) {
        if batch.has_room_for(&item) {
            batch.push(item);
        } else {
            self.spilled = Some(item);
        }
    }

    fn send(&mut self, batch: Batch<H::Check>, leave: Leave) {
        let now = Instant::now();
        if let Some(since) = batch.waiting_since() {
            self.permits.left(leave, now - since, self.calls.len());
        }
        let (shipment, waiters) = batch.depart::<H>(now);
        let counters = self.counters.hook(H::KIND);
        counters.calls.add(1);
        counters.checks_sent.add(waiters.len());
        let flight = Flight::<H> {
            waiters,
            departed_at: now,
            settings: Arc::clone(&self.settings),
            counters: Arc::clone(&self.counters),
            complaints: Arc::clone(&self.complaints),
            hook: PhantomData,
        };
        self.calls
            .spawn(flight.fly(self.call.clone().oneshot(shipment)));
    }

    fn landed(&mut self, call: Result<Landed, JoinError>) {
        match call {
            Ok(Landed::Answered { took, size }) => {
                self.pace.record(took);
                self.sizing.record(size, took, Instant::now());
            }
            Ok(Landed::Failed | Landed::Abandoned) => {}
            Err(_) => {
                self.counters.hook(H::KIND).panics.add(1);
                error!(hook = %H::KIND, "a call panicked; its checks have failed: this is a bug");
            }
        }
    }
}
