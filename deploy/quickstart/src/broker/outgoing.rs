//! Messages on their way to one client.

use super::{
    hub::Delivery,
    packet::{Connect, Version, put_publish},
};
use bytes::BytesMut;
use std::collections::{HashSet, VecDeque};

/// Numbers messages and keeps within what the client said it takes.
#[derive(Debug)]
pub(super) struct Outgoing {
    version: Version,
    receive_maximum: usize,
    maximum_packet_size: usize,
    in_flight: HashSet<u16>,
    last_id: u16,
    waiting: VecDeque<Delivery>,
}

impl Outgoing {
    pub(super) fn new(connect: &Connect) -> Self {
        Self {
            version: connect.version,
            // One id is always free, so that looking for it ends.
            receive_maximum: usize::from(connect.receive_maximum.min(u16::MAX - 1)),
            maximum_packet_size: connect.maximum_packet_size,
            in_flight: HashSet::new(),
            last_id: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Whether the client acknowledges fast enough to be given more.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes a message, or puts it off until earlier ones were acknowledged.
    pub(super) fn deliver(&mut self, out: &mut BytesMut, delivery: Delivery) {
        let full = self.in_flight.len() >= self.receive_maximum;
        // Behind one that waits, even QoS 0 has to wait: the order stays [MQTT-4.6.0-6].
        if !self.waiting.is_empty() || (delivery.qos > 0 && full) {
            self.waiting.push_back(delivery);
        } else {
            self.write(out, &delivery);
        }
    }

    /// The client is done with a message: its id is free, and there is room for what waits.
    pub(super) fn done(&mut self, out: &mut BytesMut, id: u16) {
        self.in_flight.remove(&id);
        while self.in_flight.len() < self.receive_maximum {
            let Some(delivery) = self.waiting.pop_front() else {
                break;
            };
            self.write(out, &delivery);
        }
    }

    fn write(&mut self, out: &mut BytesMut, delivery: &Delivery) {
        let start = out.len();
        let numbered = (delivery.qos > 0).then(|| (self.next_id(), delivery.qos));
        put_publish(
            out,
            self.version,
            &delivery.message,
            numbered,
            delivery.retain,
        );
        if out.len() - start > self.maximum_packet_size {
            // As if it had been sent [MQTT-3.1.2-25].
            out.truncate(start);
        } else if let Some((id, _)) = numbered {
            self.in_flight.insert(id);
        }
    }

    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.in_flight.contains(&self.last_id) {
                return self.last_id;
            }
        }
    }
}
