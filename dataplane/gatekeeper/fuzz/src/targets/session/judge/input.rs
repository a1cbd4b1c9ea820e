//! What goes into the gatekeeper, and what the judge writes down about it.

use gatekeeper::{Frame, Ticket, Verdict, Version};

use super::{Judge, Subscribe};
use crate::packet::{self, PUBREL, Packet};

/// DUP, in the flags of a fixed header.
const DUP: u8 = 0b1000;

/// What went into the gatekeeper.
pub(in super::super) enum Input<'a> {
    Client(&'a Frame),
    Broker(&'a Frame),
    Verdict(Ticket, &'a Verdict),
    Upstream(bool),
    Other,
}

impl Judge {
    pub(super) fn take(&mut self, input: &Input<'_>) {
        match input {
            Input::Client(frame) => self.take_frame(frame),
            Input::Broker(frame) => {
                let bytes = (*frame).clone().into_canonical();
                let version = self.version.unwrap_or(Version::V5);
                self.step.came = packet::read(version, &bytes);
                if let Some(Packet::Publish(publish)) = self.step.came.clone()
                    && !self.waits
                {
                    self.delivered(&publish, bytes.len());
                }
                if let Some(Packet::Ack { kind, id, code, .. }) = self.step.came {
                    self.broker_answers(kind, id, code);
                }
                self.step.pass = Some(bytes);
                if let Some(Packet::Unsuback { id, .. }) = self.step.came {
                    self.frees_own(id);
                }
            }
            Input::Verdict(ticket, verdict) => self.asks.answer(*ticket, verdict, self.now),
            Input::Upstream(works) => self.reached |= *works && self.dialled.is_some(),
            Input::Other => {}
        }
    }

    fn take_frame(&mut self, frame: &Frame) {
        let bytes = frame.clone().into_canonical();
        let version = self.version.unwrap_or(Version::V5);
        let packet = packet::read(version, &bytes);
        let id = match &packet {
            Some(Packet::Publish(publish)) => publish.id,
            Some(Packet::Subscribe { id, .. } | Packet::Unsubscribe { id, .. }) => Some(*id),
            _ => None,
        };
        if id.is_some_and(|id| self.own.contains(&id)) {
            self.set_aside = Some(frame.clone());
            return;
        }
        self.step.packet = packet.map(|packet| (packet, bytes.len()));
        if let Some((packet, _)) = self.step.packet.clone() {
            self.take_packet(&packet, frame.flags() & DUP != 0);
        }
    }

    /// The broker has answered a packet, maybe one of the gate's own. What waited for its identifier is
    /// taken then.
    fn frees_own(&mut self, id: u16) {
        let Some(place) = self.own.iter().position(|own| *own == id) else {
            return;
        };
        self.own.swap_remove(place);
        self.step.swallowed = Some(id);
        if let Some(frame) = self.set_aside.take() {
            self.take_frame(&frame);
        }
    }

    fn take_packet(&mut self, packet: &Packet, dup: bool) {
        match packet {
            Packet::Subscribe { id, filters, .. } => {
                let is_open = self.subscribes.iter().any(|open| open.id == *id);
                if self.version == Some(Version::V31) && dup && is_open {
                    return;
                }
                let filters = filters.iter().map(|(filter, _)| filter.clone()).collect();
                self.subscribes.push_back(Subscribe {
                    id: *id,
                    filters,
                    case: None,
                });
            }
            Packet::Unsubscribe { id, filters } => {
                if self.version == Some(Version::V31) && dup && self.leaving.contains(id) {
                    return;
                }
                self.leaving.push(*id);
                self.unsubscribes.push_back((*id, filters.clone()));
            }
            Packet::Disconnect { code, properties } => {
                self.goodbye = Some((*code, properties.clone()));
            }
            Packet::Ack { kind, id, code, .. } if *kind != PUBREL => {
                self.downlink.acknowledged(*kind, *id, *code);
            }
            Packet::Publish(publish) => self.step.topic = self.resolve(publish),
            Packet::Ack {
                kind: PUBREL, id, ..
            } => self.flows.sent_release(*id, self.cases.len()),
            _ => {}
        }
    }
}
