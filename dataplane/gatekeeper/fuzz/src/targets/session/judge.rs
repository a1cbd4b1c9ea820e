//! What a gatekeeper may do, whoever does what to it. The judge keeps the books with a reader of its
//! own; it does not predict what has to come (`tests/invariants` does that for peers that mostly keep
//! the rules), it knows what must never come.

mod asks;
mod broker;
mod case;
mod client;
mod connect;
mod downlink;
mod fates;
mod filters;
mod flows;
mod input;
mod message;
mod mount;
mod waiting;

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use bytes::Bytes;
use gatekeeper::{Action, Event, Frame, Gatekeeper, Question, Rules, Ticket, Version};

pub(super) use self::input::Input;
use self::{asks::Asks, case::Case, downlink::Downlink, flows::Flows};
use super::service::Hook;
use crate::packet::{Packet, Properties};

const TOPIC_ALIAS: u8 = 0x23;

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
    /// The broker's packet.
    came: Option<Packet>,
    /// Places of the cases that got their fate.
    fates: Vec<usize>,
    /// The topic that the client's PUBLISH means.
    topic: String,
    /// The client's acknowledgement has gone to the broker.
    answered: bool,
    /// The identifier of an UNSUBACK that is not for the client.
    swallowed: Option<u16>,
    /// The identifier that the broker has forgotten.
    purged: Option<u16>,
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
    /// Under which name the broker was dialled.
    dialled: Option<String>,
    reached: bool,
    /// The broker has the CONNECT.
    sent: bool,
    /// The broker was asked for a new session.
    sent_clean: bool,
    /// The client has a CONNACK.
    answered: bool,
    connected: bool,
    said_goodbye: bool,
    closed: bool,
    client_takes: usize,
    broker_takes: usize,
    /// The last packet that went to the broker because it was allowed.
    last: Option<Ticket>,
    flows: Flows,
    /// UNSUBSCRIBE packets that have not gone to the broker, and those that are not answered.
    unsubscribes: VecDeque<(u16, Vec<String>)>,
    leaving: Vec<u16>,
    /// Identifiers of the gate's own UNSUBSCRIBE packets, and what the client sent under one of them.
    own: Vec<u16>,
    set_aside: Option<Frame>,
    /// The session is to end, and nothing is delivered any more.
    waits: bool,
    /// The client's DISCONNECT: code and properties.
    goodbye: Option<(u8, Properties)>,
    /// The broker has a DISCONNECT.
    left: bool,
    /// What the broker was told in the CONNECT.
    sent_expiry: u32,
    sent_keep_alive: u16,
    sent_will: bool,
    /// The properties of the broker's CONNACK.
    offer: Properties,
    /// What the client was told.
    receive_maximum: usize,
    mount: Option<String>,
    /// Whether a filter stands at the broker where the client sees it.
    has_plain: bool,
    downlink: Downlink,
    /// Whether the broker may hold what came on a former connection.
    resumed: bool,
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
            dialled: None,
            reached: false,
            sent: false,
            sent_clean: false,
            answered: false,
            connected: false,
            said_goodbye: false,
            closed: false,
            client_takes: usize::MAX,
            broker_takes: usize::MAX,
            last: None,
            flows: Flows::default(),
            unsubscribes: VecDeque::new(),
            leaving: Vec::new(),
            own: Vec::new(),
            set_aside: None,
            waits: false,
            goodbye: None,
            left: false,
            sent_expiry: 0,
            sent_keep_alive: 0,
            sent_will: false,
            offer: Properties::new(),
            receive_maximum: usize::MAX,
            mount: None,
            has_plain: false,
            downlink: Downlink::default(),
            resumed: false,
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
        let asks = |action: &Action| matches!(action, Action::Ask(..));
        if let Some((Packet::Publish(publish), _)) = &self.step.packet
            && !actions.iter().any(asks)
        {
            let (publish, topic) = (publish.clone(), self.step.topic.clone());
            let refused = |action: &Action| matches!(action, Action::Note(Event::Unasked(_)));
            self.unasked(&publish, &topic, actions.iter().any(refused));
        }
        for action in actions {
            assert!(!self.closed, "{action:?} after the end");
            self.look_at(action);
        }
        self.check(gate);
    }

    fn look_at(&mut self, action: &Action) {
        match action {
            Action::Ask(..) | Action::Cancel(_) | Action::Note(Event::Settled(..)) => {}
            Action::Dial { client_id } => {
                assert!(self.dialled.is_none(), "a second broker connection");
                self.check_admission();
                self.dialled = Some(client_id.to_string());
            }
            Action::ToBroker(admitted) => self.broker_gets(admitted.clone()),
            Action::ToClient(bytes) => self.client_gets(bytes),
            Action::Note(Event::Connected { .. }) => {
                assert!(!self.connected && self.answered, "connected out of nothing");
                self.connected = true;
            }
            Action::Note(Event::Undeliverable) => self.withheld(),
            Action::Note(
                Event::Unasked(_) | Event::Subscribed { .. } | Event::Unsubscribed { .. },
            ) => {}
            Action::FailureClose(_) => {
                self.waits = true;
                assert!(
                    self.asks.open().is_empty(),
                    "a question outlives the failure"
                );
            }
            Action::Close(_) => {
                self.closed = true;
            }
        }
    }

    fn asked(&mut self, first: Ticket, question: &Question) {
        let hook = Hook::of(question);
        if let Question::Subscribe(subscribe) = question
            && subscribe.recheck
        {
            let until = self.now + self.rules.deadlines.subscribe;
            self.asks.put(first, hook.count(question), hook, until);
            self.check_recheck(subscribe);
            return;
        }
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
        if let Packet::Publish(publish) = &packet
            && let (2, Some(id)) = (publish.qos, publish.id)
        {
            self.flows.begins(id);
        }
        if matches!(question, Question::Subscribe(_)) {
            let case = Some(self.cases.len());
            self.subscribes.back_mut().expect("it was taken").case = case;
        }
        self.cases.push(Case {
            first,
            question: question.clone(),
            packet,
            size,
            topic: self.step.topic.clone(),
            asked_at: self.now,
            forwarded: false,
            sent_filters: Vec::new(),
            fate: None,
        });
    }
}
