//! From the first byte to the CONNACK.
//!
//! The order of work: parse, ask about the CONNECT, ask about the will, only then dial the broker,
//! hand it the CONNECT, and read its CONNACK. Up to a successful CONNACK nothing but a CONNACK is
//! ever sent to the client [MQTT-3.2.0-1] [MQTT-3.14.0-1].

mod refuse;

use std::time::Instant;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    action::{Admitted, Event, Fate},
    close::CloseReason,
    frame::{Frame, PacketType},
    gatekeeper::{Context, Phase, Upstream},
    live::Live,
    mount,
    question::{ConnectQuestion, PublishQuestion, Question, Ticket, Version},
    queue::fitting,
    reason::ReasonCode,
    reply::Refusal,
    rules::Limits,
    verdict::{Allow, ConnectAllow, Deny, Verdict, Why},
    violation::Violation,
    wire::{
        TooLong,
        connack::{self, Connack, GateLimits},
        connect::{self, Connect, Will},
        text,
    },
};

use self::refuse::{abort_heard, refuse_unread, undecided};

pub(crate) use self::refuse::{abort, close_unheard};

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
    hello: Hello,
    ticket: Ticket,
    stage: Stage,
}

/// What the service is asked about.
#[derive(Debug)]
enum Stage {
    Connect,
    Will {
        connect: Ticket,
        allow: ConnectAllow,
    },
}

/// The CONNECT is allowed, and with it the will.
#[derive(Debug)]
pub(crate) struct Dialling {
    pub(crate) until: Instant,
    hello: Hello,
    admission: Admission,
}

/// The broker has the CONNECT.
#[derive(Debug)]
pub(crate) struct AwaitConnack {
    pub(crate) until: Instant,
    hello: Hello,
    admission: Admission,
}

/// The CONNECT of a client.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) connect: Connect,
    frame: Frame,
    /// The client's own identifier, or the one that the gate chose for it.
    client_id: ByteString,
    assigned: bool,
}

/// The right to pass on a CONNECT.
#[derive(Debug)]
struct Admission {
    ticket: Ticket,
    allow: ConnectAllow,
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
        if connect.properties.auth_method.is_some() {
            // The service would judge a claimed user name while the broker authenticates another.
            let code = ReasonCode::BAD_AUTHENTICATION_METHOD;
            return Refusal::failure(code).send(
                connect.version,
                CloseReason::BadAuthenticationMethod,
                cx,
            );
        }
        let assigned = connect.client_id.is_empty();
        let hello = Hello {
            client_id: if assigned {
                self.spare_client_id
            } else {
                connect.client_id.clone()
            },
            assigned,
            connect,
            frame: frame.clone(),
        };
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
            Stage::Will { connect, allow } => {
                let admission = Admission {
                    ticket: connect,
                    allow,
                };
                hello.will_decided(ticket, admission, verdict, cx)
            }
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
        } = *self;
        let admitted = match upstream {
            Upstream::Ready => hello.admit(&admission),
            Upstream::Failed => {
                return abort_heard(&hello, CloseReason::BrokerUnreachable, cx);
            }
        };
        let Some(admitted) = admitted else {
            // The service's client identifier does not fit into a packet.
            return undecided(
                &hello,
                Why::InvalidMutation,
                CloseReason::ConnectUndecided,
                cx,
            );
        };
        cx.actions.write_broker(admitted);
        Phase::AwaitConnack(Box::new(AwaitConnack {
            until,
            hello,
            admission,
        }))
    }
}

impl AwaitConnack {
    pub(crate) fn handle_frame(self: Box<Self>, frame: Frame, cx: &mut Context<'_>) -> Phase {
        let Self {
            hello, admission, ..
        } = *self;
        let mut connack = match hello.read_connack(&frame) {
            Ok(connack) => connack,
            Err(violation) => {
                return abort_heard(&hello, CloseReason::BrokerViolation(violation), cx);
            }
        };
        if connack.is_refusal() {
            return hello.refused_by_broker(frame, &connack, cx);
        }
        if let Some(mount) = &admission.allow.mount {
            connack.raw_properties =
                mount::strip_response_information(mount, &connack.raw_properties);
        }
        let Ok(bytes) = hello.connack_for_client(frame, &connack, &cx.rules.limits) else {
            let violation = Violation::too_large("CONNACK beyond all bounds", "MQTT-3.2.2-15");
            return abort_heard(&hello, CloseReason::BrokerViolation(violation), cx);
        };
        cx.actions.write_client(bytes);
        cx.actions.note(Event::Connected {
            session_present: connack.session_present,
        });
        Phase::Live(Box::new(Live::new(
            &hello.connect,
            &connack,
            &admission.allow,
            cx,
        )))
    }
}

impl Hello {
    fn connect_decided(self, ticket: Ticket, verdict: Verdict, cx: &mut Context<'_>) -> Phase {
        let why = match verdict {
            Verdict::Allow(Allow::Connect(allow)) if is_sendable(&allow) => {
                return self.ask_about_will(ticket, *allow, cx);
            }
            Verdict::Deny(deny) => {
                cx.actions.settled(ticket, Fate::Closed);
                return self.denied(deny, CloseReason::ConnectDenied, cx);
            }
            Verdict::Allow(Allow::Connect(_)) => Why::InvalidMutation,
            Verdict::Allow(Allow::Publish(_) | Allow::Subscribe(_)) => Why::InvalidResult,
            Verdict::Unavailable(why) => why,
        };
        cx.actions.settled(ticket, Fate::Closed);
        undecided(&self, why, CloseReason::ConnectUndecided, cx)
    }

    fn ask_about_will(self, connect: Ticket, allow: ConnectAllow, cx: &mut Context<'_>) -> Phase {
        let Some(will) = &self.connect.will else {
            let admission = Admission {
                ticket: connect,
                allow,
            };
            return self.dial(admission, cx);
        };
        let question = Question::Will(will_question(will));
        Phase::Deciding(Box::new(Deciding {
            until: cx.now + cx.rules.deadlines.connect,
            ticket: cx.tickets.ask(question, cx.actions),
            stage: Stage::Will { connect, allow },
            hello: self,
        }))
    }

    fn will_decided(
        self,
        ticket: Ticket,
        admission: Admission,
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Phase {
        match fitting(verdict, &Allow::PUBLISH) {
            Verdict::Allow(_) => {
                cx.actions.settled(ticket, Fate::Forwarded);
                self.dial(admission, cx)
            }
            Verdict::Deny(deny) => {
                cx.actions.settled(ticket, Fate::Closed);
                self.denied(deny, CloseReason::WillDenied, cx)
            }
            Verdict::Unavailable(why) => {
                cx.actions.settled(ticket, Fate::Closed);
                undecided(&self, why, CloseReason::WillUndecided, cx)
            }
        }
    }

    fn denied(&self, deny: Deny, reason: CloseReason, cx: &mut Context<'_>) -> Phase {
        let client_takes = self.connect.properties.maximum_packet_size;
        Refusal::denial(deny)
            .within(client_takes)
            .send(self.connect.version, reason, cx)
    }

    fn dial(self, admission: Admission, cx: &mut Context<'_>) -> Phase {
        cx.actions.dial();
        Phase::Dialling(Box::new(Dialling {
            until: cx.now + cx.rules.deadlines.broker_connect,
            hello: self,
            admission,
        }))
    }

    /// The CONNECT for the broker: the client's own bytes, unless its identifier is replaced.
    /// `None` if it can't be encoded.
    fn admit(&self, admission: &Admission) -> Option<Admitted> {
        let client_id = match &admission.allow.broker_client_id {
            Some(replaced) => replaced,
            None => &self.client_id,
        };
        let bytes = if *client_id == self.connect.client_id {
            self.frame.clone().into_canonical()
        } else {
            self.connect.encode(client_id).ok()?
        };
        Some(Admitted::allowed(admission.ticket, bytes))
    }

    fn read_connack(&self, frame: &Frame) -> Result<Connack, Violation> {
        if frame.kind() != PacketType::Connack {
            return Err(Violation::protocol(
                "the broker's first packet is not a CONNACK",
                "MQTT-3.2.0-1",
            ));
        }
        connack::read(frame, self.connect.version)
    }

    fn refused_by_broker(&self, frame: Frame, connack: &Connack, cx: &mut Context<'_>) -> Phase {
        let reason = CloseReason::BrokerRefused;
        match (self.connect.version, connack.v3_shaped) {
            (Version::V5, true) => {
                // An older broker: its code in the client's own version.
                Refusal::failure(connack.code).send(Version::V5, reason, cx)
            }
            _ => {
                cx.actions.write_client(frame.into_canonical());
                cx.actions.close(reason);
                Phase::Closed
            }
        }
    }

    /// The broker's CONNACK, with what the gate terminates or narrows put in its place.
    fn connack_for_client(
        &self,
        frame: Frame,
        connack: &Connack,
        limits: &Limits,
    ) -> Result<Bytes, TooLong> {
        if self.connect.version.is_v3() {
            return Ok(frame.into_canonical());
        }
        connack.with_gate_limits(&GateLimits {
            topic_alias_maximum: limits.topic_alias_maximum,
            maximum_packet_size: u32::try_from(limits.max_packet_size).unwrap_or(u32::MAX),
            // The broker was given the identifier as if it were the client's own.
            assigned_client_id: self.assigned.then_some(&*self.client_id),
        })
    }

    fn question(&self) -> ConnectQuestion {
        let connect = &self.connect;
        ConnectQuestion {
            version: connect.version,
            client_id: self.client_id.clone(),
            client_id_assigned: self.assigned,
            username: connect.username.clone(),
            password: connect.password.clone(),
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            session_expiry: connect.properties.session_expiry,
            will: connect.will.as_ref().map(will_question),
            user_properties: connect.properties.user_properties.clone(),
        }
    }
}

/// Whether what the service put in the place of the client's own words is MQTT [MQTT-1.5.4-2].
fn is_sendable(allow: &ConnectAllow) -> bool {
    let id = allow.broker_client_id.as_deref().unwrap_or_default();
    id.len() <= usize::from(u16::MAX)
        && text::check(id).is_ok()
        && allow.mount.as_deref().is_none_or(mount::check)
}

fn will_question(will: &Will) -> PublishQuestion {
    PublishQuestion {
        topic: will.topic.clone(),
        qos: will.qos,
        retain: will.retain,
        dup: false,
        payload_size: will.payload.len(),
        content_type: will.content_type.clone(),
        response_topic: will.response_topic.clone(),
        user_properties: will.user_properties.clone(),
    }
}
