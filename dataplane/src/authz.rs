//! The decision pipeline: a check goes in, a [`Decision`] comes out, whatever happens.
//!
//! ```text
//!   ask ─► FailClosed ─► Shadow ─► Observe ─► Mount ─► Current ─► Ladder ─► Cache ─┐
//!          any error     hooks     counts     of an    no allow   the steps  earlier │
//!          is            that only span       allowed  that is    after a    deci-   │
//!          unavailable   watch     log line   client   overtaken  failure    sions   │
//!        ┌───────────────────────────────────────────────────────────────────────────┘
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
mod express;
mod fail_closed;
mod failure;
mod flight;
pub mod hook;
mod item;
mod ladder;
mod lane;
mod mailbox;
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
    task::{Context as TaskContext, Poll, Waker, ready},
    time::Duration,
};

use tidegate_proto::v1;
use tower::Service;

pub(crate) use self::endpoints::{Backoff, jittered};
use self::{
    cache::{Cache, Revisions},
    call::Call,
    current::Current,
    deadline::Deadline,
    endpoints::Endpoints,
    express::{Asked, Express, Road, Stand},
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
    wire::Outcome,
};
pub use self::{
    check::{Check, Context, Known, Who},
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

    /// When the certificate that we show to the service expires, in Unix time. `None`: we show none.
    pub(crate) fn not_after(&self) -> Option<u64> {
        self.stacks.options.tls.as_ref()?.not_after()
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
            authz: self.clone(),
            express: None,
        }
    }

    /// Asks through all layers. The check is on its way when this returns, whether or not the future is
    /// polled; dropping the future takes the check back.
    pub fn ask<H: Hook>(&self, check: Check<H>) -> AskFuture {
        AskFuture {
            inner: H::stack(&self.stacks).clone().call(check),
        }
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

/// A session's way into the pipeline. It takes the short one where it can.
#[derive(Debug)]
pub struct Asker {
    authz: Authz,
    /// Made with the first message.
    express: Option<Box<Express>>,
}

/// A check of a session that is under way. To be given back to its [`Asker`] in the end.
#[derive(Debug)]
pub struct Ask(Way);

#[derive(Debug)]
enum Way {
    Short(Asked),
    /// Through all layers.
    Long(Box<AskFuture>),
}

impl Asker {
    /// Asks. The check is on its way when this returns.
    pub fn ask<H: Hook>(&mut self, check: Check<H>) -> Ask {
        H::put(self, check)
    }

    /// The decision about the check that the session waits for: the oldest.
    pub fn poll(&mut self, ask: &mut Ask, cx: &mut TaskContext<'_>) -> Poll<Decision> {
        if let (Way::Short(asked), Some(express)) = (&ask.0, &mut self.express) {
            match express.poll(asked, cx) {
                Stand::Pending => return Poll::Pending,
                Stand::Allowed(at) => return Poll::Ready(Decision::allowed(at)),
                Stand::Known(outcome) => self.go_on(ask, *outcome),
            }
        }
        ask.poll_long(cx)
    }

    /// Brings all that has come, for somebody who is going to [`look`](Self::look).
    pub fn fetch(&mut self) {
        if let Some(express) = &mut self.express {
            express.fetch();
        }
    }

    /// The decision about a check, as far as it is here.
    pub fn look(&mut self, ask: &mut Ask) -> Option<Decision> {
        if let (Way::Short(asked), Some(express)) = (&ask.0, &mut self.express) {
            match express.look(asked) {
                Stand::Pending => return None,
                Stand::Allowed(at) => return Some(Decision::allowed(at)),
                Stand::Known(outcome) => self.go_on(ask, *outcome),
            }
        }
        let mut cx = TaskContext::from_waker(Waker::noop());
        match ask.poll_long(&mut cx) {
            Poll::Ready(decision) => Some(decision),
            Poll::Pending => None,
        }
    }

    /// Takes a check back.
    pub fn cancel(&mut self, ask: Ask) {
        if let (Way::Short(_), Some(express)) = (ask.0, &mut self.express) {
            express.cancelled();
        }
    }

    /// Takes everything back: the session has ended.
    pub fn leave(&mut self) {
        self.express = None;
    }

    /// Counts what is not counted yet. To be called when there is nothing to wait for.
    pub fn settle(&mut self) {
        if let Some(express) = &mut self.express {
            express.flush();
        }
    }

    /// Gives back memory.
    pub fn rest(&mut self) {
        if let Some(express) = &mut self.express {
            express.rest();
        }
    }

    /// Puts a message on the short way, if there is one and it may take it.
    fn put_publish(&mut self, check: Check<hook::Publish>) -> Ask {
        let Some(road) = &self.authz.stacks.express else {
            return self.put_long(check);
        };
        let express = self
            .express
            .get_or_insert_with(|| Box::new(Express::new(Arc::clone(road), &check.context)));
        match express.ask(check) {
            Ok(asked) => Ask(Way::Short(asked)),
            Err(check) => self.put_long(*check),
        }
    }

    fn put_long<H: Hook>(&mut self, check: Check<H>) -> Ask {
        Ask(Way::Long(Box::new(self.authz.ask(check))))
    }

    /// What is left to be done about a check is done by the layers.
    fn go_on(&mut self, ask: &mut Ask, outcome: Outcome) {
        if let (Way::Short(asked), Some(express)) = (&mut ask.0, &mut self.express) {
            let check = express.known(asked.take(), outcome);
            *ask = self.put_long(check);
        }
    }
}

impl Ask {
    fn poll_long(&mut self, cx: &mut TaskContext<'_>) -> Poll<Decision> {
        match &mut self.0 {
            Way::Long(asked) => Pin::new(asked).poll(cx),
            // Nothing brings it any more. Whoever waits for it has a deadline.
            Way::Short(_) => Poll::Pending,
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
    /// None: every message has something for the layers to do.
    express: Option<Arc<Road>>,
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
                    store: cache::Store::default(),
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
            express: parts.road(&publish),
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
    /// The short way of messages.
    fn road(&self, lane: &Lane<hook::Publish>) -> Option<Arc<Road>> {
        let options = self.options.hook(HookKind::Publish);
        let is_short = options.mode.of(HookKind::Publish) == Mode::Enforce && self.cache.is_none();
        is_short.then(|| {
            Arc::new(Road {
                lane: lane.clone(),
                load: Arc::clone(&self.load),
                observer: Arc::clone(&self.observer),
                epochs: Arc::clone(self.epochs),
                keeps_checks: options.on_failure.keeps_checks(),
            })
        })
    }

    fn stack<H: Hook>(&self, lane: Lane<H>, endpoints: &Arc<Endpoints>) -> Stack<H> {
        let options = self.options.hook(H::KIND);
        let mode = options.mode.of(H::KIND);
        let counters = self.counters.hook(H::KIND);
        counters.set_mode(mode.as_str());
        counters.deadline.set(options.deadline.as_secs_f64());
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
