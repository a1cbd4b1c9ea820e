//! Deliveries: what is too large for the client is acknowledged for it, and what is more than it takes
//! at a time waits (invariants 5 and 7).

use std::collections::{HashSet, VecDeque};

use gatekeeper::{Limits, Version};

use crate::{
    case::Hello,
    fault::{Checked, ensure},
    packet::{PUBACK, PUBCOMP, PUBREC, Packet, Publish},
    write,
};

/// Deliveries that may wait.
const MAX_HELD: usize = 1024;

/// Who acknowledges a delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Whose {
    Client,
    Gate,
}

/// Deliveries on their way, and what this step has to bring.
#[derive(Debug)]
pub(crate) struct Downlink {
    takes: usize,
    at_once: usize,
    outstanding: HashSet<u16>,
    held: VecDeque<(Option<u16>, Vec<u8>)>,
    /// The order of PUBACK and of PUBREC.
    turns: Vec<(u8, u16, Whose)>,
    /// QoS 2 deliveries that the client did not get.
    unreleased: HashSet<u16>,
    to_client: VecDeque<Vec<u8>>,
    to_broker: VecDeque<Vec<u8>>,
    dropped: usize,
}

impl Downlink {
    pub(crate) fn new(version: Version, hello: &Hello) -> Self {
        let v5 = version == Version::V5;
        let or_all = |limit: Option<usize>| limit.filter(|_| v5).unwrap_or(usize::MAX);
        Self {
            takes: or_all(hello.maximum_packet_size.map(|size| size as usize)),
            at_once: or_all(hello.receive_maximum.map(usize::from)),
            outstanding: HashSet::new(),
            held: VecDeque::new(),
            turns: Vec::new(),
            unreleased: HashSet::new(),
            to_client: VecDeque::new(),
            to_broker: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Whether this delivery is one that even the gate has no room for.
    pub(crate) fn overruns(&self, publish: &Publish, bytes: &[u8], limits: &Limits) -> bool {
        publish.qos > 0
            && bytes.len() <= self.takes
            && !self.passes(publish.id)
            && self.is_full(limits)
    }

    /// The broker delivers.
    pub(crate) fn deliver(&mut self, publish: &Publish, bytes: &[u8], limits: &Limits) -> Checked {
        ensure!(
            !self.overruns(publish, bytes, limits),
            "more is held than there is room for"
        );
        if bytes.len() > self.takes {
            self.dropped += 1;
            if let Some(id) = publish.id {
                if publish.qos == 2 {
                    self.unreleased.insert(id);
                }
                self.turn(publish.qos, id, Whose::Gate);
                self.advance();
            }
            return Ok(());
        }
        if let Some(id) = publish.id {
            self.unreleased.remove(&id);
            self.turn(publish.qos, id, Whose::Client);
        }
        if self.passes(publish.id) {
            self.outstanding.extend(publish.id);
            self.to_client.push_back(bytes.to_vec());
        } else if self.is_full(limits) {
            self.dropped += 1;
        } else {
            self.held.push_back((publish.id, bytes.to_vec()));
        }
        Ok(())
    }

    /// The client answers.
    pub(crate) fn answered(&mut self, kind: u8, id: u16, code: u8) {
        self.turns
            .retain(|(of, for_id, whose)| (*of, *for_id, *whose) != (kind, id, Whose::Client));
        self.advance();
        if kind != PUBREC || code >= 0x80 {
            self.outstanding.remove(&id);
        }
        while let Some((id, _)) = self.held.front()
            && self.has_room(*id)
        {
            let (id, bytes) = self.held.pop_front().expect("there is a first");
            self.outstanding.extend(id);
            self.to_client.push_back(bytes);
        }
    }

    /// The broker sends a PUBREL. Tells whether it is the client's.
    pub(crate) fn released(&mut self, id: u16) -> bool {
        let is_withheld = self.unreleased.remove(&id);
        if is_withheld {
            self.to_broker.push_back(write::ack(PUBCOMP, id));
        }
        !is_withheld
    }

    /// The client gets a PUBLISH. Tells whether it is its turn.
    pub(crate) fn client_gets(&mut self, bytes: &[u8]) -> bool {
        self.to_client.pop_front_if(|due| due == bytes).is_some()
    }

    /// The broker gets an answer. Tells whether the gate owes it.
    pub(crate) fn broker_gets(&mut self, bytes: &[u8]) -> bool {
        self.to_broker.pop_front_if(|due| due == bytes).is_some()
    }

    /// A delivery is said to be dropped.
    pub(crate) fn drops(&mut self) -> Checked {
        ensure!(self.dropped > 0, "a delivery is dropped without need");
        self.dropped -= 1;
        Ok(())
    }

    /// What holds after a step.
    pub(crate) fn check(&self) -> Checked {
        ensure!(
            self.to_client.is_empty(),
            "{:02x?} are not delivered",
            self.to_client
        );
        ensure!(
            self.to_broker.is_empty(),
            "{:02x?} are owed to the broker",
            self.to_broker
        );
        ensure!(self.dropped == 0, "a delivery vanishes");
        ensure!(
            self.outstanding.len() <= self.at_once,
            "{} deliveries at once",
            self.outstanding.len()
        );
        Ok(())
    }

    fn passes(&self, id: Option<u16>) -> bool {
        self.held.is_empty() && self.has_room(id)
    }

    fn has_room(&self, id: Option<u16>) -> bool {
        id.is_none_or(|id| self.outstanding.len() < self.at_once || self.outstanding.contains(&id))
    }

    fn is_full(&self, limits: &Limits) -> bool {
        let bytes: usize = self.held.iter().map(|(_, bytes)| bytes.len()).sum();
        self.held.len() >= MAX_HELD || bytes >= limits.window_bytes
    }

    fn turn(&mut self, qos: u8, id: u16, whose: Whose) {
        let kind = if qos == 1 { PUBACK } else { PUBREC };
        let place = self
            .turns
            .iter_mut()
            .find(|(of, for_id, _)| (*of, *for_id) == (kind, id));
        match place {
            Some((_, _, before)) => *before = whose,
            None => self.turns.push((kind, id, whose)),
        }
    }

    fn advance(&mut self) {
        for kind in [PUBACK, PUBREC] {
            while let Some(first) = self.turns.iter().position(|(of, ..)| *of == kind)
                && self.turns[first].2 == Whose::Gate
            {
                let (_, id, _) = self.turns.remove(first);
                self.to_broker.push_back(write::ack(kind, id));
            }
        }
    }
}

/// A client's answer as the broker has to get it: 0x10 is for servers to say.
pub(super) fn for_broker(packet: &Packet, bytes: &[u8]) -> Vec<u8> {
    match packet {
        Packet::Ack {
            kind: kind @ (PUBACK | PUBREC),
            id,
            code: 0x10,
            properties,
        } => {
            if properties.is_empty() {
                return write::ack(*kind, *id);
            }
            let mut bytes = bytes.to_vec();
            let code = 2
                + bytes
                    .iter()
                    .skip(1)
                    .take_while(|byte| **byte >= 0x80)
                    .count()
                + 2;
            bytes[code] = 0;
            bytes
        }
        _ => bytes.to_vec(),
    }
}
