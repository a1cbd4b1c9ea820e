//! Packets that were asked about and whose fate is not known yet.

use std::{collections::VecDeque, sync::Arc};

use gatekeeper::{Fate, Ticket};

use crate::{authz::HookKind, metrics::Packets};

/// The kinds of the packets by their tickets, in order. As many as the gatekeeper lets wait.
#[derive(Debug)]
pub(super) struct Unsettled {
    packets: VecDeque<(Ticket, HookKind)>,
    /// The fate of the last ones, if it was the same, and their number: counted when it is another, or when
    /// the session waits.
    tally: Option<(HookKind, Fate, u64)>,
    metrics: Arc<Packets>,
}

impl Unsettled {
    pub(super) fn new(metrics: Arc<Packets>) -> Self {
        Self {
            packets: VecDeque::new(),
            tally: None,
            metrics,
        }
    }

    /// A packet was asked about, under this (first) ticket.
    pub(super) fn asked(&mut self, ticket: Ticket, kind: HookKind) {
        self.packets.push_back((ticket, kind));
    }

    /// Its fate is known.
    pub(super) fn settle(&mut self, ticket: Ticket, fate: Fate) {
        let index = match self.packets.front() {
            Some((first, _)) if *first == ticket => Ok(0),
            _ => self
                .packets
                .binary_search_by_key(&ticket, |(ticket, _)| *ticket),
        };
        if let Ok(index) = index
            && let Some((_, kind)) = self.packets.remove(index)
        {
            self.count(kind, fate);
        }
    }

    fn count(&mut self, kind: HookKind, fate: Fate) {
        match &mut self.tally {
            Some((last, same, packets)) if (*last, *same) == (kind, fate) => *packets += 1,
            _ => {
                self.flush();
                self.tally = Some((kind, fate, 1));
            }
        }
    }

    /// Counts what is not counted yet. All processors share the counters, so they are touched once for the
    /// packets that leave together.
    pub(super) fn flush(&mut self) {
        if let Some((kind, fate, packets)) = self.tally.take() {
            self.metrics.count(kind, fate, packets);
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
        for (_, kind) in std::mem::take(&mut self.packets) {
            self.count(kind, Fate::Closed);
        }
        self.flush();
    }
}
