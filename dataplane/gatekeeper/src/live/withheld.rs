//! Deliveries that the client does not get: the gate takes them in its place, so that the broker does
//! not wait. They are acknowledged as successes; a refusal would make some brokers try again.

mod turns;

use std::{collections::HashSet, num::NonZeroU16};

use crate::question::QoS;

use self::turns::{Turns, Whose};

/// What was kept from the client, and when the gate has to acknowledge it. `None`: nothing can ever be kept
/// from this client, and nothing has to be remembered of what it gets.
#[derive(Debug)]
pub(super) struct Withheld(Option<Box<Account>>);

#[derive(Debug, Default)]
struct Account {
    /// QoS 2 deliveries that the client did not get: their PUBREL is answered by the gate. There are
    /// never more of them than identifiers.
    unreleased: HashSet<NonZeroU16>,
    turns: Turns,
}

impl Withheld {
    /// `possible` tells whether a delivery with QoS above 0 may be kept from this client.
    pub(super) fn new(possible: bool) -> Self {
        Self(possible.then(Box::default))
    }

    /// A delivery goes to the client.
    pub(super) fn delivers(&mut self, qos: QoS, id: NonZeroU16) {
        if let Some(account) = &mut self.0 {
            // A new message under the identifier of one that the broker never released.
            account.unreleased.remove(&id);
            account.turns.take(qos, id, Whose::Client);
        }
    }

    /// A delivery is kept from the client.
    pub(super) fn withholds(&mut self, qos: QoS, id: NonZeroU16) {
        let account = self.0.get_or_insert_default();
        if qos == QoS::ExactlyOnce {
            account.unreleased.insert(id);
        }
        account.turns.take(qos, id, Whose::Gate);
    }

    /// The client has sent the broker its PUBACK or PUBREC.
    pub(super) fn acknowledged(&mut self, qos: QoS, id: NonZeroU16) {
        if let Some(account) = &mut self.0 {
            account.turns.passed(qos, id);
        }
    }

    /// The delivery that the gate has to acknowledge now.
    pub(super) fn next_to_acknowledge(&mut self, qos: QoS) -> Option<NonZeroU16> {
        self.0.as_mut()?.turns.next(qos)
    }

    /// The broker releases a delivery. Tells whether it was withheld.
    pub(super) fn releases(&mut self, id: NonZeroU16) -> bool {
        let account = self.0.as_mut();
        account.is_some_and(|account| account.unreleased.remove(&id))
    }
}
