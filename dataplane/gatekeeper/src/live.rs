//! A session that the broker has accepted.
//!
//! [`uplink`] takes the client's packets into the line, [`release`] lets them out in order as their
//! verdicts come ([`publish`] and [`subscribe`] have both sides of theirs), [`downlink`] takes what
//! the broker sends. [`mutate`] makes the changes that the service asks for, and [`namespace`] is what
//! a session with a mount has to keep for them, for [`deliver`] and [`unsubscribe`].

mod deliver;
mod downlink;
mod goodbye;
mod mutate;
mod namespace;
mod offer;
mod publish;
mod release;
mod subscribe;
mod unsubscribe;
mod uplink;

use std::{collections::HashMap, num::NonZeroU16, time::Instant};

use bytestring::ByteString;

use crate::{
    acks::{Acks, Outlet},
    action::{Admitted, Exempt, Fate},
    alias::AliasTable,
    close::CloseReason,
    gatekeeper::{Context, Phase},
    inflight::Inflight,
    keepalive::{Due, KeepAlive, Owner},
    question::{Ticket, Version},
    queue::Queue,
    reason::ReasonCode,
    reply,
    rules::Limits,
    subscriptions::Subscriptions,
    verdict::{Deny, Verdict},
    violation::Violation,
    wire::{connack::Connack, connect::Connect, disconnect},
};

use self::{goodbye::SessionExpiry, namespace::Namespace, offer::Offer, subscribe::SubackPlan};

/// PINGREQ packets that may be under way to the broker before the gate stops reading the client.
const MAX_PINGS: usize = 64;

/// State of a session between CONNACK and its end.
#[derive(Debug)]
pub(crate) struct Live {
    version: Version,
    /// Whether gate-made acknowledgements may carry a Reason String [MQTT-3.1.2-29].
    explains: bool,
    /// Largest packet that the client takes [MQTT-3.1.2-24].
    client_takes: usize,
    /// Largest packet that the broker takes [MQTT-3.2.2-15].
    broker_takes: usize,
    /// How long the session was said to outlive the connection.
    expiry: SessionExpiry,
    /// Whether the broker has a will to publish.
    has_will: bool,
    /// Whether the broker may hold subscriptions and messages of an earlier connection.
    resumed: bool,
    offer: Offer,
    queue: Queue,
    inflight: Inflight,
    acks: Acks,
    aliases: AliasTable,
    /// SUBSCRIBE packets at the broker, by packet identifier.
    subscribes: HashMap<NonZeroU16, SubackPlan>,
    subscriptions: Subscriptions,
    /// Set if the session has a mount.
    namespace: Option<Box<Namespace>>,
    keep_alive: KeepAlive,
    /// Whether the driver takes packets from the client, as far as it is concerned.
    driver_reads: bool,
    expires_at: Option<Instant>,
    ending: Ending,
}

/// Whether more may come from the client.
#[derive(Debug)]
enum Ending {
    /// No end in sight.
    Open,
    /// The client's DISCONNECT stands in the line.
    Leaving,
    /// The session ends when the line is empty, or at this time.
    Lingering { reason: CloseReason, until: Instant },
}

/// What ends a session, and what an MQTT 5 client is told.
#[derive(Debug)]
pub(crate) struct End {
    reason: CloseReason,
    /// `None`: the code that goes with the reason.
    code: Option<ReasonCode>,
    reason_string: Option<ByteString>,
    server_reference: Option<ByteString>,
}

impl End {
    /// The policy says that this packet ends the session.
    fn denied(reason: CloseReason, deny: Deny) -> Self {
        Self {
            reason,
            code: deny.code.map(ReasonCode::for_disconnect),
            reason_string: deny.reason_string,
            server_reference: deny.server_reference,
        }
    }
}

impl From<CloseReason> for End {
    fn from(reason: CloseReason) -> Self {
        Self {
            reason,
            code: None,
            reason_string: None,
            server_reference: None,
        }
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        CloseReason::ClientViolation(violation).into()
    }
}

/// What a session begins with.
pub(crate) struct Start<'a> {
    /// The CONNECT as the client sent it.
    pub(crate) asked: &'a Connect,
    /// The CONNECT as the broker got it.
    pub(crate) sent: &'a Connect,
    pub(crate) connack: &'a Connack,
    /// Seconds; 0 is none. It holds on both legs.
    pub(crate) keep_alive: u16,
    /// Whether the broker may hold subscriptions and messages of an earlier connection.
    pub(crate) resumed: bool,
    /// The longest session that the broker may be asked for, in seconds.
    pub(crate) max_session_expiry: u32,
    /// When the session must end.
    pub(crate) expires_at: Option<Instant>,
    /// Where the session's topics begin at the broker.
    pub(crate) mount: Option<ByteString>,
}

impl Live {
    pub(crate) fn new(start: Start<'_>, cx: &Context<'_>) -> Self {
        let Start {
            asked,
            sent,
            connack,
            keep_alive,
            resumed,
            max_session_expiry,
            expires_at,
            mount,
        } = start;
        let size = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
        Self {
            version: asked.version,
            explains: asked.properties.request_problem_information,
            client_takes: size(asked.properties.maximum_packet_size),
            broker_takes: size(connack.maximum_packet_size),
            expiry: SessionExpiry::new(asked, sent, max_session_expiry),
            has_will: sent.will.is_some(),
            resumed,
            offer: Offer::new(connack),
            queue: Queue::default(),
            inflight: Inflight::new(receive_maximum(asked, connack, &cx.rules.limits)),
            acks: Acks::default(),
            aliases: AliasTable::new(cx.rules.limits.topic_alias_maximum),
            subscribes: HashMap::new(),
            subscriptions: Subscriptions::default(),
            namespace: mount.and_then(|mount| Namespace::new(mount, resumed)),
            keep_alive: KeepAlive::new(keep_alive, cx.rules.deadlines.broker_ping, cx.now),
            driver_reads: true,
            expires_at,
            ending: Ending::Open,
        }
    }

    /// Whether the session can hold another packet of the client. A broker that acknowledges nothing
    /// would let copies of one message pile up.
    pub(crate) fn wants_client(&self, limits: &Limits) -> bool {
        matches!(self.ending, Ending::Open)
            && self.queue.has_room(limits)
            && self.subscribes.len() < limits.window_packets
            && self.acks.len() < usize::from(u16::MAX)
            && self.unsubscribing() < limits.window_packets
            && self.keep_alive.pings_outstanding() < MAX_PINGS
    }

    /// UNSUBSCRIBE packets at the broker, as far as anything has to be kept for them.
    fn unsubscribing(&self) -> usize {
        let namespace = self.namespace.as_ref();
        namespace.map_or(0, |namespace| namespace.unsubscribing())
    }

    /// The largest packet that the client was told it may send [MQTT-3.2.2-15].
    pub(crate) fn max_client_packet(&self, limits: &Limits) -> usize {
        limits.max_packet_size.min(self.broker_takes)
    }

    pub(crate) fn set_reads_client(&mut self, driver_reads: bool, limits: &Limits, now: Instant) {
        self.driver_reads = driver_reads;
        self.note_reading(limits, now);
    }

    /// The client's timer rests as soon as its packets are not taken, whoever it is that waits.
    fn note_reading(&mut self, limits: &Limits, now: Instant) {
        let reading = self.driver_reads && self.wants_client(limits);
        self.keep_alive.set_reads_client(reading, now);
    }

    pub(crate) fn set_reads_broker(&mut self, driver_reads: bool, now: Instant) {
        self.keep_alive.set_reads_broker(driver_reads, now);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let lingering = match self.ending {
            Ending::Lingering { until, .. } => Some(until),
            Ending::Open | Ending::Leaving => None,
        };
        [
            lingering,
            self.expires_at,
            self.queue.next_timeout(),
            self.keep_alive.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(crate) fn handle_verdict(
        mut self: Box<Self>,
        ticket: Ticket,
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Phase {
        self.queue.settle(ticket, verdict, cx.now);
        self.proceed(cx)
    }

    pub(crate) fn handle_timeout(mut self: Box<Self>, cx: &mut Context<'_>) -> Phase {
        if self.expires_at.is_some_and(|at| at <= cx.now) {
            return self.close(CloseReason::Expired.into(), cx);
        }
        if let Ending::Lingering { reason, until } = self.ending
            && until <= cx.now
        {
            return self.close(reason.into(), cx);
        }
        match self.keep_alive.due(cx.now) {
            Some(Due::ClientSilent) => {
                return self.close(CloseReason::KeepAliveTimeout.into(), cx);
            }
            Some(Due::BrokerSilent) => {
                return self.close(CloseReason::BrokerUnresponsive.into(), cx);
            }
            Some(Due::PingBroker) => self.ping(Owner::Gate, cx),
            None => {}
        }
        self.proceed(cx)
    }

    /// Ends the session once the line is empty, or the linger time is over.
    pub(crate) fn linger(mut self: Box<Self>, reason: CloseReason, cx: &mut Context<'_>) -> Phase {
        match (&self.ending, reason) {
            // The DISCONNECT in the line ends the session soon, and in the client's own way.
            (Ending::Leaving, _) => return Phase::Live(self),
            // Somebody who lingers already keeps the first deadline.
            (Ending::Lingering { until, .. }, _) => {
                let until = *until;
                self.ending = Ending::Lingering { reason, until };
            }
            (Ending::Open, _) => {
                let until = cx.now + cx.rules.deadlines.linger;
                self.ending = Ending::Lingering { reason, until };
            }
        }
        self.proceed(cx)
    }

    /// Lets out what may leave now.
    fn proceed(mut self: Box<Self>, cx: &mut Context<'_>) -> Phase {
        if let Err(end) = self.release(cx) {
            return self.close(end, cx);
        }
        match self.ending {
            Ending::Lingering { reason, .. } if self.queue.is_empty() => {
                self.close(reason.into(), cx)
            }
            _ => {
                self.note_reading(&cx.rules.limits, cx.now);
                Phase::Live(self)
            }
        }
    }

    /// Ends the session now. The broker leg is closed without a DISCONNECT, so that the broker
    /// publishes the will [MQTT-3.1.2-8], unless the client's own DISCONNECT has gone before, or the
    /// operator wants no will after such an ending.
    pub(crate) fn close(mut self: Box<Self>, end: End, cx: &mut Context<'_>) -> Phase {
        for ticket in self.queue.abandon(cx.actions) {
            cx.actions.settled(ticket, Fate::Closed);
        }
        if self.has_will && end.reason.suppresses_will(cx.rules) {
            cx.actions
                .write_broker(reply::will_suppression(self.version));
        }
        let code = end.code.or_else(|| end.reason.disconnect_code());
        if let (Version::V5, Some(code)) = (self.version, code) {
            cx.actions.write_client(self.farewell(code, &end));
        }
        cx.actions.close(end.reason);
        Phase::Closed
    }

    /// What only explains is left out if the client has no room for it [MQTT-3.14.2-3].
    fn farewell(&self, code: ReasonCode, end: &End) -> bytes::Bytes {
        let (why, instead) = (
            end.reason_string.as_deref(),
            end.server_reference.as_deref(),
        );
        [(why, instead), (None, instead)]
            .into_iter()
            .map(|(why, instead)| disconnect::encode_v5(code, why, instead))
            .find(|packet| packet.len() <= self.client_takes)
            .unwrap_or_else(|| disconnect::encode_v5(code, None, None))
    }

    fn ping(&mut self, owner: Owner, cx: &mut Context<'_>) {
        self.keep_alive.ping_sent(owner, cx.now);
        self.forward(Admitted::exempt(Exempt::Ping, reply::PINGREQ), cx);
    }

    fn forward(&mut self, admitted: Admitted, cx: &mut Context<'_>) {
        self.keep_alive.told_broker(cx.now);
        cx.actions.write_broker(admitted);
    }
}

/// What an MQTT 5 client was told; no other version has it.
fn receive_maximum(connect: &Connect, connack: &Connack, limits: &Limits) -> Option<u16> {
    let least = limits.receive_maximum.min(connack.receive_maximum);
    (connect.version == Version::V5).then_some(least)
}

fn outlet<'a>(inflight: &'a mut Inflight, cx: &'a mut Context<'_>) -> Outlet<'a> {
    Outlet {
        inflight,
        actions: cx.actions,
    }
}
