//! Runs a case: the driver of the gatekeeper, with a clock that only moves when nothing is left to
//! do at its time. After every call into the gatekeeper the [`Shadow`] looks at what came out.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use gatekeeper::{
    Action, Frame, Gatekeeper, Question, ReasonCode, Side, Ticket, Upstream, Verdict,
    frame::{self, Scan},
};

use super::{
    broker::{Broker, Deed},
    case::{Answer, Case, Op},
    client::Client,
    fault::{Checked, Fault, ensure},
    packet, service,
    service::Hook,
    shadow::{Input, Shadow},
    write,
};

/// Milliseconds that a case goes on after its last step, but for what its packets need that are
/// decided one by one, each just before its deadline.
const AFTERMATH: u64 = 7_000;

/// The identifier that the gate gives to a client that has none.
pub(crate) const SPARE_CLIENT_ID: &str = "spare";

/// Something that is going to happen.
#[derive(Debug, Clone)]
enum Event {
    Hello,
    Step(usize),
    Verdict(Ticket, Verdict),
    Permit,
    Dialled,
    Broker(Deed),
}

/// Everything around the gatekeeper.
struct World<'a> {
    case: &'a Case,
    start: Instant,
    now: u64,
    agenda: BTreeMap<(u64, usize), Event>,
    scheduled: usize,
    gate: Gatekeeper,
    shadow: Shadow,
    client: Client,
    broker: Broker,
    /// Sent by the client, and not arrived.
    under_way: Vec<u8>,
    client_input: BytesMut,
    broker_input: BytesMut,
    client_left: bool,
    client_end_told: bool,
    broker_connected: bool,
    broker_left: bool,
    broker_end_told: bool,
    driver_reads: bool,
    /// What was asked, for verdicts that come when nobody waits for them.
    asked: Vec<(Ticket, Hook)>,
    told_reading: bool,
    summary: Summary,
}

/// How much happened in a case.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    /// What went into the gatekeeper. That the driver still reads is told all the time, and counts
    /// when it is news.
    pub(crate) steps: u64,
    /// What went to the broker.
    pub(crate) admitted: u64,
    /// Whether the broker has accepted the session.
    pub(crate) connected: bool,
}

/// Runs the case to its end.
pub(crate) fn run(case: &Case, start: Instant) -> Result<Summary, Fault> {
    let mut world = World::new(case, start);
    world.plan();
    world.live()?;
    let broker_answers = !world.broker.withholds && !world.broker.illegal;
    world
        .shadow
        .finish(&world.gate, world.now, broker_answers)?;
    Ok(world.summary)
}

impl<'a> World<'a> {
    fn new(case: &'a Case, start: Instant) -> Self {
        Self {
            case,
            start,
            now: 0,
            agenda: BTreeMap::new(),
            scheduled: 0,
            gate: Gatekeeper::new(Arc::new(case.rules.clone()), SPARE_CLIENT_ID.into(), start),
            shadow: Shadow::new(case, start),
            client: Client::new(case),
            broker: Broker::new(case),
            under_way: Vec::new(),
            client_input: BytesMut::new(),
            broker_input: BytesMut::new(),
            client_left: false,
            client_end_told: false,
            broker_connected: false,
            broker_left: false,
            broker_end_told: false,
            driver_reads: true,
            asked: Vec::new(),
            told_reading: true,
            summary: Summary::default(),
        }
    }

    fn plan(&mut self) {
        self.schedule(0, Event::Hello);
        let mut at = 0;
        for (index, step) in self.case.steps.iter().enumerate() {
            at += step.after;
            self.schedule(at, Event::Step(index));
        }
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((at, self.scheduled), event);
    }

    fn live(&mut self) -> Checked {
        let deadlines = &self.case.rules.deadlines;
        let one = deadlines.publish.max(deadlines.subscribe).as_millis() as u64;
        let steps = &self.case.steps;
        let end = steps.iter().map(|step| step.after + one).sum::<u64>() + AFTERMATH;
        let mut idle_timeouts = 0;
        loop {
            let event = self.agenda.keys().next().map(|(at, _)| *at);
            let timer = self.timer();
            let Some(next) = [event, timer].into_iter().flatten().min() else {
                return Ok(());
            };
            if next > end {
                return Ok(());
            }
            self.now = self.now.max(next);
            if event == Some(next) {
                if let Some((_, event)) = self.agenda.pop_first() {
                    self.happen(event)?;
                }
                idle_timeouts = 0;
            } else {
                self.tell(&Input::Timeout, Gatekeeper::handle_timeout)?;
                idle_timeouts += 1;
            }
            ensure!(idle_timeouts < 1_000, "the timer runs for ever");
            self.pump()?;
        }
    }

    /// When the driver's timer fires.
    fn timer(&self) -> Option<u64> {
        let at = self
            .gate
            .poll_timeout()?
            .saturating_duration_since(self.start);
        let at = u64::try_from(at.as_micros().div_ceil(1000)).ok()?;
        Some(at + self.case.timer_lag)
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Hello => {
                let hello = self.client.hello(self.case);
                self.client_sends(&hello, 0);
                Ok(())
            }
            Event::Step(index) => {
                let step = &self.case.steps[index];
                let bytes = self.client.act(&step.op);
                self.client_sends(&bytes, step.held_back);
                self.perform(&step.op)
            }
            Event::Verdict(ticket, verdict) => self
                .tell(&Input::Verdict(ticket, verdict.clone()), |gate, now| {
                    gate.handle_verdict(ticket, verdict, now)
                }),
            Event::Permit => self.tell(&Input::Permit, Gatekeeper::handle_permit),
            Event::Dialled => {
                let works = self.case.dial.works;
                let upstream = if works {
                    Upstream::Ready
                } else {
                    Upstream::Failed
                };
                self.broker_connected = works;
                self.tell(&Input::Upstream(works), |gate, now| {
                    gate.handle_upstream(upstream, now)
                })
            }
            Event::Broker(deed) => {
                self.broker_does(deed);
                Ok(())
            }
        }
    }

    fn perform(&mut self, op: &Op) -> Checked {
        match op {
            Op::ClientLeaves => {
                self.client_sends(&[], 0);
                self.client_left = true;
            }
            Op::BrokerLeaves => self.broker_does(Deed::Close),
            Op::BrokerPublishes { qos, size } if self.shadow.is_live() => {
                let bytes = self.broker.publish(*qos, *size);
                self.broker_does(Deed::Send(bytes));
            }
            Op::BrokerRepeats if self.shadow.is_live() => {
                let bytes = self.broker.repeat();
                self.broker_does(Deed::Send(bytes));
            }
            Op::BrokerDisconnects if self.shadow.is_live() => {
                let bytes = self.broker.disconnect();
                self.broker_does(Deed::Send(bytes));
            }
            Op::BrokerRaves(bytes) if self.broker_connected => {
                self.broker.illegal = true;
                self.broker_does(Deed::Send(bytes.clone()));
            }
            Op::Drain => return self.tell(&Input::Drain, Gatekeeper::handle_drain),
            Op::Recheck { even_if_resumed } if *even_if_resumed || !self.shadow.is_resumed() => {
                return self.tell(&Input::Recheck, Gatekeeper::handle_recheck);
            }
            &Op::Terminate(code) => {
                return self.tell(&Input::Terminate(code), |gate, now| {
                    gate.handle_terminate(ReasonCode::new(code), Some("revoked".into()), now)
                });
            }
            &Op::Stall(side) => {
                return self.tell(&Input::Stall(side), |gate, now| {
                    gate.handle_stall(side, now)
                });
            }
            Op::Reading(reading) => self.driver_reads = *reading,
            Op::Stray { ticket, answer } => return self.stray(*ticket, answer),
            _ => {}
        }
        Ok(())
    }

    /// A verdict for a question that was answered, or that was never put.
    fn stray(&mut self, index: usize, answer: &Answer) -> Checked {
        let Some((ticket, hook)) = self.asked.get(index).or(self.asked.last()).copied() else {
            return Ok(());
        };
        let admission = &self.case.admission;
        let Some(verdict) = service::verdict(&answer.says, hook, admission, self.instant()) else {
            return Ok(());
        };
        let ticket = if answer.twice {
            ticket.filter(index)
        } else {
            ticket
        };
        self.tell(&Input::Verdict(ticket, verdict.clone()), |gate, now| {
            gate.handle_verdict(ticket, verdict, now);
        })
    }

    fn client_sends(&mut self, bytes: &[u8], held_back: usize) {
        if self.client_left {
            return;
        }
        self.under_way.extend(bytes);
        let arrives = self.under_way.len().saturating_sub(held_back);
        self.client_input.extend(self.under_way.drain(..arrives));
    }

    fn broker_does(&mut self, deed: Deed) {
        if !self.broker_connected || self.broker_left {
            return;
        }
        match deed {
            Deed::Send(bytes) => self.broker_input.extend(bytes),
            Deed::Close => self.broker_left = true,
        }
    }

    /// Hands over what has come in, as far as it is wanted. What one side sends can make room for
    /// the other.
    fn pump(&mut self) -> Checked {
        loop {
            let before = self.unread();
            let reads = self.driver_reads;
            self.tell(&Input::Reading(reads), |gate, now| {
                gate.handle_reading(Side::Client, reads, now)
            })?;
            let broker_is_through = self.take(Side::Broker)?;
            let client_is_through = reads && self.take(Side::Client)?;
            if client_is_through && self.client_left && !self.client_end_told {
                self.client_end_told = true;
                self.tell(&Input::ClientEof, |gate, now| {
                    gate.handle_eof(Side::Client, now)
                })?;
            }
            if broker_is_through && self.broker_left && !self.broker_end_told {
                self.broker_end_told = true;
                self.tell(&Input::BrokerEof, |gate, now| {
                    gate.handle_eof(Side::Broker, now)
                })?;
            }
            if self.unread() == before {
                return Ok(());
            }
        }
    }

    /// What has come in and is not told yet.
    fn unread(&self) -> (usize, usize, bool, bool) {
        let ends = (self.client_end_told, self.broker_end_told);
        (
            self.client_input.len(),
            self.broker_input.len(),
            ends.0,
            ends.1,
        )
    }

    /// Takes the packets of one side. Tells whether no whole packet is left.
    fn take(&mut self, side: Side) -> Result<bool, String> {
        loop {
            if self.gate.is_closed() || !self.gate.wants_read(side) {
                return Ok(self.input(side).is_empty());
            }
            let max_size = self.gate.max_packet_size(side);
            match frame::scan(self.input(side), side, max_size) {
                Ok(Scan::Frame(frame)) => self.take_frame(side, frame)?,
                Ok(Scan::Incomplete { .. }) => return Ok(true),
                Err(violation) => {
                    let input = match side {
                        Side::Client => Input::ClientViolation,
                        Side::Broker => Input::BrokerViolation,
                    };
                    self.tell(&input, |gate, now| {
                        gate.handle_violation(side, violation, now)
                    })?;
                }
            }
        }
    }

    fn take_frame(&mut self, side: Side, frame: Frame) -> Checked {
        let bytes = canonical(frame.bytes());
        let input = match side {
            Side::Client => Input::ClientFrame(bytes),
            Side::Broker => Input::BrokerFrame(bytes),
        };
        self.tell(&input, |gate, now| gate.handle_frame(side, frame, now))
    }

    fn input(&mut self, side: Side) -> &mut BytesMut {
        match side {
            Side::Client => &mut self.client_input,
            Side::Broker => &mut self.broker_input,
        }
    }

    /// Calls the gatekeeper, has the outcome looked at, and does what it asks for.
    fn tell(&mut self, input: &Input, call: impl FnOnce(&mut Gatekeeper, Instant)) -> Checked {
        let now = self.instant();
        self.count(input);
        call(&mut self.gate, now);
        let actions: Vec<Action> = std::iter::from_fn(|| self.gate.poll_action()).collect();
        let peers = (self.client.illegal, self.broker.illegal);
        self.shadow
            .observe(input, &actions, &self.gate, self.now, peers)
            .map_err(|fault| shortened(&fault, self.now, input, &actions))?;
        for action in actions {
            self.act(action);
        }
        Ok(())
    }

    fn count(&mut self, input: &Input) {
        match input {
            Input::Reading(reads) if *reads == self.told_reading => {}
            Input::Reading(reads) => {
                self.told_reading = *reads;
                self.summary.steps += 1;
            }
            _ => self.summary.steps += 1,
        }
    }

    fn act(&mut self, action: Action) {
        let version = self.case.version;
        match action {
            Action::Ask(ticket, question) => self.ask(ticket, &question),
            Action::Dial { .. } => self.schedule(self.now + self.case.dial.delay, Event::Dialled),
            Action::ToBroker(admitted) => {
                self.summary.admitted += 1;
                let packet = packet::read(version, &admitted.into_bytes());
                let reply = packet.and_then(|packet| self.broker.receive(&packet, self.now));
                if let Some((at, deed)) = reply {
                    self.schedule(at, Event::Broker(deed));
                }
            }
            Action::ToClient(bytes) => {
                if let Some(packet) = packet::read(version, &bytes) {
                    let reply = self.client.react(&packet);
                    self.client_sends(&reply, 0);
                }
            }
            Action::Note(gatekeeper::Event::Connected { .. }) => self.summary.connected = true,
            Action::FailureClose(_) => {
                self.schedule(self.now + self.case.permit_delay, Event::Permit);
            }
            Action::Cancel(_) | Action::Note(_) | Action::Close(_) => {}
        }
    }

    fn ask(&mut self, first: Ticket, question: &Question) {
        let hook = Hook::of(question);
        let count = match question {
            Question::Subscribe(subscribe) => subscribe.filters.len(),
            _ => 1,
        };
        for ticket in (0..count).map(|index| first.filter(index)) {
            self.asked.push((ticket, hook));
            let answer = match question {
                Question::Connect(_) => self.case.admission.connect.clone(),
                Question::Will(_) => self.case.admission.will.clone(),
                _ => {
                    let index = usize::try_from(ticket.sequence()).unwrap_or_default();
                    self.case.answers[index % self.case.answers.len()].clone()
                }
            };
            self.answer(ticket, hook, &answer);
        }
    }

    fn answer(&mut self, ticket: Ticket, hook: Hook, answer: &Answer) {
        let at = self.now + answer.delay;
        let due = self.start + Duration::from_millis(at);
        let admission = &self.case.admission;
        if let Some(verdict) = service::verdict(&answer.says, hook, admission, due) {
            self.schedule(at, Event::Verdict(ticket, verdict));
        }
        if answer.twice
            && let Some(allow) = service::verdict(&super::case::Says::Allow, hook, admission, due)
        {
            self.schedule(at + 3, Event::Verdict(ticket, allow));
        }
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }
}

/// What is wrong, and after what, without the longest of texts.
fn shortened(fault: &str, now: u64, input: &Input, actions: &[Action]) -> String {
    const LONGEST: usize = 2_000;

    let cut = |text: String| text.chars().take(LONGEST).collect::<String>();
    let (input, actions) = (cut(format!("{input:?}")), cut(format!("{actions:?}")));
    format!(
        "{}\n  at {now} ms: {input}\n  -> {actions}",
        cut(fault.to_owned())
    )
}

/// The same packet with the shortest form of its length, which is what the gate passes on.
fn canonical(bytes: &[u8]) -> Vec<u8> {
    let digits = bytes.iter().skip(1).take_while(|byte| **byte >= 0x80);
    let header = 2 + digits.count();
    write::packet(bytes[0], &bytes[header..])
}
