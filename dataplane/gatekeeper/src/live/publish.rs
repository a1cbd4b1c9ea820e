//! PUBLISH of the client: into the line, and out of it as the verdict says.
//!
//! What a denial and what a failure do is in one place here: the denial is told as a denial, and a
//! failure never as a success nor as a denial. A message with QoS above 0 is never acknowledged as a
//! success and then lost because nobody decided about it. The exception is a check that would fail
//! for ever ([`Why::is_permanent`]): it is denied, so that the client does not come back in a loop.

use std::num::NonZeroU16;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    action::{Admitted, Exempt, Fate},
    close::CloseReason,
    frame::Frame,
    gatekeeper::Context,
    inflight::{Arrival, Stage},
    question::{QoS, Question, Ticket, Version},
    queue::{Answer, Message, Packet, PendingPublish, publish_question},
    reason::ReasonCode,
    reply,
    rules::{OnDenied, OnDeniedV3, OnFailed, Rules},
    verdict::{Deny, DenyAction, Verdict, Why},
    violation::Violation,
    wire::publish,
};

use super::{
    End, Live, mutate::too_large, outlet, release::denial_of_a_permanent_failure,
    unasked::refusal_of_publish, uplink::check_user_properties,
};

impl Live {
    pub(super) fn take_publish(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let publish = publish::read(&frame, self.version)?;
        check_user_properties(&publish.raw_properties, cx)?;
        if publish.packet_id.is_some_and(|id| self.has_to_wait(id)) {
            return self.set_aside(frame);
        }
        self.offer.check_publish(&publish)?;
        if let Some(rate) = &mut self.rate {
            rate.take(publish.payload.len(), cx.now);
        }
        let name = self.aliases.resolve(&publish.topic, publish.topic_alias)?;
        let outgoing = if publish.topic_alias.is_none() {
            frame.into_canonical()
        } else {
            publish
                .encode_with_topic(&name)
                .map_err(|_| Violation::too_large("packet with its alias resolved", "§3.3.2.3.4"))?
        };
        let message = Message {
            qos: publish.qos,
            dup: publish.dup,
            id: publish.packet_id,
        };
        if let Some(id) = message.id {
            let fingerprint = self.inflight.fingerprint(&outgoing);
            match self.inflight.publish(id, message.qos, fingerprint)? {
                Arrival::Message => {}
                Arrival::Repeat => {
                    self.stand_in_line(Packet::Repeat(id), cx);
                    return Ok(());
                }
            }
        }
        if let Some(unasked) = refusal_of_publish(&publish, &name, cx.rules) {
            self.refuse_unasked(message, unasked, cx);
            return Ok(());
        }
        let question = Question::Publish(publish_question(&publish, name));
        let ticket = cx.tickets.ask(question, cx.actions);
        let pending = PendingPublish {
            ticket,
            message,
            outgoing,
            answer: Answer::Pending(cx.now + cx.rules.deadlines.publish),
            arrived: cx.now,
            expiry: publish.message_expiry,
        };
        self.queue.push(ticket, Packet::Publish(pending));
        Ok(())
    }

    pub(super) fn release_publish(
        &mut self,
        pending: PendingPublish,
        cx: &mut Context<'_>,
    ) -> Result<Fate, End> {
        let PendingPublish {
            ticket,
            message,
            outgoing,
            answer,
            arrived,
            expiry,
        } = pending;
        let verdict = answer.into_verdict();
        let (verdict, outgoing) = self.changed_publish(verdict, outgoing, &cx.rules.limits);
        match verdict {
            Verdict::Allow(_) if outgoing.len() > self.broker_takes => {
                // Its alias resolved, or changed, it is larger than the broker wants.
                self.deny_publish(message, too_large(), cx)
            }
            Verdict::Allow(_) => {
                let waited = cx.now.saturating_duration_since(arrived).as_secs();
                match unexpired(outgoing, expiry, waited) {
                    Some(bytes) => Ok(self.forward_publish(ticket, message, bytes, cx)),
                    None => {
                        self.acknowledge_and_drop(message, cx);
                        Ok(Fate::Expired)
                    }
                }
            }
            Verdict::Deny(deny) => self.deny_publish(message, deny, cx),
            Verdict::Unavailable(why) => self.fail_publish(message, why, cx),
        }
    }

    fn forward_publish(
        &mut self,
        ticket: Ticket,
        message: Message,
        bytes: Bytes,
        cx: &mut Context<'_>,
    ) -> Fate {
        if let Some(id) = message.id {
            if message.qos == QoS::ExactlyOnce {
                self.inflight.decided(id, Stage::AtBroker);
            }
            self.acks.expect(message.qos, id, message.dup);
        }
        self.forward(Admitted::allowed(ticket, bytes), cx);
        Fate::Forwarded
    }

    pub(super) fn deny_publish(
        &mut self,
        message: Message,
        deny: Deny,
        cx: &mut Context<'_>,
    ) -> Result<Fate, End> {
        match self.effect_of_denial(message, deny.action, cx.rules) {
            DeniedPublish::Disconnect => Err(End::denied(CloseReason::PublishDenied, deny)),
            DeniedPublish::Drop => Ok(self.acknowledge_and_drop(message, cx)),
            DeniedPublish::Refuse => {
                let code = deny.code.unwrap_or(ReasonCode::NOT_AUTHORIZED);
                Ok(self.refuse(message, code.for_publish_ack(), deny.reason_string, cx))
            }
        }
    }

    /// What a denial does, in words that the client's version has.
    fn effect_of_denial(
        &self,
        message: Message,
        action: DenyAction,
        rules: &Rules,
    ) -> DeniedPublish {
        let speechless = self.version.is_v3() && message.qos != QoS::AtMostOnce;
        match action {
            DenyAction::Disconnect => DeniedPublish::Disconnect,
            DenyAction::Drop => DeniedPublish::Drop,
            DenyAction::Configured if rules.on_publish_denied == OnDenied::Disconnect => {
                DeniedPublish::Disconnect
            }
            DenyAction::Configured | DenyAction::Reject if speechless => {
                match rules.on_publish_denied_v3 {
                    OnDeniedV3::AckAndDrop => DeniedPublish::Drop,
                    OnDeniedV3::Disconnect => DeniedPublish::Disconnect,
                }
            }
            DenyAction::Configured | DenyAction::Reject => DeniedPublish::Refuse,
        }
    }

    fn fail_publish(
        &mut self,
        message: Message,
        why: Why,
        cx: &mut Context<'_>,
    ) -> Result<Fate, End> {
        if let Some(deny) = denial_of_a_permanent_failure(why) {
            return self.deny_publish(message, deny, cx);
        }
        if why == Why::SessionStateInvalid {
            return Err(CloseReason::SessionStateInvalid.into());
        }
        match (cx.rules.on_publish_failed, self.version, message.qos) {
            (OnFailed::Disconnect, _, _) => Err(CloseReason::PublishUndecided(why).into()),
            (OnFailed::Reject, _, QoS::AtMostOnce) => Ok(Fate::Dropped),
            // No way to say "not now", and a success would be a lie.
            (OnFailed::Reject, Version::V31 | Version::V311, _) => {
                Err(CloseReason::PublishUndecided(why).into())
            }
            (OnFailed::Reject, Version::V5, _) => {
                let code = ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR;
                Ok(self.refuse(message, code, None, cx))
            }
        }
    }

    /// Refuses with a code at or above 0x80; nothing of the flow remains [MQTT-4.3.3-4].
    pub(super) fn refuse(
        &mut self,
        message: Message,
        code: ReasonCode,
        reason_string: Option<ByteString>,
        cx: &mut Context<'_>,
    ) -> Fate {
        let Some(id) = message.id else {
            return Fate::Dropped;
        };
        let reason_string = reason_string.filter(|_| self.explains);
        if self.broker_may_hold(message) {
            // The client may use the identifier for something else then, which the broker would take
            // for the first copy of this message: it has to forget that one first.
            let bytes = self.acknowledgement(message.qos, id, code, reason_string.as_deref());
            self.inflight.decided(id, Stage::Purging(code));
            self.acks.hold(id, bytes);
            self.forward(Admitted::exempt(Exempt::Purge, reply::pubrel(id)), cx);
        } else {
            self.inflight.decided(id, Stage::Refused(code));
            self.acknowledge(message.qos, id, code, reason_string.as_deref(), cx);
        }
        Fate::Refused(code)
    }

    /// Tells the client that all is well, and forwards nothing.
    fn acknowledge_and_drop(&mut self, message: Message, cx: &mut Context<'_>) -> Fate {
        if let Some(id) = message.id {
            // The broker may hold it from its first copy, and then has to get the PUBREL, or an
            // allowed message would never be delivered.
            let stage = match self.broker_may_hold(message) {
                true => Stage::Received,
                false => Stage::Owned,
            };
            self.inflight.decided(id, stage);
            self.acknowledge(message.qos, id, ReasonCode::SUCCESS, None, cx);
        }
        Fate::Dropped
    }

    /// Whether the broker may have got the message on a former connection, and wait for its PUBREL.
    fn broker_may_hold(&self, message: Message) -> bool {
        self.resumed && message.dup && message.qos == QoS::ExactlyOnce
    }

    /// Says it in its turn.
    pub(super) fn acknowledge(
        &mut self,
        qos: QoS,
        id: NonZeroU16,
        code: ReasonCode,
        reason_string: Option<&str>,
        cx: &mut Context<'_>,
    ) {
        let bytes = self.acknowledgement(qos, id, code, reason_string);
        self.acks
            .own(qos, id, bytes, outlet(&mut self.inflight, cx));
    }

    fn acknowledgement(
        &self,
        qos: QoS,
        id: NonZeroU16,
        code: ReasonCode,
        reason_string: Option<&str>,
    ) -> Bytes {
        let bytes = reply::publish_ack(self.version, qos, id, code, reason_string);
        if bytes.len() <= self.client_takes {
            bytes
        } else {
            reply::publish_ack(self.version, qos, id, code, None)
        }
    }
}

/// What is left of a message that has waited for so many seconds [MQTT-3.3.2-6]; `None` if its time
/// is up [MQTT-3.3.2-5].
fn unexpired(packet: Bytes, expiry: Option<u32>, waited: u64) -> Option<Bytes> {
    let (Some(expiry), 1..) = (expiry, waited) else {
        return Some(packet);
    };
    let left = u64::from(expiry)
        .checked_sub(waited)
        .filter(|left| *left > 0)?;
    let left = u32::try_from(left).unwrap_or(expiry);
    Some(publish::with_message_expiry(&packet, left))
}

enum DeniedPublish {
    Refuse,
    Drop,
    Disconnect,
}
