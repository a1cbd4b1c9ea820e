//! A lane: the queue of one hook, with a task that turns what waits in it into calls.
//!
//! A lane has the connection of its hook to itself, so that neither a queue nor a stream limit of one
//! hook ever stands in the way of another.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tower::Service;
use tracing::error;

use super::{
    batcher::Batcher,
    call::Shipment,
    check::Check,
    counters::Counters,
    decision::Decision,
    endpoints::Capabilities,
    failure::{Cause, Failure},
    hook::{Hook, HookKind},
    item::{self, Item},
    message::Preamble,
    options::AuthzOptions,
    queue::{Order, Queue},
    seat::Seat,
    wire::{Answers, Outcome, Rules},
};

/// Connections to each endpoint, over all lanes: CONNECT and wills, PUBLISH, SUBSCRIBE.
const CONNECTIONS: usize = 3;

/// What an item id adds to a check, at most, while there are fewer than 16,384 in a request: its field, and
/// the length of the check that grows by it.
pub(super) const MAX_ITEM_ID_BYTES: usize = 4;

/// A CONNECT that has waited this long is refused, so that those who came later have a chance.
const CONNECT_AGE: Duration = Duration::from_secs(1);

/// The part of a check's time that it may spend in the queue, one in so many, before sessions are told to
/// wait sooner: most of it is the service's, and a queue that is not needed costs memory and caches.
const PATIENCE_SHARE: u32 = 16;

/// Sends checks to the service in batches. Clones share the queue.
pub struct Lane<H: Hook> {
    /// Closes the queue with the last clone.
    queue: Arc<Entrance<H>>,
    max_check_bytes: usize,
    /// Bytes of a request with one check beside it.
    overhead: usize,
    capabilities: Arc<Capabilities>,
}

/// Settings of one lane.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) max_items: usize,
    pub(super) max_bytes: usize,
    pub(super) max_check_bytes: usize,
    pub(super) k_soft_max: usize,
    pub(super) k_hard: usize,
    /// Most calls of all lanes.
    pub(super) k_all: usize,
    pub(super) overflow_wait: Duration,
    pub(super) queue_checks: usize,
    pub(super) queue_bytes: usize,
    pub(super) time_limit: Duration,
    pub(super) order: Order,
    /// What the service narrows of these.
    pub(super) capabilities: Arc<Capabilities>,
    pub(super) rules: Rules,
}

impl Settings {
    /// The settings of a hook, with a share of its connection's streams.
    pub(super) fn new<H: Hook>(
        options: &AuthzOptions,
        k_hard: usize,
        capabilities: Arc<Capabilities>,
    ) -> Self {
        let hook = options.hook(H::KIND);
        Self {
            max_items: hook.max_items.max(1),
            max_bytes: options.max_bytes,
            max_check_bytes: options.max_check_bytes,
            k_soft_max: options.k_soft_max,
            k_hard,
            k_all: (options.k_hard * CONNECTIONS).max(1),
            overflow_wait: options.overflow_wait,
            queue_checks: options.queue_checks.max(1),
            queue_bytes: options.queue_bytes,
            time_limit: hook.deadline,
            order: match H::KIND {
                HookKind::Connect => Order::NewestFirst(CONNECT_AGE),
                HookKind::Will | HookKind::Publish | HookKind::Subscribe => Order::Turns,
            },
            capabilities,
            rules: options.into(),
        }
    }
}

impl<H: Hook> Lane<H> {
    /// Starts the task of a lane. It ends when the last clone of the lane is gone and the last call
    /// has come back.
    pub(super) fn start<C>(
        settings: Settings,
        call: C,
        preamble: Preamble,
        counters: Arc<Counters>,
    ) -> Self
    where
        C: Service<Shipment, Error = Cause>,
        C::Response: Into<Answers<H::Result>> + Send,
        C: Clone + Send + 'static,
        C::Future: Send,
    {
        let queue = Arc::new(Queue::new(
            settings.order,
            settings.queue_checks,
            settings.queue_bytes,
            match settings.order {
                Order::Turns => settings.time_limit / PATIENCE_SHARE,
                // Refused by then anyway, whether or not the room is crowded.
                Order::NewestFirst(age) => age,
            },
        ));
        counters.hook(H::KIND).room.of(&queue);
        let lane = Self {
            queue: Arc::new(Entrance(Arc::clone(&queue))),
            max_check_bytes: settings.max_check_bytes,
            overhead: preamble.len() + MAX_ITEM_ID_BYTES,
            capabilities: Arc::clone(&settings.capabilities),
        };
        let batcher = Batcher::<H, C>::new(
            settings,
            Arc::clone(&queue),
            call,
            preamble,
            Arc::clone(&counters),
        );
        tokio::spawn(supervise(batcher, Exit(queue), counters));
        lane
    }

    /// Its queue.
    pub(super) fn queue(&self) -> Arc<Queue<H>> {
        Arc::clone(&self.queue.0)
    }

    fn enqueue(&self, check: Check<H>) -> Result<oneshot::Receiver<Outcome>, Cause> {
        let (reply, answer) = oneshot::channel();
        let Check { message, context } = check;
        let item = Item {
            bytes: 0,
            message,
            weight: 0,
            span: (!context.span.is_disabled()).then(|| Box::new(context.span)),
            // Not when it was asked for the first time: it may be asked again.
            queued_at: Instant::now(),
            deadline: context.deadline,
            reply: item::Reply::Alone(reply),
        };
        self.put(&context.seat, item)?;
        Ok(answer)
    }

    /// Puts it into the queue, if it is not too large.
    pub(super) fn put(&self, seat: &Arc<Seat>, mut item: Item<H>) -> Result<(), Cause> {
        if item.message.is_blank() {
            // Nobody may decide about nothing.
            return Err(Cause::Lost);
        }
        item.bytes = item.message.encoded_len();
        let wish = self.capabilities.max_check_bytes(usize::MAX);
        let limit = wish.saturating_sub(self.overhead).min(self.max_check_bytes);
        if item.bytes > limit {
            let size = item.bytes;
            return Err(match size > self.max_check_bytes {
                true => Cause::TooLarge { size, limit },
                // It may be of one replica, or of now.
                false => Cause::TooLargeForService { size, limit },
            });
        }
        self.queue.0.push(seat, item)
    }
}

/// The end of the queue where checks come in.
struct Entrance<H: Hook>(Arc<Queue<H>>);

impl<H: Hook> Drop for Entrance<H> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The end of the queue where checks leave. Without it nothing is ever sent.
struct Exit<H: Hook>(Arc<Queue<H>>);

impl<H: Hook> Drop for Exit<H> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Keeps the task of a lane alive. What a panic takes along, calls in flight excepted, is answered by
/// the drop of its reply channel: a failure, never silence.
async fn supervise<H, C>(mut batcher: Batcher<H, C>, exit: Exit<H>, counters: Arc<Counters>)
where
    H: Hook,
    C: Service<Shipment, Error = Cause>,
    C::Response: Into<Answers<H::Result>> + Send,
    C: Clone + Send + 'static,
    C::Future: Send,
{
    while AssertUnwindSafe(batcher.run())
        .catch_unwind()
        .await
        .is_err()
    {
        counters.hook(H::KIND).panics.add(1);
        error!(hook = %H::KIND, "the lane panicked and goes on: this is a bug");
        // Should it do so again and again, it must not spin.
        sleep(RESTART_PAUSE).await;
    }
    drop(exit);
}

const RESTART_PAUSE: Duration = Duration::from_millis(10);

impl<H: Hook> Clone for Lane<H> {
    fn clone(&self) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
            max_check_bytes: self.max_check_bytes,
            overhead: self.overhead,
            capabilities: Arc::clone(&self.capabilities),
        }
    }
}

impl<H: Hook> std::fmt::Debug for Lane<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
            .field("hook", &H::KIND)
            .field("queue", &self.queue.0)
            .finish_non_exhaustive()
    }
}

impl<H: Hook> Service<Check<H>> for Lane<H> {
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = Reply;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A session reads many packets at a time, so it has to ask the room before it reads, and not
        // the service before it asks.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut check: Check<H>) -> Reply {
        if let Some(outcome) = check.context.known.take() {
            return Reply::Known(Some(outcome));
        }
        // Queued here and not at the first poll: sessions poll only the oldest of their checks.
        match self.enqueue(check) {
            Ok(answer) => Reply::Waiting(answer),
            Err(cause) => Reply::Known(Some(Box::new(Err(cause.into())))),
        }
    }
}

/// Future of [`Lane`]. Dropping it takes the check back.
#[derive(Debug)]
pub enum Reply {
    /// In the queue or on its way.
    Waiting(oneshot::Receiver<Outcome>),
    /// Not queued: it is known already.
    Known(Option<Box<Outcome>>),
}

impl Future for Reply {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut *self {
            Self::Waiting(answer) => Pin::new(answer)
                .poll(cx)
                .map(|answer| answer.unwrap_or_else(|_| Err(Cause::Lost.into()))),
            Self::Known(outcome) => Poll::Ready(
                outcome
                    .take()
                    .map_or_else(|| Err(Cause::Lost.into()), |outcome| *outcome),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
