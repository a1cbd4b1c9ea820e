//! The order of acknowledgements.
//!
//! A receiver acknowledges in the order in which the PUBLISH packets came [MQTT-4.6.0-2]
//! [MQTT-4.6.0-3]. The broker does so for what it was given; an acknowledgement that the gate makes
//! itself, for a packet that the broker never saw, has to wait for the broker's earlier ones.

use std::{collections::VecDeque, num::NonZeroU16};

use bytes::Bytes;

use crate::{action::Actions, question::QoS};

/// Acknowledgements that the client still has to get, one line for each kind: the standard orders
/// PUBACK among PUBACK and PUBREC among PUBREC.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    puback: Line,
    pubrec: Line,
}

impl Acks {
    /// A PUBLISH went to the broker, which will acknowledge it.
    pub(crate) fn expect(&mut self, qos: QoS, id: NonZeroU16, dup: bool) {
        self.line(qos).expect(id, dup);
    }

    /// The gate acknowledges a PUBLISH itself; the bytes leave when it is their turn.
    pub(crate) fn own(&mut self, qos: QoS, bytes: Bytes, actions: &mut Actions) {
        let line = self.line(qos);
        line.turns.push_back(Turn::Own(bytes));
        line.advance(actions);
    }

    /// The broker's PUBACK or PUBREC for the id has just been passed on.
    pub(crate) fn passed(&mut self, qos: QoS, id: NonZeroU16, actions: &mut Actions) {
        self.line(qos).passed(id, actions);
    }

    /// How many are outstanding.
    pub(crate) fn len(&self) -> usize {
        self.puback.turns.len() + self.pubrec.turns.len()
    }

    fn line(&mut self, qos: QoS) -> &mut Line {
        match qos {
            QoS::ExactlyOnce => &mut self.pubrec,
            QoS::AtLeastOnce | QoS::AtMostOnce => &mut self.puback,
        }
    }
}

#[derive(Debug, Default)]
struct Line {
    turns: VecDeque<Turn>,
}

#[derive(Debug)]
enum Turn {
    /// The broker's acknowledgement is awaited.
    Broker(NonZeroU16),
    /// The broker's acknowledgement came out of order and has been passed on.
    Passed,
    /// The gate's own.
    Own(Bytes),
}

impl Line {
    fn expect(&mut self, id: NonZeroU16, dup: bool) {
        // A broker may answer a repeated PUBLISH once or twice. One place is enough: a second one
        // that is never answered would hold up all that the gate has to say itself.
        if dup && self.position(id).is_some() {
            return;
        }
        self.turns.push_back(Turn::Broker(id));
    }

    fn passed(&mut self, id: NonZeroU16, actions: &mut Actions) {
        let Some(index) = self.position(id) else {
            return;
        };
        if let Some(turn) = self.turns.get_mut(index) {
            *turn = Turn::Passed;
        }
        self.advance(actions);
    }

    fn position(&self, id: NonZeroU16) -> Option<usize> {
        self.turns
            .iter()
            .position(|turn| matches!(turn, Turn::Broker(awaited) if *awaited == id))
    }

    fn advance(&mut self, actions: &mut Actions) {
        while let Some(turn) = self.turns.pop_front() {
            match turn {
                Turn::Passed => {}
                Turn::Own(bytes) => actions.write_client(bytes),
                Turn::Broker(_) => {
                    self.turns.push_front(turn);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;

    fn id(value: u16) -> NonZeroU16 {
        NonZeroU16::new(value).unwrap()
    }

    fn written(actions: &mut Actions) -> Vec<Bytes> {
        std::iter::from_fn(|| actions.pop())
            .map(|action| match action {
                Action::ToClient(bytes) => bytes,
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }

    #[test]
    fn own_acknowledgement_waits_for_the_brokers_earlier_ones() {
        let (mut acks, mut actions) = (Acks::default(), Actions::default());
        acks.expect(QoS::AtLeastOnce, id(1), false);
        acks.own(QoS::AtLeastOnce, Bytes::from_static(b"two"), &mut actions);
        acks.expect(QoS::AtLeastOnce, id(3), false);
        acks.own(QoS::AtLeastOnce, Bytes::from_static(b"four"), &mut actions);
        assert!(written(&mut actions).is_empty());

        acks.passed(QoS::AtLeastOnce, id(3), &mut actions);
        assert!(written(&mut actions).is_empty());

        acks.passed(QoS::AtLeastOnce, id(1), &mut actions);
        assert_eq!(written(&mut actions), ["two", "four"]);
        assert_eq!(acks.len(), 0);
    }

    #[test]
    fn the_two_kinds_do_not_wait_for_each_other() {
        let (mut acks, mut actions) = (Acks::default(), Actions::default());
        acks.expect(QoS::ExactlyOnce, id(1), false);
        acks.own(QoS::AtLeastOnce, Bytes::from_static(b"two"), &mut actions);
        assert_eq!(written(&mut actions), ["two"]);
    }

    #[test]
    fn a_repeated_publish_that_is_answered_once_holds_nothing_up() {
        let (mut acks, mut actions) = (Acks::default(), Actions::default());
        acks.expect(QoS::ExactlyOnce, id(1), false);
        acks.expect(QoS::ExactlyOnce, id(1), true);
        acks.own(QoS::ExactlyOnce, Bytes::from_static(b"own"), &mut actions);
        acks.passed(QoS::ExactlyOnce, id(1), &mut actions);
        assert_eq!(written(&mut actions), ["own"]);
    }
}
