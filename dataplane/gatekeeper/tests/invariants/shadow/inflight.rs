//! Which packet identifiers are in use, and what may come under them: the table of the gate, written
//! down once more, with the whole messages in the place of their fingerprints.

use std::collections::HashMap;

use gatekeeper::Version;

use crate::packet::{Packet, Publish};

/// The identifiers of a connection.
#[derive(Debug, Default)]
pub(crate) struct Inflight {
    uses: HashMap<u16, Use>,
}

#[derive(Debug)]
enum Use {
    Subscribe,
    Unsubscribe,
    /// The gate's own UNSUBSCRIBE.
    Withdraw,
    /// A PUBREL that belongs to nothing.
    Release,
    Message(Message),
}

#[derive(Debug)]
struct Message {
    /// Without DUP.
    publish: Publish,
    /// Acknowledgements that the client has to get.
    owed: usize,
    /// Whether it has sent its PUBREL.
    released: bool,
    stage: Stage,
}

/// Where a message with QoS 2 stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    Undecided,
    AtBroker,
    /// The broker's PUBREL, or none, is still to come.
    Received,
    /// The broker has it; whether there was a PUBREC.
    Released(bool),
    Owned,
    Refused(u8),
    Purging(u8),
}

/// How many messages there may be: in all, and with QoS 2 that wait for their PUBREL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) messages: usize,
    pub(crate) unreleased: usize,
}

/// What a packet of the client is, as far as its identifier goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meaning {
    New,
    Repeat,
    /// Against the rules: DISCONNECT with this code.
    Misuse(u8),
}

impl Meaning {
    pub(crate) fn misuse(self) -> Option<u8> {
        match self {
            Self::Misuse(code) => Some(code),
            Self::New | Self::Repeat => None,
        }
    }
}

/// Who answers a PUBREL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Answer {
    Broker,
    /// With this code. Whether a PUBREC is still owed.
    Gate(u8, bool),
}

impl Inflight {
    /// A packet of the client; its alias is resolved.
    pub(crate) fn meaning(&self, packet: &Packet, quota: Quota) -> Meaning {
        let (id, publish) = match packet {
            Packet::Publish(Publish { id: None, .. }) => return Meaning::New,
            Packet::Publish(publish) => (publish.id.unwrap_or_default(), Some(publish)),
            Packet::Subscribe { id, .. } | Packet::Unsubscribe { id, .. } => (*id, None),
            _ => return Meaning::New,
        };
        match (self.uses.get(&id), publish) {
            (None, None) => Meaning::New,
            (None, Some(_)) if self.messages() >= quota.messages => Meaning::Misuse(0x93),
            (None, Some(Publish { qos: 2, .. })) if self.unreleased() >= quota.unreleased => {
                Meaning::Misuse(0x93)
            }
            (None, Some(_)) => Meaning::New,
            (Some(Use::Message(message)), Some(publish)) => message.meaning(publish),
            (Some(_), _) => Meaning::Misuse(0x82),
        }
    }

    /// Whether this SUBSCRIBE or UNSUBSCRIBE is waiting for its answer, or another one is under its
    /// identifier.
    pub(crate) fn is_asked(&self, packet: &Packet) -> bool {
        match packet {
            Packet::Subscribe { id, .. } => matches!(self.uses.get(id), Some(Use::Subscribe)),
            Packet::Unsubscribe { id, .. } => matches!(self.uses.get(id), Some(Use::Unsubscribe)),
            _ => false,
        }
    }

    /// It was taken.
    pub(crate) fn take(&mut self, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                let Some(id) = publish.id else { return };
                let publish = without_dup(publish);
                match self.uses.get_mut(&id) {
                    Some(Use::Message(message)) if message.publish == publish => message.owed += 1,
                    _ => {
                        let message = Message {
                            publish,
                            owed: 1,
                            released: false,
                            stage: Stage::Undecided,
                        };
                        self.uses.insert(id, Use::Message(message));
                    }
                }
            }
            Packet::Subscribe { id, .. } => drop(self.uses.insert(*id, Use::Subscribe)),
            Packet::Unsubscribe { id, .. } => drop(self.uses.insert(*id, Use::Unsubscribe)),
            Packet::Ack { kind: 6, id, .. } => {
                if let Use::Message(message) = self.uses.entry(*id).or_insert(Use::Release) {
                    message.released = true;
                }
            }
            _ => {}
        }
    }

    /// How far a message with QoS 2 has come now.
    pub(crate) fn set(&mut self, id: u16, stage: Stage) {
        if let Some(message) = self.message(id, 2) {
            message.stage = stage;
        }
    }

    /// The code of the PUBREC, as far as there is one.
    pub(crate) fn pubrec_code(&self, id: u16) -> Option<u8> {
        match self.uses.get(&id)? {
            Use::Message(message) => match message.stage {
                Stage::Received | Stage::Released(true) | Stage::Owned => Some(0),
                Stage::Refused(code) | Stage::Purging(code) => Some(code),
                Stage::Undecided | Stage::AtBroker | Stage::Released(false) => None,
            },
            _ => None,
        }
    }

    /// It is the turn of a PUBREL.
    pub(crate) fn release(&mut self, id: u16, version: Version, resumed: bool) -> Answer {
        const NOT_FOUND: Answer = Answer::Gate(0x92, false);

        if let Some(message) = self.message(id, 2) {
            let owed = message.owed > 0;
            let released = match message.stage {
                Stage::AtBroker => Stage::Released(false),
                Stage::Received => Stage::Released(true),
                stage @ (Stage::Undecided | Stage::Released(_)) => stage,
                Stage::Refused(_) | Stage::Purging(_) => return NOT_FOUND,
                Stage::Owned => {
                    self.uses.remove(&id);
                    return Answer::Gate(0, owed);
                }
            };
            message.stage = released;
            return Answer::Broker;
        }
        if resumed || version != Version::V5 {
            return Answer::Broker;
        }
        if matches!(self.uses.get(&id), Some(Use::Release)) {
            self.uses.remove(&id);
        }
        NOT_FOUND
    }

    /// The client got a PUBACK or PUBREC of the gate's own.
    pub(crate) fn acknowledged(&mut self, id: u16) {
        let Some(Use::Message(message)) = self.uses.get_mut(&id) else {
            return;
        };
        message.owed = message.owed.saturating_sub(1);
        self.end_if_over(id);
    }

    /// The client got the broker's PUBACK.
    pub(crate) fn puback(&mut self, id: u16) {
        if self.message(id, 1).is_some() {
            self.acknowledged(id);
        }
    }

    /// The client got the broker's PUBREC.
    pub(crate) fn pubrec(&mut self, id: u16, code: u8) {
        let Some(message) = self.message(id, 2) else {
            return;
        };
        message.stage = match (message.stage, code) {
            (Stage::AtBroker | Stage::Released(false), 0x80..) => Stage::Refused(code),
            (Stage::AtBroker, _) => Stage::Received,
            (Stage::Released(false), _) => Stage::Released(true),
            _ => return,
        };
        self.acknowledged(id);
    }

    /// The broker's PUBCOMP came. `None`: it is not the client's.
    pub(crate) fn pubcomp(&mut self, id: u16) -> Option<bool> {
        if matches!(self.uses.get(&id), Some(Use::Release)) {
            self.uses.remove(&id);
            return Some(false);
        }
        let Some(message) = self.message(id, 2) else {
            return Some(false);
        };
        match message.stage {
            Stage::Purging(code) => {
                message.stage = Stage::Refused(code);
                None
            }
            Stage::Released(_) => {
                let owed = message.owed > 0;
                self.uses.remove(&id);
                Some(owed)
            }
            _ => Some(false),
        }
    }

    /// The client got a SUBACK.
    pub(crate) fn suback(&mut self, id: u16) {
        if matches!(self.uses.get(&id), Some(Use::Subscribe)) {
            self.uses.remove(&id);
        }
    }

    /// The client got an UNSUBACK.
    pub(crate) fn unsuback(&mut self, id: u16) {
        if matches!(self.uses.get(&id), Some(Use::Unsubscribe)) {
            self.uses.remove(&id);
        }
    }

    /// The gate takes an identifier for an UNSUBSCRIBE of its own. Tells whether it was free.
    pub(crate) fn takes_own(&mut self, id: u16) -> bool {
        self.uses.insert(id, Use::Withdraw).is_none()
    }

    /// The broker has answered a packet. Tells whether it was one of the gate's own.
    pub(crate) fn frees_own(&mut self, id: u16) -> bool {
        let is_own = matches!(self.uses.get(&id), Some(Use::Withdraw));
        if is_own {
            self.uses.remove(&id);
        }
        is_own
    }

    /// How many identifiers there are without those that wait for the client alone.
    pub(crate) fn waiting(&self) -> usize {
        self.uses.len() - self.unreleased()
    }

    fn unreleased(&self) -> usize {
        let waits = |used: &&Use| match used {
            Use::Message(message) => message.publish.qos == 2 && !message.released,
            _ => false,
        };
        self.uses.values().filter(waits).count()
    }

    fn messages(&self) -> usize {
        let is_message = |used: &&Use| matches!(used, Use::Message(_));
        self.uses.values().filter(is_message).count()
    }

    fn message(&mut self, id: u16, qos: u8) -> Option<&mut Message> {
        match self.uses.get_mut(&id)? {
            Use::Message(message) if message.publish.qos == qos => Some(message),
            _ => None,
        }
    }

    fn end_if_over(&mut self, id: u16) {
        let is_over = match self.uses.get(&id) {
            Some(Use::Message(message)) => {
                let refused = matches!(message.stage, Stage::Refused(_));
                message.owed == 0 && (message.publish.qos == 1 || refused)
            }
            _ => false,
        };
        if is_over {
            self.uses.remove(&id);
        }
    }
}

impl Message {
    fn meaning(&self, publish: &Publish) -> Meaning {
        match (without_dup(publish) == self.publish, self.publish.qos) {
            (true, 1) => Meaning::New,
            (true, _) if !self.released => Meaning::Repeat,
            _ => Meaning::Misuse(0x82),
        }
    }
}

fn without_dup(publish: &Publish) -> Publish {
    Publish {
        dup: false,
        ..publish.clone()
    }
}
