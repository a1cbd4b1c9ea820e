//! Whose turn it is to acknowledge what the broker delivered.
//!
//! A receiver acknowledges in the order in which the PUBLISH packets came [MQTT-4.6.0-2]
//! [MQTT-4.6.0-3]. To the broker client and gate are one receiver, so the gate acknowledges a message
//! that the client did not get when the client has acknowledged the earlier ones.

use std::num::NonZeroU16;

use crate::{line, question::QoS};

/// Acknowledgements that the broker still has to get, one line for each kind. There are no more of
/// them than identifiers.
#[derive(Debug, Default)]
pub(super) struct Turns {
    puback: Line,
    pubrec: Line,
}

/// Messages in the order in which they came; each identifier stands there once.
type Line = line::Line<NonZeroU16, Whose>;

/// Who acknowledges a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Client,
    Gate,
}

impl Turns {
    /// The broker has delivered a message with QoS above 0. One that it repeats keeps its place.
    pub(super) fn take(&mut self, qos: QoS, id: NonZeroU16, whose: Whose) {
        let line = self.line(qos);
        if !line.replace(id, id, whose) {
            line.push(id, whose);
        }
    }

    /// The client has acknowledged a message.
    pub(super) fn passed(&mut self, qos: QoS, id: NonZeroU16) {
        let line = self.line(qos);
        if line.get(id) == Some(&Whose::Client) {
            line.remove(id);
        }
    }

    /// The message that the gate has to acknowledge now.
    pub(super) fn next(&mut self, qos: QoS) -> Option<NonZeroU16> {
        let due = self.line(qos).pop_if(|_, whose| *whose == Whose::Gate)?;
        Some(due.0)
    }

    fn line(&mut self, qos: QoS) -> &mut Line {
        match qos {
            QoS::ExactlyOnce => &mut self.pubrec,
            QoS::AtLeastOnce | QoS::AtMostOnce => &mut self.puback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: QoS = QoS::AtLeastOnce;
    const TWO: QoS = QoS::ExactlyOnce;

    fn id(id: u16) -> NonZeroU16 {
        NonZeroU16::new(id).unwrap()
    }

    fn due(turns: &mut Turns, qos: QoS) -> Vec<u16> {
        std::iter::from_fn(|| turns.next(qos).map(NonZeroU16::get)).collect()
    }

    #[test]
    fn the_gate_waits_for_the_client() {
        let mut turns = Turns::default();
        turns.take(ONE, id(1), Whose::Client);
        turns.take(ONE, id(2), Whose::Gate);
        turns.take(ONE, id(3), Whose::Client);
        turns.take(ONE, id(4), Whose::Gate);
        assert_eq!(due(&mut turns, ONE), []);
        // Out of order, but nothing else waits for it.
        turns.passed(ONE, id(3));
        assert_eq!(due(&mut turns, ONE), []);
        turns.passed(ONE, id(1));
        assert_eq!(due(&mut turns, ONE), [2, 4]);
        assert_eq!(turns.puback.len(), 0);
    }

    #[test]
    fn the_two_kinds_do_not_wait_for_each_other() {
        let mut turns = Turns::default();
        turns.take(TWO, id(1), Whose::Client);
        turns.take(ONE, id(2), Whose::Gate);
        assert_eq!(due(&mut turns, ONE), [2]);
        turns.passed(ONE, id(1));
        turns.take(TWO, id(3), Whose::Gate);
        assert_eq!(due(&mut turns, TWO), []);
    }

    #[test]
    fn a_repeated_message_has_one_turn() {
        let mut turns = Turns::default();
        turns.take(TWO, id(1), Whose::Client);
        turns.take(TWO, id(2), Whose::Gate);
        for _ in 0..3 {
            turns.take(TWO, id(1), Whose::Client);
            turns.take(TWO, id(2), Whose::Gate);
        }
        turns.passed(TWO, id(1));
        assert_eq!(due(&mut turns, TWO), [2]);
        assert_eq!(turns.pubrec.len(), 0);
    }

    #[test]
    fn an_acknowledgement_of_nothing_changes_nothing() {
        let mut turns = Turns::default();
        turns.take(ONE, id(1), Whose::Client);
        turns.take(ONE, id(2), Whose::Gate);
        turns.passed(ONE, id(9));
        // It is not the client's to acknowledge.
        turns.passed(ONE, id(2));
        assert_eq!(due(&mut turns, ONE), []);
        turns.passed(ONE, id(1));
        assert_eq!(due(&mut turns, ONE), [2]);
    }
}
