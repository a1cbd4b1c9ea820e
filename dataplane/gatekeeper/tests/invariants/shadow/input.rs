//! What went into the gatekeeper, and what it obliges the gatekeeper to do.

use gatekeeper::{CloseReason, ReasonCode, Side, Ticket, Verdict, Version};

use crate::{
    fault::{Checked, ensure},
    packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Publish},
    write,
};

use super::{
    Merge, Shadow,
    downlink::for_broker,
    inflight::{Meaning, Quota},
    line::{is_refused_unasked, unshared},
    table::Code,
};

/// Where nobody may publish, and what nobody may subscribe to, by default.
const RESERVED_TOPICS: [&str; 7] = [
    "$SYS",
    "$CONTROL",
    "$share",
    "$queue",
    "$exclusive",
    "$delayed",
    "$oshare",
];
const RESERVED_FILTERS: [&str; 4] = ["$queue", "$exclusive", "$delayed", "$oshare"];

/// What went into the gatekeeper.
#[derive(Debug)]
pub(crate) enum Input {
    ClientFrame(Vec<u8>),
    BrokerFrame(Vec<u8>),
    ClientViolation,
    BrokerViolation,
    Verdict(Ticket, Verdict),
    Upstream(bool),
    ClientEof,
    BrokerEof,
    Drain,
    Terminate(u8),
    Recheck,
    Permit,
    Stall(Side),
    Timeout,
    Reading(bool),
}

/// What the gatekeeper was told of ends.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) client_end: bool,
    pub(super) broker_end: bool,
    pub(super) drain: bool,
    /// While the session was beginning.
    pub(super) recheck: bool,
    /// The client has said DISCONNECT, and it may stand in the line.
    pub(super) goodbye: bool,
    /// When the first word came of an end that leaves time for what was read before.
    pub(super) ending_since: Option<u64>,
}

impl Shadow {
    pub(super) fn take(&mut self, input: &Input) -> Checked {
        match input {
            Input::ClientFrame(bytes) => self.take_client_frame(bytes)?,
            Input::BrokerFrame(bytes) => self.take_broker_frame(bytes)?,
            Input::Verdict(ticket, verdict) => {
                self.asks.answer(*ticket, verdict, self.now);
                self.recheck_ends(*ticket);
            }
            Input::Recheck if self.live => {
                if self.waits_for_permit.is_none() {
                    self.told.recheck = true;
                    self.subscriptions.doubt();
                }
            }
            Input::Recheck => self.told.recheck = true,
            Input::Upstream(works) => self.handshake.reached(*works),
            Input::ClientEof => {
                self.told.client_end = true;
                self.told.ending_since.get_or_insert(self.now);
            }
            Input::Drain => {
                self.told.drain = true;
                self.told.ending_since.get_or_insert(self.now);
            }
            Input::BrokerEof => self.told.broker_end = true,
            Input::Reading(reading) => self.driver_reads = *reading,
            Input::ClientViolation
            | Input::BrokerViolation
            | Input::Stall(_)
            | Input::Terminate(_)
            | Input::Permit
            | Input::Timeout => {}
        }
        Ok(())
    }

    fn take_client_frame(&mut self, bytes: &[u8]) -> Checked {
        ensure!(
            self.waits_for_permit.is_none(),
            "a packet of the client is taken after a failure"
        );
        if !self.live {
            self.step.frame =
                packet::read(self.version, bytes).map(|packet| (packet, bytes.to_vec()));
            return Ok(());
        }
        self.keep_alive.not_silent(self.now);
        let (bytes, again) = without_stray_dup(self.version, bytes);
        let bytes = bytes.as_slice();
        if again && self.is_absorbed(bytes) {
            return Ok(());
        }
        if let Some(CloseReason::ClientViolation(violation)) = self.step.closing {
            self.step.misuse = self.misuse(bytes);
            let expected = self.client_illegal || self.step.misuse == Some(violation.code.get());
            ensure!(expected, "{violation:?}, but {:?}", self.step.misuse);
            return Ok(());
        }
        let largest = self.rules.limits.max_packet_size.min(self.broker_takes);
        ensure!(
            bytes.len() <= largest,
            "{} bytes are taken, {largest} are allowed",
            bytes.len()
        );
        match packet::read(self.version, bytes) {
            Some(Packet::Pingreq) => {
                self.step.through = Some(bytes.to_vec());
                Ok(())
            }
            Some(
                packet @ Packet::Ack {
                    kind: kind @ (PUBACK | PUBREC | PUBCOMP),
                    id,
                    code,
                    ..
                },
            ) => {
                self.step.through = Some(for_broker(&packet, bytes));
                self.downlink.answered(kind, id, code);
                Ok(())
            }
            Some(
                packet @ (Packet::Publish(_)
                | Packet::Subscribe { .. }
                | Packet::Unsubscribe { .. }
                | Packet::Ack { .. }
                | Packet::Disconnect { .. }),
            ) => self.stand_in_line(packet, bytes),
            other => Err(format!("{other:?} is taken from a client")),
        }
    }

    fn take_broker_frame(&mut self, bytes: &[u8]) -> Checked {
        if !self.live {
            return Ok(());
        }
        let (bytes, _) = without_stray_dup(self.version, bytes);
        let bytes = bytes.as_slice();
        let packet = packet::read(self.version, bytes);
        if let Some(CloseReason::BrokerViolation(_)) = self.step.closing {
            if let Some(Packet::Publish(publish)) = &packet {
                let limits = &self.rules.limits;
                self.step.overrun = self.downlink.overruns(publish, limits);
            }
            return Ok(());
        }
        match packet {
            // As after the end.
            Some(Packet::Publish(_)) if self.waits_for_permit.is_some() => {}
            Some(Packet::Publish(publish)) => {
                let limits = &self.rules.limits;
                return self.downlink.deliver(&publish, bytes, limits);
            }
            Some(Packet::Ack { kind, id, code, .. }) if kind != PUBREL => {
                self.take_broker_ack(kind, id, code, bytes);
            }
            Some(Packet::Suback {
                id,
                codes,
                properties,
            }) => {
                self.inflight.suback(id);
                let Some(at_broker) = self.subscribes.remove(&id) else {
                    self.step.pass = Some(bytes.to_vec());
                    return Ok(());
                };
                let sent = codes;
                let asked_for = at_broker.forwarded.iter().map(|(.., requested)| *requested);
                let codes: Vec<u8> = sent
                    .iter()
                    .zip(asked_for)
                    .map(|(code, requested)| self.meant(*code, requested))
                    .collect();
                for ((filter, number, _), code) in at_broker.forwarded.iter().zip(&sent) {
                    self.subscriptions.answer(filter, *number, *code < 0x80);
                }
                if at_broker.slots.iter().all(Option::is_none) && codes == sent {
                    self.step.pass = Some(bytes.to_vec());
                    return Ok(());
                }
                self.step.merge = Some(Merge {
                    id,
                    slots: at_broker.slots,
                    codes,
                    properties,
                });
            }
            Some(Packet::Unsuback { id, codes }) => {
                let filters = self.unsubscribes.remove(&id);
                let fits = |filters| self.version != Version::V5 || filters == codes.len();
                ensure!(filters.is_some_and(fits), "UNSUBACK {id} fits nothing");
                self.withdrawals.retain(|(own, _)| *own != id);
                if self.inflight.frees_own(id) {
                    return Ok(());
                }
                self.inflight.unsuback(id);
                self.step.pass = Some(bytes.to_vec());
            }
            Some(Packet::Pingresp) if !self.keep_alive.pong() => {}
            _ => self.step.pass = Some(bytes.to_vec()),
        }
        Ok(())
    }

    /// The code of a SUBACK as the client has to hear it.
    fn meant(&self, code: u8, requested: u8) -> u8 {
        match (self.version, code) {
            (_, 0..0x80) => code,
            (Version::V5, _) => ReasonCode::new(code).for_suback().get(),
            (Version::V311, _) => 0x80,
            // It has no word for a refusal.
            (Version::V31, _) => requested,
        }
    }

    fn take_broker_ack(&mut self, kind: u8, id: u16, code: u8, bytes: &[u8]) {
        if kind == PUBCOMP {
            match self.inflight.pubcomp(id) {
                Some(owed) => {
                    self.step.pass = Some(bytes.to_vec());
                    if owed {
                        self.acks.forget(id);
                    }
                }
                None => self.acks.purged(id),
            }
        } else {
            // One that may not stand there becomes one that may.
            let meant = match code {
                0x80.. => ReasonCode::new(code).for_publish_ack().get(),
                _ => code,
            };
            match kind {
                PUBACK => self.inflight.puback(id),
                _ => self.inflight.pubrec(id, meant),
            }
            let mut bytes = bytes.to_vec();
            if meant != code {
                // They are short, and have a short length.
                bytes[4] = meant;
            }
            self.acks.came(kind, id, meant, &bytes);
        }
        self.hear();
    }

    /// The gate's own acknowledgements are out.
    pub(super) fn hear(&mut self) {
        for id in self.acks.take_out() {
            self.inflight.acknowledged(id);
        }
    }

    fn stand_in_line(&mut self, packet: Packet, bytes: &[u8]) -> Checked {
        let (packet, mut outgoing) = self.line.understand(self.version, packet, bytes.to_vec())?;
        if let Packet::Disconnect {
            code: 0x80..,
            properties,
        } = &packet
            && self.handshake.has_will()
        {
            ensure!(properties.is_empty(), "the client has no words for it");
            outgoing = write::packet(0xE0, &[4, 0]);
        }
        let meaning = self.inflight.meaning(&packet, self.quota());
        if let Some(code) = self.offer.misuse(&packet).or(meaning.misuse()) {
            return Err(format!("{packet:?} is taken, {code:#04x} is due"));
        }
        self.inflight.take(&packet);
        self.told.goodbye |= matches!(packet, Packet::Disconnect { .. });
        let filters = match &packet {
            Packet::Subscribe { filters, .. } => self.count_filters(filters),
            Packet::Unsubscribe { filters, .. } => {
                filters
                    .iter()
                    .for_each(|filter| self.subscriptions.leave(filter));
                Vec::new()
            }
            _ => Vec::new(),
        };
        let refused = match &packet {
            Packet::Publish(publish) => self.refused_unasked(publish),
            _ => None,
        };
        if refused.is_some() && meaning != Meaning::Repeat {
            self.step.unasked += 1;
        }
        if refused.is_some() && matches!(&packet, Packet::Publish(Publish { qos: 0, .. })) {
            return Ok(());
        }
        self.step.unasked += filters.iter().filter(|filter| filter.is_err()).count();
        let arrival = self.line.push(packet, outgoing, self.now);
        arrival.repeats = meaning == Meaning::Repeat;
        arrival.refused = refused.filter(|_| !arrival.repeats);
        arrival.filters = filters;
        Ok(())
    }

    /// What the gate says to a PUBLISH that nobody is asked about.
    fn refused_unasked(&self, publish: &Publish) -> Option<u8> {
        let deep = publish.topic.split('/').count() > self.rules.limits.max_topic_levels;
        if is_reserved(&publish.topic, &RESERVED_TOPICS) {
            Some(0x87)
        } else if deep {
            Some(0x90)
        } else if is_misnamed(publish) {
            Some(0x99)
        } else {
            None
        }
    }

    fn count_filters(&mut self, filters: &[(String, u8)]) -> Vec<Result<usize, Code>> {
        let limits = &self.rules.limits;
        filters
            .iter()
            .map(|(filter, _)| {
                let wildcards = filter.matches(['+', '#']).count();
                if is_refused_unasked(filter, self.version)
                    || is_reserved(unshared(filter), &RESERVED_FILTERS)
                    || wildcards > limits.max_filter_wildcards
                {
                    return Err(Code::Exactly(0x8F));
                }
                self.subscriptions
                    .ask(
                        filter,
                        limits.max_subscriptions,
                        limits.max_subscription_bytes,
                    )
                    .ok_or(Code::Exactly(0x97))
            })
            .collect()
    }

    /// What the version has a word for, and what the gate does where there is none.
    pub(super) fn quota(&self) -> Quota {
        let max_inflight = self.rules.limits.max_inflight;
        Quota {
            messages: self.receive_maximum,
            unreleased: match self.version {
                Version::V5 => usize::MAX,
                Version::V31 | Version::V311 => max_inflight,
            },
        }
    }

    /// Whether a packet that says that it was sent before asks for what is being answered.
    fn is_absorbed(&self, bytes: &[u8]) -> bool {
        packet::read(self.version, bytes).is_some_and(|packet| self.inflight.is_asked(&packet))
    }

    /// The code that the client's packet deserves, if it is one that might be legal elsewhere.
    fn misuse(&mut self, bytes: &[u8]) -> Option<u8> {
        let packet = packet::read(self.version, bytes)?;
        if let Some(code) = self.offer.misuse(&packet) {
            return Some(code);
        }
        let (packet, _) = self
            .line
            .understand(self.version, packet, bytes.to_vec())
            .ok()?;
        self.inflight.meaning(&packet, self.quota()).misuse()
    }
}

/// Whether the first level is one that the broker has for itself.
fn is_reserved(topic: &str, levels: &[&str]) -> bool {
    let first = topic.split_once('/').map_or(topic, |(first, _)| first);
    levels.contains(&first)
}

/// The packet without the DUP that MQTT 3.1 has on SUBSCRIBE, UNSUBSCRIBE and PUBREL, and whether it was
/// there. It ends at the gate.
fn without_stray_dup(version: Version, bytes: &[u8]) -> (Vec<u8>, bool) {
    const DUP: u8 = 8;

    let mut bytes = bytes.to_vec();
    match bytes.first_mut() {
        Some(first @ (0x6A | 0x8A | 0xAA)) if version == Version::V31 => *first &= !DUP,
        _ => return (bytes, false),
    }
    (bytes, true)
}

/// Whether the payload is not the UTF-8 that it is said to be.
fn is_misnamed(publish: &Publish) -> bool {
    const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;

    packet::property(&publish.properties, PAYLOAD_FORMAT_INDICATOR) == Some(&[1])
        && std::str::from_utf8(&publish.payload).is_err()
}
