//! The fate of a packet is what the tables say about the verdict, and the packet at the head of the
//! line is the one that has it (invariants 2, 3 and 5).

use gatekeeper::{Fate, Ticket, reason::Place};

use crate::{
    fault::{Checked, ensure},
    packet::{self, Packet},
};

use super::{
    Shadow,
    table::{Code, Effect},
};

impl Shadow {
    pub(super) fn settled(&mut self, ticket: Ticket, fate: Fate) -> Checked {
        ensure!(!self.settled.contains(&ticket), "{ticket:?} has two fates");
        self.settled.push(ticket);
        if !self.live {
            return Ok(());
        }
        let closing = self.step.closing.is_some();
        if closing && fate == Fate::Closed {
            while self.line.head()?.ticket.is_none() {
                self.line.arrivals.pop_front();
            }
        }
        let effect = self.effect_at_head();
        let (asks, version, rules) = (&self.asks, self.version, &self.rules);
        let head = self.line.head()?;
        ensure!(
            head.ticket == Some(ticket),
            "{ticket:?} is settled before {:?}",
            head.packet
        );
        let slots = head.slots(asks, version, rules);
        let sent = head.sent;
        let answered = head.answered;
        let Some(head) = self.line.arrivals.pop_front() else {
            return Ok(());
        };
        if fate == Fate::Closed {
            ensure!(closing && !sent, "{:?} ends nothing", head.packet);
            let end = match (effect, slots) {
                (Some(Effect::End(reason, code)), _) | (_, Some(Err((reason, code)))) => {
                    Some((reason, code))
                }
                _ => None,
            };
            self.step.gave_up |= end.is_none();
            self.fatal = self.fatal.or(end);
            return Ok(());
        }
        match (&head.packet, effect, slots) {
            (Packet::Publish(publish), Some(effect), _) => {
                self.publish_settled(publish, effect, fate, sent)
            }
            (Packet::Subscribe { .. }, _, Some(Ok(slots))) => {
                let allowed = slots.iter().filter(|slot| slot.is_none()).count();
                let right = match fate {
                    Fate::Forwarded => sent && allowed == slots.len(),
                    Fate::ForwardedInPart => sent && allowed > 0 && allowed < slots.len(),
                    Fate::Refused(_) => !sent && answered && allowed == 0,
                    Fate::Dropped | Fate::Expired | Fate::Closed => false,
                };
                ensure!(right, "SUBSCRIBE with {slots:?} is {fate:?}");
                Ok(())
            }
            (packet, effect, slots) => {
                Err(format!("{packet:?} is {fate:?}, but {effect:?} {slots:?}"))
            }
        }
    }

    fn publish_settled(
        &mut self,
        publish: &packet::Publish,
        effect: Effect,
        fate: Fate,
        sent: bool,
    ) -> Checked {
        let right = match (effect, fate) {
            (Effect::Forward, Fate::Forwarded) => sent,
            (Effect::Refuse(code), Fate::Refused(says)) => {
                !sent && code.admits(says.get(), Place::Puback)
            }
            (Effect::Acknowledge | Effect::Drop, Fate::Dropped) => !sent,
            _ => false,
        };
        ensure!(right, "{publish:?} is {fate:?}, but {effect:?}");
        let Some(id) = publish.id else {
            return Ok(());
        };
        match effect {
            Effect::Refuse(code) => self.acks.own(publish.qos, id, code),
            Effect::Acknowledge => {
                self.acks.own(publish.qos, id, Code::Exactly(0));
                // The broker may hold a repeated one, and then its PUBREL is the broker's.
                if publish.qos == 2 && !publish.dup && !self.owned.contains(&id) {
                    self.owned.push(id);
                }
            }
            Effect::Forward | Effect::Drop | Effect::End(..) => {}
        }
        Ok(())
    }

    /// What the tables say about the PUBLISH at the head, if all is known about it. One that repeats
    /// what the gate has acknowledged and dropped stays acknowledged [MQTT-4.3.3-10].
    pub(super) fn effect_at_head(&self) -> Option<Effect> {
        let head = self.line.arrivals.front()?;
        let effect = head.effect(&self.asks, self.version, &self.rules, self.broker_takes)?;
        match &head.packet {
            Packet::Publish(publish)
                if publish.qos == 2 && publish.id.is_some_and(|id| self.owned.contains(&id)) =>
            {
                Some(Effect::Acknowledge)
            }
            _ => Some(effect),
        }
    }
}
