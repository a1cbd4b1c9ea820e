//! Packets of the client that wait for their turn.
//!
//! Decisions come in any order, packets leave in the order of arrival: all kinds that matter to the
//! order (PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PUBREL, DISCONNECT) stand in this one line.

mod answer;
mod tickets;

use std::{collections::VecDeque, num::NonZeroU16, time::Instant};

use bytes::Bytes;

use crate::{
    action::Actions,
    question::{QoS, Ticket},
    reason::ReasonCode,
    rules::Limits,
    subscriptions::Reservation,
    verdict::{Allow, Verdict},
    wire::{subscribe::Subscribe, unsubscribe::Unsubscribe},
};

pub(crate) use self::{
    answer::{Answer, fitting},
    tickets::{Tickets, publish_question},
};

/// The line of one session.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    weight: usize,
}

/// One packet in the line.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The (first) ticket of the packet, or the one that was next when it came.
    ticket: Ticket,
    size: usize,
    packet: Packet,
}

/// What stands in the line.
#[derive(Debug)]
pub(crate) enum Packet {
    Publish(PendingPublish),
    /// A PUBLISH that the gate refuses by itself, with this code.
    Refused(Message, ReasonCode),
    /// A PUBLISH with QoS 2 once more: it wants its PUBREC again, and nothing else.
    Repeat(NonZeroU16),
    Subscribe(PendingSubscribe),
    Unsubscribe(Unsubscribe, Bytes),
    Pubrel(NonZeroU16, Bytes),
    Disconnect(Bytes),
}

impl Packet {
    /// What it counts against the bytes of the line.
    fn size(&self) -> usize {
        match self {
            Self::Publish(pending) => pending.outgoing.len(),
            Self::Subscribe(pending) => pending.outgoing.len(),
            Self::Unsubscribe(_, bytes) | Self::Pubrel(_, bytes) | Self::Disconnect(bytes) => {
                bytes.len()
            }
            Self::Refused(..) | Self::Repeat(_) => 0,
        }
    }

    /// What it counts against the packets of the line. Every filter of a SUBSCRIBE is a question of
    /// its own, and one of a few bytes takes many times its size.
    fn weight(&self) -> usize {
        match self {
            Self::Subscribe(pending) => pending.filters.len(),
            Self::Unsubscribe(unsubscribe, _) => unsubscribe.filters.len(),
            _ => 1,
        }
    }
}

/// A PUBLISH as far as its acknowledgement goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    pub(crate) qos: QoS,
    /// It may be the second copy of one that was sent before.
    pub(crate) dup: bool,
    /// Set exactly if QoS is above 0 [MQTT-2.2.1-2].
    pub(crate) id: Option<NonZeroU16>,
}

/// A PUBLISH and what is known about it.
#[derive(Debug)]
pub(crate) struct PendingPublish {
    pub(crate) ticket: Ticket,
    pub(crate) message: Message,
    /// The bytes for the broker: the client's own, or the same packet with its alias resolved.
    pub(crate) outgoing: Bytes,
    pub(crate) answer: Answer,
    /// When it was read.
    pub(crate) arrived: Instant,
    /// Message Expiry Interval in seconds, if it has one.
    pub(crate) expiry: Option<u32>,
}

/// A SUBSCRIBE and what is known about each filter.
#[derive(Debug)]
pub(crate) struct PendingSubscribe {
    pub(crate) ticket: Ticket,
    pub(crate) subscribe: Subscribe,
    /// The bytes for the broker if every filter is allowed.
    pub(crate) outgoing: Bytes,
    /// One per filter: asked about, with its place among the subscriptions, or refused by the gate.
    pub(crate) filters: Vec<Result<Reservation, ReasonCode>>,
    /// One per filter that was asked about, in the order of the packet.
    pub(crate) answers: Vec<Answer>,
}

impl Queue {
    /// Gives back the room of packets that have left.
    pub(crate) fn rest(&mut self) {
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Whether another packet may come in. The last one may exceed the bytes by its own size, and the
    /// packets by its own filters.
    pub(crate) fn has_room(&self, limits: &Limits) -> bool {
        self.weight < limits.window_packets && self.bytes < limits.window_bytes
    }

    /// Bytes of the packets that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn push(&mut self, ticket: Ticket, packet: Packet) {
        let size = packet.size();
        self.bytes += size;
        self.weight += packet.weight();
        self.entries.push_back(Entry {
            ticket,
            size,
            packet,
        });
    }

    /// The packet that this question is about: the last one that came with it or before it. Most answers are
    /// for the head of the line, and searching a long one costs more than all that is done with them.
    fn asking(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let is_head = self.entries.get(1).is_none_or(|next| next.ticket > ticket)
            && self
                .entries
                .front()
                .is_some_and(|head| head.ticket <= ticket);
        let at = match is_head {
            true => 0,
            false => self
                .entries
                .partition_point(|entry| entry.ticket <= ticket)
                .checked_sub(1)?,
        };
        self.entries.get_mut(at)
    }

    /// Brings the answer to the question. One that nobody waits for is forgotten.
    pub(crate) fn settle(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        let Some(entry) = self.asking(ticket) else {
            return;
        };
        match &mut entry.packet {
            Packet::Publish(pending) if pending.ticket == ticket => {
                pending
                    .answer
                    .settle(fitting(verdict, &Allow::PUBLISH), now);
            }
            Packet::Subscribe(pending) => {
                let index = ticket.sequence() - pending.ticket.sequence();
                if let Some(answer) = usize::try_from(index)
                    .ok()
                    .and_then(|index| pending.answers.get_mut(index))
                {
                    answer.settle(fitting(verdict, &Allow::SUBSCRIBE), now);
                }
            }
            _ => {}
        }
    }

    /// Takes the first packet out if all is known about it, or its time is up.
    pub(crate) fn pop_ripe(&mut self, now: Instant, actions: &mut Actions) -> Option<Packet> {
        let head = self.entries.front_mut()?;
        for (ticket, answer) in head.answers() {
            if answer.expire(now) {
                actions.cancel(ticket);
            }
        }
        if head.answers().all(|(_, answer)| answer.is_known()) {
            let entry = self.entries.pop_front()?;
            self.bytes -= entry.size;
            self.weight -= entry.packet.weight();
            Some(entry.packet)
        } else {
            None
        }
    }

    /// When the waiting for the first packet ends. Those behind it can't leave before it does.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let pending = |answer: &Answer| match answer {
            Answer::Pending(until) => Some(*until),
            Answer::Known(_) => None,
        };
        match &self.entries.front()?.packet {
            Packet::Publish(publish) => pending(&publish.answer),
            Packet::Subscribe(subscribe) => subscribe.answers.iter().filter_map(pending).max(),
            Packet::Refused(..)
            | Packet::Repeat(_)
            | Packet::Unsubscribe(..)
            | Packet::Pubrel(..)
            | Packet::Disconnect(_) => None,
        }
    }

    /// Empties the line and gives up every question. Yields the ticket of each packet that was
    /// asked about.
    pub(crate) fn abandon(&mut self, actions: &mut Actions) -> Vec<Ticket> {
        let mut asked = Vec::new();
        for mut entry in std::mem::take(&mut self.entries) {
            let first = entry.ticket;
            for (ticket, answer) in entry.answers() {
                if !answer.is_known() {
                    actions.cancel(ticket);
                }
                if ticket == first {
                    asked.push(first);
                }
            }
        }
        self.bytes = 0;
        self.weight = 0;
        asked
    }
}

impl Entry {
    /// The questions of this packet.
    fn answers(&mut self) -> impl Iterator<Item = (Ticket, &mut Answer)> {
        let first = self.ticket;
        let answers = match &mut self.packet {
            Packet::Publish(pending) => std::slice::from_mut(&mut pending.answer),
            Packet::Subscribe(pending) => pending.answers.as_mut_slice(),
            Packet::Refused(..)
            | Packet::Repeat(_)
            | Packet::Unsubscribe(..)
            | Packet::Pubrel(..)
            | Packet::Disconnect(_) => &mut [],
        };
        answers
            .iter_mut()
            .enumerate()
            .map(move |(index, answer)| (first.filter(index), answer))
    }
}
