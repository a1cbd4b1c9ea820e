//! The loop of a session: look at everything in one fixed order, tell the gatekeeper what happened,
//! do what it wants done.

mod acting;
mod reading;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytestring::ByteString;
use futures_util::future::BoxFuture;
use gatekeeper::{CloseReason, Gatekeeper, ReasonCode, Side, Ticket, Upstream, Verdict};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    Origin, Shared,
    asks::Asks,
    client::Client,
    duties::{Duties, Duty},
    reports::Reports,
    succession::Place,
    trace::Spans,
    unsettled::Unsettled,
};
use crate::{
    authz::{Decision, Wait},
    framing::Leg,
    upstream::Dial,
};

/// For the last bytes to be written, and for the peer to see the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The rate at which a client has to send a packet at least, in bytes per second, once the deadline of
/// small ones is over.
const SLOWEST: usize = 64 * 1024;

/// The longest that a session waits for an earlier one of the same client. That one has deadlines of
/// its own, which are shorter if nobody has made them longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Decisions that are taken before the sockets, and other tasks, get their turn.
const DECISIONS_PER_TURN: usize = 128;

/// How long after packets came a session looks whether it can give back the memory they needed. A busy one
/// makes it anew as often, and no oftener.
const REST_AFTER: Duration = Duration::from_millis(100);

/// How long a timer runs that nobody set.
const FAR_AWAY: Duration = Duration::from_secs(3600);

/// A session: both legs, and the gatekeeper between them.
pub(super) struct Driver<S, D: Dial, U> {
    gate: Gatekeeper,
    client_leg: Leg<S>,
    broker_leg: Option<Leg<D::Stream>>,
    /// Among the sessions of this client, from the dialling on. It goes after the broker leg.
    place: Option<Place>,
    /// How long its predecessor may keep it from dialling.
    patience: Duration,
    dialling: Option<BoxFuture<'static, io::Result<D::Stream>>>,
    asks: Asks,
    /// Waits for room in a lane to the service that is full; meanwhile the client is not read.
    lane: Option<Wait>,
    client: Client,
    /// What the service wants of it.
    duties: Duties,
    reports: Reports,
    origin: Origin,
    spans: Spans,
    unsettled: Unsettled,
    timer: Pin<Box<Sleep>>,
    /// When to give back memory. `None`: nothing has happened since the last time.
    rest_at: Option<Instant>,
    /// The moment that the gatekeeper was last told, until what it wants done is done.
    told_at: Option<Instant>,
    drain: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    undecided: Option<U>,
    closed: Option<CloseReason>,
    shared: Arc<Shared<D>>,
}

/// What a session waits for.
enum Event<B> {
    /// The service has answered, or will not.
    Decided(Ticket, Box<Decision>),
    /// The attempt to reach the broker has ended.
    Dialled(io::Result<B>),
    /// The service wants something of the session, or an end has its turn.
    Duty(Duty),
    /// Something came in, or there is room again: look at what can be done.
    Progress,
    /// A timer ran out.
    Timeout,
    /// The program is shutting down.
    Drain,
}

impl<S, D, U> Driver<S, D, U>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Dial,
    U: Send,
{
    pub(super) fn new(
        stream: S,
        mut origin: Origin,
        shared: Arc<Shared<D>>,
        undecided: U,
        drain: CancellationToken,
    ) -> Self {
        let session_id = uuid::Uuid::new_v4().simple().to_string();
        let now = Instant::now();
        let spare_client_id = ByteString::from(format!("auto-{session_id}"));
        let client = Client::new(session_id, &mut origin);
        Self {
            duties: Duties::new(&shared.oversight, client.seat(), client.who(), &origin),
            reports: Reports::new(&shared.events),
            gate: Gatekeeper::new(
                Arc::clone(&origin.rules),
                spare_client_id,
                origin.accepted_at.into_std(),
            ),
            client_leg: Leg::new(Side::Client, stream),
            broker_leg: None,
            place: None,
            // What is left of the time is for the broker.
            patience: PATIENCE.min(origin.rules.deadlines.broker_connect / 2),
            dialling: None,
            asks: Asks::new(shared.authz.asker()),
            lane: None,
            client,
            origin,
            spans: Spans::default(),
            unsettled: Unsettled::new(Arc::clone(&shared.metrics.packets)),
            timer: Box::pin(sleep_until(now + FAR_AWAY)),
            rest_at: Some(now + REST_AFTER),
            told_at: None,
            drain: Some(Box::pin(drain.cancelled_owned())),
            undecided: Some(undecided),
            closed: None,
            shared,
        }
    }

    /// Runs to the end of the session. Boxed, because a future that takes something by value has room for it
    /// twice: once for the argument, once for what it does with it.
    pub(super) async fn run(mut self: Box<Self>) -> CloseReason {
        let reason = loop {
            let more = self.take_frames();
            self.perform();
            if let Some(reason) = self.closed {
                break reason;
            }
            self.unsettled.flush();
            self.set_timer();
            let event = poll_fn(|cx| self.poll_event(cx, more)).await;
            self.handle(event);
            self.perform();
            self.settle_recheck();
            if let Some(reason) = self.closed {
                break reason;
            }
            // A busy session must not starve the others of its worker.
            tokio::task::coop::consume_budget().await;
        };
        self.asks.leave();
        self.spans.close(reason);
        self.reports.closed(reason);
        self.shared.metrics.sessions.closed(reason);
        let who = self.client.who();
        self.shared.log.closed(who, &self.origin, reason);
        // Only a session that ends needs the room for it.
        Box::pin((*self).finish()).await;
        reason
    }

    fn set_timer(&mut self) {
        let stall = self.shared.write_stall;
        let stalled = |since: Option<Instant>| since.map(|since| since + stall);
        let next = [
            self.gate.poll_timeout().map(Instant::from_std),
            stalled(self.client_leg.stalled_since()),
            self.packet_due(),
            self.rest_at,
            stalled(self.broker_leg.as_ref().and_then(Leg::stalled_since)),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or_else(|| Instant::now() + FAR_AWAY);
        // One that runs out too early is set again: cheaper than moving it with every packet.
        if next < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(next);
        }
    }

    /// When the packet that the client has begun has to be whole. The CONNECT, and what may have come
    /// with it, has other deadlines.
    fn packet_due(&self) -> Option<Instant> {
        let (begun_at, size) = self.client_leg.unfinished()?;
        let transfer = Duration::from_secs(1).mul_f64(size as f64 / SLOWEST as f64);
        self.gate
            .is_live()
            .then(|| begun_at + self.shared.packet_deadline + transfer)
    }

    /// Everything that can happen, in the order in which it is looked at.
    fn poll_event(&mut self, cx: &mut TaskContext<'_>, more: bool) -> Poll<Event<D::Stream>> {
        if let Some(drain) = &mut self.drain
            && drain.as_mut().poll(cx).is_ready()
        {
            self.drain = None;
            return Poll::Ready(Event::Drain);
        }
        // What is rare comes before what a busy peer can make happen all the time.
        if let Poll::Ready(duty) = self.duties.poll(&self.shared.oversight, cx) {
            return Poll::Ready(Event::Duty(duty));
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Timeout);
        }
        if let Some(dialling) = &mut self.dialling
            && let Poll::Ready(dialled) = dialling.as_mut().poll(cx)
        {
            self.dialling = None;
            return Poll::Ready(Event::Dialled(dialled));
        }
        if let Some(lane) = &mut self.lane
            && Pin::new(lane).poll(cx).is_ready()
        {
            self.lane = None;
            return Poll::Ready(Event::Progress);
        }
        if let Poll::Ready((ticket, decision)) = self.asks.poll_next(cx) {
            return Poll::Ready(Event::Decided(ticket, Box::new(decision)));
        }
        if self.client_leg.poll_write(cx).is_ready() {
            return Poll::Ready(Event::Progress);
        }
        if self.client_leg.poll_read(cx).is_ready() {
            return Poll::Ready(Event::Progress);
        }
        if let Some(broker_leg) = &mut self.broker_leg {
            if broker_leg.poll_write(cx).is_ready() {
                return Poll::Ready(Event::Progress);
            }
            if let Poll::Ready(read) = broker_leg.poll_read(cx) {
                if let Err(error) = read {
                    self.shared.log.broker_broke(&error);
                }
                return Poll::Ready(Event::Progress);
            }
        }
        if more {
            return Poll::Ready(Event::Progress);
        }
        Poll::Pending
    }

    fn handle(&mut self, event: Event<D::Stream>) {
        if self.rest_at.is_none() && !matches!(event, Event::Timeout) {
            self.rest_at = Some(Instant::now() + REST_AFTER);
        }
        match event {
            Event::Progress => {}
            Event::Duty(duty) => self.comply(duty),
            Event::Decided(ticket, decision) => {
                // What was held goes on: those that failed behind it are asked again now, and together.
                let was_held = decision.facts.failure_action.is_some();
                if was_held || matches!(decision.verdict, Verdict::Unavailable(_)) {
                    self.catch_up();
                }
                self.decided(ticket, *decision);
                self.take_burst();
            }
            Event::Dialled(Ok(stream)) => {
                self.broker_leg = Some(Leg::new(Side::Broker, stream));
                self.gate.handle_upstream(Upstream::Ready, now());
            }
            Event::Dialled(Err(error)) => {
                self.shared.log.broker_unreachable(&error);
                self.gate.handle_upstream(Upstream::Failed, now());
            }
            Event::Timeout => {
                self.rest();
                let stalled = |since: Option<Instant>| {
                    since.is_some_and(|since| since.elapsed() >= self.shared.write_stall)
                };
                let is_late = self.packet_due().is_some_and(|due| due <= Instant::now());
                if is_late {
                    self.gate.handle_packet_timeout(now());
                } else if stalled(self.client_leg.stalled_since()) {
                    self.gate.handle_stall(Side::Client, now());
                } else if stalled(self.broker_leg.as_ref().and_then(Leg::stalled_since)) {
                    self.gate.handle_stall(Side::Broker, now());
                } else if self.gate.poll_timeout().is_some_and(|due| due <= now()) {
                    // Not for any timer: what is fetched before its turn does not hear of directives any more.
                    self.catch_up();
                    self.gate.handle_timeout(now());
                }
            }
            Event::Drain => self.gate.handle_drain(now()),
        }
    }

    /// Gives back memory, if it is time.
    fn rest(&mut self) {
        let now = Instant::now();
        if self.rest_at.take_if(|at| *at <= now).is_some() {
            self.client_leg.rest();
            if let Some(broker_leg) = &mut self.broker_leg {
                broker_leg.rest();
            }
            self.gate.rest();
            self.asks.rest();
            self.unsettled.rest();
        }
    }

    /// Brings the decisions that came together with the last one, so that what they let out is written
    /// in one go.
    fn take_burst(&mut self) {
        for _ in 0..DECISIONS_PER_TURN {
            if self.closed.is_some() {
                return;
            }
            let Some((ticket, decision)) = self.asks.next_decided() else {
                return;
            };
            if matches!(decision.verdict, Verdict::Unavailable(_)) {
                self.catch_up();
            }
            self.decided(ticket, decision);
        }
    }

    /// Brings all decisions that have been made. To be called before time passes for the gatekeeper
    /// because the packet at the head of its line was not decided: what was decided in time behind
    /// it counts, though nobody has looked at it yet.
    fn catch_up(&mut self) {
        for (ticket, decision) in self.asks.take_decided() {
            self.decided(ticket, decision);
        }
    }

    /// Brings a decision as of the time when it was made: that of its reading says nothing.
    fn decided(&mut self, ticket: Ticket, decision: Decision) {
        if let Some(identity) = decision.identity {
            self.client.identify(identity);
            if !self.duties.identify(self.client.who()) {
                // It may be a directive to end it.
                let code = ReasonCode::ADMINISTRATIVE_ACTION;
                self.gate.handle_terminate(code, None, now());
                return self.perform();
            }
        }
        let at = self.tell(decision.decided_at);
        self.gate.handle_verdict(ticket, decision.verdict, at);
        self.perform();
    }

    fn comply(&mut self, duty: Duty) {
        match duty {
            Duty::Terminate(farewell) => {
                let (code, text) = (farewell.code, farewell.reason_string);
                match farewell.at_once {
                    true => self.gate.handle_terminate(code, text, now()),
                    false => self.gate.handle_terminate_in_turn(code, text, now()),
                }
            }
            Duty::Recheck => self.gate.handle_recheck(now()),
            Duty::Close => self.gate.handle_permit(now()),
        }
    }

    /// Lets the next session ask again, once this one has.
    fn settle_recheck(&mut self) {
        if self.duties.is_rechecking() && !self.gate.is_rechecking() {
            self.duties.settle();
        }
    }

    /// The gatekeeper's next moment: what it asks then has its time from there on. If its clock and that of the check
    /// differed, it would give up checks that the pipeline still waits for, and nobody would count them as late.
    fn tell(&mut self, at: Instant) -> std::time::Instant {
        self.told_at = Some(at);
        at.into_std()
    }

    /// Writes what is left to both sides, and closes them.
    async fn finish(mut self) {
        // Others may be waiting for the room that it was promised.
        self.lane = None;
        self.dialling = None;
        // The next in line has its turn, and whoever ended it knows that it has.
        self.duties = Duties::default();
        let client = self.client_leg.finish();
        let place = self.place.take();
        let broker = async {
            if let Some(leg) = self.broker_leg {
                leg.finish().await;
            }
            // The broker has read all of it, or will not.
            drop(place);
        };
        // Whoever does not take it within this time does without it.
        let _ = timeout(FAREWELL, futures_util::future::join(client, broker)).await;
    }
}

/// The gatekeeper's time is tokio's, so that tests can stop it.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
