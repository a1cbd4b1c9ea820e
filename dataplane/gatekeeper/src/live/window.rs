//! The client's Receive Maximum on the way down [MQTT-3.3.4-9].
//!
//! It is the broker that has to keep it, and there are brokers that count anew after a PUBREC, or
//! forget to count what they send again. What is too much waits here, and so does every PUBLISH
//! behind it, so that nothing is overtaken; all other packets pass [MQTT-4.9.0-3].

use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroU16,
    time::Instant,
};

use bytes::Bytes;

use crate::{
    frame::PacketType,
    wire::{ack::Ack, publish::with_message_expiry},
};

/// Deliveries that may wait.
const MAX_HELD: usize = 1024;

/// What the client has to acknowledge, and what it gets then. `None`: as much as there are identifiers, so
/// that nothing has to be counted, and nothing waits.
#[derive(Debug)]
pub(super) struct Window(Option<Box<Counted>>);

#[derive(Debug)]
struct Counted {
    maximum: usize,
    /// Deliveries that the client has not answered for good.
    outstanding: HashSet<NonZeroU16>,
    held: VecDeque<(Delivery, Instant)>,
    held_bytes: usize,
}

/// A PUBLISH for the client.
#[derive(Debug)]
pub(super) struct Delivery {
    /// There if the QoS is above 0.
    pub(super) id: Option<NonZeroU16>,
    /// Message Expiry Interval in seconds, if there is one.
    pub(super) expiry: Option<u32>,
    pub(super) bytes: Bytes,
}

/// What becomes of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The client gets it now.
    Now(Bytes),
    /// The client gets it when it has acknowledged others.
    Later,
    /// Too many wait already.
    Never,
}

impl Window {
    /// For a client with this Receive Maximum, if it has one.
    pub(super) fn new(maximum: Option<u16>) -> Self {
        let maximum = maximum.filter(|maximum| *maximum < u16::MAX);
        Self(maximum.map(|maximum| {
            Box::new(Counted {
                maximum: maximum.into(),
                outstanding: HashSet::new(),
                held: VecDeque::new(),
                held_bytes: 0,
            })
        }))
    }

    /// The broker has sent a delivery. What waits is bounded by number, and by `max_bytes` and one
    /// packet.
    pub(super) fn offer(&mut self, delivery: Delivery, max_bytes: usize, now: Instant) -> Turn {
        match &mut self.0 {
            None => Turn::Now(delivery.bytes),
            Some(counted) => counted.offer(delivery, max_bytes, now),
        }
    }

    /// The client has answered a delivery, or a part of it. The flow is over with a PUBACK, a PUBCOMP,
    /// or a PUBREC that refuses (§4.9).
    pub(super) fn acknowledged(&mut self, ack: &Ack) {
        let is_over = match ack.kind {
            PacketType::Puback | PacketType::Pubcomp => true,
            _ => ack.code.is_refusal(),
        };
        if let Some(counted) = self.0.as_mut().filter(|_| is_over) {
            counted.outstanding.remove(&ack.packet_id);
        }
    }

    /// What the client may get now of what has waited.
    pub(super) fn next(&mut self, now: Instant) -> Option<Bytes> {
        self.0.as_mut()?.next(now)
    }
}

impl Counted {
    fn offer(&mut self, delivery: Delivery, max_bytes: usize, now: Instant) -> Turn {
        if self.held.is_empty() && self.lets_out(delivery.id) {
            return Turn::Now(delivery.bytes);
        }
        if self.held.len() >= MAX_HELD || self.held_bytes >= max_bytes {
            return Turn::Never;
        }
        // A copy, so that it does not hold on to the buffer that it was read into.
        let bytes = Bytes::copy_from_slice(&delivery.bytes);
        self.held_bytes += bytes.len();
        self.held.push_back((Delivery { bytes, ..delivery }, now));
        Turn::Later
    }

    fn next(&mut self, now: Instant) -> Option<Bytes> {
        let id = self.held.front()?.0.id;
        if !self.lets_out(id) {
            return None;
        }
        let (delivery, since) = self.held.pop_front()?;
        self.held_bytes -= delivery.bytes.len();
        Some(delivery.aged(since, now))
    }

    /// Whether it may go to the client, to whom it counts then. What is sent again counts once.
    fn lets_out(&mut self, id: Option<NonZeroU16>) -> bool {
        let Some(id) = id else {
            return true;
        };
        let fits = self.outstanding.len() < self.maximum || self.outstanding.contains(&id);
        fits && {
            self.outstanding.insert(id);
            true
        }
    }
}

impl Delivery {
    /// Its bytes, without the whole seconds that it waited [MQTT-3.3.2-6].
    fn aged(self, since: Instant, now: Instant) -> Bytes {
        let waited = now.saturating_duration_since(since).as_secs();
        match self.expiry {
            Some(expiry) if waited > 0 => {
                let waited = u32::try_from(waited).unwrap_or(u32::MAX);
                with_message_expiry(&self.bytes, expiry.saturating_sub(waited))
            }
            _ => self.bytes,
        }
    }
}
