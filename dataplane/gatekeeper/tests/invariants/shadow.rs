//! The shadow: a model of what the gatekeeper may do, after every step compared with what it did.
//!
//! It is told what went in, and reads what came out with a reader of its own. It does not predict
//! all of it: it knows which packets wait in which order, how each question ended, and what the
//! tables then allow and demand.

mod acks;
mod asks;
mod endings;
mod handshake;
mod keepalive;
mod line;
mod table;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gatekeeper::{
    Action, Admitted, Allow, Basis, CloseReason, Event, Exempt, Fate, Gatekeeper, Question, Rules,
    Side, Ticket, Verdict, Version, reason::Place,
};

use crate::{
    case::{Case, Greeting},
    fault::{Checked, ensure},
    packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet},
    service::Hook,
};

use self::{
    acks::Acks,
    asks::Asks,
    handshake::Handshake,
    keepalive::KeepAlive,
    line::{Line, Slots},
    table::{Code, Effect},
};

/// What went into the gatekeeper.
#[derive(Debug)]
pub(crate) enum Input {
    ClientFrame(Vec<u8>),
    BrokerFrame(Vec<u8>),
    ClientViolation,
    BrokerViolation,
    Verdict(Ticket, Verdict),
    Upstream(bool),
    ClientEof,
    BrokerEof,
    Drain,
    Stall,
    Timeout,
    Reading(bool),
}

/// What the gatekeeper was told of ends.
#[derive(Debug, Default)]
struct Told {
    client_end: bool,
    broker_end: bool,
    drain: bool,
}

/// What one step still has to bring, or has brought.
#[derive(Debug, Default)]
struct Step {
    closing: Option<CloseReason>,
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
}

#[derive(Debug)]
struct Merge {
    id: u16,
    slots: Slots,
    codes: Vec<u8>,
    properties: packet::Properties,
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
    /// QoS 2 identifiers whose PUBREC was the gate's.
    owned: Vec<u16>,
    subscribes: HashMap<u16, Slots>,
    settled: Vec<Ticket>,
    keep_alive: KeepAlive,
    driver_reads: bool,
    gate_reads: bool,
    said_goodbye: bool,
    /// The code of a DISCONNECT that the gate sent to the client.
    goodbye: Option<u8>,
    /// What the packet at the head of the line ended the session with.
    fatal: Option<(CloseReason, Code)>,
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
            owned: Vec::new(),
            subscribes: HashMap::new(),
            settled: Vec::new(),
            keep_alive: KeepAlive::default(),
            driver_reads: true,
            gate_reads: true,
            said_goodbye: false,
            goodbye: None,
            fatal: None,
            step: Step::default(),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live && !self.closed
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
            ..Step::default()
        };
        if !self.gate_reads || !self.driver_reads {
            self.keep_alive.not_silent(now);
        }
        self.take(input)?;
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
        if broker_answers {
            ensure!(!self.acks.owes(), "an acknowledgement is never sent");
            ensure!(
                gate.wants_read(Side::Client),
                "the client is never read again"
            );
        }
        Ok(())
    }

    fn take(&mut self, input: &Input) -> Checked {
        match input {
            Input::ClientFrame(bytes) => self.take_client_frame(bytes)?,
            Input::BrokerFrame(bytes) => self.take_broker_frame(bytes),
            Input::Verdict(ticket, verdict) => self.asks.answer(*ticket, verdict, self.now),
            Input::Upstream(works) => self.handshake.reached(*works),
            Input::ClientEof => self.told.client_end = true,
            Input::BrokerEof => self.told.broker_end = true,
            Input::Drain => self.told.drain = true,
            Input::Reading(reading) => self.driver_reads = *reading,
            Input::ClientViolation | Input::BrokerViolation | Input::Stall | Input::Timeout => {}
        }
        Ok(())
    }

    fn take_client_frame(&mut self, bytes: &[u8]) -> Checked {
        if !self.live {
            self.step.frame =
                packet::read(self.version, bytes).map(|packet| (packet, bytes.to_vec()));
            return Ok(());
        }
        self.keep_alive.not_silent(self.now);
        if matches!(self.step.closing, Some(CloseReason::ClientViolation(_))) {
            return Ok(());
        }
        match packet::read(self.version, bytes) {
            Some(
                Packet::Pingreq
                | Packet::Ack {
                    kind: PUBACK | PUBREC | PUBCOMP,
                    ..
                },
            ) => {
                self.step.through = Some(bytes.to_vec());
                Ok(())
            }
            Some(
                packet @ (Packet::Publish(_)
                | Packet::Subscribe { .. }
                | Packet::Unsubscribe { .. }
                | Packet::Ack { .. }
                | Packet::Disconnect { .. }),
            ) => self.line.push(self.version, packet, bytes.to_vec()),
            other => Err(format!("{other:?} is taken from a client")),
        }
    }

    fn take_broker_frame(&mut self, bytes: &[u8]) {
        if !self.live {
            return;
        }
        match packet::read(self.version, bytes) {
            Some(Packet::Ack {
                kind: kind @ (PUBACK | PUBREC),
                id,
                ..
            }) => {
                if !matches!(self.step.closing, Some(CloseReason::BrokerViolation(_))) {
                    self.acks.came(kind, id, bytes);
                }
            }
            Some(Packet::Suback {
                id,
                codes,
                properties,
            }) => match self.subscribes.remove(&id) {
                Some(slots) if slots.iter().any(Option::is_some) => {
                    self.step.merge = Some(Merge {
                        id,
                        slots,
                        codes,
                        properties,
                    });
                }
                _ => self.step.pass = Some(bytes.to_vec()),
            },
            Some(Packet::Pingresp) if !self.keep_alive.pong() => {}
            _ => self.step.pass = Some(bytes.to_vec()),
        }
    }

    fn look_at(&mut self, action: &Action, input: &Input) -> Checked {
        ensure!(!self.step.closed, "{action:?} after the end");
        match action {
            Action::Ask(ticket, question) => self.asked(*ticket, question),
            Action::Cancel(ticket) => {
                self.asks
                    .cancel(*ticket, self.now, self.step.closing.is_some())
            }
            Action::Dial => self.handshake.dial(&self.asks, self.now),
            Action::ToBroker(admitted) => self.to_broker(admitted.clone()),
            Action::ToClient(bytes) => self.to_client(bytes, input),
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

    fn asked(&mut self, ticket: Ticket, question: &Question) -> Checked {
        let deadlines = &self.rules.deadlines;
        let (count, deadline) = match question {
            Question::Connect(_) | Question::Will(_) => (1, deadlines.connect),
            Question::Publish(_) => (1, deadlines.publish),
            Question::Subscribe(subscribe) => (subscribe.filters.len(), deadlines.subscribe),
        };
        let until = self.now + u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.asks.put(ticket, count, Hook::of(question), until)?;
        if self.live {
            self.line.asked(ticket, question, self.version)
        } else {
            let frame = self.step.frame.take();
            self.handshake.asked(ticket, question, frame, &self.asks)
        }
    }

    fn to_broker(&mut self, admitted: Admitted) -> Checked {
        let basis = admitted.basis();
        let bytes = admitted.into_bytes();
        ensure!(
            self.goodbye.is_none() && !self.said_goodbye,
            "the broker hears more after the end"
        );
        let Some(packet) = packet::read(self.version, &bytes) else {
            return Err(format!("the broker gets what is no packet: {bytes:02x?}"));
        };
        match (basis, packet) {
            (Basis::Exempt(Exempt::Ping), Packet::Pingreq) => {
                let of_client = self
                    .step
                    .through
                    .take_if(|through| *through == bytes)
                    .is_some();
                ensure!(
                    of_client || self.keep_alive.ping_is_due(self.now),
                    "the gate pings without need"
                );
                self.keep_alive.ping(of_client, self.now);
            }
            (
                Basis::Exempt(Exempt::Acknowledgement),
                Packet::Ack {
                    kind: PUBACK | PUBREC | PUBCOMP,
                    ..
                },
            ) => {
                let through = self.step.through.take();
                ensure!(
                    through.is_some_and(|through| through == bytes),
                    "an invented answer"
                );
            }
            (
                Basis::Exempt(Exempt::Release),
                Packet::Ack {
                    kind: PUBREL, id, ..
                },
            ) => {
                ensure!(
                    !self.owned.contains(&id),
                    "the broker gets a PUBREL for the gate"
                );
                self.leave_unasked(&bytes)?;
            }
            (Basis::Exempt(Exempt::Unsubscribe), Packet::Unsubscribe { .. }) => {
                self.leave_unasked(&bytes)?;
            }
            (Basis::Exempt(Exempt::Disconnect), Packet::Disconnect { .. }) => {
                self.leave_unasked(&bytes)?;
                self.said_goodbye = true;
            }
            (Basis::Allowed(ticket), Packet::Connect(connect)) => {
                self.handshake
                    .forward(ticket, &bytes, &connect, &self.asks)?;
            }
            (Basis::Allowed(ticket), Packet::Publish(publish)) => {
                self.forward_publish(ticket, &bytes, &publish)?;
            }
            (Basis::Allowed(ticket), Packet::Subscribe { id, .. }) => {
                self.forward_subscribe(ticket, &bytes, id)?;
            }
            (basis, packet) => return Err(format!("{packet:?} on the ground of {basis:?}")),
        }
        self.keep_alive.told_broker = self.now;
        Ok(())
    }

    fn leave_unasked(&mut self, bytes: &[u8]) -> Checked {
        let head = self.line.head()?;
        ensure!(
            head.ticket.is_none() && head.outgoing == bytes,
            "{bytes:02x?} leaves before {:?}",
            head.packet
        );
        self.line.arrivals.pop_front();
        Ok(())
    }

    fn forward_publish(
        &mut self,
        ticket: Ticket,
        bytes: &[u8],
        publish: &packet::Publish,
    ) -> Checked {
        let effect = self.effect_at_head();
        let head = self.line.head()?;
        ensure!(
            head.ticket == Some(ticket),
            "{publish:?} leaves before {:?}",
            head.packet
        );
        ensure!(
            effect == Some(Effect::Forward),
            "{publish:?} leaves, but {effect:?}"
        );
        ensure!(
            head.outgoing == bytes,
            "{bytes:02x?} leaves for {:02x?}",
            head.outgoing
        );
        ensure!(!head.sent, "{publish:?} leaves twice");
        head.sent = true;
        if let Some(id) = publish.id {
            self.acks.forwarded(publish.qos, id, publish.dup);
        }
        Ok(())
    }

    fn forward_subscribe(&mut self, ticket: Ticket, bytes: &[u8], id: u16) -> Checked {
        let (asks, version, rules) = (&self.asks, self.version, &self.rules);
        let head = self.line.head()?;
        ensure!(
            head.ticket == Some(ticket),
            "SUBSCRIBE {id} leaves before {:?}",
            head.packet
        );
        let slots = head.slots(asks, version, rules);
        let Some(Ok(slots)) = slots else {
            return Err(format!("SUBSCRIBE {id} leaves, but {slots:?}"));
        };
        ensure!(
            slots.iter().any(Option::is_none),
            "SUBSCRIBE {id} without an allowed filter"
        );
        let subset = head.subset(&slots, version);
        ensure!(
            subset.as_deref() == Some(bytes),
            "SUBSCRIBE {bytes:02x?} leaves where {subset:02x?} is allowed"
        );
        ensure!(!head.sent, "SUBSCRIBE {id} leaves twice");
        head.sent = true;
        ensure!(
            self.subscribes.insert(id, slots).is_none(),
            "SUBSCRIBE {id} while one is unanswered"
        );
        Ok(())
    }

    fn to_client(&mut self, bytes: &[u8], input: &Input) -> Checked {
        ensure!(
            self.goodbye.is_none(),
            "the client hears more after the end"
        );
        if !self.live {
            return self.to_client_before_connack(bytes, input);
        }
        if self.step.pass.take_if(|pass| *pass == bytes).is_some() {
            return Ok(());
        }
        match packet::read(self.version, bytes) {
            Some(Packet::Ack {
                kind: PUBACK | PUBREC,
                ..
            }) => {
                self.step.acks.push(bytes.to_vec());
                Ok(())
            }
            Some(Packet::Ack {
                kind: PUBCOMP,
                id,
                code: 0,
                ..
            }) => {
                let head = self.line.head()?;
                let answers =
                    matches!(head.packet, Packet::Ack { kind: PUBREL, id: of, .. } if of == id);
                let owned = self.owned.iter().position(|owned| *owned == id);
                let (true, Some(owned)) = (answers, owned) else {
                    return Err(format!("PUBCOMP {id} out of turn"));
                };
                self.owned.swap_remove(owned);
                self.line.arrivals.pop_front();
                Ok(())
            }
            Some(Packet::Suback {
                id,
                codes,
                properties,
            }) => self.suback(bytes, id, &codes, &properties),
            Some(Packet::Disconnect { code, properties }) if self.version == Version::V5 => {
                ensure!(self.step.closing.is_some(), "DISCONNECT and no end");
                ensure!(endings::may_say(code), "DISCONNECT {code:#04x} of a server");
                endings::explained(bytes, &properties, true, self.client_takes)?;
                self.goodbye = Some(code);
                Ok(())
            }
            other => Err(format!("the client gets {other:?}, {bytes:02x?}")),
        }
    }

    fn to_client_before_connack(&mut self, bytes: &[u8], input: &Input) -> Checked {
        ensure!(
            bytes[0] == 0x20,
            "before a CONNACK the client gets {bytes:02x?}"
        );
        ensure!(self.handshake.connack.is_none(), "a second CONNACK");
        self.handshake.connack = Some(bytes.to_vec());
        let accepted = packet::body(bytes).and_then(|body| body.get(1)) == Some(&0);
        match input {
            Input::BrokerFrame(broker) if accepted => {
                let limits = &self.rules.limits;
                self.handshake
                    .accepted(self.version, broker, bytes, limits)?;
                self.keep_alive
                    .begin(self.agreed_keep_alive(bytes), self.now);
                Ok(())
            }
            Input::BrokerFrame(broker) if broker.len() != 4 || self.version == Version::V311 => {
                let refused = matches!(self.step.closing, Some(CloseReason::BrokerRefused));
                ensure!(
                    !refused || broker == bytes,
                    "the broker's refusal is changed"
                );
                Ok(())
            }
            _ => {
                ensure!(!accepted, "the gate accepts by itself");
                if let (Version::V5, Some(Packet::Connack { properties, .. })) =
                    (self.version, packet::read(self.version, bytes))
                {
                    endings::explained(bytes, &properties, true, self.client_takes)?;
                }
                Ok(())
            }
        }
    }

    fn suback(
        &mut self,
        bytes: &[u8],
        id: u16,
        codes: &[u8],
        properties: &packet::Properties,
    ) -> Checked {
        if let Some(merge) = self.step.merge.take() {
            let mut granted = merge.codes.iter();
            let right = id == merge.id
                && codes.len() == merge.slots.len()
                && merge
                    .slots
                    .iter()
                    .zip(codes)
                    .all(|(slot, code)| match slot {
                        None => granted.next() == Some(code),
                        Some(refused) => refused.admits(*code, Place::Suback),
                    });
            ensure!(
                right && granted.next().is_none(),
                "{codes:02x?} completes {merge:?}"
            );
            ensure!(
                *properties == merge.properties || properties.is_empty(),
                "the properties of a SUBACK are changed"
            );
            return Ok(());
        }
        let (asks, version, rules) = (&self.asks, self.version, &self.rules);
        let head = self.line.head()?;
        ensure!(
            matches!(head.packet, Packet::Subscribe { id: of, .. } if of == id) && !head.answered,
            "SUBACK {id} out of turn"
        );
        let slots = match head.slots(asks, version, rules) {
            Some(Ok(slots)) => slots,
            other => return Err(format!("SUBACK {id}, but {other:?}")),
        };
        let right = codes.len() == slots.len()
            && slots.iter().zip(codes).all(|(slot, code)| {
                slot.is_some_and(|refused| refused.admits(*code, Place::Suback))
            });
        ensure!(right, "SUBACK {codes:02x?} for {slots:?}");
        head.answered = true;
        if head.ticket.is_none() {
            self.line.arrivals.pop_front();
        }
        endings::explained(bytes, properties, self.explains, self.client_takes)
    }

    fn settled(&mut self, ticket: Ticket, fate: Fate) -> Checked {
        ensure!(!self.settled.contains(&ticket), "{ticket:?} has two fates");
        self.settled.push(ticket);
        if !self.live {
            return Ok(());
        }
        let closing = self.step.closing.is_some();
        if closing && fate == Fate::Closed {
            while self.line.head()?.ticket.is_none() {
                self.line.arrivals.pop_front();
            }
        }
        let effect = self.effect_at_head();
        let (asks, version, rules) = (&self.asks, self.version, &self.rules);
        let head = self.line.head()?;
        ensure!(
            head.ticket == Some(ticket),
            "{ticket:?} is settled before {:?}",
            head.packet
        );
        let slots = head.slots(asks, version, rules);
        let sent = head.sent;
        let answered = head.answered;
        let Some(head) = self.line.arrivals.pop_front() else {
            return Ok(());
        };
        if fate == Fate::Closed {
            ensure!(closing && !sent, "{:?} ends nothing", head.packet);
            let end = match (effect, slots) {
                (Some(Effect::End(reason, code)), _) | (_, Some(Err((reason, code)))) => {
                    Some((reason, code))
                }
                _ => None,
            };
            self.fatal = self.fatal.or(end);
            return Ok(());
        }
        match (&head.packet, effect, slots) {
            (Packet::Publish(publish), Some(effect), _) => {
                self.publish_settled(publish, effect, fate, sent)
            }
            (Packet::Subscribe { .. }, _, Some(Ok(slots))) => {
                let allowed = slots.iter().filter(|slot| slot.is_none()).count();
                let right = match fate {
                    Fate::Forwarded => sent && allowed == slots.len(),
                    Fate::ForwardedInPart => sent && allowed > 0 && allowed < slots.len(),
                    Fate::Refused(_) => !sent && answered && allowed == 0,
                    Fate::Dropped | Fate::Closed => false,
                };
                ensure!(right, "SUBSCRIBE with {slots:?} is {fate:?}");
                Ok(())
            }
            (packet, effect, slots) => {
                Err(format!("{packet:?} is {fate:?}, but {effect:?} {slots:?}"))
            }
        }
    }

    fn publish_settled(
        &mut self,
        publish: &packet::Publish,
        effect: Effect,
        fate: Fate,
        sent: bool,
    ) -> Checked {
        let right = match (effect, fate) {
            (Effect::Forward, Fate::Forwarded) => sent,
            (Effect::Refuse(code), Fate::Refused(says)) => {
                !sent && code.admits(says.get(), Place::Puback)
            }
            (Effect::Acknowledge | Effect::Drop, Fate::Dropped) => !sent,
            _ => false,
        };
        ensure!(right, "{publish:?} is {fate:?}, but {effect:?}");
        let Some(id) = publish.id else {
            return Ok(());
        };
        match effect {
            Effect::Refuse(code) => self.acks.own(publish.qos, id, code),
            Effect::Acknowledge => {
                self.acks.own(publish.qos, id, Code::Exactly(0));
                if publish.qos == 2 && !self.owned.contains(&id) {
                    self.owned.push(id);
                }
            }
            Effect::Forward | Effect::Drop | Effect::End(..) => {}
        }
        Ok(())
    }

    /// What the tables say about the PUBLISH at the head, if all is known about it. One that repeats
    /// what the gate has acknowledged and dropped stays acknowledged [MQTT-4.3.3-2].
    fn effect_at_head(&self) -> Option<Effect> {
        let head = self.line.arrivals.front()?;
        let effect = head.effect(&self.asks, self.version, &self.rules, self.broker_takes)?;
        match &head.packet {
            Packet::Publish(publish)
                if publish.qos == 2 && publish.id.is_some_and(|id| self.owned.contains(&id)) =>
            {
                Some(Effect::Acknowledge)
            }
            _ => Some(effect),
        }
    }

    fn check_step(&mut self, gate: &Gatekeeper) -> Checked {
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
        ensure!(step.merge.is_none(), "{:?} is not completed", step.merge);
        self.gate_reads = gate.wants_read(Side::Client);
        if self.live { self.check_live() } else { Ok(()) }
    }

    fn check_live(&self) -> Checked {
        let limits = &self.rules.limits;
        let line = &self.line;
        if let Some(head) = line.arrivals.front() {
            let ripe = head.is_ripe(&self.asks, self.version);
            ensure!(!ripe, "{:?} could leave and stays", head.packet);
        }
        let (count, bytes) = (line.arrivals.len(), line.bytes());
        ensure!(
            count <= limits.window_packets,
            "{count} packets in the line"
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
        let holds = count > 0 || !self.subscribes.is_empty() || self.keep_alive.has_pings();
        let open = !self.told.client_end && !self.told.drain;
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

    /// The keep alive that holds, in seconds.
    fn agreed_keep_alive(&self, connack: &[u8]) -> u16 {
        const SERVER_KEEP_ALIVE: u8 = 0x13;

        let server = match packet::read(self.version, connack) {
            Some(Packet::Connack { properties, .. }) => {
                packet::property(&properties, SERVER_KEEP_ALIVE)
                    .and_then(|value| Some(u16::from_be_bytes(value.try_into().ok()?)))
            }
            _ => None,
        };
        server.unwrap_or_else(|| self.handshake.keep_alive())
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
