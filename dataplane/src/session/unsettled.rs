//! Packets that were asked about and whose fate is not known yet.

use std::{collections::VecDeque, sync::Arc};

use gatekeeper::{Fate, Ticket};

use crate::{authz::HookKind, metrics::Packets};

/// The kinds of the packets by their tickets, in order. As many as the gatekeeper lets wait.
#[derive(Debug)]
pub(super) struct Unsettled {
    packets: VecDeque<(Ticket, HookKind)>,
    metrics: Arc<Packets>,
}

impl Unsettled {
    pub(super) fn new(metrics: Arc<Packets>) -> Self {
        Self {
            packets: VecDeque::new(),
            metrics,
        }
    }

    /// A packet was asked about, under this (first) ticket.
    pub(super) fn asked(&mut self, ticket: Ticket, kind: HookKind) {
        self.packets.push_back((ticket, kind));
    }

    /// Its fate is known.
    pub(super) fn settle(&mut self, ticket: Ticket, fate: Fate) {
        if let Ok(index) = self
            .packets
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
            && let Some((_, kind)) = self.packets.remove(index)
        {
            self.metrics.count(kind, fate);
        }
    }

    /// Gives back the room of packets that are settled.
    pub(super) fn rest(&mut self) {
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
    }

    /// The broker has accepted the session: of the packets before, only the CONNECT is left.
    pub(super) fn connected(&mut self) {
        if let Some((ticket, HookKind::Connect)) = self.packets.front().copied() {
            self.settle(ticket, Fate::Forwarded);
        }
    }
}

impl Drop for Unsettled {
    /// With the session all that still waited has come to nothing.
    fn drop(&mut self) {
        for (_, kind) in self.packets.drain(..) {
            self.metrics.count(kind, Fate::Closed);
        }
    }
}
