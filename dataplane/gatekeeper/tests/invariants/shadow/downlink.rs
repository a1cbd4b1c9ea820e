//! Deliveries: what is more than the client takes at a time waits (invariants 5 and 7).

use std::collections::{HashSet, VecDeque};

use gatekeeper::{Limits, Version};

use crate::{
    case::Hello,
    fault::{Checked, ensure},
    packet::{PUBACK, PUBREC, Packet, Publish},
    write,
};

/// Deliveries that may wait.
const MAX_HELD: usize = 1024;

/// Deliveries on their way, and what this step has to bring.
#[derive(Debug)]
pub(crate) struct Downlink {
    at_once: usize,
    outstanding: HashSet<u16>,
    held: VecDeque<(Option<u16>, Vec<u8>)>,
    to_client: VecDeque<Vec<u8>>,
    dropped: usize,
}

impl Downlink {
    pub(crate) fn new(version: Version, hello: &Hello) -> Self {
        let at_once = hello.receive_maximum.filter(|_| version == Version::V5);
        Self {
            at_once: at_once.map_or(usize::MAX, usize::from),
            outstanding: HashSet::new(),
            held: VecDeque::new(),
            to_client: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Whether this delivery is one that even the gate has no room for.
    pub(crate) fn overruns(&self, publish: &Publish, limits: &Limits) -> bool {
        publish.qos > 0 && !self.passes(publish.id) && self.is_full(limits)
    }

    /// The broker delivers.
    pub(crate) fn deliver(&mut self, publish: &Publish, bytes: &[u8], limits: &Limits) -> Checked {
        ensure!(
            !self.overruns(publish, limits),
            "more is held than there is room for"
        );
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

    /// The client gets a PUBLISH. Tells whether it is its turn.
    pub(crate) fn client_gets(&mut self, bytes: &[u8]) -> bool {
        self.to_client.pop_front_if(|due| due == bytes).is_some()
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
