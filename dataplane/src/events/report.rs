//! The task that reports: one call at a time, again and again while the service is away.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tidegate_proto::v1::{self, EventKind};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::{info, warn};

use crate::authz::{Backoff, Contact, jittered};

use super::{Events, Inner, queue::MAX_BATCH, record::report};

/// `ReportEvents`.
const PATH: &str = "/tidegate.authz.v1.EventService/ReportEvents";

/// How long an event waits for company.
const LINGER: Duration = Duration::from_millis(250);

/// For one call.
const CALL: Duration = Duration::from_secs(10);

/// Pauses after calls that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Between attempts at a service that has said that it has no EventService, and never had one.
const RARELY: Duration = Duration::from_secs(300);

/// Times that a report is tried that the service does not want for a reason of its own: it would be in
/// the way of all others.
const MAX_REFUSALS: u32 = 3;

/// What is told, and how much of it may wait.
#[derive(Debug, Clone)]
pub struct EventOptions {
    /// The kinds that are told.
    pub kinds: Vec<EventKind>,
    /// Most events that wait.
    pub queue_events: usize,
    /// Most bytes of events that wait.
    pub queue_bytes: usize,
    /// Whether sessions are told with the state that the service gave them.
    pub with_state: bool,
}

/// The reporting task. It ends, and what waits is lost, when this is dropped.
#[derive(Debug)]
pub struct Reporter {
    task: JoinHandle<()>,
    closing: CancellationToken,
}

impl Reporter {
    /// Starts to report. Must be called inside a runtime.
    #[must_use]
    pub fn start(
        options: &EventOptions,
        contact: Contact,
        data_plane: v1::DataPlane,
    ) -> (Self, Events) {
        let events = Events::new(options);
        let closing = CancellationToken::new();
        let reporting = events.0.clone().map(|inner| Reporting {
            inner,
            contact,
            data_plane,
            closing: closing.clone(),
            dropped_told: 0,
            was_taken: false,
        });
        let task = tokio::spawn(async move {
            if let Some(reporting) = reporting {
                reporting.run().await;
            }
        });
        (Self { task, closing }, events)
    }

    /// Reports what waits, as far as that can be done within this time, and ends.
    pub async fn finish(mut self, within: Duration) {
        self.closing.cancel();
        let _ = timeout(within, &mut self.task).await;
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Reporting {
    inner: Arc<Inner>,
    contact: Contact,
    data_plane: v1::DataPlane,
    closing: CancellationToken,
    /// Losses that the service knows of.
    dropped_told: u64,
    /// A report was taken once.
    was_taken: bool,
}

/// How a call ended.
enum Outcome {
    Taken,
    /// Nobody was there.
    Away(String),
    /// Somebody was there, and did not want it.
    Refused(String),
    /// There is no such service.
    Unknown,
}

impl Reporting {
    async fn run(mut self) {
        loop {
            self.gather().await;
            let batch = self.inner.queue.take();
            if batch.is_empty() {
                if self.closing.is_cancelled() {
                    return;
                }
                continue;
            }
            self.deliver(batch).await;
        }
    }

    /// Waits for events, and then for more of them.
    async fn gather(&self) {
        let queue = &self.inner.queue;
        let closing = self.closing.cancelled();
        let gathered = async {
            while queue.len() == 0 {
                queue.filled.notified().await;
            }
            let linger = Instant::now() + LINGER;
            while queue.len() < MAX_BATCH && Instant::now() < linger {
                let more = queue.filled.notified();
                let _ = tokio::time::timeout_at(linger, more).await;
            }
        };
        tokio::select! {
            () = closing => {}
            () = gathered => {}
        }
    }

    /// Brings a batch to the service, or gives it up.
    async fn deliver(&mut self, batch: Vec<Bytes>) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut refusals = 0;
        let mut is_told = false;
        let count = batch.len() as u64;
        loop {
            let dropped = self.inner.queue.tally().dropped;
            let untold = dropped - self.dropped_told;
            let pause = match self.call(report(&self.data_plane, &batch, untold)).await {
                Outcome::Taken => {
                    self.dropped_told = dropped;
                    self.was_taken = true;
                    self.inner.queue.sent(count);
                    if is_told {
                        info!("events are reported again");
                    }
                    return;
                }
                Outcome::Refused(why) => {
                    refusals += 1;
                    if refusals == MAX_REFUSALS {
                        warn!(
                            why,
                            events = count,
                            "the service does not take a report of events: it is given up"
                        );
                        return self.inner.queue.lost(count);
                    }
                    backoff.pause()
                }
                Outcome::Away(why) => {
                    if !std::mem::replace(&mut is_told, true) {
                        warn!(
                            why,
                            "events cannot be reported; they wait, and the oldest are lost"
                        );
                    }
                    backoff.pause()
                }
                Outcome::Unknown => {
                    if !std::mem::replace(&mut is_told, true) {
                        warn!("there is no EventService at the endpoint: events are lost");
                    }
                    match self.was_taken {
                        true => backoff.pause(),
                        false => jittered(RARELY),
                    }
                }
            };
            tokio::select! {
                // One attempt was made; there is no time for more.
                () = self.closing.cancelled() => return self.inner.queue.lost(count),
                () = sleep(pause) => {}
            }
        }
    }

    async fn call(&self, request: Bytes) -> Outcome {
        let called = self
            .contact
            .call::<v1::ReportEventsResponse>(PATH, request, CALL);
        match called.await {
            Ok(v1::ReportEventsResponse {}) => Outcome::Taken,
            Err(status) => {
                let why = format!("{:?}: {}", status.code(), status.message());
                match status.code() {
                    Code::Unimplemented => Outcome::Unknown,
                    Code::Unavailable
                    | Code::DeadlineExceeded
                    | Code::Cancelled
                    | Code::ResourceExhausted => Outcome::Away(why),
                    _ => Outcome::Refused(why),
                }
            }
        }
    }
}
