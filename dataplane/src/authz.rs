//! The decision pipeline: a check goes in, a [`Decision`] comes out, whatever happens.
//!
//! ```text
//!   ask ─► FailClosed ─► Observe ─► Mount ─► Deadline ─► Lane ─► Call ─► gRPC
//!          any error     counts     of an    the         queue,   span,
//!          is            span       allowed  check's     batch    errors told
//!          unavailable   log line   client   own time             apart
//! ```
//!
//! There is one such stack for each hook (CONNECT, will, PUBLISH, SUBSCRIBE), built by `Stacks` and
//! nowhere else. The order is the design:
//!
//! * `fail_closed` is outermost: a layer that fails, wherever it stands, makes an
//!   `Unavailable` and never an allow.
//! * `observe` sees everything that can happen further in, exactly once.
//! * `mount` knows whom the service has let in, and where their topics begin.
//! * A cache of decisions will stand here: its hits are observed, and cost no time limit.
//! * `deadline` is the check's own; it trusts nothing below.
//! * Shedding of load will stand here: before a check costs a place in the queue.
//! * `lane` lets checks wait in fair turns (`queue`, `room`), gathers them into batches (`batcher`, `permits`,
//!   `sizing`) and keeps apart what spoils them (`flight`, `standing`). One lane per hook, one connection per
//!   lane; only wills share the connection of the CONNECT that they belong to.
//! * Retries and the choice of an endpoint will stand here: they concern calls, not checks.
//! * `call` makes the call. Below it, `classify` hears what the peer really said, and on the way back
//!   `wire` believes as little of it as possible.

mod batch;
mod batcher;
mod budget;
mod call;
mod channel;
mod check;
mod classify;
mod codec;
mod counters;
mod deadline;
mod decision;
mod decision_log;
mod fail_closed;
mod failure;
mod flight;
pub mod hook;
mod item;
mod lane;
mod line;
mod message;
mod mount;
mod mutations;
mod narrowed;
mod observe;
mod options;
mod pace;
mod permits;
mod queue;
mod room;
mod seat;
mod sizing;
mod standing;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use tidegate_proto::v1;
use tower::Service;

use self::{
    call::Call,
    deadline::Deadline,
    fail_closed::FailClosed,
    lane::{Lane, Reply, Settings},
    line::Line,
    message::Preamble,
    mount::Mount,
    observe::{Observe, Observer},
    queue::Queue,
};
pub use self::{
    check::{Check, Context, Who},
    counters::{Count, Counters, HookCounters, ProtocolErrors, WHYS},
    decision::{Decision, Facts, Identity, MAX_ANNOTATIONS},
    failure::{Cause, Failure},
    hook::{Hook, HookKind},
    message::{Body, Message, PublishBody, SessionBytes},
    mutations::Mutations,
    narrowed::Narrowed,
    options::{AuthzOptions, DecisionLog, HookOptions},
    seat::Seat,
};

/// Handle on the decision pipeline; cheap to clone. Its tasks end when the last clone is gone and the
/// last call has come back.
#[derive(Debug, Clone)]
pub struct Authz {
    stacks: Arc<Stacks>,
}

impl Authz {
    /// Starts the lanes. Nothing is dialled before the first check. Must be called inside a runtime.
    #[must_use]
    pub fn start(options: &AuthzOptions, data_plane: v1::DataPlane) -> Self {
        Self {
            stacks: Arc::new(Stacks::build(options, &data_plane)),
        }
    }

    /// Asks. The check is on its way when this returns, whether or not the future is polled; dropping
    /// the future takes the check back.
    pub fn ask<H: Hook>(&self, check: Check<H>) -> AskFuture {
        let mut stack = H::stack(&self.stacks).clone();
        AskFuture {
            inner: stack.call(check),
        }
    }

    /// Whether the lanes of PUBLISH and SUBSCRIBE are crowded and the session has its share of them: it
    /// is to stop reading then, rather than have its checks refused as
    /// [`QueueFull`](gatekeeper::Why::QueueFull). To be asked before each packet.
    #[must_use]
    pub fn must_wait(&self, seat: &Seat) -> bool {
        self.stacks.publish_queue.must_wait(seat) || self.stacks.subscribe_queue.must_wait(seat)
    }

    /// Waits until the session may go on reading.
    pub fn wait(&self, seat: &Arc<Seat>) -> Wait {
        Wait {
            stacks: Arc::clone(&self.stacks),
            seat: Arc::clone(seat),
        }
    }

    /// Time from the arrival of a packet to its decision, for [`Context::deadline`].
    #[must_use]
    pub fn time_limit(&self, hook: HookKind) -> Duration {
        self.stacks.options.hook(hook).deadline
    }

    /// What the service narrows of the limits of a lane.
    #[must_use]
    pub fn narrowed(&self, hook: HookKind) -> &Arc<Narrowed> {
        &self.stacks.narrowed[hook as usize]
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.stacks.counters
    }
}

/// The wait of a session for room in the lanes. When it is dropped, who waits behind it has its turn.
#[derive(Debug)]
#[must_use = "it has to be awaited"]
pub struct Wait {
    stacks: Arc<Stacks>,
    seat: Arc<Seat>,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        ready!(self.stacks.publish_queue.poll_room(&self.seat, cx));
        self.stacks.subscribe_queue.poll_room(&self.seat, cx)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.stacks.publish_queue.leave(&self.seat);
        self.stacks.subscribe_queue.leave(&self.seat);
    }
}

/// A check under way. `Unpin`, so that a session can keep a queue of them.
#[derive(Debug)]
#[must_use = "a check whose future is dropped is cancelled"]
pub struct AskFuture {
    inner: fail_closed::ResponseFuture<
        observe::ResponseFuture<mount::ResponseFuture<deadline::ResponseFuture<Reply>>>,
    >,
}

impl Future for AskFuture {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Decision> {
        Pin::new(&mut self.inner)
            .poll(cx)
            .map(|Ok(decision)| decision)
    }
}

/// The stack of one hook.
#[doc(hidden)]
pub type Stack<H> = FailClosed<Observe<Mount<Deadline<Lane<H>>>>>;

/// The stacks of all hooks.
#[doc(hidden)]
#[derive(Debug)]
pub struct Stacks {
    connect: Stack<hook::Connect>,
    will: Stack<hook::Will>,
    publish: Stack<hook::Publish>,
    subscribe: Stack<hook::Subscribe>,
    publish_queue: Arc<Queue<hook::Publish>>,
    subscribe_queue: Arc<Queue<hook::Subscribe>>,
    narrowed: [Arc<Narrowed>; HookKind::ALL.len()],
    counters: Arc<Counters>,
    options: AuthzOptions,
}

impl Stacks {
    fn build(options: &AuthzOptions, data_plane: &v1::DataPlane) -> Self {
        let counters = Arc::<Counters>::default();
        let observer = Arc::new(Observer {
            counters: Arc::clone(&counters),
            log: decision_log::DecisionLog::new(&options.decision_log),
            hints: mutations::Hints::default(),
        });
        // Wills share the connection of CONNECT, and therefore its streams. They are fewer.
        let streams = options.k_hard;
        let streams_of_wills = streams / 4;

        let connecting = line(options, options.connect.deadline);
        let publishing = line(options, options.publish.deadline);
        let subscribing = line(options, options.subscribe.deadline);

        let connect = lane(
            options,
            data_plane,
            &counters,
            &connecting,
            streams - streams_of_wills,
        );
        let will = lane(
            options,
            data_plane,
            &counters,
            &connecting,
            streams_of_wills,
        );
        let publish = lane(options, data_plane, &counters, &publishing, streams);
        let subscribe = lane(options, data_plane, &counters, &subscribing, streams);

        Self {
            publish_queue: publish.queue(),
            subscribe_queue: subscribe.queue(),
            narrowed: [
                connect.narrowed(),
                will.narrowed(),
                publish.narrowed(),
                subscribe.narrowed(),
            ],
            connect: stack(connect, &observer),
            will: stack(will, &observer),
            publish: stack(publish, &observer),
            subscribe: stack(subscribe, &observer),
            counters,
            options: options.clone(),
        }
    }
}

/// The connection for checks with this deadline.
fn line(options: &AuthzOptions, deadline: Duration) -> Arc<Line> {
    let options = options.clone();
    Arc::new(Line::new(move || channel::open(&options, deadline)))
}

fn lane<H: Hook>(
    options: &AuthzOptions,
    data_plane: &v1::DataPlane,
    counters: &Arc<Counters>,
    line: &Arc<Line>,
    streams: usize,
) -> Lane<H> {
    let call = Call::<H>::new(Arc::clone(line), options);
    Lane::start(
        Settings::new::<H>(options, streams),
        call,
        Preamble::from(data_plane),
        Arc::clone(counters),
    )
}

fn stack<H: Hook>(lane: Lane<H>, observer: &Arc<Observer>) -> Stack<H> {
    let mounted = Mount::new(Deadline::new(lane));
    FailClosed::new(Observe::new(mounted, Arc::clone(observer)))
}
