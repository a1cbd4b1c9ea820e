//! Every refused QoS 1 and QoS 2 message gets exactly one acknowledgement, in its turn
//! (invariant 5) [MQTT-4.6.0-2] [MQTT-4.6.0-3].

use std::collections::VecDeque;

use gatekeeper::{Version, reason::Place};

use crate::{
    fault::{Checked, ensure},
    packet::{self, PUBACK, PUBREC, Packet},
};

use super::table::Code;

/// PUBACK and PUBREC that the client still has to get, and those that this step has to bring.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    puback: VecDeque<Turn>,
    pubrec: VecDeque<Turn>,
    due: Vec<Due>,
    /// Identifiers of the gate's own that have become due, for those who have to know.
    out: Vec<u16>,
}

#[derive(Debug)]
enum Turn {
    /// The broker's; `true` once it was passed on.
    Broker(u16, bool),
    Own(u16, Code),
    /// The gate's own, behind the broker's PUBCOMP.
    Held(u16, Code),
    /// As the broker's, once that is known.
    Again(u16),
}

impl Turn {
    fn id(&self) -> u16 {
        match self {
            Self::Broker(id, _) | Self::Own(id, _) | Self::Held(id, _) | Self::Again(id) => *id,
        }
    }
}

/// An acknowledgement that has to leave in this step.
#[derive(Debug)]
enum Due {
    Passed(Vec<u8>),
    Own(u8, u16, Code),
}

impl Acks {
    /// A PUBLISH went to the broker.
    pub(crate) fn forwarded(&mut self, qos: u8, id: u16, dup: bool) {
        let line = self.line(kind(qos));
        let waits = |turn: &Turn| matches!(turn, Turn::Broker(other, false) if *other == id);
        if !dup || !line.iter().any(waits) {
            line.push_back(Turn::Broker(id, false));
        }
    }

    /// A PUBLISH was settled by the gate.
    pub(crate) fn own(&mut self, qos: u8, id: u16, code: Code) {
        self.line(kind(qos)).push_back(Turn::Own(id, code));
        self.advance(kind(qos));
    }

    /// A PUBREC of the gate's own has its place, and does not leave yet.
    pub(crate) fn hold(&mut self, id: u16, code: Code) {
        self.pubrec.push_back(Turn::Held(id, code));
    }

    /// It may leave.
    pub(crate) fn purged(&mut self, id: u16) {
        for turn in &mut self.pubrec {
            if let Turn::Held(held, code) = turn
                && *held == id
            {
                *turn = Turn::Own(id, *code);
                break;
            }
        }
        self.advance(PUBREC);
    }

    /// A PUBLISH was repeated whose PUBREC is the broker's.
    pub(crate) fn again(&mut self, id: u16) {
        self.pubrec.push_back(Turn::Again(id));
    }

    /// The flow is over: nothing is said about it any more.
    pub(crate) fn forget(&mut self, id: u16) {
        self.pubrec.retain(|turn| turn.id() != id);
        self.advance(PUBREC);
    }

    /// What has become due since.
    pub(crate) fn take_out(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.out)
    }

    /// The broker's acknowledgement came.
    pub(crate) fn came(&mut self, kind: u8, id: u16, code: u8, bytes: &[u8]) {
        self.due.push(Due::Passed(bytes.to_vec()));
        if kind == PUBREC {
            for turn in &mut self.pubrec {
                if matches!(turn, Turn::Again(again) if *again == id) {
                    *turn = Turn::Own(id, Code::Exactly(code));
                }
            }
        }
        let waiting = self
            .line(kind)
            .iter_mut()
            .find(|turn| matches!(turn, Turn::Broker(other, false) if *other == id));
        if let Some(turn) = waiting {
            *turn = Turn::Broker(id, true);
            self.advance(kind);
        }
    }

    /// The client got these in this step.
    pub(crate) fn check(
        &mut self,
        version: Version,
        got: &[Vec<u8>],
        explanations: impl Fn(&[u8], &packet::Properties) -> Checked,
    ) -> Checked {
        let due = std::mem::take(&mut self.due);
        ensure!(
            got.len() == due.len(),
            "acknowledgements {got:02x?} where {due:?} are due"
        );
        for (got, due) in got.iter().zip(&due) {
            let right = match due {
                Due::Passed(bytes) => got == bytes,
                Due::Own(kind, id, code) => match packet::read(version, got) {
                    Some(Packet::Ack {
                        kind: is,
                        id: of,
                        code: says,
                        properties,
                    }) => {
                        explanations(got, &properties)?;
                        let code = match version {
                            Version::V5 => *code,
                            // It has no room for a code.
                            Version::V31 | Version::V311 => Code::Exactly(0),
                        };
                        is == *kind && of == *id && code.admits(says, Place::Puback)
                    }
                    _ => false,
                },
            };
            ensure!(right, "acknowledgement {got:02x?} where {due:?} is due");
        }
        Ok(())
    }

    /// How many wait for the broker, or behind those that do.
    pub(crate) fn waiting(&self) -> usize {
        let waits = |turn: &&Turn| !matches!(turn, Turn::Broker(_, true));
        let lines = self.puback.iter().chain(&self.pubrec);
        lines.filter(waits).count()
    }

    /// Whether something of the gate's still waits behind the broker.
    pub(crate) fn owes(&self) -> bool {
        !self.puback.is_empty() || !self.pubrec.is_empty()
    }

    fn advance(&mut self, kind: u8) {
        while let Some(Turn::Own(..) | Turn::Broker(_, true)) = self.line(kind).front() {
            if let Some(Turn::Own(id, code)) = self.line(kind).pop_front() {
                self.due.push(Due::Own(kind, id, code));
                self.out.push(id);
            }
        }
    }

    fn line(&mut self, kind: u8) -> &mut VecDeque<Turn> {
        match kind {
            PUBREC => &mut self.pubrec,
            _ => &mut self.puback,
        }
    }
}

fn kind(qos: u8) -> u8 {
    if qos == 2 { PUBREC } else { PUBACK }
}
