//! The stage: a gatekeeper, a clock, and somebody to speak for client, service and broker.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use gatekeeper::{
    Action, Allow, CloseReason, ConnectAllow, ConnectQuestion, Deny, Event, Fate, Frame,
    Gatekeeper, PublishQuestion, Question, ReasonCode, Rules, Side, SubscribeQuestion, Ticket,
    Upstream, Verdict, Version, Why,
    frame::{self, Scan},
};

use crate::packet::{self, Packet};
use crate::write::{self, Connect, Publish};

/// The identifier that the gate gives to a client that has none.
pub(crate) const SPARE_CLIENT_ID: &str = "spare";

/// Both versions, for what holds in both.
pub(crate) const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// All three, for what holds in all.
pub(crate) const ALL: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// One session.
pub(crate) struct Scene {
    pub(crate) version: Version,
    gate: Gatekeeper,
    now: Instant,
    actions: VecDeque<Action>,
    hooks: HashMap<Ticket, Allow>,
    fates: HashMap<Ticket, Fate>,
    undeliverable: usize,
    unasked: Vec<&'static str>,
    reported: Vec<Event>,
    /// Whether an end that needs a permit gets one at once.
    permits: bool,
    client_input: BytesMut,
    broker_input: BytesMut,
}

impl Scene {
    /// A client has connected, and nothing was said.
    pub(crate) fn new(version: Version) -> Self {
        Self::with(version, |_| {})
    }

    /// The same with other rules.
    pub(crate) fn with(version: Version, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules::default();
        // Most clients of these stories have no keep alive, and none is given to them.
        rules.limits.max_keep_alive = 0;
        change(&mut rules);
        let now = start();
        Self {
            version,
            gate: Gatekeeper::new(Arc::new(rules), SPARE_CLIENT_ID.into(), now),
            now,
            actions: VecDeque::new(),
            hooks: HashMap::new(),
            fates: HashMap::new(),
            undeliverable: 0,
            unasked: Vec::new(),
            reported: Vec::new(),
            permits: true,
            client_input: BytesMut::new(),
            broker_input: BytesMut::new(),
        }
    }

    /// A session that the broker has accepted.
    pub(crate) fn live(version: Version) -> Self {
        Self::live_with(version, |_| {})
    }

    /// The same with other rules.
    pub(crate) fn live_with(version: Version, change: impl FnOnce(&mut Rules)) -> Self {
        Self::with(version, change).connected(&Connect::default(), &[])
    }

    /// A session that the broker has kept from a former connection.
    pub(crate) fn resumed(version: Version) -> Self {
        Self::resumed_with(version, |_| {})
    }

    /// The same with other rules.
    pub(crate) fn resumed_with(version: Version, change: impl FnOnce(&mut Rules)) -> Self {
        let connect = Connect {
            clean: false,
            ..Connect::default()
        };
        Self::with(version, change).accepted(&connect, true, &[])
    }

    /// An accepted session with this CONNECT and these properties of the broker's CONNACK.
    pub(crate) fn connected(self, connect: &Connect, connack: &[u8]) -> Self {
        self.accepted(connect, false, connack)
    }

    fn accepted(self, connect: &Connect, present: bool, connack: &[u8]) -> Self {
        self.connected_as(connect, ConnectAllow::default(), present, connack)
    }

    /// The same with these words of the service, of which none changes the CONNECT, and with or
    /// without a session that the broker kept.
    pub(crate) fn connected_as(
        mut self,
        connect: &Connect,
        allow: ConnectAllow,
        session_present: bool,
        connack: &[u8],
    ) -> Self {
        let will = connect.will.clone();
        let connect = connect.write(self.version);
        self.client_sends(&connect);
        let ticket = self.asks_connect();
        self.allows_connect(ticket, allow);
        if let Some((topic, ..)) = will {
            let will = self.asks_will(&topic);
            self.allows(will);
        }
        self.dials();
        self.broker_is_reached();
        self.broker_gets(&connect);
        self.broker_sends(&write::connack(self.version, session_present, 0, connack));
        self.client_gets_connack(0);
        self
    }

    /// A session whose CONNECT is allowed and with the broker.
    pub(crate) fn greeted(mut self, connect: &Connect) -> Self {
        self.client_sends(&connect.write(self.version));
        let ticket = self.asks_connect();
        self.allows(ticket);
        if let Some((topic, ..)) = &connect.will {
            let will = self.asks_will(topic);
            self.allows(will);
        }
        self.dials();
        self.broker_is_reached();
        self.broker_gets_connect();
        self
    }

    // What the peers do.

    pub(crate) fn client_sends(&mut self, bytes: &[u8]) {
        self.client_input.extend_from_slice(bytes);
        self.goes_on();
    }

    pub(crate) fn broker_sends(&mut self, bytes: &[u8]) {
        self.broker_input.extend_from_slice(bytes);
        self.goes_on();
    }

    /// Sends a PUBLISH and returns its bytes; `id` counts if the QoS is above 0.
    pub(crate) fn client_publishes(&mut self, topic: &str, qos: u8, id: u16) -> Vec<u8> {
        let bytes = publish(self.version, topic, qos, id);
        self.client_sends(&bytes);
        bytes
    }

    /// Sends a PUBLISH once more, with DUP, and returns its bytes.
    pub(crate) fn client_repeats(&mut self, packet: &[u8]) -> Vec<u8> {
        let packet = repeated(packet);
        self.client_sends(&packet);
        packet
    }

    /// Sends a SUBSCRIBE with QoS 1 and returns its bytes.
    pub(crate) fn client_subscribes(&mut self, id: u16, filters: &[&str]) -> Vec<u8> {
        let bytes = subscribe(self.version, id, filters);
        self.client_sends(&bytes);
        bytes
    }

    pub(crate) fn client_leaves(&mut self) {
        self.calls(|gate, now| gate.handle_eof(Side::Client, now));
    }

    pub(crate) fn client_stalls(&mut self) {
        self.calls(|gate, now| gate.handle_stall(Side::Client, now));
    }

    pub(crate) fn broker_stalls(&mut self) {
        self.calls(|gate, now| gate.handle_stall(Side::Broker, now));
    }

    pub(crate) fn broker_leaves(&mut self) {
        self.calls(|gate, now| gate.handle_eof(Side::Broker, now));
    }

    pub(crate) fn broker_is_reached(&mut self) {
        self.calls(|gate, now| gate.handle_upstream(Upstream::Ready, now));
    }

    pub(crate) fn broker_is_not_reached(&mut self) {
        self.calls(|gate, now| gate.handle_upstream(Upstream::Failed, now));
    }

    /// From now on an end that needs a permit has to wait for it.
    pub(crate) fn withholds_permits(&mut self) {
        self.permits = false;
    }

    pub(crate) fn permit_comes(&mut self) {
        self.calls(Gatekeeper::handle_permit);
    }

    pub(crate) fn service_terminates(&mut self, code: u8, reason: Option<&str>) {
        let reason = reason.map(Into::into);
        self.calls(|gate, now| gate.handle_terminate(ReasonCode::new(code), reason, now));
    }

    pub(crate) fn service_terminates_in_turn(&mut self, code: u8) {
        self.calls(|gate, now| gate.handle_terminate_in_turn(ReasonCode::new(code), None, now));
    }

    pub(crate) fn is_rechecking(&self) -> bool {
        self.gate.is_rechecking()
    }

    pub(crate) fn service_wants_a_recheck(&mut self) {
        self.calls(Gatekeeper::handle_recheck);
    }

    pub(crate) fn drain_begins(&mut self) {
        self.calls(Gatekeeper::handle_drain);
    }

    /// Nothing happens for so long but the timers.
    pub(crate) fn passes(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.gate.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.calls(Gatekeeper::handle_timeout);
            if !self.actions.is_empty() {
                // What came of it has to be told first.
                return;
            }
        }
        self.now = end;
    }

    /// Lets time pass without a timer, as on a machine that is too busy.
    pub(crate) fn passes_unnoticed(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    // What the service says.

    pub(crate) fn allows(&mut self, ticket: Ticket) {
        let allow = self.hooks.get(&ticket).expect("it was asked").clone();
        self.answers(ticket, Verdict::Allow(allow));
    }

    pub(crate) fn allows_connect(&mut self, ticket: Ticket, allow: ConnectAllow) {
        self.answers(ticket, Verdict::Allow(Allow::Connect(Box::new(allow))));
    }

    pub(crate) fn denies(&mut self, ticket: Ticket) {
        self.answers(ticket, Verdict::Deny(Deny::default()));
    }

    pub(crate) fn denies_with(&mut self, ticket: Ticket, code: u8) {
        self.answers(ticket, Verdict::Deny(deny(code)));
    }

    pub(crate) fn fails(&mut self, ticket: Ticket, why: Why) {
        self.answers(ticket, Verdict::Unavailable(why));
    }

    pub(crate) fn answers(&mut self, ticket: Ticket, verdict: Verdict) {
        self.calls(|gate, now| gate.handle_verdict(ticket, verdict, now));
    }

    // What the gate does.

    pub(crate) fn asks_connect(&mut self) -> Ticket {
        self.asks_about_connect(|_| {})
    }

    pub(crate) fn asks_about_connect(&mut self, look: impl FnOnce(&ConnectQuestion)) -> Ticket {
        match self.next() {
            Some(Action::Ask(ticket, Question::Connect(question))) => {
                look(&question);
                self.asked(ticket, 1, Allow::Connect(Box::default()))
            }
            other => panic!("{other:?} where a CONNECT is to be asked about"),
        }
    }

    pub(crate) fn asks_will(&mut self, topic: &str) -> Ticket {
        match self.next() {
            Some(Action::Ask(ticket, Question::Will(question))) if question.topic == topic => {
                self.asked(ticket, 1, Allow::PUBLISH)
            }
            other => panic!("{other:?} where the will is to be asked about"),
        }
    }

    pub(crate) fn asks_publish(&mut self, topic: &str) -> Ticket {
        self.asks_about_publish(|question| assert_eq!(question.topic, topic))
    }

    pub(crate) fn asks_about_publish(&mut self, look: impl FnOnce(&PublishQuestion)) -> Ticket {
        match self.next() {
            Some(Action::Ask(ticket, Question::Publish(question))) => {
                look(&question);
                self.asked(ticket, 1, Allow::PUBLISH)
            }
            other => panic!("{other:?} where a PUBLISH is to be asked about"),
        }
    }

    /// The ticket of the first filter.
    pub(crate) fn asks_subscribe(&mut self, filters: &[&str]) -> Ticket {
        self.asks_about_subscribe(|question| {
            let asked: Vec<&str> = question
                .filters
                .iter()
                .map(|asked| &*asked.filter)
                .collect();
            assert_eq!(asked, filters);
        })
    }

    pub(crate) fn asks_about_subscribe(&mut self, look: impl FnOnce(&SubscribeQuestion)) -> Ticket {
        match self.next() {
            Some(Action::Ask(ticket, Question::Subscribe(question))) => {
                look(&question);
                self.asked(ticket, question.filters.len(), Allow::SUBSCRIBE)
            }
            other => panic!("{other:?} where a SUBSCRIBE is to be asked about"),
        }
    }

    pub(crate) fn cancels(&mut self, ticket: Ticket) {
        assert_eq!(self.next(), Some(Action::Cancel(ticket)));
    }

    pub(crate) fn dials(&mut self) {
        let next = self.next();
        assert!(matches!(next, Some(Action::Dial { .. })), "{next:?}");
    }

    /// The same, and the broker will know the client by this name.
    pub(crate) fn dials_as(&mut self, client_id: &str) {
        let client_id = client_id.into();
        assert_eq!(self.next(), Some(Action::Dial { client_id }));
    }

    #[track_caller]
    pub(crate) fn broker_gets(&mut self, bytes: &[u8]) {
        match self.next() {
            Some(Action::ToBroker(admitted)) => {
                let got = admitted.into_bytes();
                assert_eq!(
                    got, bytes,
                    "the broker gets {got:02x?} instead of {bytes:02x?}"
                );
            }
            other => panic!("{other:?} where the broker is to get {bytes:02x?}"),
        }
    }

    /// A CONNECT, as the tests' own reader has it.
    #[track_caller]
    pub(crate) fn broker_gets_connect(&mut self) -> packet::Connect {
        match self.next() {
            Some(Action::ToBroker(admitted)) => {
                let bytes = admitted.into_bytes();
                match packet::read(self.version, &bytes) {
                    Some(Packet::Connect(connect)) => connect,
                    other => panic!("{other:?} where the broker is to get a CONNECT"),
                }
            }
            other => panic!("{other:?} where the broker is to get a CONNECT"),
        }
    }

    #[track_caller]
    pub(crate) fn client_gets(&mut self, bytes: &[u8]) {
        match self.next() {
            Some(Action::ToClient(got)) => {
                assert_eq!(
                    got, bytes,
                    "the client gets {got:02x?} instead of {bytes:02x?}"
                );
            }
            other => panic!("{other:?} where the client is to get {bytes:02x?}"),
        }
    }

    /// A CONNACK with this code, whatever its properties.
    #[track_caller]
    pub(crate) fn client_gets_connack(&mut self, code: u8) -> Vec<u8> {
        match self.next() {
            Some(Action::ToClient(got)) => {
                assert_eq!(got.first(), Some(&0x20), "{got:02x?} is no CONNACK");
                let body = packet::body(&got).expect("a packet");
                assert_eq!(body.get(1), Some(&code), "{got:02x?}");
                got.to_vec()
            }
            other => panic!("{other:?} where the client is to get a CONNACK"),
        }
    }

    /// A DISCONNECT with this code and these properties, by identifier.
    #[track_caller]
    pub(crate) fn client_gets_disconnect(&mut self, code: u8, properties: &[u8]) {
        match self.next() {
            Some(Action::ToClient(got)) => {
                let Some(Packet::Disconnect {
                    code: found,
                    properties: told,
                }) = packet::read(self.version, &got)
                else {
                    panic!("{got:02x?} is no DISCONNECT");
                };
                let told: Vec<u8> = told.into_iter().map(|(id, _)| id).collect();
                assert_eq!((found, told.as_slice()), (code, properties));
            }
            other => panic!("{other:?} where the client is to get a DISCONNECT"),
        }
    }

    /// All that the gate has done and nobody has looked at yet, the end included; for tests that
    /// only judge the bytes.
    pub(crate) fn everything(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The end, with a DISCONNECT of this code on MQTT 5.0.
    #[track_caller]
    pub(crate) fn closes_with(&mut self, reason: &str, code: u8) {
        if self.version == Version::V5 {
            self.client_gets(&disconnect(code));
        }
        self.closes(reason);
    }

    /// The same, and what was being decided is given up before.
    #[track_caller]
    pub(crate) fn closes_after_cancels(&mut self, reason: &str, code: u8) {
        self.actions
            .retain(|action| !matches!(action, Action::Cancel(_)));
        self.closes_with(reason, code);
    }

    /// The end, without a word. The reason is the one of the logs.
    #[track_caller]
    pub(crate) fn closes(&mut self, reason: &str) -> CloseReason {
        match self.next() {
            Some(Action::Close(found)) => {
                assert_eq!(found.as_str(), reason, "{found:?}");
                assert!(self.gate.is_closed());
                assert_eq!(self.gate.poll_timeout(), None);
                found
            }
            other => panic!("{other:?} where the session is to end as {reason}"),
        }
    }

    /// The session is to end for this, and waits for the permit.
    #[track_caller]
    pub(crate) fn wants_to_close(&mut self, reason: &str) {
        match self.next() {
            Some(Action::FailureClose(found)) => assert_eq!(found.as_str(), reason),
            other => panic!("{other:?} where a permit is to be waited for"),
        }
    }

    /// The gate has taken the packet, whatever it made of it.
    #[track_caller]
    pub(crate) fn takes_it(&mut self) {
        for action in self.actions.drain(..) {
            if let Action::Close(reason) = action {
                assert_eq!(reason.as_str(), "client_disconnect");
            }
        }
    }

    /// The gate has done nothing (more).
    #[track_caller]
    pub(crate) fn is_quiet(&mut self) {
        assert_eq!(self.next(), None);
    }

    /// What became of a packet that was asked about.
    pub(crate) fn fate(&mut self, ticket: Ticket) -> Option<Fate> {
        assert_eq!(self.next(), None);
        self.fates.get(&ticket).copied()
    }

    /// How many deliveries the client could not take.
    pub(crate) fn undeliverable(&mut self) -> usize {
        self.is_quiet();
        self.undeliverable
    }

    /// The same, where what else was done is told later.
    pub(crate) fn noted(&mut self) -> usize {
        self.pass_notes();
        self.undeliverable
    }

    /// What was refused since this was looked at last, and nobody was asked about.
    pub(crate) fn unasked(&mut self) -> Vec<&'static str> {
        self.is_quiet();
        std::mem::take(&mut self.unasked)
    }

    /// The subscriptions that were told of, made and left.
    pub(crate) fn reported(&mut self) -> Vec<Event> {
        self.is_quiet();
        std::mem::take(&mut self.reported)
    }

    pub(crate) fn reads_client(&self) -> bool {
        self.gate.wants_read(Side::Client)
    }

    // How it is done.

    fn next(&mut self) -> Option<Action> {
        self.pass_notes();
        self.actions.pop_front()
    }

    fn pass_notes(&mut self) {
        while let Some(Action::Note(_)) = self.actions.front() {
            match self.actions.pop_front() {
                Some(Action::Note(Event::Settled(ticket, fate))) => {
                    let before = self.fates.insert(ticket, fate);
                    assert_eq!(before, None, "{ticket:?} has two fates");
                }
                Some(Action::Note(Event::Undeliverable)) => self.undeliverable += 1,
                Some(Action::Note(Event::Unasked(unasked))) => self.unasked.push(unasked.as_str()),
                Some(Action::Note(
                    event @ (Event::Subscribed { .. } | Event::Unsubscribed { .. }),
                )) => self.reported.push(event),
                _ => {}
            }
        }
    }

    fn asked(&mut self, first: Ticket, count: usize, allow: Allow) -> Ticket {
        for index in 0..count {
            self.hooks.insert(first.filter(index), allow.clone());
        }
        first
    }

    fn calls(&mut self, call: impl FnOnce(&mut Gatekeeper, Instant)) {
        self.is_quiet();
        self.call(call);
        self.goes_on();
    }

    fn call(&mut self, call: impl FnOnce(&mut Gatekeeper, Instant)) {
        call(&mut self.gate, self.now);
        self.actions
            .extend(std::iter::from_fn(|| self.gate.poll_action()));
        if self.permits
            && self
                .actions
                .pop_back_if(|action| matches!(action, Action::FailureClose(_)))
                .is_some()
        {
            self.call(Gatekeeper::handle_permit);
        }
    }

    /// Hands over what has come in, as far as it is wanted.
    fn goes_on(&mut self) {
        self.call(|gate, now| gate.handle_reading(Side::Client, true, now));
        for side in [Side::Broker, Side::Client] {
            while let Some(taken) = self.scan(side) {
                match taken {
                    Ok(frame) => self.call(|gate, now| gate.handle_frame(side, frame, now)),
                    Err(violation) => {
                        self.call(|gate, now| gate.handle_violation(side, violation, now));
                    }
                }
            }
        }
    }

    fn scan(&mut self, side: Side) -> Option<Result<Frame, gatekeeper::Violation>> {
        if !self.gate.wants_read(side) {
            return None;
        }
        let max_size = self.gate.max_packet_size(side);
        let input = match side {
            Side::Client => &mut self.client_input,
            Side::Broker => &mut self.broker_input,
        };
        match frame::scan(input, side, max_size) {
            Ok(Scan::Frame(frame)) => Some(Ok(frame)),
            Ok(Scan::Incomplete { .. }) => None,
            Err(violation) => Some(Err(violation)),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.is_quiet();
        }
    }
}

/// The clock of a scene begins here, and only goes on as it says.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant comes from nowhere else"
)]
fn start() -> Instant {
    Instant::now()
}

/// A PUBLISH with a short payload.
pub(crate) fn publish(version: Version, topic: &str, qos: u8, id: u16) -> Vec<u8> {
    Publish {
        topic: topic.to_owned(),
        qos,
        id,
        payload: b"payload".to_vec(),
        ..Publish::default()
    }
    .write(version)
}

/// The same PUBLISH with DUP.
pub(crate) fn repeated(packet: &[u8]) -> Vec<u8> {
    let (first, rest) = packet.split_first().expect("a packet");
    [&[first | 8], rest].concat()
}

/// A SUBSCRIBE with QoS 1.
pub(crate) fn subscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (*filter, 1)).collect();
    write::subscribe(version, id, &filters)
}

/// A DISCONNECT of the gate's own.
pub(crate) fn disconnect(code: u8) -> [u8; 4] {
    [0xE0, 2, code, 0]
}

/// A denial with this code.
pub(crate) fn deny(code: u8) -> Deny {
    Deny {
        code: Some(ReasonCode::new(code)),
        ..Deny::default()
    }
}
