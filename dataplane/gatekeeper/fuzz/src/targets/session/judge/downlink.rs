//! Messages of the broker: which the client gets, in which order, and how many at once; and what the
//! gate acknowledges because the client does not get it.

use std::{
    collections::{HashSet, VecDeque},
    time::Instant,
};

use super::{Judge, connect::number};
use crate::packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Publish};

const MESSAGE_EXPIRY: u8 = 0x02;

/// The books about deliveries.
#[derive(Default)]
pub(super) struct Downlink {
    /// What the broker has sent and the client has not got.
    held: VecDeque<Held>,
    /// How many the client takes at once.
    maximum: usize,
    /// Identifiers that the client has got, and not answered for good.
    outstanding: HashSet<u16>,
    /// Identifiers whose PUBACK, PUBREC or PUBCOMP the gate owes.
    puback: HashSet<u16>,
    pubrec: HashSet<u16>,
    pubcomp: HashSet<u16>,
}

struct Held {
    came: Publish,
    size: usize,
    at: Instant,
}

impl Downlink {
    pub(super) fn new(maximum: u32) -> Self {
        Self {
            maximum: maximum as usize,
            ..Self::default()
        }
    }

    /// The client answers.
    pub(super) fn acknowledged(&mut self, kind: u8, id: u16, code: u8) {
        if kind != PUBREC || code >= 0x80 {
            self.outstanding.remove(&id);
        }
    }
}

impl Judge {
    /// The broker has sent a message.
    pub(super) fn delivered(&mut self, came: &Publish, size: usize) {
        let (came, at) = (came.clone(), self.now);
        self.downlink.held.push_back(Held { came, size, at });
    }

    /// The client gets a message.
    pub(super) fn check_delivery(&mut self, gets: &Publish, length: usize) {
        let next = self.downlink.held.pop_front();
        let Held { came, at, .. } = next.expect("a message of the broker");
        let expected = self.seen(&came);
        let mut expected = expected.unwrap_or_else(|| panic!("nobody has asked for {came:?}"));
        // What the broker makes too large is between it and the client.
        let is_changed = expected != came;
        assert!(
            !is_changed || length <= self.client_takes,
            "{length} bytes of {gets:?}"
        );
        let waited = (self.now - at).as_secs();
        for (id, value) in &mut expected.properties {
            if *id == MESSAGE_EXPIRY {
                let seconds = number(&came.properties, MESSAGE_EXPIRY).unwrap_or(0);
                let left = u64::from(seconds).saturating_sub(waited) as u32;
                *value = left.to_be_bytes().to_vec();
            }
        }
        assert_eq!(*gets, expected);
        let downlink = &mut self.downlink;
        let Some(id) = gets.id else {
            return;
        };
        downlink.outstanding.insert(id);
        let count = downlink.outstanding.len();
        assert!(count <= downlink.maximum, "{count} messages at once");
    }

    /// The client does not get the message that the broker has just sent.
    pub(super) fn withheld(&mut self) {
        let last = self.downlink.held.pop_back();
        let Held { came, size, .. } = last.expect("a message of the broker");
        let held = &self.downlink.held;
        let bytes: usize = held.iter().map(|held| held.size).sum();
        // What the client sees may be shorter than what came.
        let is_full = held.len() >= 1024 || bytes >= self.rules.limits.window_bytes;
        let is_last_straw = came.qos == 0 && is_full;
        let is_changed = self.seen(&came).is_some_and(|seen| seen != came);
        let too_large = is_changed && size > self.client_takes;
        let visible = self.is_visible(&came);
        assert!(!visible || too_large || is_last_straw, "{came:?} is lost");
        let downlink = &mut self.downlink;
        match (came.qos, came.id) {
            (1, Some(id)) => {
                downlink.puback.insert(id);
            }
            (2, Some(id)) => {
                downlink.pubrec.insert(id);
                downlink.pubcomp.insert(id);
            }
            _ => {}
        }
    }

    /// Whether it is the client's answer of this step, with a code that a client may use.
    pub(super) fn is_clients_answer(&mut self, kind: u8, id: u16, code: u8) -> bool {
        let Some((
            Packet::Ack {
                kind: k,
                id: i,
                code: came,
                ..
            },
            _,
        )) = &self.step.packet
        else {
            return false;
        };
        let corrected = if *came == 0x10 { 0 } else { *came };
        let is_same = (*k, *i) == (kind, id) && (code == corrected);
        is_same && !std::mem::replace(&mut self.step.answered, true)
    }

    /// The gate answers the broker itself.
    pub(super) fn check_own_answer(&mut self, kind: u8, id: u16, code: u8) {
        assert_eq!(code, 0, "nothing is refused for a client");
        let is_release =
            matches!(self.step.came, Some(Packet::Ack { kind: PUBREL, id: of, .. }) if of == id);
        let downlink = &mut self.downlink;
        let owed = match kind {
            PUBACK => downlink.puback.remove(&id),
            PUBREC => downlink.pubrec.remove(&id),
            PUBCOMP => is_release && downlink.pubcomp.remove(&id),
            _ => false,
        };
        assert!(owed, "{kind} {id} out of nothing");
    }
}
