//! The fate of a packet is what the tables say about the verdict, and the packet at the head of the
//! line is the one that has it (invariants 2, 3 and 5).

use gatekeeper::{Fate, Ticket, Version, reason::Place};

use crate::{
    fault::{Checked, ensure},
    packet::{self, Packet},
};

use super::{
    Shadow,
    inflight::Stage,
    table::{self, Code, Effect},
};

impl Shadow {
    pub(super) fn settled(&mut self, ticket: Ticket, fate: Fate) -> Checked {
        ensure!(!self.settled.contains(&ticket), "{ticket:?} has two fates");
        self.settled.push(ticket);
        if !self.live {
            return Ok(());
        }
        let closing = self.step.closing.is_some() || self.step.failing;
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
        let (sent, purged) = (head.sent, head.purged);
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
            self.step.given_up = true;
            return Ok(());
        }
        match (&head.packet, effect, slots) {
            (Packet::Publish(publish), Some(effect), _) => {
                self.publish_settled(publish, effect, fate, sent, purged)?;
                self.pass_unasked();
                Ok(())
            }
            (
                Packet::Subscribe {
                    filters: asked_for, ..
                },
                _,
                Some(Ok(slots)),
            ) => {
                let mut asked = 0;
                for (index, (filter, _)) in asked_for.iter().enumerate() {
                    let Ok(number) = head.filters[index] else {
                        continue;
                    };
                    let verdict = self.asks.outcome(ticket.filter(asked));
                    asked += 1;
                    if slots[index].is_none() {
                        continue;
                    }
                    let is_denied = Self::is_a_denial(verdict);
                    self.subscriptions.refused(filter, number);
                    let mut later = asked_for.iter().zip(&head.filters).skip(index + 1);
                    let has_later =
                        later.any(|((other, _), place)| other == filter && place.is_ok());
                    // The broker may have kept it from a former connection.
                    if is_denied
                        && !has_later
                        && (self.subscriptions.withdraw(filter) || self.resumed)
                    {
                        self.step.withdraws.push(filter.clone());
                    }
                }
                let allowed = slots.iter().filter(|slot| slot.is_none()).count();
                let right = match fate {
                    Fate::Forwarded => sent && allowed == slots.len(),
                    Fate::ForwardedInPart => sent && allowed > 0 && allowed < slots.len(),
                    Fate::Refused(_) => {
                        !sent && answered && allowed == 0 && version != Version::V31
                    }
                    // The client was told that it is granted.
                    Fate::Dropped => !sent && answered && allowed == 0 && version == Version::V31,
                    Fate::Expired | Fate::Closed => false,
                };
                ensure!(right, "SUBSCRIBE with {slots:?} is {fate:?}");
                self.pass_unasked();
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
        purged: bool,
    ) -> Checked {
        let right = match (effect, fate) {
            (Effect::Forward, Fate::Forwarded) => sent,
            (Effect::Refuse(code), Fate::Refused(says)) => {
                !sent && code.admits(says.get(), Place::Puback)
            }
            (Effect::Acknowledge | Effect::Drop, Fate::Dropped)
            | (Effect::Expire, Fate::Expired) => !sent,
            _ => false,
        };
        ensure!(right, "{publish:?} is {fate:?}, but {effect:?}");
        let Some(id) = publish.id else {
            return Ok(());
        };
        match (effect, fate) {
            (Effect::Refuse(code), Fate::Refused(says)) => {
                self.refuse(publish, id, code, says.get(), purged)
            }
            (Effect::Acknowledge | Effect::Expire, _) => {
                ensure!(!purged, "{publish:?} is purged and acknowledged");
                self.inflight.set(
                    id,
                    match self.broker_may_hold(publish) {
                        true => Stage::Received,
                        false => Stage::Owned,
                    },
                );
                self.acks.own(publish.qos, id, Code::Exactly(0));
                self.hear();
                Ok(())
            }
            _ => {
                ensure!(!purged, "{publish:?} is purged, and it is {effect:?}");
                Ok(())
            }
        }
    }

    fn refuse(
        &mut self,
        publish: &packet::Publish,
        id: u16,
        code: Code,
        says: u8,
        purged: bool,
    ) -> Checked {
        ensure!(
            purged == self.broker_may_hold(publish),
            "{publish:?} is refused, and purged: {purged}"
        );
        if purged {
            self.inflight.set(id, Stage::Purging(says));
            self.acks.hold(id, code);
        } else {
            self.inflight.set(id, Stage::Refused(says));
            self.acks.own(publish.qos, id, code);
        }
        self.hear();
        Ok(())
    }

    /// What is at the head of the line, and nobody was asked about, and the broker does not get.
    pub(super) fn pass_unasked(&mut self) {
        while let Some(head) = self.line.arrivals.front() {
            let Packet::Publish(publish) = &head.packet else {
                return;
            };
            let Some(id) = publish.id.filter(|_| !self.step.given_up) else {
                return;
            };
            if head.repeats {
                match self.inflight.pubrec_code(id) {
                    Some(code) => self.acks.own(2, id, Code::Exactly(code)),
                    None => self.acks.again(id),
                }
            } else if let Some(code) = head.refused {
                let may_hold = self.broker_may_hold(publish);
                match table::refused_publish(self.version, publish.qos, code, &self.rules) {
                    Effect::Refuse(_) if may_hold => return,
                    Effect::Refuse(_) => {
                        self.inflight.set(id, Stage::Refused(code));
                        self.acks.own(publish.qos, id, Code::Exactly(code));
                    }
                    Effect::End(reason, code) => {
                        self.fatal = self.fatal.or(Some((reason, code)));
                        self.step.given_up = true;
                        return;
                    }
                    _ => {
                        let stage = match may_hold {
                            true => Stage::Received,
                            false => Stage::Owned,
                        };
                        self.inflight.set(id, stage);
                        self.acks.own(publish.qos, id, Code::Exactly(0));
                    }
                }
            } else {
                return;
            }
            self.line.arrivals.pop_front();
            self.hear();
        }
    }

    /// The gate sends a PUBREL for the PUBLISH at the head.
    pub(super) fn purge(&mut self, id: u16) -> Checked {
        let effect = self.effect_at_head();
        let may_hold = match self.line.arrivals.front().map(|head| &head.packet) {
            Some(Packet::Publish(publish)) => {
                publish.id == Some(id) && self.broker_may_hold(publish)
            }
            _ => false,
        };
        ensure!(may_hold, "PUBREL {id} of the gate for nothing");
        let head = self.line.head()?;
        match (head.refused, effect) {
            (Some(code), _) => {
                self.line.arrivals.pop_front();
                self.inflight.set(id, Stage::Purging(code));
                self.acks.hold(id, Code::Exactly(code));
                self.pass_unasked();
                Ok(())
            }
            (None, Some(Effect::Refuse(_))) => {
                ensure!(!head.purged, "{:?} is purged twice", head.packet);
                head.purged = true;
                Ok(())
            }
            (None, effect) => Err(format!("PUBREL {id} of the gate, but {effect:?}")),
        }
    }

    /// Whether it may be the second copy of a message that the broker got on a former connection.
    fn broker_may_hold(&self, publish: &packet::Publish) -> bool {
        self.resumed && publish.dup && publish.qos == 2
    }

    /// What the tables say about the PUBLISH at the head, if all is known about it.
    pub(super) fn effect_at_head(&self) -> Option<Effect> {
        let head = self.line.arrivals.front()?;
        head.effect(
            &self.asks,
            self.version,
            &self.rules,
            self.broker_takes,
            self.now,
        )
    }
}
