//! A gatekeeper, and a program of what client, broker, service, driver and clock do to it. After
//! every call a [`Judge`] looks at what came out.
//!
//! ```text
//! input   setup (8 bytes, see program::Setup), then operations (see program::Op)
//! ```
//!
//! The operations are an encoding of our own instead of derived ones, so that streams that were
//! recorded elsewhere can be written down as inputs, and a byte of the input stays what it is when
//! one before it changes.

mod judge;
mod peers;
mod program;
mod service;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use gatekeeper::{
    Action, Frame, Gatekeeper, Question, ReasonCode, Side, Ticket, Upstream, Version, Violation,
    frame::{self, Scan},
};

use self::{
    judge::{Input, Judge},
    peers::Broker,
    program::{Op, Setup},
    service::{Allowed, Asked},
};

/// The identifier that the gate gives to a client that has none.
const SPARE_CLIENT_ID: &str = "spare";

/// Operations of one input.
const MOST_OPS: usize = 256;

/// Operations after the end: nothing may come of them.
const OPS_AFTER_THE_END: usize = 8;

/// Timeouts at one point of time.
const MOST_TIMEOUTS: usize = 64;

/// No question is open for longer.
const LONGEST_DEADLINE: Duration = Duration::from_secs(5);

/// Packets of one side in one go.
const MOST_FRAMES: usize = 4096;

pub(crate) fn run(data: &[u8]) {
    let Some((setup, mut program)) = Setup::read(data) else {
        return;
    };
    let mut world = World::new(&setup);
    if setup.starts_live {
        world.connect(&setup);
    }
    let mut after_the_end = 0;
    for _ in 0..MOST_OPS {
        let Some(op) = program.next(setup.version) else {
            break;
        };
        world.perform(op);
        if world.gate.is_closed() {
            after_the_end += 1;
            if after_the_end > OPS_AFTER_THE_END {
                break;
            }
        }
    }
    world.end();
}

/// Everything around the gatekeeper.
struct World {
    gate: Gatekeeper,
    judge: Judge,
    broker: Broker,
    start: Instant,
    now: Instant,
    client_input: BytesMut,
    broker_input: BytesMut,
    /// Questions, answered or not.
    asked: Vec<(Ticket, Asked)>,
    allowed: Allowed,
    waits_for_permit: bool,
}

impl World {
    fn new(setup: &Setup) -> Self {
        let start = start();
        Self {
            gate: Gatekeeper::new(Arc::new(setup.rules.clone()), SPARE_CLIENT_ID.into(), start),
            judge: Judge::new(setup.rules.clone(), start),
            broker: Broker::new(setup.version),
            start,
            now: start,
            client_input: BytesMut::new(),
            broker_input: BytesMut::new(),
            asked: Vec::new(),
            allowed: setup.allowed,
            waits_for_permit: false,
        }
    }

    /// The short way to a session that the broker has accepted.
    fn connect(&mut self, setup: &Setup) {
        self.perform(Op::ClientSends(setup.connect()));
        self.perform(Op::AllowAll);
        self.perform(Op::AllowAll);
        self.perform(Op::Upstream(true));
        self.perform(Op::BrokerSends(setup.connack()));
    }

    fn perform(&mut self, op: Op) {
        self.permit();
        match op {
            Op::ClientSends(bytes) => self.client_input.extend_from_slice(&bytes),
            Op::BrokerSends(bytes) => self.broker_input.extend_from_slice(&bytes),
            Op::BrokerAnswers { nth, how } => {
                let bytes = self.broker.answer(nth, how);
                self.broker_input.extend_from_slice(&bytes);
            }
            Op::Verdict { nth, says } => {
                let open = self.judge.open_questions();
                if let Some(ticket) = open.get(nth % open.len().max(1)) {
                    self.answer(*ticket, says);
                }
            }
            Op::Stray { nth, offset, says } => {
                if let Some((ticket, _)) = self.asked.get(nth % self.asked.len().max(1)) {
                    self.answer(ticket.filter(offset), says);
                }
            }
            Op::AllowAll => {
                for ticket in self.judge.open_questions() {
                    self.answer(ticket, program::Says::ALLOW);
                }
            }
            Op::Upstream(works) => {
                let upstream = [Upstream::Failed, Upstream::Ready][usize::from(works)];
                self.tell(Input::Upstream(works), |gate, now| {
                    gate.handle_upstream(upstream, now);
                });
            }
            Op::Eof(side) => self.tell(Input::Other, |gate, now| gate.handle_eof(side, now)),
            Op::Drain => self.tell(Input::Other, Gatekeeper::handle_drain),
            Op::Terminate(code) => self.tell(Input::Other, |gate, now| {
                let reason = Some("revoked".into());
                gate.handle_terminate(ReasonCode::new(code), reason, now);
            }),
            Op::Recheck => self.tell(Input::Other, Gatekeeper::handle_recheck),
            Op::Stall(side) => self.tell(Input::Other, |gate, now| gate.handle_stall(side, now)),
            Op::Reading(side, reads) => self.tell(Input::Other, |gate, now| {
                gate.handle_reading(side, reads, now);
            }),
            Op::Violates(side, code) => {
                let code = ReasonCode::new(code | 0x80);
                let violation = Violation::new(code, "made up", "none");
                self.violates(side, violation);
            }
            Op::Timeout => self.tell(Input::Other, Gatekeeper::handle_timeout),
            Op::Passes(time) => self.pass(time),
            Op::PassesUnnoticed(time) => self.now += time,
        }
        self.pump();
    }

    /// The end that was waited for may come.
    fn permit(&mut self) {
        if std::mem::take(&mut self.waits_for_permit) {
            self.tell(Input::Other, Gatekeeper::handle_permit);
        }
    }

    fn answer(&mut self, ticket: Ticket, says: program::Says) {
        let number = usize::try_from(ticket.sequence()).unwrap_or_default();
        let asked = number
            .checked_sub(1)
            .and_then(|place| self.asked.get(place));
        let asked = asked.map_or_else(Asked::nothing, |(_, asked)| asked.clone());
        let verdict = asked.verdict(says, self.allowed, self.now);
        self.tell(Input::Verdict(ticket, &verdict), |gate, now| {
            gate.handle_verdict(ticket, verdict.clone(), now);
        });
    }

    fn violates(&mut self, side: Side, violation: Violation) {
        self.tell(Input::Other, |gate, now| {
            gate.handle_violation(side, violation, now);
        });
    }

    /// Time passes, and every timer fires when it has to.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut timeouts = 0;
        while let Some(at) = self.gate.poll_timeout().filter(|at| *at <= end) {
            timeouts = if at > self.now { 0 } else { timeouts + 1 };
            assert!(timeouts < MOST_TIMEOUTS, "a timer runs for ever");
            self.now = self.now.max(at);
            self.tell(Input::Other, Gatekeeper::handle_timeout);
            self.pump();
        }
        self.now = end;
    }

    /// Hands over what has come in, as far as it is wanted. What one side sends can make room for
    /// the other.
    fn pump(&mut self) {
        for _ in 0..MOST_FRAMES {
            let taken = [Side::Broker, Side::Client].map(|side| self.take(side));
            if taken == [false; 2] {
                return;
            }
        }
        panic!("there is no end to the packets");
    }

    fn take(&mut self, side: Side) -> bool {
        if !self.gate.wants_read(side) {
            return false;
        }
        let limit = self.gate.max_packet_size(side);
        let input = match side {
            Side::Client => &mut self.client_input,
            Side::Broker => &mut self.broker_input,
        };
        match frame::scan(input, side, limit) {
            Ok(Scan::Frame(frame)) => self.take_frame(side, frame),
            Ok(Scan::Incomplete { .. }) => return false,
            Err(violation) => self.violates(side, violation),
        }
        true
    }

    fn take_frame(&mut self, side: Side, frame: Frame) {
        let copy = frame.clone();
        let input = match side {
            Side::Client => Input::Client(&copy),
            Side::Broker => Input::Broker(&copy),
        };
        self.tell(input, |gate, now| gate.handle_frame(side, frame, now));
    }

    fn tell(&mut self, input: Input<'_>, call: impl FnOnce(&mut Gatekeeper, Instant)) {
        call(&mut self.gate, self.now);
        let actions: Vec<Action> = std::iter::from_fn(|| self.gate.poll_action()).collect();
        self.judge.observe(&input, &actions, &self.gate, self.now);
        for action in actions {
            match action {
                Action::Ask(ticket, question) => self.asks(ticket, &question),
                Action::ToBroker(admitted) => self.broker.receive(&admitted.into_bytes()),
                Action::FailureClose(_) => self.waits_for_permit = true,
                _ => {}
            }
        }
    }

    fn asks(&mut self, first: Ticket, question: &Question) {
        for (index, asked) in Asked::of(question).into_iter().enumerate() {
            self.asked.push((first.filter(index), asked));
        }
    }

    /// Long after, everything that was asked has come to an end, and so has the line.
    fn end(&mut self) {
        self.pass(Duration::from_secs(60));
        // What is read one by one, and never answered, takes its time one after the other.
        let mut left = 1 + self.client_input.len();
        while !self.judge.open_questions().is_empty() && left > 0 {
            self.pass(LONGEST_DEADLINE);
            left -= 1;
        }
        self.permit();
        let open = self.judge.open_questions();
        assert!(open.is_empty(), "{open:?} are waited for without end");
        assert!(self.now >= self.start);
    }
}

/// The clock of an input begins here, and only goes on as it says.
#[allow(
    clippy::disallowed_methods,
    reason = "an Instant comes from nowhere else"
)]
fn start() -> Instant {
    Instant::now()
}

/// MQTT 5.0 or not.
fn is_v5(version: Version) -> bool {
    version == Version::V5
}
