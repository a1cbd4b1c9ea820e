//! The entry points: what happened goes in, what to do comes out.

use std::{sync::Arc, time::Instant};

use bytestring::ByteString;

use crate::{
    action::{Action, Actions},
    close::CloseReason,
    connect::{self, AwaitConnack, AwaitConnect, Deciding, Dialling},
    frame::{self, Frame, Side},
    live::Live,
    question::Ticket,
    queue::Tickets,
    reason::ReasonCode,
    revocation::Revocation,
    rules::Rules,
    verdict::Verdict,
    violation::Violation,
};

/// All decisions about the bytes of one client connection and its broker connection.
///
/// See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Gatekeeper {
    rules: Arc<Rules>,
    phase: Phase,
    tickets: Tickets,
    actions: Actions,
}

/// Where a session stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Nothing is known of the client yet.
    AwaitConnect(AwaitConnect),
    /// The service is asked about the CONNECT, then about its will.
    Deciding(Box<Deciding>),
    /// The CONNECT is allowed, the broker is being dialled.
    Dialling(Box<Dialling>),
    /// The broker has the CONNECT.
    AwaitConnack(Box<AwaitConnack>),
    /// The broker has accepted.
    Live(Box<Live>),
    /// Nothing more will be done.
    Closed,
}

/// What every step may use.
pub(crate) struct Context<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) actions: &'a mut Actions,
    pub(crate) now: Instant,
}

/// How the attempt to reach the broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// Connected: bytes may be written.
    Ready,
    /// Not connected.
    Failed,
}

impl Phase {
    /// A session that is about to begin remembers that its subscriptions have to be asked about.
    fn rechecked_when_live(mut self) -> Self {
        match &mut self {
            Self::Deciding(phase) => phase.hello.recheck = true,
            Self::Dialling(phase) => phase.hello.recheck = true,
            Self::AwaitConnack(phase) => phase.hello.recheck = true,
            Self::AwaitConnect(_) | Self::Live(_) | Self::Closed => {}
        }
        self
    }
}

impl Gatekeeper {
    /// A gatekeeper for a connection that was accepted at `now`.
    ///
    /// `spare_client_id` is for a client that sends none [MQTT-3.1.3-6]; it has to be unique and a
    /// valid client identifier.
    #[must_use]
    pub fn new(rules: Arc<Rules>, spare_client_id: ByteString, now: Instant) -> Self {
        let phase = Phase::AwaitConnect(AwaitConnect {
            until: now + rules.deadlines.handshake,
            spare_client_id,
        });
        Self {
            rules,
            phase,
            tickets: Tickets::new(),
            actions: Actions::default(),
        }
    }

    /// The next thing to do. To be drained after every call of a `handle` method.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    /// Gives back memory that is only of use while packets come. To be called when none have come for a
    /// while; it changes nothing else.
    pub fn rest(&mut self) {
        self.actions.rest();
        if let Phase::Live(live) = &mut self.phase {
            live.rest();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, unless something else is
    /// handled before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::AwaitConnect(phase) => Some(phase.until),
            Phase::Deciding(phase) => Some(phase.until),
            Phase::Dialling(phase) => Some(phase.until),
            Phase::AwaitConnack(phase) => Some(phase.until),
            Phase::Live(live) => live.next_timeout(),
            Phase::Closed => None,
        }
    }

    /// Whether a frame of this side would be taken now. The driver must not scan one while this is
    /// false; it may go on reading bytes into a bounded buffer, so that it learns of an end.
    #[must_use]
    pub fn wants_read(&self, side: Side) -> bool {
        match (&self.phase, side) {
            (Phase::AwaitConnect(_), Side::Client) | (Phase::AwaitConnack(_), Side::Broker) => true,
            (Phase::Live(live), Side::Client) => live.wants_client(&self.rules.limits),
            (Phase::Live(_), Side::Broker) => true,
            _ => false,
        }
    }

    /// The largest packet, header included, that may come from this side now.
    #[must_use]
    pub fn max_packet_size(&self, side: Side) -> usize {
        match (&self.phase, side) {
            (Phase::AwaitConnect(_), Side::Client) => self.rules.limits.max_connect_size,
            (Phase::Live(live), Side::Client) => live.max_client_packet(&self.rules.limits),
            (_, Side::Client) => self.rules.limits.max_packet_size,
            (_, Side::Broker) => self.rules.limits.max_downlink_packet_size,
        }
    }

    /// Whether nothing more is wanted from the client: its DISCONNECT or its end was read, or the gate
    /// ends the session. What was read before may still have to be decided about.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        match &self.phase {
            Phase::Live(live) => live.is_leaving(),
            Phase::Closed => true,
            _ => false,
        }
    }

    /// Whether a recheck is under way: something that stands was not decided about again, or the broker
    /// has not let go of it. Before its CONNACK a session has nothing that stands.
    #[must_use]
    pub fn is_rechecking(&self) -> bool {
        match &self.phase {
            Phase::Live(live) => live.is_rechecking(),
            _ => false,
        }
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// A complete packet came.
    pub fn handle_frame(&mut self, side: Side, frame: Frame, now: Instant) {
        self.step(now, |phase, cx| match (phase, side) {
            (Phase::AwaitConnect(phase), Side::Client) => phase.handle_frame(&frame, cx),
            (Phase::AwaitConnack(phase), Side::Broker) => phase.handle_frame(frame, cx),
            (Phase::Live(live), Side::Client) => live.handle_client_frame(frame, cx),
            (Phase::Live(live), Side::Broker) => live.handle_broker_frame(frame, cx),
            (Phase::Closed, _) => Phase::Closed,
            (phase, Side::Client) => connect::abort(phase, early_packet(), cx),
            (phase, Side::Broker) => {
                connect::abort(phase, CloseReason::BrokerViolation(unasked_packet()), cx)
            }
        });
    }

    /// The bytes of this side are not a packet that it may send.
    pub fn handle_violation(&mut self, side: Side, violation: Violation, now: Instant) {
        let reason = match side {
            Side::Client => CloseReason::ClientViolation(violation),
            Side::Broker => CloseReason::BrokerViolation(violation),
        };
        self.step(now, |phase, cx| match phase {
            // What has no header of a CONNECT is somebody who speaks something else.
            Phase::AwaitConnect(_) if violation != frame::CONNECT_TOO_LARGE => {
                connect::close_unheard(CloseReason::NotMqtt, cx)
            }
            phase => connect::abort(phase, reason, cx),
        });
    }

    /// The service has answered, or it is known that it will not.
    pub fn handle_verdict(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        self.step(now, |phase, cx| match phase {
            Phase::Deciding(deciding) => deciding.handle_verdict(ticket, verdict, cx),
            Phase::Live(live) => live.handle_verdict(ticket, verdict, cx),
            phase => phase,
        });
    }

    /// The attempt to reach the broker has ended.
    pub fn handle_upstream(&mut self, upstream: Upstream, now: Instant) {
        self.step(now, |phase, cx| match phase {
            Phase::Dialling(dialling) => dialling.handle_upstream(upstream, cx),
            phase => phase,
        });
    }

    /// The connection of this side has ended.
    pub fn handle_eof(&mut self, side: Side, now: Instant) {
        match side {
            Side::Client => self.client_is_gone(CloseReason::ClientGone, now),
            Side::Broker => self.step(now, |phase, cx| {
                connect::abort(phase, CloseReason::BrokerGone, cx)
            }),
        }
    }

    /// The client has broken the rules of the WebSocket that carries its MQTT, and was told so by a Close with this
    /// code. Nothing more comes of it, as if it were gone.
    pub fn handle_websocket_violation(&mut self, code: u16, now: Instant) {
        self.client_is_gone(CloseReason::WebSocketViolation(code), now);
    }

    fn client_is_gone(&mut self, reason: CloseReason, now: Instant) {
        self.step(now, |phase, cx| match phase {
            Phase::Live(live) => live.linger(reason, cx),
            phase => connect::abort(phase, reason, cx),
        });
    }

    /// This side has not taken what was written to it for too long.
    pub fn handle_stall(&mut self, side: Side, now: Instant) {
        let reason = match side {
            Side::Client => CloseReason::ClientStalled,
            Side::Broker => CloseReason::BrokerUnresponsive,
        };
        self.step(now, |phase, cx| connect::abort(phase, reason, cx));
    }

    /// The client has begun a packet and did not complete it in time.
    pub fn handle_packet_timeout(&mut self, now: Instant) {
        self.step(now, |phase, cx| {
            connect::abort(phase, CloseReason::PacketTimeout, cx)
        });
    }

    /// This instance is shutting down. What was read is still decided about, within the linger time.
    pub fn handle_drain(&mut self, now: Instant) {
        self.step(now, |phase, cx| match phase {
            Phase::Live(live) => live.linger(CloseReason::Drain, cx),
            phase => connect::abort(phase, CloseReason::Drain, cx),
        });
    }

    /// The service ends this session, whatever it does just now. Nothing of what waits is released.
    ///
    /// An MQTT 5 client hears `code` in a DISCONNECT if a server may send it there and it is a refusal,
    /// or 0x98 (Administrative action); before its CONNACK it hears it in the words of a CONNACK, and so
    /// does a 3.x client. `reason_string` explains it to an MQTT 5 client that wants explanations and
    /// has room for one.
    pub fn handle_terminate(
        &mut self,
        code: ReasonCode,
        reason_string: Option<ByteString>,
        now: Instant,
    ) {
        let revocation = Revocation::new(code, reason_string);
        self.step(now, |phase, cx| connect::revoke(phase, revocation, cx));
    }

    /// As [`handle_terminate`](Self::handle_terminate), for one of many: a live session says
    /// [`Action::FailureClose`] and waits for its permit, so that they don't all come back at once. For the
    /// service and for the broker it has ended then: nothing passes it any more. One that waits for a
    /// permit already ends as it would have.
    pub fn handle_terminate_in_turn(
        &mut self,
        code: ReasonCode,
        reason_string: Option<ByteString>,
        now: Instant,
    ) {
        let revocation = Revocation::new(code, reason_string);
        self.step(now, |phase, cx| {
            connect::revoke_in_turn(phase, revocation, cx)
        });
    }

    /// What was allowed may no longer be: asks again about every subscription that stands, a portion
    /// at a time, and leaves at the broker what is denied. Nobody tells the client, for MQTT has no
    /// word for it. A failure is one of SUBSCRIBE
    /// ([`Rules::on_subscribe_failed`](crate::Rules::on_subscribe_failed)).
    ///
    /// A resumed session may have subscriptions that nobody knows here: it is ended, as by
    /// [`handle_terminate_in_turn`](Self::handle_terminate_in_turn) with 0x98. A session that is only beginning is
    /// ended if it turns out to be one.
    ///
    /// Questions about a SUBSCRIBE that are under way are not put again before they are answered: the
    /// subscription is asked about once more when it is made.
    pub fn handle_recheck(&mut self, now: Instant) {
        self.step(now, |phase, cx| match phase {
            Phase::Live(live) => live.recheck(cx),
            phase => phase.rechecked_when_live(),
        });
    }

    /// The end that [`Action::FailureClose`] wants may come now. Nothing happens if none is wanted.
    pub fn handle_permit(&mut self, now: Instant) {
        self.step(now, |phase, cx| match phase {
            Phase::Live(live) => live.handle_permit(cx),
            phase => phase,
        });
    }

    /// Tells whether the driver reads from this side at all: while it does not, silence is no sign
    /// of death.
    pub fn handle_reading(&mut self, side: Side, reading: bool, now: Instant) {
        if let Phase::Live(live) = &mut self.phase {
            match side {
                Side::Client => live.set_reads_client(reading, &self.rules.limits, now),
                Side::Broker => live.set_reads_broker(reading, now),
            }
        }
    }

    /// Whether the broker has accepted the session, and it has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come. Harmless if it has not.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.step(now, |phase, cx| match phase {
            Phase::AwaitConnect(phase) if phase.until <= now => {
                connect::close_unheard(CloseReason::HandshakeTimeout, cx)
            }
            Phase::Deciding(phase) if phase.until <= now => phase.handle_timeout(cx),
            Phase::Dialling(phase) if phase.until <= now => {
                connect::abort(Phase::Dialling(phase), CloseReason::BrokerTimeout, cx)
            }
            Phase::AwaitConnack(phase) if phase.until <= now => {
                connect::abort(Phase::AwaitConnack(phase), CloseReason::BrokerTimeout, cx)
            }
            Phase::Live(live) => live.handle_timeout(cx),
            phase => phase,
        });
    }

    /// Runs one transition. A phase is taken out, used up, and replaced by the one that follows.
    fn step(&mut self, now: Instant, transition: impl FnOnce(Phase, &mut Context<'_>) -> Phase) {
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let mut cx = Context {
            rules: &self.rules,
            tickets: &mut self.tickets,
            actions: &mut self.actions,
            now,
        };
        self.phase = transition(phase, &mut cx);
    }
}

fn early_packet() -> CloseReason {
    CloseReason::ClientViolation(Violation::protocol(
        "packet while the CONNECT is being decided",
        "MQTT-3.1.4-6",
    ))
}

fn unasked_packet() -> Violation {
    Violation::protocol("packet before the CONNECT", "MQTT-3.2.0-1")
}
