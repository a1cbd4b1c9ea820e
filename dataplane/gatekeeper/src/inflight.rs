//! Packet identifiers of the client that are in use.
//!
//! PUBLISH with QoS above 0, SUBSCRIBE and UNSUBSCRIBE share one space [MQTT-2.2.1-3]. An identifier
//! is busy from the moment the client's packet is read until its last acknowledgement goes out to
//! the client. What comes under a busy identifier is either the same message once more, or an error
//! that ends the session: there are brokers that release the second of two messages, and it would be
//! the first that was asked about.
//!
//! A client that keeps to nothing could hold all of the 65,535 identifiers; [`Quota`] says how many it
//! gets.

mod flow;
mod outcome;
mod quota;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    num::NonZeroU16,
};

use crate::{question::QoS, reason::ReasonCode, violation::Violation};

use self::flow::{Once, Twice};
pub(crate) use self::{
    flow::Stage,
    outcome::{Arrival, Completion, Release},
    quota::Quota,
};

/// The identifiers of one connection.
#[derive(Debug)]
pub(crate) struct Inflight {
    entries: HashMap<NonZeroU16, Entry, BuildHasherDefault<Spread>>,
    /// How many of them are of a PUBLISH.
    messages: usize,
    /// How many of them are of QoS 2, and wait for the client's PUBREL.
    unreleased: usize,
    quota: Quota,
    /// The identifier that the gate took last for a packet of its own.
    own: NonZeroU16,
    hasher: RandomState,
}

/// Spreads identifiers. There are no more than 65,535, and no two fall on one value: a client that chooses them
/// gains nothing by it, which is what the usual hasher guards against, at its price.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u16(u16::from(*byte));
        }
    }

    fn write_u16(&mut self, id: u16) {
        // The golden ratio; the table uses the highest bits as well as the lowest.
        let spread = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ spread >> 32;
    }
}

#[derive(Debug)]
enum Entry {
    /// A SUBSCRIBE or an UNSUBSCRIBE.
    Request(Request),
    /// A PUBLISH with QoS 1.
    Once(Once),
    /// A PUBLISH with QoS 2.
    Twice(Twice),
    /// A PUBREL whose PUBLISH was not sent on this connection. Nothing was taken from the send quota
    /// for it (§4.9).
    Release,
}

/// What has an answer but is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Subscribe,
    Unsubscribe,
    /// An UNSUBSCRIBE of the gate's own.
    Withdraw,
}

const IN_USE: Violation = Violation::protocol(
    "packet identifier that is in use for something else",
    "MQTT-2.2.1-3",
);

impl Inflight {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            entries: HashMap::default(),
            messages: 0,
            unreleased: 0,
            quota,
            own: NonZeroU16::MIN,
            hasher: RandomState::new(),
        }
    }

    /// Whether another packet of the client may come in. What waits for the client alone does not
    /// count: the PUBREL that frees it would not be read either. `acks` are the acknowledgements that
    /// the client is owed: several of one identifier, if it says the same again and again.
    pub(crate) fn has_room(&self, acks: usize) -> bool {
        let waiting = self.entries.len().saturating_sub(self.unreleased);
        waiting.max(acks) < self.quota.waiting
    }

    /// What tells one message from another, whatever its DUP flag says [MQTT-3.3.1-1]. `packet` is
    /// the message with its alias resolved. The key is random, so that nobody can aim at a collision.
    pub(crate) fn fingerprint(&self, packet: &[u8]) -> u64 {
        const DUP: u8 = 0b1000;

        let (first, rest) = packet.split_first().unwrap_or((&0, &[]));
        self.hasher.hash_one((first & !DUP, rest))
    }

    /// A PUBLISH with this identifier was read.
    pub(crate) fn publish(
        &mut self,
        id: NonZeroU16,
        qos: QoS,
        fingerprint: u64,
    ) -> Result<Arrival, Violation> {
        let again = match self.entries.get_mut(&id) {
            None => {
                self.quota.check(qos, self.messages, self.unreleased)?;
                None
            }
            Some(Entry::Once(once)) if !once.is_another(qos, fingerprint) => {
                once.owed = once.owed.saturating_add(1);
                Some(Arrival::Message)
            }
            Some(Entry::Twice(twice)) if twice.is_repeated_by(qos, fingerprint) => {
                twice.owed = twice.owed.saturating_add(1);
                Some(Arrival::Repeat)
            }
            Some(_) => return Err(IN_USE),
        };
        if let Some(arrival) = again {
            return Ok(arrival);
        }
        self.messages += 1;
        let entry = match qos {
            QoS::ExactlyOnce => {
                self.unreleased += 1;
                Entry::Twice(Twice::new(fingerprint))
            }
            QoS::AtLeastOnce | QoS::AtMostOnce => Entry::Once(Once::new(fingerprint)),
        };
        self.entries.insert(id, entry);
        Ok(Arrival::Message)
    }

    /// A SUBSCRIBE or an UNSUBSCRIBE was read.
    pub(crate) fn request(&mut self, id: NonZeroU16, request: Request) -> Result<(), Violation> {
        if self.entries.contains_key(&id) {
            return Err(IN_USE);
        }
        self.entries.insert(id, Entry::Request(request));
        Ok(())
    }

    /// Takes a free identifier for a packet of the gate's own; `None` if the client uses all there are.
    /// Downwards from the highest, for most clients count upwards from the lowest.
    pub(crate) fn request_own(&mut self, request: Request) -> Option<NonZeroU16> {
        for _ in 0..u16::MAX {
            self.own = NonZeroU16::new(self.own.get() - 1).unwrap_or(NonZeroU16::MAX);
            if !self.entries.contains_key(&self.own) {
                self.entries.insert(self.own, Entry::Request(request));
                return Some(self.own);
            }
        }
        None
    }

    /// Whether the identifier is that of such a packet.
    pub(crate) fn is_request(&self, id: NonZeroU16, request: Request) -> bool {
        matches!(self.entries.get(&id), Some(Entry::Request(found)) if *found == request)
    }

    /// SUBACK or UNSUBACK goes out to the client.
    pub(crate) fn request_answered(&mut self, id: NonZeroU16, request: Request) {
        if self.is_request(id, request) {
            self.entries.remove(&id);
        }
    }

    /// A PUBREL was read; it is not its turn yet.
    pub(crate) fn releasing(&mut self, id: NonZeroU16) {
        match self.entries.entry(id).or_insert(Entry::Release) {
            Entry::Twice(twice) => {
                let is_first = !std::mem::replace(&mut twice.released, true);
                self.unreleased = self.unreleased.saturating_sub(is_first.into());
            }
            Entry::Request(_) | Entry::Once(_) | Entry::Release => {}
        }
    }

    /// It is the turn of a PUBREL. `forwards_unknown`: the broker may hold what the gate knows
    /// nothing of.
    pub(crate) fn release(&mut self, id: NonZeroU16, forwards_unknown: bool) -> Release {
        let unknown = Release::Answer {
            code: ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            owed: false,
        };
        match self.entries.get_mut(&id) {
            Some(Entry::Twice(twice)) => match twice.stage {
                Stage::Deciding => Release::Forward,
                Stage::AtBroker => twice.begin_release(false),
                Stage::Received => twice.begin_release(true),
                Stage::Releasing { .. } => Release::Forward,
                Stage::Owned => Release::Answer {
                    code: ReasonCode::SUCCESS,
                    owed: self.end_message(id),
                },
                Stage::Refused(_) | Stage::Purging(_) => unknown,
            },
            _ if forwards_unknown => Release::Forward,
            Some(Entry::Release) => {
                self.entries.remove(&id);
                unknown
            }
            Some(Entry::Request(_) | Entry::Once(_)) | None => unknown,
        }
    }

    /// The decision about a message with QoS 2 is carried out.
    pub(crate) fn decided(&mut self, id: NonZeroU16, stage: Stage) {
        if let Some(Entry::Twice(twice)) = self.entries.get_mut(&id) {
            twice.stage = stage;
        }
    }

    /// An acknowledgement of the gate's own, PUBACK or PUBREC, goes out.
    pub(crate) fn acknowledged(&mut self, id: NonZeroU16) {
        let is_over = match self.entries.get_mut(&id) {
            Some(Entry::Once(once)) => once.acknowledged(),
            Some(Entry::Twice(twice)) => {
                twice.owed = twice.owed.saturating_sub(1);
                twice.is_over()
            }
            _ => false,
        };
        if is_over {
            self.end_message(id);
        }
    }

    /// The broker's PUBACK is passed on.
    pub(crate) fn puback(&mut self, id: NonZeroU16) {
        if let Some(Entry::Once(once)) = self.entries.get_mut(&id)
            && once.acknowledged()
        {
            self.end_message(id);
        }
    }

    /// The broker's PUBREC is passed on. Tells whether the client wants to hear it again, for
    /// messages that were repeated.
    pub(crate) fn pubrec(&mut self, id: NonZeroU16, code: ReasonCode) -> bool {
        let Some(Entry::Twice(twice)) = self.entries.get_mut(&id) else {
            return false;
        };
        if !twice.received(code) {
            return false;
        }
        let repeats = twice.owed > 0;
        if twice.is_over() {
            self.end_message(id);
        }
        repeats
    }

    /// The code of the PUBREC, if there was one already.
    pub(crate) fn pubrec_code(&self, id: NonZeroU16) -> Option<ReasonCode> {
        match self.entries.get(&id)? {
            Entry::Twice(twice) => twice.stage.pubrec_code(),
            Entry::Request(_) | Entry::Once(_) | Entry::Release => None,
        }
    }

    /// The broker's PUBCOMP came.
    pub(crate) fn pubcomp(&mut self, id: NonZeroU16) -> Completion {
        match self.entries.get_mut(&id) {
            Some(Entry::Twice(twice)) => match twice.stage {
                Stage::Releasing { .. } => Completion::Pass {
                    owed: self.end_message(id),
                },
                Stage::Purging(code) => {
                    twice.stage = Stage::Refused(code);
                    Completion::Purged
                }
                _ => Completion::Pass { owed: false },
            },
            Some(Entry::Release) => {
                self.entries.remove(&id);
                Completion::Pass { owed: false }
            }
            _ => Completion::Pass { owed: false },
        }
    }

    /// Frees the identifier of a message. Tells whether acknowledgements for it were still owed.
    fn end_message(&mut self, id: NonZeroU16) -> bool {
        let owed = match self.entries.remove(&id) {
            Some(Entry::Once(once)) => once.owed,
            Some(Entry::Twice(twice)) => {
                let waited = usize::from(!twice.released);
                self.unreleased = self.unreleased.saturating_sub(waited);
                twice.owed
            }
            Some(Entry::Request(_) | Entry::Release) | None => return false,
        };
        self.messages = self.messages.saturating_sub(1);
        owed > 0
    }
}
