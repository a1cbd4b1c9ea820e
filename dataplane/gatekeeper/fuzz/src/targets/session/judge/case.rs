//! What is remembered about a packet that was asked about.

use std::time::Instant;

use gatekeeper::{Fate, Question, Ticket};

use super::TOPIC_ALIAS;
use crate::packet::{self, Packet};

/// A packet that was asked about.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) first: Ticket,
    pub(super) question: Question,
    /// The client's packet, as it came.
    pub(super) packet: Packet,
    pub(super) size: usize,
    /// The topic of a PUBLISH.
    pub(super) topic: String,
    pub(super) asked_at: Instant,
    pub(super) forwarded: bool,
    /// Which of the filters that were asked about went to the broker.
    pub(super) sent_filters: Vec<bool>,
    pub(super) fate: Option<Fate>,
}

impl Case {
    /// Whether a PUBLISH is this one once more, whatever its DUP and its alias say.
    pub(super) fn is_repeated_by(&self, publish: &packet::Publish, topic: &str) -> bool {
        let Packet::Publish(before) = &self.packet else {
            return false;
        };
        let properties = |publish: &packet::Publish| {
            let mut properties = publish.properties.clone();
            properties.retain(|(id, _)| *id != TOPIC_ALIAS);
            properties
        };
        self.topic == topic
            && (before.qos, before.id, before.retain) == (publish.qos, publish.id, publish.retain)
            && before.payload == publish.payload
            && properties(before) == properties(publish)
    }

    /// Whether it does not stand in the line, or not any more.
    pub(super) fn is_over(&self) -> bool {
        let stands = matches!(self.question, Question::Publish(_) | Question::Subscribe(_));
        self.fate.is_some() || !stands
    }

    /// The packet identifier, if it is a message with QoS above 0.
    pub(super) fn id_of_message(&self) -> Option<u16> {
        match &self.packet {
            Packet::Publish(publish) => publish.id,
            _ => None,
        }
    }
}
