//! What goes out: the gatekeeper's actions.

use std::sync::Arc;

use bytestring::ByteString;
use gatekeeper::{Action, Event, Question, Ticket};
use tidegate_proto::v1;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};
use tracing::{Instrument, Span, debug};

use crate::{
    authz::{Check, Context, Hook, HookKind, Known, Message, hook},
    upstream::{Dial, Ends},
};

use super::{
    super::succession::{Place, Stage},
    Driver, now,
};

impl<S, D, U> Driver<S, D, U>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Dial,
    U: Send,
{
    /// Does what the gatekeeper wants done, in its order.
    pub(super) fn perform(&mut self) {
        while let Some(action) = self.gate.poll_action() {
            match action {
                Action::Ask(ticket, question) => self.ask(ticket, question),
                Action::Cancel(ticket) => self.asks.cancel(ticket),
                Action::Dial { client_id } => {
                    self.undecided = None;
                    self.dial(&client_id);
                }
                Action::ToBroker(admitted) => {
                    if let Some(broker_leg) = &mut self.broker_leg {
                        broker_leg.push(admitted.into_bytes());
                    }
                }
                Action::ToClient(bytes) => self.client_leg.push(bytes),
                Action::Note(Event::Connected { session_present }) => {
                    self.spans.connected();
                    self.unsettled.connected();
                    self.reports.connected(&self.client);
                    let who = self.client.who();
                    debug!(
                        session = who.session_id,
                        client_id = who.client_id,
                        principal = who.principal,
                        session_present,
                        "session connected"
                    );
                }
                Action::Note(Event::Settled(ticket, fate)) => {
                    self.spans.settle(ticket, fate);
                    self.unsettled.settle(ticket, fate);
                    self.reports.settled(ticket, fate);
                }
                Action::Note(Event::Subscribed { filter, qos }) => {
                    self.reports.subscribed(filter, qos);
                }
                Action::Note(Event::Unsubscribed { filter }) => self.reports.unsubscribed(filter),
                Action::FailureClose(reason) => {
                    if self.duties.may_close(reason, &self.shared.oversight) {
                        self.gate.handle_permit(now());
                    }
                }
                Action::Note(Event::Undeliverable) => {
                    self.shared.metrics.deliveries_dropped.inc();
                }
                Action::Note(Event::Unasked(unasked)) => {
                    self.shared.metrics.unasked.count(unasked);
                    self.shared.log.unasked(self.client.who(), unasked);
                }
                Action::Close(reason) => {
                    self.undecided = None;
                    self.closed = Some(reason);
                }
            }
        }
        self.told_at = None;
        self.tell_stage();
    }

    /// Goes to the broker, after the client's earlier session if that one leaves.
    fn dial(&mut self, client_id: &str) {
        // A client whose name the broker chooses has no other session.
        self.place = (!client_id.is_empty()).then(|| self.shared.succession.enter(client_id));
        let turn = self.place.as_ref().map(Place::turn);
        let (shared, patience) = (Arc::clone(&self.shared), self.patience);
        let setup = self.spans.setup();
        let session_id = self.client.who().session_id.clone();
        let client = self.origin.peer;
        let ends = self.origin.local.map(|gate| Ends { client, gate });
        let until = Instant::now() + self.origin.rules.deadlines.broker_connect;
        self.dialling = Some(Box::pin(async move {
            if let Some(turn) = turn
                && timeout(patience, turn).await.is_err()
            {
                debug!(
                    session = session_id,
                    "the client's earlier session does not end"
                );
            }
            let span = dial_span(&setup);
            shared.upstream.dial(ends, until).instrument(span).await
        }));
    }

    /// Tells the client's next session whether this one is to be waited for.
    fn tell_stage(&mut self) {
        let Some(place) = &mut self.place else {
            return;
        };
        if self.gate.is_leaving() || self.client_leg.has_ended() {
            place.reach(Stage::Leaving);
        } else if self.gate.is_live() {
            place.reach(Stage::Present);
        }
    }

    fn ask(&mut self, ticket: Ticket, question: Question) {
        let who = Arc::clone(self.client.who());
        let span = self.spans.open(
            ticket,
            &question,
            &who.session_id,
            &who.client_id,
            &self.shared.sampling,
        );
        match question {
            Question::Connect(connect) => {
                if !span.is_disabled() {
                    let address = self.origin.peer.ip().to_canonical();
                    span.record("client.address", tracing::field::display(address));
                }
                self.unsettled.asked(ticket, HookKind::Connect);
                let message = self.client.connect_check(ticket, *connect);
                self.duties.name(self.client.who());
                self.send::<hook::Connect>(ticket, message, span, ByteString::new(), 0);
            }
            Question::Will(will) => {
                self.unsettled.asked(ticket, HookKind::Will);
                let origin = v1::PublishOrigin::Will;
                let bytes = will.payload_size;
                let message = self.client.publish_check(ticket, &will, origin);
                self.send::<hook::Will>(ticket, message, span, will.topic, bytes);
            }
            Question::Publish(publish) => {
                self.unsettled.asked(ticket, HookKind::Publish);
                self.reports.asked(ticket, &publish);
                let origin = v1::PublishOrigin::Client;
                let bytes = publish.payload_size;
                let message = self.client.publish_check(ticket, &publish, origin);
                self.send::<hook::Publish>(ticket, message, span, publish.topic, bytes);
            }
            Question::Subscribe(subscribe) => {
                if !subscribe.recheck {
                    self.unsettled.asked(ticket, HookKind::Subscribe);
                }
                let checks: Vec<_> = self.client.subscribe_checks(ticket, subscribe).collect();
                for (ticket, filter, message) in checks {
                    self.send(ticket, message, span.clone(), filter, 0);
                }
            }
        }
    }

    fn send<H: Hook>(
        &mut self,
        ticket: Ticket,
        message: Message<H>,
        span: Span,
        topic: ByteString,
        payload_bytes: usize,
    ) {
        let authz = &self.shared.authz;
        let asked_at = self.told_at.unwrap_or_else(Instant::now);
        let context = Context {
            asked_at,
            deadline: asked_at + authz.time_limit(H::KIND),
            span,
            seat: Arc::clone(self.client.seat()),
            who: Arc::clone(self.client.who()),
            topic,
            packet_bytes: message.body().len() + payload_bytes,
            known: Known::default(),
            mount: match H::KIND {
                HookKind::Connect => self.origin.mount.clone(),
                HookKind::Will | HookKind::Publish | HookKind::Subscribe => None,
            },
        };
        self.asks.ask::<H>(ticket, Check { message, context });
    }
}

fn dial_span(setup: &Span) -> Span {
    if setup.is_disabled() {
        return Span::none();
    }
    tracing::info_span!(
        target: tidegate_telemetry::TRACE_TARGET,
        parent: setup,
        "broker.connect",
        otel.kind = "client",
    )
}
