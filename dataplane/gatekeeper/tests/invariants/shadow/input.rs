//! What went into the gatekeeper, and what it obliges the gatekeeper to do.

use gatekeeper::{CloseReason, Ticket, Verdict};

use crate::{
    fault::{Checked, ensure},
    packet::{self, PUBACK, PUBCOMP, PUBREC, Packet},
};

use super::{Merge, Shadow};

/// What went into the gatekeeper.
#[derive(Debug)]
pub(crate) enum Input {
    ClientFrame(Vec<u8>),
    BrokerFrame(Vec<u8>),
    ClientViolation,
    BrokerViolation,
    Verdict(Ticket, Verdict),
    Upstream(bool),
    ClientEof,
    BrokerEof,
    Drain,
    Stall,
    Timeout,
    Reading(bool),
}

/// What the gatekeeper was told of ends.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) client_end: bool,
    pub(super) broker_end: bool,
    pub(super) drain: bool,
    /// When the first word came of an end that leaves time for what was read before.
    pub(super) ending_since: Option<u64>,
}

impl Shadow {
    pub(super) fn take(&mut self, input: &Input) -> Checked {
        match input {
            Input::ClientFrame(bytes) => self.take_client_frame(bytes)?,
            Input::BrokerFrame(bytes) => self.take_broker_frame(bytes),
            Input::Verdict(ticket, verdict) => self.asks.answer(*ticket, verdict, self.now),
            Input::Upstream(works) => self.handshake.reached(*works),
            Input::ClientEof => {
                self.told.client_end = true;
                self.told.ending_since.get_or_insert(self.now);
            }
            Input::Drain => {
                self.told.drain = true;
                self.told.ending_since.get_or_insert(self.now);
            }
            Input::BrokerEof => self.told.broker_end = true,
            Input::Reading(reading) => self.driver_reads = *reading,
            Input::ClientViolation | Input::BrokerViolation | Input::Stall | Input::Timeout => {}
        }
        Ok(())
    }

    fn take_client_frame(&mut self, bytes: &[u8]) -> Checked {
        if !self.live {
            self.step.frame =
                packet::read(self.version, bytes).map(|packet| (packet, bytes.to_vec()));
            return Ok(());
        }
        self.keep_alive.not_silent(self.now);
        if matches!(self.step.closing, Some(CloseReason::ClientViolation(_))) {
            return Ok(());
        }
        let largest = self.rules.limits.max_packet_size.min(self.broker_takes);
        ensure!(
            bytes.len() <= largest,
            "{} bytes are taken, {largest} are allowed",
            bytes.len()
        );
        match packet::read(self.version, bytes) {
            Some(
                Packet::Pingreq
                | Packet::Ack {
                    kind: PUBACK | PUBREC | PUBCOMP,
                    ..
                },
            ) => {
                self.step.through = Some(bytes.to_vec());
                Ok(())
            }
            Some(
                packet @ (Packet::Publish(_)
                | Packet::Subscribe { .. }
                | Packet::Unsubscribe { .. }
                | Packet::Ack { .. }
                | Packet::Disconnect { .. }),
            ) => self.line.push(self.version, packet, bytes.to_vec()),
            other => Err(format!("{other:?} is taken from a client")),
        }
    }

    fn take_broker_frame(&mut self, bytes: &[u8]) {
        if !self.live {
            return;
        }
        match packet::read(self.version, bytes) {
            Some(Packet::Ack {
                kind: kind @ (PUBACK | PUBREC),
                id,
                ..
            }) => {
                if !matches!(self.step.closing, Some(CloseReason::BrokerViolation(_))) {
                    self.acks.came(kind, id, bytes);
                }
            }
            Some(Packet::Suback {
                id,
                codes,
                properties,
            }) => match self.subscribes.remove(&id) {
                Some(slots) if slots.iter().any(Option::is_some) => {
                    self.step.merge = Some(Merge {
                        id,
                        slots,
                        codes,
                        properties,
                    });
                }
                _ => self.step.pass = Some(bytes.to_vec()),
            },
            Some(Packet::Pingresp) if !self.keep_alive.pong() => {}
            _ => self.step.pass = Some(bytes.to_vec()),
        }
    }
}
