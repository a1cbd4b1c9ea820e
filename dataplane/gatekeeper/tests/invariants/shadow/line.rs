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

const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;

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
    /// A PUBLISH with QoS 2 once more.
    pub(crate) repeats: bool,
    /// What the gate refuses it with, and asks nobody.
    pub(crate) refused: Option<u8>,
    /// Whether the gate sent a PUBREL for it.
    pub(crate) purged: bool,
    /// When it came.
    pub(crate) at: u64,
    /// For each filter of a SUBSCRIBE its number among those that count, or why nobody is asked.
    pub(crate) filters: Vec<Result<usize, Code>>,
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
    /// What a packet means, its alias resolved, and what would go to the broker.
    pub(crate) fn understand(
        &mut self,
        version: Version,
        packet: Packet,
        bytes: Vec<u8>,
    ) -> Result<(Packet, Vec<u8>), Fault> {
        match packet {
            Packet::Publish(publish) => {
                let (publish, outgoing) = self.resolve(version, publish, bytes)?;
                Ok((Packet::Publish(publish), outgoing))
            }
            packet => Ok((packet, bytes)),
        }
    }

    /// A packet of a kind that matters to the order came.
    pub(crate) fn push(&mut self, packet: Packet, outgoing: Vec<u8>, at: u64) -> &mut Arrival {
        self.arrivals.push_back(Arrival {
            packet,
            outgoing,
            ticket: None,
            sent: false,
            answered: false,
            repeats: false,
            refused: None,
            purged: false,
            at,
            filters: Vec::new(),
        });
        self.arrivals.back_mut().expect("it was just put there")
    }

    /// What waits, with every filter for itself.
    pub(crate) fn weight(&self) -> usize {
        self.arrivals
            .iter()
            .map(|arrival| match &arrival.packet {
                Packet::Subscribe { filters, .. } => filters.len(),
                Packet::Unsubscribe { filters, .. } => filters.len(),
                _ => 1,
            })
            .sum()
    }

    /// The packet that came last is asked about.
    pub(crate) fn asked(&mut self, ticket: Ticket, question: &Question) -> Checked {
        let Some(last) = self
            .arrivals
            .back_mut()
            .filter(|last| last.ticket.is_none() && !last.repeats && last.refused.is_none())
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
                is_about(question, filters, &last.filters)
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
            .filter(|arrival| !arrival.repeats && arrival.refused.is_none())
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
        let outgoing = written(&publish);
        Ok((publish, outgoing.write(version)))
    }
}

impl Arrival {
    /// Whether all is known about it.
    pub(crate) fn is_ripe(&self, asks: &Asks) -> bool {
        let Some(first) = self.ticket else {
            return true;
        };
        let count = match &self.packet {
            Packet::Subscribe { .. } => self.filters.iter().filter(|filter| filter.is_ok()).count(),
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
        now: u64,
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
            Effect::Forward if self.left(now) == Some(0) => Effect::Expire,
            effect => effect,
        })
    }

    /// What is left of the Message Expiry Interval, if whole seconds of it have passed.
    fn left(&self, now: u64) -> Option<u32> {
        let Packet::Publish(publish) = &self.packet else {
            return None;
        };
        let interval = packet::property(&publish.properties, MESSAGE_EXPIRY_INTERVAL)?;
        let interval = u32::from_be_bytes(interval.try_into().ok()?);
        let waited = u32::try_from((now - self.at) / 1000).unwrap_or(u32::MAX);
        (waited > 0).then(|| interval.saturating_sub(waited))
    }

    /// The PUBLISH as it may leave now.
    pub(crate) fn aged(&self, version: Version, now: u64) -> Vec<u8> {
        let (Packet::Publish(publish), Some(left)) = (&self.packet, self.left(now)) else {
            return self.outgoing.clone();
        };
        let mut publish = publish.clone();
        for (id, value) in &mut publish.properties {
            if *id == MESSAGE_EXPIRY_INTERVAL {
                *value = left.to_be_bytes().to_vec();
            }
        }
        written(&publish).write(version)
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
        for ((_, options), place) in filters.iter().zip(&self.filters) {
            let requested = options & 3;
            slots.push(match place {
                Err(code) => Some(table::refused_filter(version, requested, *code)),
                Ok(_) => {
                    let verdict = asks.outcome(self.ticket?.filter(asked))?;
                    asked += 1;
                    match table::filter(version, requested, verdict, rules) {
                        Ok(slot) => slot,
                        Err(end) => return Some(Err(end)),
                    }
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
pub(crate) fn is_refused_unasked(filter: &str, version: Version) -> bool {
    let mut levels = filter.splitn(3, '/');
    if levels.next() != Some("$share") {
        return false;
    }
    let malformed = version.is_v3()
        && !matches!((levels.next(), levels.clone().next()), (Some(name), Some(inner))
            if !name.is_empty() && !name.contains(['+', '#']) && !inner.is_empty());
    let mut levels = filter.splitn(3, '/').skip(2);
    let nested = levels
        .next()
        .is_some_and(|inner| inner == "$share" || inner.starts_with("$share/"));
    malformed || nested
}

/// The filter of a shared subscription, or of any other.
pub(crate) fn unshared(filter: &str) -> &str {
    filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'))
        .map_or(filter, |(_, inner)| inner)
}

/// Whether the question is about exactly those filters that are asked about.
fn is_about(
    question: &SubscribeQuestion,
    filters: &[(String, u8)],
    counted: &[Result<usize, Code>],
) -> bool {
    let asked = filters
        .iter()
        .zip(counted)
        .filter(|(_, counted)| counted.is_ok());
    let expected = asked.map(|((filter, options), _)| {
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

fn written(publish: &Publish) -> write::Publish {
    write::Publish {
        topic: publish.topic.clone(),
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        id: publish.id.unwrap_or_default(),
        properties: concat(&publish.properties),
        payload: publish.payload.clone(),
    }
}

fn concat(properties: &packet::Properties) -> Vec<u8> {
    properties
        .iter()
        .flat_map(|(id, value)| [&[*id], value.as_slice()].concat())
        .collect()
}
