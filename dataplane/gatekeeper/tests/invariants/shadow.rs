//! The shadow: a model of what the gatekeeper may do, after every step compared with what it did.
//!
//! It is told what went in, and reads what came out with a reader of its own. It does not predict
//! all of it: it knows which packets wait in which order, how each question ended, and what the
//! tables then allow and demand.

mod acks;
mod asks;
mod broker;
mod client;
mod downlink;
mod endings;
mod fates;
mod handshake;
mod inflight;
mod input;
mod keepalive;
mod line;
mod offer;
mod recheck;
mod subscriptions;
mod table;

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use gatekeeper::{
    Action, Allow, CloseReason, Event, Gatekeeper, Question, Rules, Side, Ticket, Verdict, Version,
};

use crate::{
    case::{Case, Greeting},
    fault::{Checked, ensure},
    packet::{self, Packet},
    service::Hook,
};

pub(crate) use self::input::Input;

use self::{
    acks::Acks,
    asks::Asks,
    downlink::Downlink,
    handshake::Handshake,
    inflight::Inflight,
    input::Told,
    keepalive::KeepAlive,
    line::{Line, Slots},
    offer::Offer,
    subscriptions::Subscriptions,
    table::Code,
};

/// What one step still has to bring, or has brought.
#[derive(Debug, Default)]
struct Step {
    closing: Option<CloseReason>,
    /// The step has a packet that ends the session, now or later.
    failing: bool,
    closed: bool,
    /// A packet of the client that does not stand in the line.
    through: Option<Vec<u8>>,
    /// A packet of the broker that is passed on as it is.
    pass: Option<Vec<u8>>,
    /// A SUBACK of the broker that is completed.
    merge: Option<Merge>,
    /// The frame that came, for the question about it.
    frame: Option<(Packet, Vec<u8>)>,
    acks: Vec<Vec<u8>>,
    /// Refusals that nobody was asked about, and that have to be noted.
    unasked: usize,
    /// Whether a packet that could still be decided was given up.
    gave_up: bool,
    /// Whether a packet ended the session, and nothing behind it has its turn.
    given_up: bool,
    /// What the client's packet deserves, if it asks for what it may not.
    misuse: Option<u8>,
    /// Filters that the gate has to leave, and those that it left.
    withdraws: Vec<String>,
    withdrawn: Vec<String>,
    /// Whether the broker delivers more than there is room for.
    overrun: bool,
}

#[derive(Debug)]
struct Merge {
    id: u16,
    slots: Slots,
    codes: Vec<u8>,
    properties: packet::Properties,
}

/// A SUBSCRIBE that the broker has not answered.
#[derive(Debug)]
struct AtBroker {
    slots: Slots,
    /// The filters that it got, their numbers, and what QoS was asked for.
    forwarded: Vec<(String, usize, u8)>,
}

/// The model of one session.
#[derive(Debug)]
pub(crate) struct Shadow {
    version: Version,
    rules: Rules,
    start: Instant,
    lag: u64,
    now: u64,
    explains: bool,
    client_takes: usize,
    broker_takes: usize,
    live: bool,
    closed: bool,
    client_illegal: bool,
    broker_illegal: bool,
    told: Told,
    asks: Asks,
    handshake: Handshake,
    line: Line,
    acks: Acks,
    inflight: Inflight,
    subscribes: HashMap<u16, AtBroker>,
    /// How many filters each UNSUBSCRIBE at the broker has.
    unsubscribes: HashMap<u16, usize>,
    subscriptions: Subscriptions,
    /// What is asked about again: the filter, and since when it is there.
    rechecks: BTreeMap<Ticket, (String, usize)>,
    /// UNSUBSCRIBE packets of the gate at the broker, and when they left.
    withdrawals: Vec<(u16, u64)>,
    downlink: Downlink,
    offer: Offer,
    receive_maximum: usize,
    /// Whether the broker may know of messages from a former connection.
    resumed: bool,
    settled: Vec<Ticket>,
    keep_alive: KeepAlive,
    driver_reads: bool,
    gate_reads: bool,
    said_goodbye: bool,
    /// The code of a DISCONNECT that the gate sent to the client.
    goodbye: Option<u8>,
    /// What the packet at the head of the line ended the session with.
    fatal: Option<(CloseReason, Code)>,
    /// What the session is to end with, when there is a permit.
    waits_for_permit: Option<CloseReason>,
    step: Step,
}

impl Shadow {
    pub(crate) fn new(case: &Case, start: Instant) -> Self {
        let v5 = case.version == Version::V5;
        let size = |size: Option<u32>| size.filter(|_| v5).map_or(usize::MAX, |size| size as usize);
        Self {
            version: case.version,
            rules: case.rules.clone(),
            start,
            lag: case.timer_lag,
            now: 0,
            explains: case.hello.explains,
            client_takes: size(case.hello.maximum_packet_size),
            broker_takes: match case.greeting {
                Greeting::Accept {
                    maximum_packet_size,
                    ..
                } => size(maximum_packet_size),
                _ => usize::MAX,
            },
            live: false,
            closed: false,
            client_illegal: false,
            broker_illegal: false,
            told: Told::default(),
            asks: Asks::default(),
            handshake: Handshake::default(),
            line: Line::default(),
            acks: Acks::default(),
            inflight: Inflight::default(),
            subscribes: HashMap::new(),
            unsubscribes: HashMap::new(),
            subscriptions: Subscriptions::default(),
            rechecks: BTreeMap::new(),
            withdrawals: Vec::new(),
            downlink: Downlink::new(case.version, &case.hello),
            offer: Offer::default(),
            receive_maximum: usize::MAX,
            resumed: false,
            settled: Vec::new(),
            keep_alive: KeepAlive::default(),
            driver_reads: true,
            gate_reads: true,
            said_goodbye: false,
            goodbye: None,
            fatal: None,
            waits_for_permit: None,
            step: Step::default(),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live && !self.closed
    }

    /// Whether the broker may have kept something.
    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Compares one step. `peers` tells whether the client and the broker have done what they may
    /// not.
    pub(crate) fn observe(
        &mut self,
        input: &Input,
        actions: &[Action],
        gate: &Gatekeeper,
        now: u64,
        peers: (bool, bool),
    ) -> Checked {
        self.now = now;
        (self.client_illegal, self.broker_illegal) = peers;
        if self.closed {
            let only_notes = actions
                .iter()
                .all(|action| matches!(action, Action::Note(_)));
            ensure!(only_notes, "something is done after the end");
            return Ok(());
        }
        self.step = Step {
            closing: actions.iter().find_map(|action| match action {
                Action::Close(reason) => Some(*reason),
                _ => None,
            }),
            failing: actions
                .iter()
                .any(|action| matches!(action, Action::FailureClose(_))),
            ..Step::default()
        };
        if !self.gate_reads || !self.driver_reads {
            self.keep_alive.not_silent(now);
        }
        self.take(input)?;
        self.pass_unasked();
        for action in actions {
            self.look_at(action, input)?;
        }
        self.check_step(gate)
    }

    /// What holds when all is over.
    pub(crate) fn finish(&self, gate: &Gatekeeper, now: u64, broker_answers: bool) -> Checked {
        ensure!(!self.asks.is_waiting(), "a question without an end");
        if self.closed {
            ensure!(
                gate.is_closed() && gate.poll_timeout().is_none(),
                "an end that is none"
            );
            return Ok(());
        }
        ensure!(self.live, "no end of the handshake at {now} ms");
        ensure!(self.line.arrivals.is_empty(), "a packet stays in the line");
        ensure!(
            self.waits_for_permit.is_none(),
            "the permit came to nothing"
        );
        if broker_answers {
            ensure!(!self.acks.owes(), "an acknowledgement is never sent");
            ensure!(
                gate.wants_read(Side::Client),
                "the client is never read again"
            );
        }
        Ok(())
    }

    fn look_at(&mut self, action: &Action, input: &Input) -> Checked {
        ensure!(!self.step.closed, "{action:?} after the end");
        match action {
            Action::Ask(ticket, question) => self.asked(*ticket, question),
            Action::Cancel(ticket) => {
                let gives_up = self.step.closing.is_some() || self.step.failing;
                self.asks.cancel(*ticket, self.now, gives_up)?;
                self.recheck_ends(*ticket);
                Ok(())
            }
            Action::Dial { client_id } => self.handshake.dial(client_id, &self.asks, self.now),
            Action::ToBroker(admitted) => self.broker_gets(admitted.clone()),
            Action::ToClient(bytes) => self.client_gets(bytes, input),
            Action::Note(Event::Connected { .. }) => {
                ensure!(!self.live, "connected twice");
                ensure!(
                    self.handshake.connack.is_some(),
                    "connected without a CONNACK"
                );
                self.live = true;
                Ok(())
            }
            Action::Note(Event::Settled(ticket, fate)) => self.settled(*ticket, *fate),
            Action::Note(Event::Undeliverable) => self.downlink.drops(),
            Action::Note(Event::Unasked(_)) => {
                ensure!(self.step.unasked > 0, "a refusal of nothing");
                self.step.unasked -= 1;
                Ok(())
            }
            Action::Note(Event::Subscribed { .. } | Event::Unsubscribed { .. }) => {
                Err(format!("{action:?}"))
            }
            Action::FailureClose(reason) => self.waits(*reason),
            Action::Close(reason) => {
                self.step.closed = true;
                ensure!(!self.asks.is_waiting(), "a question outlives the end");
                let unsettled = self
                    .line
                    .arrivals
                    .iter()
                    .any(|arrival| arrival.ticket.is_some());
                ensure!(!unsettled, "a packet without a fate");
                self.ended(*reason, input)
            }
        }
    }

    /// A failure ends the session when there is a permit, and nothing is left to be released until
    /// then.
    fn waits(&mut self, reason: CloseReason) -> Checked {
        ensure!(self.waits_for_permit.is_none(), "a second permit is wanted");
        ensure!(
            match reason {
                CloseReason::Revoked => self.told.recheck && self.resumed,
                reason => self.fatal.is_some_and(|(cause, _)| cause == reason),
            },
            "{reason:?} is to end the session without a cause"
        );
        ensure!(!self.leaves_anyway(), "somebody who leaves has to wait");
        ensure!(!self.asks.is_waiting(), "a question outlives the failure");
        let waiting = |arrival: &line::Arrival| arrival.ticket.is_some();
        ensure!(
            !self.line.arrivals.iter().any(waiting),
            "a packet without a fate"
        );
        self.line.arrivals.clear();
        self.waits_for_permit = Some(reason);
        Ok(())
    }

    /// Whether the session ends soon, whatever the service does.
    fn leaves_anyway(&self) -> bool {
        self.told.client_end || self.told.drain || self.told.goodbye
    }

    fn asked(&mut self, ticket: Ticket, question: &Question) -> Checked {
        let deadlines = &self.rules.deadlines;
        let (count, deadline) = match question {
            Question::Connect(_) | Question::Will(_) => (1, deadlines.connect),
            Question::Publish(_) => (1, deadlines.publish),
            Question::Subscribe(subscribe) => (subscribe.filters.len(), deadlines.subscribe),
        };
        let until = self.now + u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.asks.put(ticket, count, Hook::of(question), until)?;
        if let Question::Subscribe(subscribe) = question
            && subscribe.recheck
        {
            self.asked_again(ticket, subscribe)
        } else if self.live {
            self.line.asked(ticket, question)
        } else {
            let frame = self.step.frame.take();
            self.handshake.asked(ticket, question, frame, &self.asks)
        }
    }

    fn check_step(&mut self, gate: &Gatekeeper) -> Checked {
        self.check_withdrawals(self.step.closed || self.step.failing)?;
        let step = std::mem::take(&mut self.step);
        self.closed = step.closed;
        ensure!(
            gate.is_closed() == self.closed,
            "the gate is not sure of its end"
        );
        let (explains, client_takes) = (self.explains, self.client_takes);
        self.acks
            .check(self.version, &step.acks, |bytes, properties| {
                endings::explained(bytes, properties, explains, client_takes)
            })?;
        if self.closed {
            return Ok(());
        }
        ensure!(
            step.through.is_none(),
            "{:02x?} waits for nothing",
            step.through
        );
        ensure!(
            step.pass.is_none(),
            "the broker's {:02x?} is not passed on",
            step.pass
        );
        ensure!(step.unasked == 0, "a refusal that nobody hears of");
        ensure!(step.merge.is_none(), "{:?} is not completed", step.merge);
        self.downlink.check()?;
        self.gate_reads = gate.wants_read(Side::Client);
        if self.live { self.check_live() } else { Ok(()) }
    }

    fn check_live(&self) -> Checked {
        if self.rechecks.is_empty() && self.waits_for_permit.is_none() {
            self.subscriptions.check_doubts()?;
        }
        let limits = &self.rules.limits;
        let line = &self.line;
        if let Some(head) = line.arrivals.front() {
            let ripe = head.is_ripe(&self.asks);
            ensure!(!ripe, "{:?} could leave and stays", head.packet);
        }
        let (count, bytes) = (line.weight(), line.bytes());
        ensure!(
            count < limits.window_packets + limits.max_filters,
            "{count} packets and filters in the line"
        );
        let largest = limits.max_packet_size + usize::from(u16::MAX);
        ensure!(
            bytes <= limits.window_bytes + largest,
            "{bytes} bytes in the line"
        );
        let full = count >= limits.window_packets || bytes >= limits.window_bytes;
        ensure!(
            !full || !self.gate_reads,
            "the line is full and more is read"
        );
        let requests = self.subscribes.len() + self.unsubscribes.len();
        let waiting = self.inflight.waiting().max(self.acks.waiting());
        let most = match self.version {
            Version::V5 => self.receive_maximum.saturating_add(limits.max_inflight),
            Version::V31 | Version::V311 => limits.max_inflight,
        };
        ensure!(
            waiting < most || !self.gate_reads,
            "{waiting} identifiers wait for the broker and more is read"
        );
        let crowded = waiting >= most;
        let holds = count > 0 || requests > 0 || crowded || self.keep_alive.has_pings();
        let waits = self.waits_for_permit.is_some();
        ensure!(!waits || !self.gate_reads, "a failure, and more is read");
        let open = !self.told.client_end && !self.told.drain && !waits;
        ensure!(
            holds || !open || self.gate_reads,
            "nothing is held and nothing is read"
        );
        ensure!(
            !self.keep_alive.broker_is_forgotten(self.now, self.lag),
            "the broker hears nothing"
        );
        let listens = open && self.gate_reads && self.driver_reads;
        ensure!(
            !listens || !self.keep_alive.client_is_forgotten(self.now, self.lag),
            "the client is silent and nobody minds"
        );
        Ok(())
    }

    fn expires_at(&self) -> Option<Instant> {
        match self.asks.outcome(self.handshake.connect_ticket?)? {
            Verdict::Allow(Allow::Connect(allow)) => allow.expires_at,
            _ => None,
        }
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }
}
