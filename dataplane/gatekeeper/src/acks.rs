//! The order of acknowledgements.
//!
//! A receiver acknowledges in the order in which the PUBLISH packets came [MQTT-4.6.0-2]
//! [MQTT-4.6.0-3]. The broker does so for what it was given; an acknowledgement that the gate makes
//! itself, for a packet that the broker never saw, has to wait for the broker's earlier ones.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, num::NonZeroU16};

use bytes::Bytes;

use crate::{action::Actions, inflight::Inflight, question::QoS};

/// Acknowledgements that the client still has to get, one line for each kind: the standard orders
/// PUBACK among PUBACK and PUBREC among PUBREC.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    puback: Line,
    pubrec: Line,
}

/// Where an acknowledgement goes out, and who has to know.
pub(crate) struct Outlet<'a> {
    pub(crate) inflight: &'a mut Inflight,
    pub(crate) actions: &'a mut Actions,
}

impl Acks {
    /// A PUBLISH went to the broker, which will acknowledge it.
    pub(crate) fn expect(&mut self, qos: QoS, id: NonZeroU16, dup: bool) {
        self.line(qos).expect(id, dup);
    }

    /// The gate acknowledges a PUBLISH itself; the bytes leave when it is their turn.
    pub(crate) fn own(&mut self, qos: QoS, id: NonZeroU16, bytes: Bytes, outlet: Outlet<'_>) {
        let line = self.line(qos);
        line.turns.push_back(Turn::Own(id, bytes));
        line.advance(outlet);
    }

    /// The same for a PUBREC that is not to leave before [`purged`](Self::purged).
    pub(crate) fn hold(&mut self, id: NonZeroU16, bytes: Bytes) {
        self.pubrec.turns.push_back(Turn::Held(id, bytes));
    }

    /// The broker has forgotten what it held under the identifier.
    pub(crate) fn purged(&mut self, id: NonZeroU16, outlet: Outlet<'_>) {
        for turn in &mut self.pubrec.turns {
            if let Turn::Held(held, bytes) = turn
                && *held == id
            {
                *turn = Turn::Own(id, std::mem::take(bytes));
                break;
            }
        }
        self.pubrec.advance(outlet);
    }

    /// The client repeated a PUBLISH whose PUBREC is the broker's and has not come: it gets the same
    /// once more, and in this place.
    pub(crate) fn repeat(&mut self, id: NonZeroU16) {
        self.pubrec.turns.push_back(Turn::Again(id));
    }

    /// The PUBREC for what was repeated has come.
    pub(crate) fn known(&mut self, id: NonZeroU16, bytes: &Bytes) {
        for turn in &mut self.pubrec.turns {
            if matches!(turn, Turn::Again(repeated) if *repeated == id) {
                *turn = Turn::Own(id, bytes.clone());
            }
        }
    }

    /// The broker's PUBACK or PUBREC for the id has just been passed on.
    pub(crate) fn passed(&mut self, qos: QoS, id: NonZeroU16, outlet: Outlet<'_>) {
        self.line(qos).passed(id, outlet);
    }

    /// The flow is over. A PUBREC for it would be taken for that of the next message.
    pub(crate) fn forget(&mut self, id: NonZeroU16, outlet: Outlet<'_>) {
        self.pubrec.turns.retain(|turn| turn.id() != id);
        self.pubrec.advance(outlet);
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
    /// The gate's own.
    Own(NonZeroU16, Bytes),
    /// The gate's own, and something else has to come first.
    Held(NonZeroU16, Bytes),
    /// The broker's once more, when it is known.
    Again(NonZeroU16),
}

impl Turn {
    fn id(&self) -> NonZeroU16 {
        match self {
            Self::Broker(id) | Self::Own(id, _) | Self::Held(id, _) | Self::Again(id) => *id,
        }
    }
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

    fn passed(&mut self, id: NonZeroU16, outlet: Outlet<'_>) {
        let Some(index) = self.position(id) else {
            return;
        };
        // Also if it came out of order: what has been said holds up nothing, and takes no place.
        self.turns.remove(index);
        self.advance(outlet);
    }

    fn position(&self, id: NonZeroU16) -> Option<usize> {
        self.turns
            .iter()
            .position(|turn| matches!(turn, Turn::Broker(awaited) if *awaited == id))
    }

    fn advance(&mut self, outlet: Outlet<'_>) {
        while let Some(turn) = self.turns.pop_front() {
            match turn {
                Turn::Own(id, bytes) => {
                    outlet.actions.write_client(bytes);
                    outlet.inflight.acknowledged(id);
                }
                Turn::Broker(_) | Turn::Held(..) | Turn::Again(_) => {
                    self.turns.push_front(turn);
                    return;
                }
            }
        }
    }
}
