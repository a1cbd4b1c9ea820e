//! The decision pipeline: a check goes in, a [`Decision`] comes out, whatever happens.
//!
//! ```text
//!   ask ─► FailClosed ─► Shadow ─► Observe ─► Mount ─► Ladder ─► Cache ─┐
//!          any error     hooks     counts     of an    the steps  earlier │
//!          is            that only span       allowed  after a    deci-   │
//!          unavailable   watch     log line   client   failure    sions   │
//!        ┌────────────────────────────────────────────────────────────────┘
//!        └─► Throttle ─► Deadline ─► Lane ─► Retry ─► Call ─► gRPC
//!            spares an   the         queue,  a second  endpoint,
//!            overloaded  check's     batch   try       span, errors
//!            service     own time                      told apart
//! ```
//!
//! There is one such stack for each hook (CONNECT, will, PUBLISH, SUBSCRIBE), built by `Stacks` and
//! nowhere else. The order is the design:
//!
//! * `fail_closed` is outermost: a layer that fails, wherever it stands, makes an
//!   `Unavailable` and never an allow.
//! * `observe` sees everything that can happen further in, exactly once.
//! * `current` asks again for an allow that a directive has overtaken (`epoch`), wherever it came from.
//! * `mount` knows whom the service has let in, and where their topics begin.
//! * `shadow` stands where nothing of an answer is applied yet, and nothing waits for it.
//! * `ladder` is what the operator wants done when nobody decides: what it asks again goes the whole way.
//! * `cache` answers what the session has asked before, as far as service and operator permit: its hits are
//!   observed, and cost no time limit. `single_flight` is for what is asked twice at a time.
//! * `deadline` is the check's own; it trusts nothing below.
//!   `throttle` stands before it: what it refuses costs neither a timer nor a place in the queue.
//! * `lane` lets checks wait in fair turns (`queue`, `room`), gathers them into batches (`batcher`, `permits`,
//!   `sizing`) and keeps apart what spoils them (`flight`, `standing`). One lane per hook, with connections
//!   of its own; only wills share those of the CONNECT that they belong to.
//! * `retry` makes a call that reached nobody a second time. It concerns calls, not checks.
//! * `call` makes the call, on one of the `endpoints`. Below it, `classify` hears what the peer really said, and on the way back
//!   `wire` believes as little of it as possible.

mod aloft;
mod batch;
mod batcher;
mod budget;
mod cache;
mod call;
mod check;
mod classify;
mod codec;
mod contact;
mod counters;
mod current;
mod deadline;
mod decision;
mod decision_log;
mod endpoints;
mod epoch;
mod fail_closed;
mod failure;
mod flight;
pub mod hook;
mod item;
mod ladder;
mod lane;
mod message;
mod mount;
mod mutations;
mod observe;
mod options;
mod pace;
mod permits;
mod queue;
mod retry;
mod room;
mod seat;
mod shadow;
mod single_flight;
mod sizing;
mod standing;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod wire;

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use tidegate_proto::v1;

use self::{
    cache::{Cache, Revisions},
    call::Call,
    current::Current,
    deadline::Deadline,
    endpoints::Endpoints,
    fail_closed::FailClosed,
    ladder::{HoldRoom, Ladder, Policy},
    lane::{Lane, Reply, Settings},
    message::Preamble,
    mount::Mount,
    observe::{Observe, Observer},
    queue::Queue,
    retry::Retry,
    shadow::Shadow,
    throttle::{Load, Throttle},
};
pub use self::{
    check::{Check, Context, Who},
    contact::Contact,
    counters::{
        Bytes, CacheCounters, Checks, Count, Counters, Durations, EndpointCounters, Gauge,
        Histogram, HookCounters, ProtocolErrors, RoomLeft, Scale, WHYS,
    },
    decision::{Decision, Facts, Identity, MAX_ANNOTATIONS},
    endpoints::{Capabilities, Target, TargetError, Tls, TlsError, TlsFiles},
    epoch::{Epochs, Stamp},
    failure::{Cause, Failure},
    hook::{Hook, HookKind},
    ladder::{FailurePolicy, Step},
    message::{Body, Message, PublishBody, SessionBytes},
    mutations::Mutations,
    options::{AuthzOptions, CacheOptions, DecisionLog, HookOptions, NameLookup},
    seat::Seat,
    shadow::{Mode, ShadowOutcome},
};
pub(crate) use self::{
    contact::readable,
    endpoints::{Backoff, jittered},
};

/// Handle on the decision pipeline; cheap to clone. Its tasks end when the last clone is gone and the
/// last call has come back.
#[derive(Debug, Clone)]
pub struct Authz {
    stacks: Arc<Stacks>,
}

impl Authz {
    /// Starts the lanes. Nothing is dialled before the first check of a hook. Must be called inside a runtime.
    #[must_use]
    pub fn start(options: &AuthzOptions, data_plane: v1::DataPlane) -> Self {
        Self {
            stacks: Arc::new(Stacks::build(
                options,
                &data_plane,
                &Arc::default(),
                Arc::default(),
            )),
        }
    }

    /// As [`start`](Self::start), for an instance to which the service sends directives.
    #[must_use]
    pub fn start_with(
        options: &AuthzOptions,
        data_plane: v1::DataPlane,
        epochs: &Arc<Epochs>,
    ) -> Self {
        Self {
            stacks: Arc::new(Stacks::build(options, &data_plane, epochs, Arc::default())),
        }
    }

    /// Starts the one that follows this one after a reload: it counts in the same place. Sessions of this one
    /// keep it to their end.
    #[must_use]
    pub fn succeed(
        &self,
        options: &AuthzOptions,
        data_plane: v1::DataPlane,
        epochs: &Arc<Epochs>,
    ) -> Self {
        let counters = Arc::clone(&self.stacks.counters);
        Self {
            stacks: Arc::new(Stacks::build(options, &data_plane, epochs, counters)),
        }
    }

    /// Connects to the service for CONNECT, before there is one. Must be called inside a runtime.
    pub fn warm_up(&self) {
        self.stacks.connecting.activate();
    }

    /// What tells whether somebody still uses this pipeline, without using it.
    pub(crate) fn trace_of_life(&self) -> Weak<dyn Any + Send + Sync> {
        let stacks: Weak<Stacks> = Arc::downgrade(&self.stacks);
        stacks
    }

    /// A session's own way in.
    #[must_use]
    pub fn asker(&self) -> Asker {
        Asker {
            publish: self.stacks.publish.clone(),
            authz: self.clone(),
        }
    }

    /// Asks once, as [`Asker::ask`] does.
    pub fn ask<H: Hook>(&self, check: Check<H>) -> AskFuture {
        self.asker().ask(check)
    }

    /// Whether the lanes of PUBLISH and SUBSCRIBE are crowded and the session has its share of them: it
    /// is to stop reading then, rather than have its checks refused as
    /// [`QueueFull`](gatekeeper::Why::QueueFull). To be asked before each packet.
    #[must_use]
    pub fn must_wait(&self, seat: &Seat) -> bool {
        let stacks = &self.stacks;
        (stacks.enforces(HookKind::Publish) && stacks.publish_queue.must_wait(seat))
            || (stacks.enforces(HookKind::Subscribe) && stacks.subscribe_queue.must_wait(seat))
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

    /// What the service wants to be spared, on the connections of this hook.
    #[must_use]
    pub fn capabilities(&self, hook: HookKind) -> &Arc<Capabilities> {
        &self.stacks.capabilities[hook as usize]
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.stacks.counters
    }
}

/// A session's way into the pipeline.
///
/// It has a stack of its own for what it asks all the time. One that all sessions share would be cloned for
/// each check, and its reference counts are memory that all processors would fight for.
#[derive(Debug)]
pub struct Asker {
    authz: Authz,
    publish: Stack<hook::Publish>,
}

impl Asker {
    /// Asks. The check is on its way when this returns, whether or not the future is polled; dropping
    /// the future takes the check back.
    pub fn ask<H: Hook>(&mut self, check: Check<H>) -> AskFuture {
        AskFuture {
            inner: H::put(self, check),
        }
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
        let (stacks, seat) = (&self.stacks, &self.seat);
        if stacks.enforces(HookKind::Publish) {
            ready!(stacks.publish_queue.poll_room(seat, cx));
        }
        if stacks.enforces(HookKind::Subscribe) {
            ready!(stacks.subscribe_queue.poll_room(seat, cx));
        }
        Poll::Ready(())
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
    inner: StackFuture,
}

/// What the stack of any hook makes of a check.
#[doc(hidden)]
pub type StackFuture = fail_closed::ResponseFuture<
    shadow::ResponseFuture<observe::ResponseFuture<mount::ResponseFuture<Answer>>>,
>;

/// The part of it in which a check may be asked more than once, or not at all.
type Answer = current::ResponseFuture<
    ladder::ResponseFuture<
        cache::ResponseFuture<throttle::ResponseFuture<deadline::ResponseFuture<Reply>>>,
    >,
>;

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
pub type Stack<H> =
    FailClosed<Shadow<Observe<Mount<Current<Ladder<Cache<Throttle<Deadline<Lane<H>>>>>>>>>>;

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
    capabilities: [Arc<Capabilities>; HookKind::ALL.len()],
    connecting: Arc<Endpoints>,
    counters: Arc<Counters>,
    options: AuthzOptions,
}

impl Stacks {
    /// Whether packets of this kind wait for their decision.
    fn enforces(&self, hook: HookKind) -> bool {
        self.options.hook(hook).mode.of(hook) == Mode::Enforce
    }

    fn build(
        options: &AuthzOptions,
        data_plane: &v1::DataPlane,
        epochs: &Arc<Epochs>,
        counters: Arc<Counters>,
    ) -> Self {
        let observer = Arc::new(Observer {
            counters: Arc::clone(&counters),
            log: decision_log::DecisionLog::new(&options.decision_log),
            hints: mutations::Hints::default(),
            retroactive: crate::log_limit::LogLimit::new(options.retroactive_spans_per_second),
        });
        // Wills share the connections of CONNECT, and therefore its streams. They are fewer.
        let streams = options.k_hard;
        let streams_of_wills = streams / 4;

        let endpoints = |hook| {
            let (data_plane, counters) = (data_plane.clone(), Arc::clone(&counters));
            Arc::new(Endpoints::new(options, data_plane, hook, counters))
        };
        let connecting = endpoints(HookKind::Connect);
        let publishing = endpoints(HookKind::Publish);
        let subscribing = endpoints(HookKind::Subscribe);
        let revisions = options.cache.as_ref().map(|_| Arc::default());
        let parts = Parts {
            epochs,
            options,
            load: Arc::new(Load::new(Arc::clone(&counters))),
            observer,
            hold_room: Arc::new(HoldRoom::new(options.hold_bytes)),
            cache: options.cache.clone().map(|options| {
                Arc::new(cache::Shared {
                    options,
                    epochs: Arc::clone(epochs),
                    counters: Arc::clone(&counters),
                })
            }),
            counters: Arc::clone(&counters),
        };

        let connect = lane(
            options,
            data_plane,
            &counters,
            &connecting,
            &revisions,
            streams - streams_of_wills,
        );
        let will = lane(
            options,
            data_plane,
            &counters,
            &connecting,
            &revisions,
            streams_of_wills,
        );
        let publish = lane(
            options,
            data_plane,
            &counters,
            &publishing,
            &revisions,
            streams,
        );
        let subscribe = lane(
            options,
            data_plane,
            &counters,
            &subscribing,
            &revisions,
            streams,
        );

        Self {
            publish_queue: publish.queue(),
            subscribe_queue: subscribe.queue(),
            // Wills are asked on the connections of CONNECT.
            capabilities: [&connecting, &connecting, &publishing, &subscribing]
                .map(|endpoints| endpoints.capabilities()),
            connect: parts.stack(connect, &connecting),
            will: parts.stack(will, &connecting),
            publish: parts.stack(publish, &publishing),
            subscribe: parts.stack(subscribe, &subscribing),
            connecting,
            counters,
            options: options.clone(),
        }
    }
}

fn lane<H: Hook>(
    options: &AuthzOptions,
    data_plane: &v1::DataPlane,
    counters: &Arc<Counters>,
    endpoints: &Arc<Endpoints>,
    revisions: &Option<Arc<Revisions>>,
    streams: usize,
) -> Lane<H> {
    let call = Call::<H>::new(Arc::clone(endpoints), revisions.clone(), options);
    let call = Retry::new(call, H::KIND, Arc::clone(counters));
    Lane::start(
        Settings::new::<H>(options, streams, endpoints.capabilities()),
        call,
        Preamble::from(data_plane),
        Arc::clone(counters),
    )
}

/// What the stacks of all hooks share, above their lanes.
struct Parts<'a> {
    options: &'a AuthzOptions,
    epochs: &'a Arc<Epochs>,
    load: Arc<Load>,
    observer: Arc<Observer>,
    hold_room: Arc<HoldRoom>,
    cache: Option<Arc<cache::Shared>>,
    counters: Arc<Counters>,
}

impl Parts<'_> {
    fn stack<H: Hook>(&self, lane: Lane<H>, endpoints: &Arc<Endpoints>) -> Stack<H> {
        let options = self.options.hook(H::KIND);
        let mode = options.mode.of(H::KIND);
        self.counters.hook(H::KIND).set_mode(mode.as_str());
        let policy = Policy::new(
            H::KIND,
            options.deadline,
            &options.on_failure,
            Arc::clone(&self.hold_room),
            Some(Arc::clone(endpoints)),
            Arc::clone(&self.counters),
        );
        let throttled = Throttle::new(Deadline::new(lane), Arc::clone(&self.load));
        let cached = Cache::new(throttled, H::KIND, self.cache.clone());
        let climbed = Ladder::new(cached, Arc::new(policy));
        let counters = Arc::clone(&self.counters);
        let current = Current::new(climbed, Arc::clone(self.epochs), counters);
        let mounted = Mount::new(current);
        let observed = Observe::new(mounted, Arc::clone(&self.observer)).in_mode(mode);
        FailClosed::new(Shadow::new(observed, mode, Arc::clone(&self.counters)))
    }
}
