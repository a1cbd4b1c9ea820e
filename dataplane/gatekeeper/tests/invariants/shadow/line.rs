//! What the client sent and the gate has not let go, in the order of its arrival (invariants 3, 4,
//! 6 and 7).

use std::collections::{HashMap, VecDeque};

use gatekeeper::{
    CloseReason, Deny, Question, ReasonCode, Rules, SubscribeQuestion, Ticket, Version,
};

use crate::{
    fault::{Checked, Fault, ensure},
    packet::{self, Packet, Publish},
    write,
};

use super::{
    asks::Asks,
    table::{self, Code, Effect},
};

/// A packet of the client whose turn comes.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) packet: Packet,
    /// What would go to the broker if nothing in it is refused.
    pub(crate) outgoing: Vec<u8>,
    /// The first ticket, if something in it was asked about.
    pub(crate) ticket: Option<Ticket>,
    /// Whether it, or a part of it, went to the broker.
    pub(crate) sent: bool,
    /// Whether the gate answered it.
    pub(crate) answered: bool,
}

/// What becomes of each filter of a SUBSCRIBE: `None` goes to the broker.
pub(crate) type Slots = Vec<Option<Code>>;

/// The line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) arrivals: VecDeque<Arrival>,
    aliases: HashMap<u16, String>,
}

impl Line {
    /// A packet of a kind that matters to the order came.
    pub(crate) fn push(&mut self, version: Version, packet: Packet, bytes: Vec<u8>) -> Checked {
        let (packet, outgoing) = match packet {
            Packet::Publish(publish) => {
                let (publish, outgoing) = self.resolve(version, publish, bytes)?;
                (Packet::Publish(publish), outgoing)
            }
            packet => (packet, bytes),
        };
        self.arrivals.push_back(Arrival {
            packet,
            outgoing,
            ticket: None,
            sent: false,
            answered: false,
        });
        Ok(())
    }

    /// The packet that came last is asked about.
    pub(crate) fn asked(
        &mut self,
        ticket: Ticket,
        question: &Question,
        version: Version,
    ) -> Checked {
        let Some(last) = self
            .arrivals
            .back_mut()
            .filter(|last| last.ticket.is_none())
        else {
            return Err(format!("{question:?} about no packet"));
        };
        let fits = match (&last.packet, question) {
            (Packet::Publish(publish), Question::Publish(question)) => {
                *question.topic == publish.topic
                    && question.qos as u8 == publish.qos
                    && question.retain == publish.retain
                    && question.dup == publish.dup
                    && question.payload_size == publish.payload.len()
            }
            (Packet::Subscribe { filters, .. }, Question::Subscribe(question)) => {
                is_about(question, filters, version)
            }
            _ => false,
        };
        ensure!(fits, "{question:?} about {:?}", last.packet);
        last.ticket = Some(ticket);
        Ok(())
    }

    /// Bytes of all that waits.
    pub(crate) fn bytes(&self) -> usize {
        self.arrivals
            .iter()
            .map(|arrival| arrival.outgoing.len())
            .sum()
    }

    /// The first in the line, if these bytes are what it may send: it is its turn.
    pub(crate) fn head(&mut self) -> Result<&mut Arrival, Fault> {
        self.arrivals
            .front_mut()
            .ok_or_else(|| "something left, and nothing was in the line".to_owned())
    }

    /// The topic in the place of its alias, and the packet that the broker may see.
    fn resolve(
        &mut self,
        version: Version,
        mut publish: Publish,
        bytes: Vec<u8>,
    ) -> Result<(Publish, Vec<u8>), Fault> {
        const TOPIC_ALIAS: u8 = 0x23;

        let Some(alias) = packet::property(&publish.properties, TOPIC_ALIAS) else {
            return Ok((publish, bytes));
        };
        let alias = u16::from_be_bytes([alias[0], alias[1]]);
        if publish.topic.is_empty() {
            let Some(topic) = self.aliases.get(&alias) else {
                return Err(format!("alias {alias} is taken, and was never set"));
            };
            publish.topic = topic.clone();
        } else {
            self.aliases.insert(alias, publish.topic.clone());
        }
        publish.properties.retain(|(id, _)| *id != TOPIC_ALIAS);
        let outgoing = write::Publish {
            topic: publish.topic.clone(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.id.unwrap_or_default(),
            properties: concat(&publish.properties),
            payload: publish.payload.clone(),
        };
        Ok((publish, outgoing.write(version)))
    }
}

impl Arrival {
    /// Whether all is known about it.
    pub(crate) fn is_ripe(&self, asks: &Asks, version: Version) -> bool {
        let Some(first) = self.ticket else {
            return true;
        };
        let count = match &self.packet {
            Packet::Subscribe { filters, .. } => asked_filters(filters, version).count(),
            _ => 1,
        };
        (0..count).all(|index| asks.outcome(first.filter(index)).is_some())
    }

    /// What the tables say about a PUBLISH.
    pub(crate) fn effect(
        &self,
        asks: &Asks,
        version: Version,
        rules: &Rules,
        broker_takes: usize,
    ) -> Option<Effect> {
        let Packet::Publish(publish) = &self.packet else {
            return None;
        };
        let verdict = asks.outcome(self.ticket?)?;
        Some(match table::publish(version, publish.qos, verdict, rules) {
            Effect::Forward if self.outgoing.len() > broker_takes => {
                let deny = Deny {
                    code: Some(ReasonCode::PACKET_TOO_LARGE),
                    ..Deny::default()
                };
                table::denied_publish(version, publish.qos, &deny, rules)
            }
            effect => effect,
        })
    }

    /// What the tables say about a SUBSCRIBE.
    pub(crate) fn slots(
        &self,
        asks: &Asks,
        version: Version,
        rules: &Rules,
    ) -> Option<Result<Slots, (CloseReason, Code)>> {
        let Packet::Subscribe { filters, .. } = &self.packet else {
            return None;
        };
        let mut asked = 0;
        let mut slots = Vec::new();
        for (filter, _) in filters {
            slots.push(if is_refused_unasked(filter, version) {
                Some(match version {
                    Version::V31 | Version::V311 => Code::Exactly(0x80),
                    Version::V5 => Code::Exactly(0x8F),
                })
            } else {
                let verdict = asks.outcome(self.ticket?.filter(asked))?;
                asked += 1;
                match table::filter(version, verdict, rules) {
                    Ok(slot) => slot,
                    Err(end) => return Some(Err(end)),
                }
            });
        }
        Some(Ok(slots))
    }

    /// The SUBSCRIBE with the allowed filters only; its own bytes if that is all of them.
    pub(crate) fn subset(&self, slots: &Slots, version: Version) -> Option<Vec<u8>> {
        let Packet::Subscribe {
            id,
            properties,
            filters,
        } = &self.packet
        else {
            return None;
        };
        if slots.iter().all(Option::is_none) {
            return Some(self.outgoing.clone());
        }
        let mut body = id.to_be_bytes().to_vec();
        body.extend(write::section(version, &concat(properties)));
        for ((filter, options), slot) in filters.iter().zip(slots) {
            if slot.is_none() {
                body.extend(write::text(filter));
                body.push(*options);
            }
        }
        Some(write::packet(0x82, &body))
    }
}

/// Whether the gate answers for a filter by itself: no broker agrees with another about it.
fn is_refused_unasked(filter: &str, version: Version) -> bool {
    let mut levels = filter.splitn(3, '/');
    if levels.next() != Some("$share") {
        return false;
    }
    let malformed = version == Version::V311
        && !matches!((levels.next(), levels.clone().next()), (Some(name), Some(inner))
            if !name.is_empty() && !name.contains(['+', '#']) && !inner.is_empty());
    let mut levels = filter.splitn(3, '/').skip(2);
    let nested = levels
        .next()
        .is_some_and(|inner| inner == "$share" || inner.starts_with("$share/"));
    malformed || nested
}

fn asked_filters(
    filters: &[(String, u8)],
    version: Version,
) -> impl Iterator<Item = &(String, u8)> {
    filters
        .iter()
        .filter(move |(filter, _)| !is_refused_unasked(filter, version))
}

/// Whether the question is about exactly those filters that are asked about.
fn is_about(question: &SubscribeQuestion, filters: &[(String, u8)], version: Version) -> bool {
    let expected = asked_filters(filters, version).map(|(filter, options)| {
        let shared = filter
            .strip_prefix("$share/")
            .and_then(|rest| rest.split_once('/'));
        let (share, inner) = match shared {
            Some((share, inner)) => (Some(share), inner),
            None => (None, filter.as_str()),
        };
        (share, inner, options & 3)
    });
    question
        .filters
        .iter()
        .map(|asked| (asked.share_name.as_deref(), &*asked.filter, asked.qos as u8))
        .eq(expected)
}

fn concat(properties: &packet::Properties) -> Vec<u8> {
    properties
        .iter()
        .flat_map(|(id, value)| [&[*id], value.as_slice()].concat())
        .collect()
}
