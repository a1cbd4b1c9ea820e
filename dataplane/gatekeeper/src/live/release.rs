//! Out of the line, in order, as the verdicts say.
//!
//! What a denial and what a failure do is in one place here: the denial is told as a denial, and a
//! failure never as a success nor as a denial. A message with QoS above 0 is never acknowledged as a
//! success and then lost because nobody decided about it. The exception is a check that would fail
//! for ever ([`Why::is_permanent`]): it is denied, so that the client does not come back in a loop.

use std::num::NonZeroU16;

use bytestring::ByteString;

use crate::{
    action::{Admitted, Exempt, Fate},
    close::CloseReason,
    gatekeeper::Context,
    question::{QoS, Version},
    queue::{Message, Packet, PendingPublish, PendingSubscribe},
    reason::ReasonCode,
    reply,
    rules::{OnDenied, OnDeniedV3, OnFailed, Rules},
    topic::Parsed,
    verdict::{Deny, DenyAction, Verdict, Why},
    violation::Violation,
};

use super::{End, Live, mutate::too_large};

/// How to complete the broker's SUBACK: one slot per filter of the client's packet.
#[derive(Debug)]
pub(crate) struct SubackPlan {
    /// `None` where the broker's code belongs.
    pub(crate) slots: Vec<Option<ReasonCode>>,
}

impl SubackPlan {
    /// How many codes the broker has to send.
    pub(crate) fn forwarded(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_none()).count()
    }
}

impl Live {
    /// Lets out every packet at the head of the line about which all is known.
    pub(super) fn release(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while let Some(packet) = self.queue.pop_ripe(cx.now, cx.actions) {
            match packet {
                Packet::Publish(pending) => {
                    let ticket = pending.ticket;
                    let fate = self.release_publish(pending, cx);
                    cx.actions
                        .settled(ticket, *fate.as_ref().unwrap_or(&Fate::Closed));
                    fate?;
                }
                Packet::Subscribe(pending) => {
                    let asked = !pending.answers.is_empty();
                    let ticket = pending.ticket;
                    let fate = self.release_subscribe(pending, cx);
                    if asked {
                        cx.actions
                            .settled(ticket, *fate.as_ref().unwrap_or(&Fate::Closed));
                    }
                    fate?;
                }
                Packet::Unsubscribe(bytes) => self.release_unsubscribe(bytes, cx)?,
                Packet::Pubrel(id, bytes) => {
                    if self.owned.remove(&id) {
                        cx.actions.write_client(reply::pubcomp(self.version, id));
                    } else {
                        self.forward(Admitted::exempt(Exempt::Release, bytes), cx);
                    }
                }
                Packet::Disconnect(bytes) => {
                    self.forward(Admitted::exempt(Exempt::Disconnect, bytes), cx);
                    return Err(CloseReason::ClientDisconnect.into());
                }
            }
        }
        Ok(())
    }

    fn release_publish(
        &mut self,
        pending: PendingPublish,
        cx: &mut Context<'_>,
    ) -> Result<Fate, End> {
        let PendingPublish {
            ticket,
            message,
            outgoing,
            answer,
        } = pending;
        if message
            .owned_id()
            .is_some_and(|id| self.owned.contains(&id))
        {
            // The gate has this identifier: the packet repeats one that it acknowledged and dropped,
            // whatever is thought of it now [MQTT-4.3.3-2].
            return Ok(self.acknowledge_and_drop(message, cx));
        }
        let verdict = answer.into_verdict();
        let (verdict, outgoing) = self.changed_publish(verdict, outgoing, &cx.rules.limits);
        match verdict {
            Verdict::Allow(_) if outgoing.len() > self.broker_takes => {
                // Its alias resolved, or changed, it is larger than the broker wants.
                self.deny_publish(message, too_large(), cx)
            }
            Verdict::Allow(_) => {
                if let Some(id) = message.id {
                    self.acks.expect(message.qos, id, message.dup);
                }
                self.forward(Admitted::allowed(ticket, outgoing), cx);
                Ok(Fate::Forwarded)
            }
            Verdict::Deny(deny) => self.deny_publish(message, deny, cx),
            Verdict::Unavailable(why) => self.fail_publish(message, why, cx),
        }
    }

    fn deny_publish(
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
    fn refuse(
        &mut self,
        message: Message,
        code: ReasonCode,
        reason_string: Option<ByteString>,
        cx: &mut Context<'_>,
    ) -> Fate {
        match message.id {
            None => Fate::Dropped,
            Some(id) => {
                let reason_string = reason_string.filter(|_| self.explains);
                self.acknowledge(message.qos, id, code, reason_string, cx);
                Fate::Refused(code)
            }
        }
    }

    /// Tells the client that all is well, and forwards nothing.
    fn acknowledge_and_drop(&mut self, message: Message, cx: &mut Context<'_>) -> Fate {
        // The broker may hold a repeated message from its first copy, and then has to get the PUBREL,
        // or an allowed message would never be delivered.
        if let Some(id) = message.owned_id().filter(|_| !message.dup) {
            self.owned.insert(id);
        }
        if let Some(id) = message.id {
            self.acknowledge(message.qos, id, ReasonCode::SUCCESS, None, cx);
        }
        Fate::Dropped
    }

    fn acknowledge(
        &mut self,
        qos: QoS,
        id: NonZeroU16,
        code: ReasonCode,
        reason_string: Option<ByteString>,
        cx: &mut Context<'_>,
    ) {
        let mut bytes = reply::publish_ack(self.version, qos, id, code, reason_string.as_deref());
        if bytes.len() > self.client_takes {
            bytes = reply::publish_ack(self.version, qos, id, code, None);
        }
        self.acks.own(qos, bytes, cx.actions);
    }

    fn release_subscribe(
        &mut self,
        pending: PendingSubscribe,
        cx: &mut Context<'_>,
    ) -> Result<Fate, End> {
        let PendingSubscribe {
            ticket,
            subscribe,
            outgoing,
            answers,
        } = pending;
        let id = subscribe.packet_id;
        if self.subscribes.contains_key(&id) {
            return Err(Violation::protocol(
                "packet identifier of a SUBSCRIBE that is not answered yet",
                "MQTT-2.2.1-3",
            )
            .into());
        }

        let mut answers = answers.into_iter();
        let mut slots = Vec::with_capacity(subscribe.filters.len());
        let mut outgoings = Vec::with_capacity(subscribe.filters.len());
        let mut explanation = None;
        for subscription in &subscribe.filters {
            let verdict = match &subscription.parsed {
                Parsed::Refused(_) => Verdict::Deny(Deny {
                    code: Some(ReasonCode::TOPIC_FILTER_INVALID),
                    action: DenyAction::Reject,
                    ..Deny::default()
                }),
                Parsed::Filter(_) => answers
                    .next()
                    .map_or(Verdict::Unavailable(Why::MissingResult), |answer| {
                        answer.into_verdict()
                    }),
            };
            let limits = &cx.rules.limits;
            let (verdict, outgoing) = self.changed_filter(verdict, subscription, limits);
            outgoings.push(outgoing);
            let refused = refusal_of_filter(verdict, cx.rules)?;
            slots.push(refused.map(|refused| {
                explanation = explanation.take().or(refused.reason_string);
                refused.code
            }));
        }

        let bytes = self.subscribe_for_broker(&subscribe, &outgoings, outgoing);
        if bytes.is_none() {
            // Changed, the filters are too large together.
            for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
                let refused = refusal_of_filter(Verdict::Deny(too_large()), cx.rules)?;
                *slot = refused.map(|refused| refused.code);
            }
        }
        let plan = SubackPlan { slots };
        let Some(bytes) = bytes else {
            let codes: Vec<_> = plan.slots.into_iter().flatten().collect();
            let explanation = explanation.filter(|_| self.explains);
            let mut suback = reply::suback(self.version, id, &codes, explanation.as_deref());
            if suback.len() > self.client_takes {
                suback = reply::suback(self.version, id, &codes, None);
            }
            cx.actions.write_client(suback);
            return Ok(Fate::Refused(
                codes.first().copied().unwrap_or(ReasonCode::NOT_AUTHORIZED),
            ));
        };
        let fate = if plan.forwarded() == plan.slots.len() {
            Fate::Forwarded
        } else {
            Fate::ForwardedInPart
        };
        // Before the packet leaves: the broker may answer at once, and deliver before it does.
        if let Some(namespace) = &mut self.namespace {
            namespace.subscribes(&subscribe, &outgoings);
        }
        self.subscribes.insert(id, plan);
        self.forward(Admitted::allowed(ticket, bytes), cx);
        Ok(fate)
    }
}

enum DeniedPublish {
    Refuse,
    Drop,
    Disconnect,
}

/// A filter that does not go to the broker.
struct RefusedFilter {
    code: ReasonCode,
    reason_string: Option<ByteString>,
}

/// What becomes of one filter: `None` goes to the broker, an error ends the session.
fn refusal_of_filter(verdict: Verdict, rules: &Rules) -> Result<Option<RefusedFilter>, End> {
    let deny = match verdict {
        Verdict::Allow(_) => return Ok(None),
        Verdict::Deny(deny) => deny,
        Verdict::Unavailable(Why::SessionStateInvalid) => {
            return Err(CloseReason::SessionStateInvalid.into());
        }
        Verdict::Unavailable(why) => match denial_of_a_permanent_failure(why) {
            Some(deny) => deny,
            None => {
                return match rules.on_subscribe_failed {
                    OnFailed::Disconnect => Err(CloseReason::SubscribeUndecided(why).into()),
                    OnFailed::Reject => Ok(Some(RefusedFilter {
                        code: ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
                        reason_string: None,
                    })),
                };
            }
        },
    };
    let closes = match deny.action {
        DenyAction::Disconnect => true,
        DenyAction::Configured => rules.on_subscribe_denied == OnDenied::Disconnect,
        DenyAction::Reject | DenyAction::Drop => false,
    };
    if closes {
        return Err(End::denied(CloseReason::SubscribeDenied, deny));
    }
    Ok(Some(RefusedFilter {
        code: deny.code.unwrap_or(ReasonCode::NOT_AUTHORIZED).for_suback(),
        reason_string: deny.reason_string,
    }))
}

/// A client whose packet would fail for ever is denied, so that it does not come back in a loop.
fn denial_of_a_permanent_failure(why: Why) -> Option<Deny> {
    why.is_permanent().then(|| Deny {
        code: (why == Why::TooLarge).then_some(ReasonCode::PACKET_TOO_LARGE),
        ..Deny::default()
    })
}
