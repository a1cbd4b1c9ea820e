//! What the client gets: what the broker sent, or an answer of the gate's own that is due now
//! (invariants 5 and 6).

use gatekeeper::{CloseReason, Version, reason::Place};

use crate::{
    fault::{Checked, ensure},
    packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet},
};

use super::{Input, Shadow, endings, inflight::Answer, offer::Offer};

impl Shadow {
    pub(super) fn client_gets(&mut self, bytes: &[u8], input: &Input) -> Checked {
        ensure!(
            self.goodbye.is_none(),
            "the client hears more after the end"
        );
        if !self.live {
            return self.client_gets_before_connack(bytes, input);
        }
        if self.step.pass.take_if(|pass| *pass == bytes).is_some() {
            return Ok(());
        }
        match packet::read(self.version, bytes) {
            Some(Packet::Publish(_)) => {
                ensure!(self.downlink.client_gets(bytes), "a PUBLISH out of turn");
                Ok(())
            }
            Some(Packet::Ack {
                kind: PUBACK | PUBREC,
                ..
            }) => {
                self.step.acks.push(bytes.to_vec());
                Ok(())
            }
            Some(Packet::Ack {
                kind: PUBCOMP,
                id,
                code,
                ..
            }) => {
                let head = self.line.head()?;
                let answers =
                    matches!(head.packet, Packet::Ack { kind: PUBREL, id: of, .. } if of == id);
                ensure!(answers, "PUBCOMP {id} out of turn");
                let Answer::Gate(expected, owed) =
                    self.inflight.release(id, self.version, self.resumed)
                else {
                    return Err(format!("PUBCOMP {id} of the gate, it is the broker's"));
                };
                ensure!(code == expected, "PUBCOMP {id} with {code:#04x}");
                self.line.arrivals.pop_front();
                if owed {
                    self.acks.forget(id);
                }
                self.hear();
                self.pass_unasked();
                Ok(())
            }
            Some(Packet::Suback {
                id,
                codes,
                properties,
            }) => self.suback(bytes, id, &codes, &properties),
            Some(Packet::Disconnect { code, properties }) if self.version == Version::V5 => {
                ensure!(self.step.closing.is_some(), "DISCONNECT and no end");
                ensure!(endings::may_say(code), "DISCONNECT {code:#04x} of a server");
                endings::explained(bytes, &properties, true, self.client_takes)?;
                self.goodbye = Some(code);
                Ok(())
            }
            other => Err(format!("the client gets {other:?}, {bytes:02x?}")),
        }
    }

    fn client_gets_before_connack(&mut self, bytes: &[u8], input: &Input) -> Checked {
        ensure!(
            bytes[0] == 0x20,
            "before a CONNACK the client gets {bytes:02x?}"
        );
        ensure!(self.handshake.connack.is_none(), "a second CONNACK");
        self.handshake.connack = Some(bytes.to_vec());
        let accepted = packet::body(bytes).and_then(|body| body.get(1)) == Some(&0);
        match input {
            Input::BrokerFrame(broker) if accepted => {
                let limits = &self.rules.limits;
                self.handshake
                    .accepted(self.version, broker, bytes, limits, self.client_takes)?;
                self.keep_alive
                    .begin(self.agreed_keep_alive(bytes), self.now);
                self.learn(broker);
                Ok(())
            }
            Input::BrokerFrame(broker) if broker.len() != 4 || self.version.is_v3() => {
                let refused = matches!(self.step.closing, Some(CloseReason::BrokerRefused));
                ensure!(
                    !refused || broker == bytes,
                    "the broker's refusal is changed"
                );
                Ok(())
            }
            _ => {
                ensure!(!accepted, "the gate accepts by itself");
                if let (Version::V5, Some(Packet::Connack { properties, .. })) =
                    (self.version, packet::read(self.version, bytes))
                {
                    endings::explained(bytes, &properties, true, self.client_takes)?;
                }
                Ok(())
            }
        }
    }

    /// What the broker's CONNACK says about the session.
    fn learn(&mut self, broker: &[u8]) {
        const RECEIVE_MAXIMUM: u8 = 0x21;

        let Some(Packet::Connack {
            session_present,
            properties,
            ..
        }) = packet::read(self.version, broker)
        else {
            return;
        };
        self.resumed = match self.version {
            // It has no Session Present.
            Version::V31 => !self.handshake.begins_anew(),
            Version::V311 | Version::V5 => session_present,
        };
        self.offer = Offer::of(&properties);
        if self.version == Version::V5 {
            let broker = packet::property(&properties, RECEIVE_MAXIMUM)
                .and_then(|value| Some(u16::from_be_bytes(value.try_into().ok()?)))
                .unwrap_or(u16::MAX);
            self.receive_maximum = broker.min(self.rules.limits.receive_maximum).into();
        }
    }

    fn suback(
        &mut self,
        bytes: &[u8],
        id: u16,
        codes: &[u8],
        properties: &packet::Properties,
    ) -> Checked {
        if let Some(merge) = self.step.merge.take() {
            let mut granted = merge.codes.iter();
            let right = id == merge.id
                && codes.len() == merge.slots.len()
                && merge
                    .slots
                    .iter()
                    .zip(codes)
                    .all(|(slot, code)| match slot {
                        None => granted.next() == Some(code),
                        Some(refused) => refused.admits(*code, Place::Suback),
                    });
            ensure!(
                right && granted.next().is_none(),
                "{codes:02x?} completes {merge:?}"
            );
            ensure!(
                *properties == merge.properties || properties.is_empty(),
                "the properties of a SUBACK are changed"
            );
            return Ok(());
        }
        let (asks, version, rules) = (&self.asks, self.version, &self.rules);
        let head = self.line.head()?;
        ensure!(
            matches!(head.packet, Packet::Subscribe { id: of, .. } if of == id) && !head.answered,
            "SUBACK {id} out of turn"
        );
        let slots = match head.slots(asks, version, rules) {
            Some(Ok(slots)) => slots,
            other => return Err(format!("SUBACK {id}, but {other:?}")),
        };
        let right = codes.len() == slots.len()
            && slots.iter().zip(codes).all(|(slot, code)| {
                slot.is_some_and(|refused| refused.admits(*code, Place::Suback))
            });
        ensure!(right, "SUBACK {codes:02x?} for {slots:?}");
        head.answered = true;
        self.inflight.suback(id);
        if head.ticket.is_none() {
            self.line.arrivals.pop_front();
            self.pass_unasked();
        }
        endings::explained(bytes, properties, self.explains, self.client_takes)
    }

    /// The keep alive that holds, in seconds.
    fn agreed_keep_alive(&self, connack: &[u8]) -> u16 {
        const SERVER_KEEP_ALIVE: u8 = 0x13;

        let server = match packet::read(self.version, connack) {
            Some(Packet::Connack { properties, .. }) => {
                packet::property(&properties, SERVER_KEEP_ALIVE)
                    .and_then(|value| Some(u16::from_be_bytes(value.try_into().ok()?)))
            }
            _ => None,
        };
        server.unwrap_or_else(|| self.handshake.keep_alive())
    }
}
