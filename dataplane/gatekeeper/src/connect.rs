//! From the first byte to the CONNACK.
//!
//! The order of work: parse, ask about the CONNECT, ask about the will, only then dial the broker,
//! hand it the CONNECT, and read its CONNACK. Up to a successful CONNACK nothing but a CONNACK is
//! ever sent to the client [MQTT-3.2.0-1] [MQTT-3.14.0-1].

mod accept;
mod decide;
mod hello;
mod outgoing;
mod refuse;

use std::time::Instant;

use bytestring::ByteString;

use crate::{
    action::{Admitted, Event},
    close::CloseReason,
    frame::{Frame, PacketType},
    gatekeeper::{Context, Phase, Upstream},
    live::{Live, Start},
    question::{Question, Ticket, Version},
    reply::Refusal,
    verdict::{ConnectAllow, Verdict, Why},
    violation::Violation,
    wire::{
        connack::Connack,
        connect::{self, Connect},
    },
};

use self::{
    accept::Agreement,
    hello::Objection,
    refuse::{abort_heard, refuse_unread},
};

pub(crate) use self::{
    hello::Hello,
    refuse::{abort, close_unheard, revoke, revoke_in_turn},
};

/// Nothing is known of the client yet.
#[derive(Debug)]
pub(crate) struct AwaitConnect {
    pub(crate) until: Instant,
    /// For a client that sends none.
    pub(crate) spare_client_id: ByteString,
}

/// The service is asked.
#[derive(Debug)]
pub(crate) struct Deciding {
    pub(crate) until: Instant,
    pub(crate) hello: Hello,
    ticket: Ticket,
    stage: Stage,
}

/// What the service is asked about.
#[derive(Debug)]
enum Stage {
    Connect,
    /// The CONNECT is allowed already.
    Will(Box<Admission>),
}

/// The CONNECT is allowed, and with it the will.
#[derive(Debug)]
pub(crate) struct Dialling {
    pub(crate) until: Instant,
    pub(crate) hello: Hello,
    admission: Admission,
    admitted: Admitted,
}

/// The broker has the CONNECT.
#[derive(Debug)]
pub(crate) struct AwaitConnack {
    pub(crate) until: Instant,
    pub(crate) hello: Hello,
    admission: Admission,
}

/// The right to pass on a CONNECT.
#[derive(Debug)]
struct Admission {
    ticket: Ticket,
    allow: ConnectAllow,
    /// The CONNECT as the broker is to get it.
    outgoing: Connect,
}

impl AwaitConnect {
    pub(crate) fn handle_frame(self, frame: &Frame, cx: &mut Context<'_>) -> Phase {
        if frame.kind() != PacketType::Connect {
            return close_unheard(CloseReason::NotMqtt, cx);
        }
        let connect = match connect::read(frame) {
            Ok(connect) => connect,
            Err(error) => return refuse_unread(error, cx),
        };
        let hello = Hello::new(connect, frame.clone(), self.spare_client_id);
        if let Err(Objection { code, reason }) = hello.check(cx.rules) {
            return Refusal::failure(code).send(hello.recipient(), reason, cx);
        }
        let question = Question::Connect(Box::new(hello.question()));
        Phase::Deciding(Box::new(Deciding {
            until: cx.now + cx.rules.deadlines.connect,
            ticket: cx.tickets.ask(question, cx.actions),
            stage: Stage::Connect,
            hello,
        }))
    }
}

impl Deciding {
    pub(crate) fn handle_verdict(
        self: Box<Self>,
        ticket: Ticket,
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Phase {
        if ticket != self.ticket {
            return Phase::Deciding(self);
        }
        let verdict = if cx.now < self.until {
            verdict
        } else {
            Verdict::Unavailable(Why::Timeout)
        };
        let Self {
            hello,
            ticket,
            stage,
            ..
        } = *self;
        match stage {
            Stage::Connect => hello.connect_decided(ticket, verdict, cx),
            Stage::Will(admission) => hello.will_decided(ticket, *admission, verdict, cx),
        }
    }

    pub(crate) fn handle_timeout(self: Box<Self>, cx: &mut Context<'_>) -> Phase {
        let ticket = self.ticket;
        cx.actions.cancel(ticket);
        self.handle_verdict(ticket, Verdict::Unavailable(Why::Timeout), cx)
    }
}

impl Dialling {
    pub(crate) fn handle_upstream(
        self: Box<Self>,
        upstream: Upstream,
        cx: &mut Context<'_>,
    ) -> Phase {
        let Self {
            until,
            hello,
            admission,
            admitted,
        } = *self;
        match upstream {
            Upstream::Failed => abort_heard(&hello, CloseReason::BrokerUnreachable, cx),
            Upstream::Ready => {
                cx.actions.write_broker(admitted);
                Phase::AwaitConnack(Box::new(AwaitConnack {
                    until,
                    hello,
                    admission,
                }))
            }
        }
    }
}

impl AwaitConnack {
    pub(crate) fn handle_frame(self: Box<Self>, frame: Frame, cx: &mut Context<'_>) -> Phase {
        let Self {
            hello, admission, ..
        } = *self;
        match accept::read(&frame, &admission.outgoing) {
            Err(violation) => abort_heard(&hello, CloseReason::BrokerViolation(violation), cx),
            Ok(connack) if connack.is_refusal() => {
                hello.refused_by_broker(frame, connack, &admission, cx)
            }
            Ok(connack) => hello.accepted_by_broker(connack, admission, cx),
        }
    }
}

impl Hello {
    fn accepted_by_broker(
        self,
        connack: Connack,
        admission: Admission,
        cx: &mut Context<'_>,
    ) -> Phase {
        let agreement = Agreement::new(&admission.outgoing, &connack, cx.rules);
        let bytes = self.connack_for_client(&connack, &agreement, &admission, cx.rules);
        let Some(bytes) = bytes else {
            let violation = Violation::too_large(
                "Maximum Packet Size without room for a CONNACK",
                "MQTT-3.1.2-24",
            );
            return abort_heard(&self, CloseReason::ClientViolation(violation), cx);
        };
        cx.actions.write_client(bytes);
        cx.actions.note(Event::Connected {
            session_present: connack.session_present,
        });
        let start = Start {
            asked: &self.connect,
            sent: &admission.outgoing,
            connack: &connack,
            keep_alive: agreement.keep_alive,
            resumed: agreement.resumed,
            max_session_expiry: outgoing::max_session_expiry(&admission.allow, &cx.rules.limits),
            expires_at: admission.allow.expires_at,
            mount: admission.allow.mount.clone(),
            limits: admission.allow.limits,
        };
        let live = Box::new(Live::new(start, cx));
        if self.recheck {
            return live.recheck(cx);
        }
        Phase::Live(live)
    }

    fn refused_by_broker(
        &self,
        frame: Frame,
        connack: Connack,
        admission: &Admission,
        cx: &mut Context<'_>,
    ) -> Phase {
        let reason = CloseReason::BrokerRefused;
        if connack.v3_shaped && self.connect.version == Version::V5 {
            // An older broker: its code in the client's own version.
            return Refusal::failure(connack.code).send(self.recipient(), reason, cx);
        }
        if let Some(bytes) = self.refusal_for_client(connack, frame, admission, cx.rules) {
            cx.actions.write_client(bytes);
        }
        cx.actions.close(reason);
        Phase::Closed
    }
}
