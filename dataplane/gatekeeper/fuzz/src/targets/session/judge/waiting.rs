//! What holds after every step: what waits is bounded, and what has its fate has gone where that says.

use std::collections::HashSet;

use gatekeeper::{Fate, Gatekeeper, Question, Side};

use super::{Case, Judge};

impl Judge {
    /// What holds after every step.
    pub(super) fn check(&mut self, gate: &Gatekeeper) {
        assert_eq!(gate.is_closed(), self.closed);
        if self.closed {
            assert_eq!(self.asks.open(), [], "questions outlive the end");
            assert_eq!(gate.poll_timeout(), None);
            return;
        }
        assert!(!self.said_goodbye, "a DISCONNECT is not the end");
        assert!(
            !self.answered || self.connected,
            "a CONNACK that leads nowhere"
        );
        while self.cases.get(self.settled).is_some_and(Case::is_over) {
            self.settled += 1;
        }
        let waiting = || {
            let waiting = self.cases.iter().skip(self.settled);
            waiting.filter(|case| !case.is_over())
        };
        let count = waiting().count();
        let bytes = waiting().map(|case| case.size).sum::<usize>();
        let limits = &self.rules.limits;
        let largest = limits.max_packet_size + usize::from(u16::MAX);
        assert!(count <= limits.window_packets, "{count} packets wait");
        assert!(bytes <= limits.window_bytes + largest, "{bytes} bytes wait");
        let ids: HashSet<u16> = waiting().filter_map(Case::id_of_message).collect();
        assert!(ids.len() <= self.receive_maximum, "{ids:?} wait");
        // What is held may be a little shorter than what came: an alias is taken out.
        let held = bytes.saturating_sub(8 * count);
        let full = count >= limits.window_packets || held >= limits.window_bytes;
        assert!(!full || !gate.wants_read(Side::Client), "more is read");
        for index in self.step.fates.drain(..) {
            let case = &self.cases[index];
            let went = matches!(case.fate, Some(Fate::Forwarded | Fate::ForwardedInPart));
            let is_will = matches!(case.question, Question::Will(_));
            assert_eq!(case.forwarded || is_will, went, "{case:?}");
        }
    }
}
