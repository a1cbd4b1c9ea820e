//! What a gatekeeper may do, whoever does what to it. The judge keeps the books with a reader of its
//! own; it does not predict what has to come (`tests/invariants` does that for peers that mostly keep
//! the rules), it knows what must never come.

mod asks;
mod broker;
mod client;
mod fates;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Instant,
};

use bytes::Bytes;
use gatekeeper::{
    Action, Event, Fate, Frame, Gatekeeper, Question, Rules, Side, Ticket, Verdict, Version,
};

use self::asks::Asks;
use super::service::Hook;
use crate::packet::{self, Packet};

/// What went into the gatekeeper.
pub(super) enum Input<'a> {
    Client(&'a Frame),
    Broker(&'a Frame),
    Verdict(Ticket, &'a Verdict),
    Upstream(bool),
    Other,
}

/// A packet that was asked about.
#[derive(Debug)]
struct Case {
    first: Ticket,
    question: Question,
    /// The client's packet, as it came.
    packet: Packet,
    size: usize,
    asked_at: Instant,
    forwarded: bool,
    fate: Option<Fate>,
}

/// A SUBSCRIBE that the client has not heard of yet.
#[derive(Debug)]
struct Subscribe {
    id: u16,
    filters: Vec<String>,
    /// Its place among the cases, unless there was nothing to ask.
    case: Option<usize>,
}

/// What the input of one step was.
#[derive(Default)]
struct Step {
    /// The client's packet.
    packet: Option<(Packet, usize)>,
    /// The broker's packet in the form in which it is passed on, until it is.
    pass: Option<Bytes>,
    /// Places of the cases that got their fate.
    fates: Vec<usize>,
}

/// The books of one session.
pub(super) struct Judge {
    rules: Rules,
    now: Instant,
    version: Option<Version>,
    asks: Asks,
    cases: Vec<Case>,
    /// All cases before this one have their fate.
    settled: usize,
    subscribes: VecDeque<Subscribe>,
    aliases: HashMap<Vec<u8>, String>,
    dialled: bool,
    reached: bool,
    /// The broker has the CONNECT.
    sent: bool,
    /// The client has a CONNACK.
    answered: bool,
    connected: bool,
    said_goodbye: bool,
    closed: bool,
    client_takes: usize,
    broker_takes: usize,
    /// The last packet that went to the broker because it was allowed.
    last: Option<Ticket>,
    /// QoS 2 identifiers that the gate has acknowledged itself.
    owned: HashSet<u16>,
    /// Positive acknowledgements that the gate may make itself: type and identifier.
    credits: Vec<(u8, u16)>,
    step: Step,
}

impl Judge {
    pub(super) fn new(rules: Rules, now: Instant) -> Self {
        Self {
            rules,
            now,
            version: None,
            asks: Asks::default(),
            cases: Vec::new(),
            settled: 0,
            subscribes: VecDeque::new(),
            aliases: HashMap::new(),
            dialled: false,
            reached: false,
            sent: false,
            answered: false,
            connected: false,
            said_goodbye: false,
            closed: false,
            client_takes: usize::MAX,
            broker_takes: usize::MAX,
            last: None,
            owned: HashSet::new(),
            credits: Vec::new(),
            step: Step::default(),
        }
    }

    /// Questions without an end, in order.
    pub(super) fn open_questions(&self) -> Vec<Ticket> {
        self.asks.open()
    }

    /// Looks at one step.
    pub(super) fn observe(
        &mut self,
        input: &Input<'_>,
        actions: &[Action],
        gate: &Gatekeeper,
        now: Instant,
    ) {
        self.now = now;
        if self.closed {
            assert_eq!(actions, [], "something is done after the end");
            assert!(gate.is_closed() && gate.poll_timeout().is_none());
            return;
        }
        self.step = Step::default();
        self.take(input);
        for action in actions {
            match action {
                Action::Ask(ticket, question) => self.asked(*ticket, question),
                Action::Cancel(ticket) => self.asks.cancel(*ticket),
                Action::Note(Event::Settled(ticket, fate)) => self.settled(*ticket, *fate),
                _ => {}
            }
        }
        for action in actions {
            assert!(!self.closed, "{action:?} after the end");
            self.look_at(action);
        }
        self.check(gate);
    }

    fn take(&mut self, input: &Input<'_>) {
        match input {
            Input::Client(frame) => {
                let bytes = (*frame).clone().into_canonical();
                let version = self.version.unwrap_or(Version::V5);
                self.step.packet =
                    packet::read(version, &bytes).map(|packet| (packet, bytes.len()));
                if let Some((Packet::Subscribe { id, filters, .. }, _)) = &self.step.packet {
                    let filters = filters.iter().map(|(filter, _)| filter.clone()).collect();
                    self.subscribes.push_back(Subscribe {
                        id: *id,
                        filters,
                        case: None,
                    });
                }
            }
            Input::Broker(frame) => self.step.pass = Some((*frame).clone().into_canonical()),
            Input::Verdict(ticket, verdict) => self.asks.answer(*ticket, verdict, self.now),
            Input::Upstream(works) => self.reached |= *works && self.dialled,
            Input::Other => {}
        }
    }

    fn look_at(&mut self, action: &Action) {
        match action {
            Action::Ask(..) | Action::Cancel(_) | Action::Note(Event::Settled(..)) => {}
            Action::Dial => {
                assert!(!self.dialled, "a second broker connection");
                self.check_admission();
                self.dialled = true;
            }
            Action::ToBroker(admitted) => self.broker_gets(admitted.clone()),
            Action::ToClient(bytes) => self.client_gets(bytes),
            Action::Note(Event::Connected { .. }) => {
                assert!(!self.connected && self.answered, "connected out of nothing");
                self.connected = true;
            }
            Action::Note(Event::Undeliverable) => {}
            Action::Close(_) => {
                self.closed = true;
            }
        }
    }

    fn asked(&mut self, first: Ticket, question: &Question) {
        let hook = Hook::of(question);
        let deadline = match question {
            Question::Connect(_) | Question::Will(_) => self.rules.deadlines.connect,
            Question::Publish(_) => self.rules.deadlines.publish,
            Question::Subscribe(_) => self.rules.deadlines.subscribe,
        };
        let until = self.now + deadline;
        self.asks.put(first, hook.count(question), hook, until);
        let (packet, size) = match question {
            Question::Will(_) => {
                let connect = self.cases.first().expect("a will comes with a CONNECT");
                (connect.packet.clone(), 0)
            }
            _ => self.step.packet.clone().expect("a question about a packet"),
        };
        if let Question::Connect(connect) = question {
            self.version = Some(connect.version);
        }
        self.check_question(question, &packet);
        if matches!(question, Question::Subscribe(_)) {
            let case = Some(self.cases.len());
            self.subscribes.back_mut().expect("it was taken").case = case;
        }
        self.cases.push(Case {
            first,
            question: question.clone(),
            packet,
            size,
            asked_at: self.now,
            forwarded: false,
            fate: None,
        });
    }

    /// What holds after every step.
    fn check(&mut self, gate: &Gatekeeper) {
        assert_eq!(gate.is_closed(), self.closed);
        if self.closed {
            assert_eq!(self.asks.open(), [], "questions outlive the end");
            assert_eq!(gate.poll_timeout(), None);
            return;
        }
        assert!(!self.said_goodbye, "a DISCONNECT is not the end");
        assert!(
            !self.answered || self.connected,
            "a CONNACK that leads nowhere"
        );
        while self.cases.get(self.settled).is_some_and(is_over) {
            self.settled += 1;
        }
        let waiting = || {
            let waiting = self.cases.iter().skip(self.settled);
            waiting.filter(|case| !is_over(case))
        };
        let count = waiting().count();
        let bytes = waiting().map(|case| case.size).sum::<usize>();
        let limits = &self.rules.limits;
        let largest = limits.max_packet_size + usize::from(u16::MAX);
        assert!(count <= limits.window_packets, "{count} packets wait");
        assert!(bytes <= limits.window_bytes + largest, "{bytes} bytes wait");
        // What is held may be a little shorter than what came: an alias is taken out.
        let held = bytes.saturating_sub(8 * count);
        let full = count >= limits.window_packets || held >= limits.window_bytes;
        assert!(!full || !gate.wants_read(Side::Client), "more is read");
        for index in self.step.fates.drain(..) {
            let case = &self.cases[index];
            let went = matches!(case.fate, Some(Fate::Forwarded | Fate::ForwardedInPart));
            let is_will = matches!(case.question, Question::Will(_));
            assert_eq!(case.forwarded || is_will, went, "{case:?}");
        }
    }
}

/// Whether it does not stand in the line, or not any more.
fn is_over(case: &Case) -> bool {
    let stands = matches!(case.question, Question::Publish(_) | Question::Subscribe(_));
    case.fate.is_some() || !stands
}
