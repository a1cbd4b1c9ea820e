//! Spans of packets, built only for those that were chosen before.

use std::collections::VecDeque;

use gatekeeper::{
    CloseReason, ConnectQuestion, Fate, PublishQuestion, Question, ReasonCode, SubscribeQuestion,
    Ticket,
};
use tidegate_telemetry::{Sampler, TRACE_TARGET, link_traceparent, traceparent};
use tracing::{Span, field::Empty, info_span};

use crate::metrics::fate_word;

/// How many packets of a kind are traced.
#[derive(Debug, Clone, Default)]
pub struct Sampling {
    /// CONNECT.
    pub connect: Sampler,
    /// SUBSCRIBE.
    pub subscribe: Sampler,
    /// PUBLISH.
    pub publish: Sampler,
}

/// The open spans of a session.
///
/// There is none for the session itself: it would be exported only at its end, and lost with a
/// crash. The span of the CONNECT covers the set-up; each traced packet has a root of its own that
/// links to it.
#[derive(Debug, Default)]
pub(super) struct Spans {
    setup: Option<Span>,
    /// `traceparent` of the set-up, for links to it when it is over.
    setup_context: Option<String>,
    packets: VecDeque<(Ticket, Span)>,
}

impl Spans {
    /// The span for a question: chosen first, built then.
    pub(super) fn open(
        &mut self,
        ticket: Ticket,
        question: &Question,
        session_id: &str,
        client_id: &str,
        sampling: &Sampling,
    ) -> Span {
        match question {
            Question::Connect(connect) if sampling.connect.sample() => {
                let span = connect_span(connect, session_id);
                self.setup_context = traceparent(&span);
                self.setup = Some(span.clone());
                span
            }
            Question::Will(_) => self.setup.clone().unwrap_or_else(Span::none),
            Question::Publish(publish) if sampling.publish.sample() => {
                self.packet(ticket, publish_span(publish, session_id, client_id))
            }
            Question::Subscribe(subscribe) if !subscribe.recheck && sampling.subscribe.sample() => {
                self.packet(ticket, subscribe_span(subscribe, session_id, client_id))
            }
            _ => Span::none(),
        }
    }

    /// The span of the set-up while it lasts, for what happens within it.
    pub(super) fn setup(&self) -> Span {
        self.setup.clone().unwrap_or_else(Span::none)
    }

    /// The session is set up.
    pub(super) fn connected(&mut self) {
        if let Some(span) = self.setup.take() {
            record_code(&span, ReasonCode::SUCCESS);
        }
    }

    /// A packet's fate is known, and its span over.
    pub(super) fn settle(&mut self, ticket: Ticket, fate: Fate) {
        if let Ok(index) = self
            .packets
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
            && let Some((_, span)) = self.packets.remove(index)
        {
            span.record("tidegate.fate", fate_word(fate));
            if let Fate::Refused(code) = fate {
                record_code(&span, code);
            }
        }
    }

    /// The session has ended.
    pub(super) fn close(&mut self, reason: CloseReason) {
        if let Some(span) = self.setup.take() {
            span.record("tidegate.close_reason", reason.as_str());
        }
        self.packets.clear();
    }

    fn packet(&mut self, ticket: Ticket, span: Span) -> Span {
        if let Some(setup) = &self.setup_context {
            link_traceparent(&span, setup, "");
        }
        self.packets.push_back((ticket, span.clone()));
        span
    }
}

fn connect_span(connect: &ConnectQuestion, session_id: &str) -> Span {
    info_span!(
        target: TRACE_TARGET,
        "mqtt.connect",
        otel.kind = "server",
        messaging.system = "mqtt",
        messaging.client.id = %connect.client_id,
        mqtt.protocol_version = connect.version as i64,
        mqtt.clean_start = connect.clean_start,
        mqtt.keep_alive = i64::from(connect.keep_alive),
        client.address = Empty,
        mqtt.reason_code = Empty,
        tidegate.session.id = session_id,
        tidegate.close_reason = Empty,
    )
}

fn publish_span(publish: &PublishQuestion, session_id: &str, client_id: &str) -> Span {
    info_span!(
        target: TRACE_TARGET,
        "mqtt.publish",
        otel.kind = "server",
        messaging.system = "mqtt",
        messaging.operation.name = "publish",
        messaging.client.id = client_id,
        messaging.message.body.size = publish.payload_size as i64,
        mqtt.qos = publish.qos as i64,
        mqtt.retain = publish.retain,
        mqtt.dup = publish.dup,
        mqtt.reason_code = Empty,
        tidegate.session.id = session_id,
        tidegate.fate = Empty,
    )
}

fn subscribe_span(subscribe: &SubscribeQuestion, session_id: &str, client_id: &str) -> Span {
    info_span!(
        target: TRACE_TARGET,
        "mqtt.subscribe",
        otel.kind = "server",
        messaging.system = "mqtt",
        messaging.operation.name = "subscribe",
        messaging.client.id = client_id,
        mqtt.filters = subscribe.filters.len() as i64,
        mqtt.reason_code = Empty,
        tidegate.session.id = session_id,
        tidegate.fate = Empty,
    )
}

fn record_code(span: &Span, code: ReasonCode) {
    span.record("mqtt.reason_code", i64::from(code.get()));
}
