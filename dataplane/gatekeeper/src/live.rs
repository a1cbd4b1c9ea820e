//! A session that the broker has accepted.
//!
//! [`uplink`] takes the client's packets into the line, [`release`] lets them out in order as their
//! verdicts come ([`publish`] and [`subscribe`] have both sides of theirs, [`unasked`] what nobody is
//! asked about), [`downlink`] takes what the broker sends, [`deliver`] its messages: [`window`] holds what is too much for the client, and
//! [`withheld`] knows what it does not get. [`mutate`] makes the changes that the service asks for, and
//! [`namespace`] is what a session with a mount has to keep for them. [`start`] is how a session
//! begins, [`end`] how it ends.

mod deliver;
mod downlink;
mod end;
mod goodbye;
mod mutate;
mod namespace;
mod offer;
mod publish;
mod recheck;
mod release;
mod start;
mod subscribe;
mod unasked;
mod unsubscribe;
mod uplink;
mod window;
mod withdraw;
mod withheld;

use std::{collections::HashMap, num::NonZeroU16, time::Instant};

use crate::{
    acks::{Acks, Outlet},
    action::{Admitted, Exempt},
    alias::AliasTable,
    close::CloseReason,
    gatekeeper::{Context, Phase},
    inflight::Inflight,
    keepalive::{Due, KeepAlive, Owner},
    question::{Ticket, Version},
    queue::Queue,
    rate::Rate,
    reply,
    rules::Limits,
    shelf::Shelf,
    subscriptions::Subscriptions,
    verdict::Verdict,
};

use self::{
    end::End, goodbye::SessionExpiry, namespace::Namespace, offer::Offer, recheck::Recheck,
    subscribe::SubackPlan, window::Window, withdraw::Withdrawals, withheld::Withheld,
};

pub(crate) use self::start::Start;

/// PINGREQ packets that may be under way to the broker before the gate stops reading the client.
const MAX_PINGS: usize = 64;

/// State of a session between CONNACK and its end.
#[derive(Debug)]
pub(crate) struct Live {
    version: Version,
    /// Whether gate-made acknowledgements may carry a Reason String [MQTT-3.1.2-29].
    explains: bool,
    /// Bytes of the client's identifier and user name, which are part of every question.
    names: usize,
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
    shelf: Shelf,
    inflight: Inflight,
    acks: Acks,
    aliases: AliasTable,
    /// SUBSCRIBE packets at the broker, by packet identifier.
    subscribes: HashMap<NonZeroU16, SubackPlan>,
    /// UNSUBSCRIBE packets at the broker, and how many filters each has there.
    unsubscribes: HashMap<NonZeroU16, usize>,
    subscriptions: Subscriptions,
    /// What is being asked about again.
    recheck: Option<Box<Recheck>>,
    withdrawals: Withdrawals,
    /// Set if the service bounds what the client may publish.
    rate: Option<Box<Rate>>,
    /// Largest packet of the client that the service allows.
    max_packet_size: usize,
    /// Subscriptions that the service allows.
    max_subscriptions: usize,
    /// Set if the session has a mount.
    namespace: Option<Box<Namespace>>,
    withheld: Withheld,
    window: Window,
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
    /// Nobody decided about something, and the session ends for that when there is a permit. The line
    /// is given up.
    AwaitingPermit(Box<End>),
}

impl Live {
    /// Gives back the room of packets that have left.
    pub(crate) fn rest(&mut self) {
        self.queue.rest();
        self.shelf.clear();
        self.acks.rest();
    }

    /// Whether the session can hold another packet of the client. A broker that acknowledges nothing
    /// would let messages, and copies of one message, pile up.
    pub(crate) fn wants_client(&self, limits: &Limits) -> bool {
        matches!(self.ending, Ending::Open)
            && self.queue.has_room(limits)
            && self.subscribes.len() < limits.window_packets
            && self.inflight.has_room(self.acks.len())
            && !self.withdrawals.hold_up_the_client()
            && self.paced_until().is_none()
            && self.unsubscribes.len() < limits.window_packets
            && self.keep_alive.pings_outstanding() < MAX_PINGS
    }

    /// Whether nothing more is wanted from the client.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.ending, Ending::Leaving | Ending::Lingering { .. })
    }

    /// The largest packet that the client was told it may send [MQTT-3.2.2-15].
    pub(crate) fn max_client_packet(&self, limits: &Limits) -> usize {
        limits
            .max_packet_size
            .min(self.max_packet_size)
            .min(self.broker_takes)
    }

    /// When the client may be read again that has published too fast.
    fn paced_until(&self) -> Option<Instant> {
        self.rate.as_ref()?.closed_until()
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
            Ending::Open | Ending::Leaving | Ending::AwaitingPermit(_) => None,
        };
        [
            lingering,
            self.expires_at,
            self.queue.next_timeout(),
            self.recheck.as_ref().map(|recheck| recheck.until()),
            self.withdrawal_deadline(),
            self.paced_until(),
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
        match self.recheck_decided(ticket, verdict, cx) {
            Err(end) => return self.end(end, cx),
            Ok(None) => {}
            Ok(Some(verdict)) => self.queue.settle(ticket, verdict, cx.now),
        }
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
        if self.withdrawal_deadline().is_some_and(|at| at <= cx.now) {
            return self.close(CloseReason::BrokerUnresponsive.into(), cx);
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
            (Ending::Open | Ending::AwaitingPermit(_), _) => {
                let until = cx.now + cx.rules.deadlines.linger;
                self.ending = Ending::Lingering { reason, until };
            }
        }
        self.proceed(cx)
    }

    /// Lets out what may leave now.
    fn proceed(mut self: Box<Self>, cx: &mut Context<'_>) -> Phase {
        if let Some(rate) = &mut self.rate {
            rate.refresh(cx.now);
        }
        if matches!(self.ending, Ending::AwaitingPermit(_)) {
            return Phase::Live(self);
        }
        if let Err(end) = self.release(cx).and_then(|()| self.advance_recheck(cx)) {
            return self.end(end, cx);
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

    fn ping(&mut self, owner: Owner, cx: &mut Context<'_>) {
        self.keep_alive.ping_sent(owner, cx.now);
        self.forward(Admitted::exempt(Exempt::Ping, reply::PINGREQ), cx);
    }

    fn forward(&mut self, admitted: Admitted, cx: &mut Context<'_>) {
        self.keep_alive.told_broker(cx.now);
        cx.actions.write_broker(admitted);
    }
}

fn outlet<'a>(inflight: &'a mut Inflight, cx: &'a mut Context<'_>) -> Outlet<'a> {
    Outlet {
        inflight,
        actions: cx.actions,
    }
}
