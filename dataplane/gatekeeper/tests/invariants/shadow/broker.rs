//! What the broker gets: what is allowed, or exempt by a rule with a name, in its turn and in the
//! client's own bytes (invariants 1, 3, 4, 7 and 10).

use gatekeeper::{Admitted, Basis, Exempt, Ticket};

use crate::{
    fault::{Checked, ensure},
    packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet},
};

use super::{
    AtBroker, Shadow,
    inflight::{Answer, Stage},
    table::Effect,
};

impl Shadow {
    pub(super) fn broker_gets(&mut self, admitted: Admitted) -> Checked {
        let basis = admitted.basis();
        let bytes = admitted.into_bytes();
        let harmless = matches!(basis, Basis::Exempt(Exempt::Ping | Exempt::Acknowledgement));
        ensure!(
            self.waits_for_permit.is_none() || harmless,
            "the broker hears more after a failure"
        );
        ensure!(
            self.goodbye.is_none() && !self.said_goodbye,
            "the broker hears more after the end"
        );
        let Some(packet) = packet::read(self.version, &bytes) else {
            return Err(format!("the broker gets what is no packet: {bytes:02x?}"));
        };
        match (basis, packet) {
            (Basis::Exempt(Exempt::Ping), Packet::Pingreq) => {
                let of_client = self
                    .step
                    .through
                    .take_if(|through| *through == bytes)
                    .is_some();
                ensure!(
                    of_client || self.keep_alive.ping_is_due(self.now),
                    "the gate pings without need"
                );
                self.keep_alive.ping(of_client, self.now);
            }
            (
                Basis::Exempt(Exempt::Acknowledgement),
                Packet::Ack {
                    kind: PUBACK | PUBREC | PUBCOMP,
                    ..
                },
            ) => {
                let through = self.step.through.take_if(|through| *through == bytes);
                ensure!(through.is_some(), "an invented answer");
            }
            (
                Basis::Exempt(Exempt::Release),
                Packet::Ack {
                    kind: PUBREL, id, ..
                },
            ) => {
                let head = self.line.head()?;
                let is_it =
                    matches!(head.packet, Packet::Ack { kind: PUBREL, id: of, .. } if of == id);
                ensure!(is_it, "PUBREL {id} leaves before {:?}", head.packet);
                let answer = self.inflight.release(id, self.version, self.resumed);
                ensure!(
                    answer == Answer::Broker,
                    "the broker gets PUBREL {id}, but {answer:?}"
                );
                self.leave_unasked(&bytes)?;
            }
            (
                Basis::Exempt(Exempt::Purge),
                Packet::Ack {
                    kind: PUBREL,
                    id,
                    code: 0,
                    ..
                },
            ) => self.purge(id)?,
            (Basis::Exempt(Exempt::Unsubscribe), Packet::Unsubscribe { id, filters }) => {
                self.leave_unasked(&bytes)?;
                self.unsubscribes.insert(id, filters.len());
            }
            (Basis::Exempt(Exempt::Withdraw), Packet::Unsubscribe { id, mut filters }) => {
                ensure!(self.inflight.takes_own(id), "{id} is in use");
                ensure!(filters.len() == 1, "{filters:?} are left together");
                self.unsubscribes.insert(id, filters.len());
                self.withdrawals.push((id, self.now));
                self.step.withdrawn.append(&mut filters);
            }
            (Basis::Exempt(Exempt::Disconnect), Packet::Disconnect { .. }) => {
                self.leave_unasked(&bytes)?;
                self.said_goodbye = true;
            }
            (Basis::Allowed(ticket), Packet::Connect(connect)) => {
                self.handshake.forward(
                    ticket,
                    &bytes,
                    &connect,
                    &self.asks,
                    self.version,
                    &self.rules.limits,
                )?;
            }
            (Basis::Allowed(ticket), Packet::Publish(publish)) => {
                self.forward_publish(ticket, &bytes, &publish)?;
            }
            (Basis::Allowed(ticket), Packet::Subscribe { id, .. }) => {
                self.forward_subscribe(ticket, &bytes, id)?;
            }
            (basis, packet) => return Err(format!("{packet:?} on the ground of {basis:?}")),
        }
        self.keep_alive.told_broker = self.now;
        Ok(())
    }

    fn leave_unasked(&mut self, bytes: &[u8]) -> Checked {
        let head = self.line.head()?;
        ensure!(
            head.ticket.is_none() && head.outgoing == bytes,
            "{bytes:02x?} leaves before {:?}",
            head.packet
        );
        self.line.arrivals.pop_front();
        self.pass_unasked();
        Ok(())
    }

    fn forward_publish(
        &mut self,
        ticket: Ticket,
        bytes: &[u8],
        publish: &packet::Publish,
    ) -> Checked {
        let effect = self.effect_at_head();
        let (version, now) = (self.version, self.now);
        let head = self.line.head()?;
        ensure!(
            head.ticket == Some(ticket),
            "{publish:?} leaves before {:?}",
            head.packet
        );
        ensure!(
            effect == Some(Effect::Forward),
            "{publish:?} leaves, but {effect:?}"
        );
        let aged = head.aged(version, now);
        ensure!(aged == bytes, "{bytes:02x?} leaves for {aged:02x?}");
        ensure!(!head.sent, "{publish:?} leaves twice");
        head.sent = true;
        if let Some(id) = publish.id {
            self.inflight.set(id, Stage::AtBroker);
            self.acks.forwarded(publish.qos, id, publish.dup);
        }
        Ok(())
    }

    fn forward_subscribe(&mut self, ticket: Ticket, bytes: &[u8], id: u16) -> Checked {
        let (asks, version, rules) = (&self.asks, self.version, &self.rules);
        let head = self.line.head()?;
        ensure!(
            head.ticket == Some(ticket),
            "SUBSCRIBE {id} leaves before {:?}",
            head.packet
        );
        let slots = head.slots(asks, version, rules);
        let Some(Ok(slots)) = slots else {
            return Err(format!("SUBSCRIBE {id} leaves, but {slots:?}"));
        };
        ensure!(
            slots.iter().any(Option::is_none),
            "SUBSCRIBE {id} without an allowed filter"
        );
        let subset = head.subset(&slots, version);
        ensure!(
            subset.as_deref() == Some(bytes),
            "SUBSCRIBE {bytes:02x?} leaves where {subset:02x?} is allowed"
        );
        ensure!(!head.sent, "SUBSCRIBE {id} leaves twice");
        head.sent = true;
        let Packet::Subscribe { filters, .. } = &head.packet else {
            return Err(format!("SUBSCRIBE {id} leaves before {:?}", head.packet));
        };
        let forwarded: Vec<(String, usize, u8)> = filters
            .iter()
            .zip(&head.filters)
            .zip(&slots)
            .filter(|(_, slot)| slot.is_none())
            .filter_map(|(((filter, options), number), _)| {
                Some((filter.clone(), number.ok()?, options & 3))
            })
            .collect();
        for (filter, number, _) in &forwarded {
            self.subscriptions.forwarded(filter, *number);
        }
        let at_broker = AtBroker { slots, forwarded };
        ensure!(
            self.subscribes.insert(id, at_broker).is_none(),
            "SUBSCRIBE {id} while one is unanswered"
        );
        Ok(())
    }
}
