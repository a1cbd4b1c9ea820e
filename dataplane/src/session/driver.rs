//! The loop of a session: look at everything in one fixed order, tell the gatekeeper what happened,
//! do what it wants done.

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
use gatekeeper::{
    Action, CloseReason, Event as GateEvent, Gatekeeper, Question, Side, Ticket, Upstream, Verdict,
};
use tidegate_proto::v1;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{Instrument, Span, debug, info};

use super::{Origin, Shared, asks::Asks, client::Client, trace::Spans};
use crate::{
    authz::{Check, Context, Decision, Hook, HookKind, hook},
    framing::Leg,
    mount::Template,
    upstream::Dial,
};

/// Frames of one side that are taken before the other side, and other tasks, get their turn.
const FRAMES_PER_TURN: usize = 20;

/// For the last bytes to be written, and for the peer to see the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a timer runs that nobody set.
const FAR_AWAY: Duration = Duration::from_secs(3600);

/// A session: both legs, and the gatekeeper between them.
pub(super) struct Driver<S, D: Dial, U> {
    gate: Gatekeeper,
    client_leg: Leg<S>,
    broker_leg: Option<Leg<D::Stream>>,
    dialling: Option<BoxFuture<'static, io::Result<D::Stream>>>,
    asks: Asks,
    /// Waits for room in a lane to the service that is full; meanwhile the client is not read.
    lane: Option<BoxFuture<'static, ()>>,
    client: Client,
    /// Where its topics begin at the broker.
    mount: Option<Arc<Template>>,
    spans: Spans,
    timer: Pin<Box<Sleep>>,
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
        origin: &Origin,
        shared: Arc<Shared<D>>,
        undecided: U,
        drain: CancellationToken,
    ) -> Self {
        let session_id = uuid::Uuid::new_v4().simple().to_string();
        let now = Instant::now();
        let spare_client_id = ByteString::from(format!("auto-{session_id}"));
        Self {
            gate: Gatekeeper::new(Arc::clone(&origin.rules), spare_client_id, now.into_std()),
            client_leg: Leg::new(Side::Client, stream),
            broker_leg: None,
            dialling: None,
            asks: Asks::default(),
            lane: None,
            client: Client::new(session_id, origin),
            mount: origin.mount.clone(),
            spans: Spans::default(),
            timer: Box::pin(sleep_until(now + FAR_AWAY)),
            drain: Some(Box::pin(drain.cancelled_owned())),
            undecided: Some(undecided),
            closed: None,
            shared,
        }
    }

    /// Runs to the end of the session.
    pub(super) async fn run(mut self, origin: Origin) -> CloseReason {
        let reason = loop {
            let more = self.take_frames();
            self.perform();
            if let Some(reason) = self.closed {
                break reason;
            }
            self.set_timer();
            let event = poll_fn(|cx| self.poll_event(cx, more)).await;
            self.handle(event);
            self.perform();
            if let Some(reason) = self.closed {
                break reason;
            }
            // A busy session must not starve the others of its worker.
            tokio::task::coop::consume_budget().await;
        };
        self.spans.close(reason);
        self.log_end(&origin, reason);
        self.finish().await;
        reason
    }

    /// Takes what both sides have sent, as far as it is wanted. Tells whether more is there.
    fn take_frames(&mut self) -> bool {
        // The broker first: its CONNACK opens the way for what the client has sent already.
        let reads_broker = self.client_leg.takes_more();
        self.gate.handle_reading(Side::Broker, reads_broker, now());
        let broker_more = reads_broker && self.take_frames_of(Side::Broker);

        let reads_client = self.reads_client();
        self.gate.handle_reading(Side::Client, reads_client, now());
        let client_more = reads_client && self.take_frames_of(Side::Client);
        self.tell_ends();
        broker_more || client_more
    }

    /// Whether there is room for what a packet of the client may cause: bytes for the broker, an
    /// answer for the client, checks for the service.
    fn reads_client(&mut self) -> bool {
        let authz = &self.shared.authz;
        // A CONNECT has a lane of its own, which refuses it in words if it is full.
        if self.lane.is_none() && self.gate.is_live() {
            let full = [HookKind::Publish, HookKind::Subscribe]
                .into_iter()
                .find(|hook| !authz.is_ready(*hook));
            self.lane = full.map(|hook| {
                let authz = authz.clone();
                let ready: BoxFuture<'static, ()> =
                    Box::pin(async move { authz.ready(hook).await });
                ready
            });
        }
        self.lane.is_none()
            && self.client_leg.takes_more()
            && self.broker_leg.as_ref().is_none_or(Leg::takes_more)
    }

    /// Takes what this side has sent, as far as there is room for what it may cause for the client.
    /// Tells whether more may be there.
    fn take_frames_of(&mut self, side: Side) -> bool {
        for _ in 0..FRAMES_PER_TURN {
            if !self.gate.wants_read(side) || !self.client_leg.takes_more() {
                return false;
            }
            let max_size = self.gate.max_packet_size(side);
            let next = match (side, &mut self.broker_leg) {
                (Side::Client, _) => self.client_leg.next_frame(max_size),
                (Side::Broker, Some(broker_leg)) => broker_leg.next_frame(max_size),
                (Side::Broker, None) => return false,
            };
            match next {
                Ok(Some(frame)) => self.gate.handle_frame(side, frame, now()),
                Ok(None) => return false,
                Err(violation) => {
                    self.gate.handle_violation(side, violation, now());
                    return false;
                }
            }
            self.perform();
        }
        true
    }

    /// Tells the gatekeeper of connections that have ended, once all that came before is taken: a
    /// client may send CONNECT, PUBLISH and DISCONNECT in one go, and leave.
    fn tell_ends(&mut self) {
        let wanted = self.gate.wants_read(Side::Client);
        if self.client_leg.take_end(wanted) {
            self.gate.handle_eof(Side::Client, now());
        }
        let wanted = self.gate.wants_read(Side::Broker);
        if let Some(broker_leg) = &mut self.broker_leg
            && broker_leg.take_end(wanted)
        {
            self.gate.handle_eof(Side::Broker, now());
        }
    }

    fn set_timer(&mut self) {
        let stall = self.shared.write_stall;
        let stalled = |since: Option<Instant>| since.map(|since| since + stall);
        let next = [
            self.gate.poll_timeout().map(Instant::from_std),
            stalled(self.client_leg.stalled_since()),
            stalled(self.broker_leg.as_ref().and_then(Leg::stalled_since)),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or_else(|| Instant::now() + FAR_AWAY);
        if self.timer.deadline() != next {
            self.timer.as_mut().reset(next);
        }
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
            && lane.as_mut().poll(cx).is_ready()
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
            if broker_leg.poll_read(cx).is_ready() {
                return Poll::Ready(Event::Progress);
            }
        }
        if more {
            return Poll::Ready(Event::Progress);
        }
        Poll::Pending
    }

    fn handle(&mut self, event: Event<D::Stream>) {
        match event {
            Event::Progress => {}
            Event::Decided(ticket, decision) => {
                if matches!(decision.verdict, Verdict::Unavailable(_)) {
                    self.catch_up();
                }
                self.decided(ticket, *decision);
            }
            Event::Dialled(Ok(stream)) => {
                self.broker_leg = Some(Leg::new(Side::Broker, stream));
                self.gate.handle_upstream(Upstream::Ready, now());
            }
            Event::Dialled(Err(error)) => {
                info!(%error, "the broker cannot be reached");
                self.gate.handle_upstream(Upstream::Failed, now());
            }
            Event::Timeout => {
                let stalled = |since: Option<Instant>| {
                    since.is_some_and(|since| since.elapsed() >= self.shared.write_stall)
                };
                if stalled(self.client_leg.stalled_since()) {
                    self.gate.handle_stall(now());
                } else if stalled(self.broker_leg.as_ref().and_then(Leg::stalled_since)) {
                    self.gate.handle_eof(Side::Broker, now());
                } else {
                    self.catch_up();
                    self.gate.handle_timeout(now());
                }
            }
            Event::Drain => self.gate.handle_drain(now()),
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
        }
        let at = decision.decided_at.into_std();
        self.gate.handle_verdict(ticket, decision.verdict, at);
        self.perform();
    }

    /// Does what the gatekeeper wants done, in its order.
    fn perform(&mut self) {
        while let Some(action) = self.gate.poll_action() {
            match action {
                Action::Ask(ticket, question) => self.ask(ticket, question),
                Action::Cancel(ticket) => self.asks.cancel(ticket),
                Action::Dial => {
                    self.undecided = None;
                    let span = dial_span(&self.spans.setup());
                    self.dialling = Some(Box::pin(self.shared.upstream.dial().instrument(span)));
                }
                Action::ToBroker(admitted) => {
                    if let Some(broker_leg) = &mut self.broker_leg {
                        broker_leg.push(admitted.into_bytes());
                    }
                }
                Action::ToClient(bytes) => self.client_leg.push(bytes),
                Action::Note(GateEvent::Connected { session_present }) => {
                    self.spans.connected();
                    let who = self.client.who();
                    debug!(
                        session = who.session_id,
                        client_id = who.client_id,
                        principal = who.principal,
                        session_present,
                        "session connected"
                    );
                }
                Action::Note(GateEvent::Settled(ticket, fate)) => self.spans.settle(ticket, fate),
                Action::Note(GateEvent::Undeliverable) => {
                    let who = self.client.who();
                    debug!(
                        session = who.session_id,
                        client_id = who.client_id,
                        principal = who.principal,
                        "delivery without a name below the mount"
                    );
                }
                Action::Close(reason) => {
                    self.undecided = None;
                    self.closed = Some(reason);
                }
            }
        }
    }

    fn ask(&mut self, ticket: Ticket, question: Question) {
        let who = Arc::clone(self.client.who());
        let span = self.spans.open(
            ticket,
            &question,
            &who.session_id,
            &who.client_id,
            &self.shared.sampling,
        );
        match question {
            Question::Connect(connect) => {
                let message = self.client.connect_check(ticket, *connect);
                self.send::<hook::Connect>(ticket, message, span, ByteString::new());
            }
            Question::Will(will) => {
                let topic = will.topic.clone();
                let origin = v1::PublishOrigin::Will;
                let message = self.client.publish_check(ticket, will, origin);
                self.send::<hook::Will>(ticket, message, span, topic);
            }
            Question::Publish(publish) => {
                let topic = publish.topic.clone();
                let origin = v1::PublishOrigin::Client;
                let message = self.client.publish_check(ticket, publish, origin);
                self.send::<hook::Publish>(ticket, message, span, topic);
            }
            Question::Subscribe(subscribe) => {
                let checks: Vec<_> = self.client.subscribe_checks(ticket, subscribe).collect();
                for (ticket, message) in checks {
                    let filter = ByteString::from(message.topic_filter.as_str());
                    self.send::<hook::Subscribe>(ticket, message, span.clone(), filter);
                }
            }
        }
    }

    fn send<H: Hook>(&mut self, ticket: Ticket, message: H::Check, span: Span, topic: ByteString) {
        let authz = &self.shared.authz;
        let context = Context {
            deadline: Instant::now() + authz.time_limit(H::KIND),
            span,
            who: Arc::clone(self.client.who()),
            topic,
            mount: match H::KIND {
                HookKind::Connect => self.mount.clone(),
                HookKind::Will | HookKind::Publish | HookKind::Subscribe => None,
            },
        };
        self.asks
            .push(ticket, authz.ask::<H>(Check { message, context }));
    }

    fn log_end(&self, origin: &Origin, reason: CloseReason) {
        let who = self.client.who();
        let detail = reason.detail().map(tracing::field::display);
        macro_rules! log_end {
            ($level:ident) => {
                $level!(
                    session = who.session_id,
                    client_id = who.client_id,
                    principal = who.principal,
                    listener = &*origin.listener,
                    peer = %origin.peer,
                    reason = reason.as_str(),
                    party = reason.party().as_str(),
                    detail,
                    "session closed"
                )
            };
        }
        match reason {
            // The everyday endings, and those of peers that are no MQTT clients.
            CloseReason::ClientDisconnect
            | CloseReason::ClientGone
            | CloseReason::Drain
            | CloseReason::NotMqtt
            | CloseReason::HandshakeTimeout => log_end!(debug),
            _ => log_end!(info),
        }
    }

    /// Writes what is left to both sides, and closes them.
    async fn finish(mut self) {
        // Others may be waiting for the room that it was promised.
        self.lane = None;
        let client = self.client_leg.finish();
        let broker = async {
            if let Some(leg) = self.broker_leg {
                leg.finish().await;
            }
        };
        // Whoever does not take it within this time does without it.
        let _ = timeout(FAREWELL, futures_util::future::join(client, broker)).await;
    }
}

fn dial_span(setup: &Span) -> Span {
    if setup.is_disabled() {
        return Span::none();
    }
    tracing::info_span!(
        target: tidegate_telemetry::TRACE_TARGET,
        parent: setup,
        "broker.connect",
        otel.kind = "client",
    )
}

/// The gatekeeper's time is tokio's, so that tests can stop it.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
