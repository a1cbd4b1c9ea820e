//! The order of acknowledgements.
//!
//! A receiver acknowledges in the order in which the PUBLISH packets came [MQTT-4.6.0-2]
//! [MQTT-4.6.0-3]. The broker does so for what it was given; an acknowledgement that the gate makes
//! itself, for a packet that the broker never saw, has to wait for the broker's earlier ones.

#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use bytes::Bytes;

use crate::{action::Actions, inflight::Inflight, line, question::QoS};

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

/// Turns of one kind of acknowledgement, with what has to be said as far as it is known.
type Line = line::Line<(NonZeroU16, Turn), Bytes>;

/// What the turn of an identifier waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// The broker's acknowledgement.
    Broker,
    /// Nothing: it is the gate's own.
    Own,
    /// The gate's own, and something else has to come first.
    Held,
    /// The broker's once more, when it is known.
    Again,
}

impl Acks {
    /// A PUBLISH went to the broker, which will acknowledge it.
    pub(crate) fn expect(&mut self, qos: QoS, id: NonZeroU16, dup: bool) {
        let line = self.line(qos);
        // A broker may answer a repeated PUBLISH once or twice. One place is enough: a second one
        // that is never answered would hold up all that the gate has to say itself.
        if dup && line.get((id, Turn::Broker)).is_some() {
            return;
        }
        line.push((id, Turn::Broker), Bytes::new());
    }

    /// The gate acknowledges a PUBLISH itself; the bytes leave when it is their turn.
    pub(crate) fn own(&mut self, qos: QoS, id: NonZeroU16, bytes: Bytes, outlet: Outlet<'_>) {
        let line = self.line(qos);
        line.push((id, Turn::Own), bytes);
        advance(line, outlet);
    }

    /// The same for a PUBREC that is not to leave before [`purged`](Self::purged).
    pub(crate) fn hold(&mut self, id: NonZeroU16, bytes: Bytes) {
        self.pubrec.push((id, Turn::Held), bytes);
    }

    /// The broker has forgotten what it held under the identifier.
    pub(crate) fn purged(&mut self, id: NonZeroU16, outlet: Outlet<'_>) {
        let held = (id, Turn::Held);
        if let Some(bytes) = self.pubrec.get(held).cloned() {
            self.pubrec.replace(held, (id, Turn::Own), bytes);
        }
        advance(&mut self.pubrec, outlet);
    }

    /// The client repeated a PUBLISH whose PUBREC is the broker's and has not come: it gets the same
    /// once more, and in this place.
    pub(crate) fn repeat(&mut self, id: NonZeroU16) {
        self.pubrec.push((id, Turn::Again), Bytes::new());
    }

    /// The PUBREC for what was repeated has come.
    pub(crate) fn known(&mut self, id: NonZeroU16, bytes: &Bytes) {
        let (again, own) = ((id, Turn::Again), (id, Turn::Own));
        while self.pubrec.replace(again, own, bytes.clone()) {}
    }

    /// The broker's PUBACK or PUBREC for the id has just been passed on.
    pub(crate) fn passed(&mut self, qos: QoS, id: NonZeroU16, outlet: Outlet<'_>) {
        let line = self.line(qos);
        // Also if it came out of order: what has been said holds up nothing, and takes no place.
        line.remove((id, Turn::Broker));
        advance(line, outlet);
    }

    /// The flow is over. A PUBREC for it would be taken for that of the next message.
    pub(crate) fn forget(&mut self, id: NonZeroU16, outlet: Outlet<'_>) {
        for turn in [Turn::Broker, Turn::Own, Turn::Held, Turn::Again] {
            while self.pubrec.remove((id, turn)).is_some() {}
        }
        advance(&mut self.pubrec, outlet);
    }

    /// Gives back the room of those that have left.
    pub(crate) fn rest(&mut self) {
        self.puback.rest();
        self.pubrec.rest();
    }

    /// How many are outstanding.
    pub(crate) fn len(&self) -> usize {
        self.puback.len() + self.pubrec.len()
    }

    fn line(&mut self, qos: QoS) -> &mut Line {
        match qos {
            QoS::ExactlyOnce => &mut self.pubrec,
            QoS::AtLeastOnce | QoS::AtMostOnce => &mut self.puback,
        }
    }
}

/// Lets out what waits for nothing and nobody.
fn advance(line: &mut Line, outlet: Outlet<'_>) {
    while let Some(((id, _), bytes)) = line.pop_if(|(_, turn), _| *turn == Turn::Own) {
        outlet.actions.write_client(bytes);
        outlet.inflight.acknowledged(id);
    }
}
