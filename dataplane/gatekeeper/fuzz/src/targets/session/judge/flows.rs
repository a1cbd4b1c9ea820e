//! Packet identifiers of the client's messages: who acknowledged what, and who has to be told.

use std::collections::{HashMap, HashSet, VecDeque};

use gatekeeper::{Fate, Version};

use super::{Case, Judge};
use crate::packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Publish};

/// The books about messages with QoS above 0. Of identifiers without a QoS most are of QoS 2.
#[derive(Default)]
pub(super) struct Flows {
    /// Acknowledgements of success that the gate may make itself: type and identifier.
    credits: Vec<(u8, u16)>,
    /// The broker knows nothing of them: the gate has to answer their PUBREL.
    owned: HashSet<u16>,
    /// The broker has them, or may have them: the gate must not answer their PUBREL.
    held: HashSet<u16>,
    /// The client has heard a PUBREC of success.
    received: HashSet<u16>,
    /// The client has begun a message and not sent its PUBREL. A PUBCOMP that comes now is for an
    /// earlier one: a client may say PUBREL several times.
    unreleased: HashSet<u16>,
    /// The last message under an identifier, if it was refused without a question and told as a
    /// success: MQTT 3.x.
    lost: HashMap<u16, Publish>,
    /// How often the client has sent a message that it had sent before.
    repeats: HashMap<u16, usize>,
    /// PUBREL packets of the client that nobody has taken yet, each with the number of cases that
    /// there were before it.
    releases: HashMap<u16, VecDeque<usize>>,
    /// The gate has told the broker to forget them, and the broker has not answered.
    purging: HashSet<u16>,
    /// Messages that were refused without a question, and might be what the broker has to forget.
    refused: HashSet<u16>,
}

impl Flows {
    /// A new message is asked about.
    pub(super) fn begins(&mut self, id: u16) {
        self.received.remove(&id);
        self.lost.remove(&id);
        self.unreleased.insert(id);
        self.repeats.remove(&id);
    }

    /// The broker has a message.
    pub(super) fn forwarded(&mut self, publish: &Publish) {
        if let (2, Some(id)) = (publish.qos, publish.id) {
            self.owned.remove(&id);
            self.held.insert(id);
        }
    }

    pub(super) fn sent_release(&mut self, id: u16, cases: usize) {
        self.releases.entry(id).or_default().push_back(cases);
        self.unreleased.remove(&id);
    }

    fn take_release(&mut self, id: u16) -> Option<usize> {
        self.releases.get_mut(&id)?.pop_front()
    }

    fn take(from: &mut HashMap<u16, usize>, id: u16) -> bool {
        let found = from.get_mut(&id).filter(|count| **count > 0);
        found.map(|count| *count -= 1).is_some()
    }
}

/// The message, whether or not it is said to be sent again.
fn undup(publish: &Publish) -> Publish {
    Publish {
        dup: false,
        ..publish.clone()
    }
}

impl Judge {
    /// A PUBLISH that nobody was asked about: the same as one before, or one that is refused.
    pub(super) fn unasked(&mut self, publish: &Publish, topic: &str, refused: bool) {
        if refused && self.version != Some(Version::V5) {
            // It has no word for a refusal; only what may be refused unasked is lost.
            let levels = topic.split('/').count();
            let is_deep = levels > self.rules.limits.max_topic_levels;
            assert!(is_deep || topic.starts_with('$'), "{topic} is lost");
            if let Some(id) = publish.id {
                self.flows.begins(id);
                self.flows.lost.insert(id, undup(publish));
            }
            return self.message_settled(publish, Fate::Dropped);
        }
        let (Some(id), 2) = (publish.id, publish.qos) else {
            return;
        };
        let same = |case: &&Case| match &case.packet {
            Packet::Publish(before) => before.qos == 2 && before.id == Some(id),
            _ => false,
        };
        let before = self.cases.iter().rev().find(same);
        let was_lost = self.flows.lost.get(&id) == Some(&undup(publish));
        if was_lost || before.is_some_and(|case| case.is_repeated_by(publish, topic)) {
            *self.flows.repeats.entry(id).or_default() += 1;
        } else {
            self.flows.refused.insert(id);
        }
    }

    /// A message got its fate.
    pub(super) fn message_settled(&mut self, publish: &Publish, fate: Fate) {
        let Some(id) = publish.id else {
            return;
        };
        match fate {
            Fate::Dropped | Fate::Expired => {
                if publish.qos == 2 {
                    let may_be_held = self.resumed && publish.dup;
                    let flows = &mut self.flows;
                    let of = [&mut flows.owned, &mut flows.held];
                    of[usize::from(may_be_held)].insert(id);
                }
                self.flows.credits.push((publish.qos + 3, id));
            }
            Fate::Refused(_) if publish.qos == 2 => {
                self.flows.refused.insert(id);
            }
            _ => {}
        }
    }

    /// The broker says something about the client's messages.
    pub(super) fn broker_answers(&mut self, kind: u8, id: u16, code: u8) {
        match kind {
            PUBREC if code >= 0x80 => {
                self.flows.held.remove(&id);
            }
            PUBCOMP => {
                self.flows.held.remove(&id);
                self.step.purged = self.flows.purging.remove(&id).then_some(id);
            }
            _ => {}
        }
    }

    /// A PUBREL goes to the broker because the client sent it.
    pub(super) fn released(&mut self, id: u16) {
        let cases = self.flows.take_release(id);
        let cases = cases.unwrap_or_else(|| panic!("PUBREL {id} that no client sent"));
        let undecided = |case: &&Case| match &case.packet {
            Packet::Publish(publish) => {
                case.fate.is_none() && (publish.qos, publish.id) == (2, Some(id))
            }
            _ => false,
        };
        // What came behind it, if the broker said PUBCOMP too early, is the next message.
        let mut before = self.cases.iter().take(cases).skip(self.settled);
        let waiting = before.find(undecided);
        assert!(waiting.is_none(), "PUBREL {id} before {waiting:?}");
        let flows = &mut self.flows;
        assert!(!flows.owned.contains(&id), "PUBREL {id} of the gate's");
    }

    /// A PUBREL of the gate's own goes to the broker.
    pub(super) fn purged(&mut self, id: u16) {
        assert!(self.resumed, "there is nothing to forget");
        let refused = self.flows.refused.contains(&id);
        assert!(refused, "PUBREL {id} for what was not refused");
        self.flows.purging.insert(id);
        self.flows.held.remove(&id);
    }

    /// The client hears PUBACK, PUBREC or PUBCOMP.
    pub(super) fn client_hears(&mut self, kind: u8, id: u16, code: u8, is_passed: bool) {
        let flows = &mut self.flows;
        if is_passed {
            assert_ne!(self.step.purged, Some(id), "the answer to a purge");
        } else {
            assert_ne!(kind, PUBREL, "PUBREL {id} out of nothing");
            let purges = kind == PUBREC && flows.purging.contains(&id);
            assert!(!purges, "PUBREC {id} before it is forgotten");
            match (kind, code) {
                (PUBACK | PUBREC, 0..0x80) => self.acknowledged(kind, id),
                (PUBCOMP, _) => self.completed(id, code),
                _ => {}
            }
        }
        let flows = &mut self.flows;
        match (kind, code) {
            (PUBREC, 0..0x80) => {
                flows.received.insert(id);
            }
            (PUBCOMP, _) if flows.unreleased.contains(&id) => {}
            (PUBREC, _) | (PUBCOMP, _) => {
                flows.received.remove(&id);
            }
            _ => {}
        }
    }

    /// A success of the gate's own: for what nobody else has to acknowledge, or once more.
    fn acknowledged(&mut self, kind: u8, id: u16) {
        let flows = &mut self.flows;
        let credit = (kind, id);
        match flows.credits.iter().position(|found| *found == credit) {
            Some(index) => {
                flows.credits.remove(index);
            }
            None => {
                let again = kind == PUBREC
                    && flows.received.contains(&id)
                    && Flows::take(&mut flows.repeats, id);
                assert!(again, "success {kind} for {id} out of nothing");
            }
        }
    }

    /// A PUBCOMP of the gate's own.
    fn completed(&mut self, id: u16, code: u8) {
        let flows = &mut self.flows;
        let sent = flows.take_release(id);
        assert!(sent.is_some(), "PUBCOMP {id} without a PUBREL");
        assert!(!flows.held.contains(&id), "PUBCOMP {id} is the broker's");
        if flows.owned.remove(&id) {
            assert_eq!(code, 0, "PUBCOMP {id}");
            // A PUBREC that has not gone out will not.
            flows.credits.retain(|credit| *credit != (PUBREC, id));
        } else {
            assert_eq!(code, 0x92, "PUBCOMP {id} for nothing");
            assert_eq!(self.version, Some(Version::V5), "3.x has no such word");
        }
    }
}
