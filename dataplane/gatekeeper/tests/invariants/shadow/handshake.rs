//! From the CONNECT to the CONNACK: the broker is not even dialled before the CONNECT and its will
//! are allowed, and the client hears nothing but one CONNACK (invariant 1, ruling 1).

use gatekeeper::{Allow, Limits, Question, Ticket, Verdict, Version};

use crate::{
    fault::{Checked, Fault, ensure},
    packet::{self, Connect, Packet, Properties},
    world::SPARE_CLIENT_ID,
};

use super::asks::Asks;

/// Clean Session, in the flags of a CONNECT.
const CLEAN: u8 = 1 << 1;

/// How far it went.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    connect: Option<(Connect, Vec<u8>)>,
    pub(crate) connect_ticket: Option<Ticket>,
    pub(crate) will_ticket: Option<Ticket>,
    pub(crate) dialled_at: Option<u64>,
    /// Who the driver was told the broker will take the client for.
    dialled_as: String,
    ready: bool,
    /// As the broker heard it, in seconds.
    keep_alive: u16,
    /// Whether the broker heard that nothing is to be kept.
    begins_anew: bool,
    sent: bool,
    /// The CONNACK that the client got.
    pub(crate) connack: Option<Vec<u8>>,
}

impl Handshake {
    /// The CONNECT or the will is asked about.
    pub(crate) fn asked(
        &mut self,
        ticket: Ticket,
        question: &Question,
        frame: Option<(Packet, Vec<u8>)>,
        asks: &Asks,
    ) -> Checked {
        match (question, frame) {
            (Question::Connect(question), Some((Packet::Connect(connect), bytes))) => {
                ensure!(
                    self.connect_ticket.is_none(),
                    "a second CONNECT is asked about"
                );
                let id = self.client_id(&connect);
                let will = question.will.as_ref().map(|will| will.topic.to_string());
                ensure!(
                    *question.client_id == id
                        && question.client_id_assigned == connect.client_id.is_empty()
                        && question.username.as_deref() == connect.username.as_deref()
                        && question
                            .password
                            .as_ref()
                            .map(|word| word.expose().to_vec())
                            == connect.password
                        && question.keep_alive == connect.keep_alive
                        && will == connect.will.as_ref().map(|(_, topic, _)| topic.clone()),
                    "{question:?} about {connect:?}"
                );
                self.connect_ticket = Some(ticket);
                self.connect = Some((connect, bytes));
            }
            (Question::Will(question), _) => {
                let will = self
                    .connect
                    .as_ref()
                    .and_then(|(connect, _)| connect.will.as_ref());
                let Some((_, topic, payload)) = will else {
                    return Err("a will is asked about, and there is none".to_owned());
                };
                ensure!(self.will_ticket.is_none(), "the will is asked about twice");
                ensure!(
                    *question.topic == *topic && question.payload_size == payload.len(),
                    "{question:?} about a will on {topic}"
                );
                ensure!(
                    self.is_allowed(self.connect_ticket, asks),
                    "a will before its CONNECT"
                );
                self.will_ticket = Some(ticket);
            }
            (question, _) => return Err(format!("{question:?} about nothing")),
        }
        Ok(())
    }

    /// The broker connection is opened.
    pub(crate) fn dial(&mut self, client_id: &str, asks: &Asks, now: u64) -> Checked {
        ensure!(self.dialled_at.is_none(), "a second broker connection");
        ensure!(
            self.is_admitted(asks),
            "the broker is dialled and nothing is allowed"
        );
        self.dialled_at = Some(now);
        self.dialled_as = client_id.to_owned();
        Ok(())
    }

    /// The attempt to reach the broker has ended.
    pub(crate) fn reached(&mut self, works: bool) {
        self.ready = works;
    }

    /// The broker gets the CONNECT.
    pub(crate) fn forward(
        &mut self,
        ticket: Ticket,
        bytes: &[u8],
        sent: &Connect,
        asks: &Asks,
        version: Version,
        limits: &Limits,
    ) -> Checked {
        ensure!(self.ready && !self.sent, "a CONNECT at the wrong time");
        ensure!(self.is_admitted(asks), "a CONNECT that is not allowed");
        ensure!(
            self.connect_ticket == Some(ticket),
            "a CONNECT on the ground of {ticket:?}"
        );
        let Some((connect, original)) = &self.connect else {
            return Err("a CONNECT out of nothing".to_owned());
        };
        let mut expected = Connect {
            client_id: match asks.outcome(ticket) {
                Some(Verdict::Allow(Allow::Connect(allow))) => allow
                    .broker_client_id
                    .as_ref()
                    .map_or_else(|| self.client_id(connect), |id| id.to_string()),
                _ => self.client_id(connect),
            },
            ..connect.clone()
        };
        bound(&mut expected, version, limits);
        as_announced(&mut expected);
        ensure!(*sent == expected, "{sent:?} where {expected:?} is allowed");
        ensure!(
            sent.client_id == self.dialled_as,
            "{sent:?} where the broker was dialled for {:?}",
            self.dialled_as
        );
        ensure!(
            expected != *connect || bytes == original,
            "an unmodified CONNECT is not the client's bytes"
        );
        self.keep_alive = expected.keep_alive;
        self.begins_anew = expected.flags & CLEAN != 0;
        self.sent = true;
        Ok(())
    }

    /// The CONNACK of a session that begins: the broker's, but for what the gate terminates.
    pub(crate) fn accepted(
        &self,
        version: Version,
        broker: &[u8],
        client: &[u8],
        limits: &Limits,
        client_takes: usize,
    ) -> Checked {
        const USER_PROPERTY: u8 = 0x26;
        const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
        const SERVER_KEEP_ALIVE: u8 = 0x13;
        const RECEIVE_MAXIMUM: u8 = 0x21;
        const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
        const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
        const MAXIMUM_PACKET_SIZE: u8 = 0x27;

        match version {
            Version::V31 => {
                ensure!(
                    client == [0x20, 2, 0, 0],
                    "the reserved byte of the CONNACK is set"
                );
                return Ok(());
            }
            Version::V311 => {
                ensure!(broker == client, "the broker's CONNACK is changed");
                return Ok(());
            }
            Version::V5 => {}
        }
        let ((was, mut before), (is, mut after)) = (connack(broker)?, connack(client)?);
        ensure!(was == is, "the CONNACK says something else");
        let size = limits.max_packet_size as u32;
        let size = packet::property(&before, MAXIMUM_PACKET_SIZE)
            .and_then(|size| Some(u32::from_be_bytes(size.try_into().ok()?)))
            .map_or(size, |broker| broker.min(size));
        let (asked, _) = self.connect.as_ref().ok_or("a CONNACK for nothing")?;
        let keep_alive = number(&before, SERVER_KEEP_ALIVE).map_or(self.keep_alive, |seconds| {
            bounded(seconds as u16, limits.max_keep_alive)
        });
        let keep_alive = (keep_alive != asked.keep_alive
            || number(&before, SERVER_KEEP_ALIVE).is_some())
        .then_some(keep_alive);
        let most = limits.max_session_expiry;
        let expiry = number(&asked.properties, SESSION_EXPIRY_INTERVAL)
            .and_then(|asked| (asked > most).then_some(most));
        let receive = number(&before, RECEIVE_MAXIMUM).map_or(limits.receive_maximum, |broker| {
            limits.receive_maximum.min(broker as u16)
        });
        let assigned = self
            .connect
            .as_ref()
            .is_some_and(|(connect, _)| connect.client_id.is_empty());
        let id = [
            &[0, SPARE_CLIENT_ID.len() as u8],
            SPARE_CLIENT_ID.as_bytes(),
        ]
        .concat();
        for (property, expected) in [
            (
                TOPIC_ALIAS_MAXIMUM,
                Some(limits.topic_alias_maximum.to_be_bytes().to_vec()),
            ),
            (MAXIMUM_PACKET_SIZE, Some(size.to_be_bytes().to_vec())),
            (ASSIGNED_CLIENT_IDENTIFIER, assigned.then_some(id)),
            (RECEIVE_MAXIMUM, Some(receive.to_be_bytes().to_vec())),
            (
                SERVER_KEEP_ALIVE,
                keep_alive.map(|seconds| seconds.to_be_bytes().to_vec()),
            ),
            (
                SESSION_EXPIRY_INTERVAL,
                expiry.map(|seconds| seconds.to_be_bytes().to_vec()),
            ),
        ] {
            let found = packet::property(&after, property);
            ensure!(
                found == expected.as_deref(),
                "property {property:#04x} is {found:?}"
            );
            before.retain(|(id, _)| *id != property);
            after.retain(|(id, _)| *id != property);
        }
        ensure!(client.len() <= client_takes, "a CONNACK that is too large");
        let dropped: usize = before
            .iter()
            .filter(|(id, _)| *id == USER_PROPERTY)
            .map(|(_, value)| 1 + value.len())
            .sum();
        if before != after && client.len() + dropped > client_takes {
            before.retain(|(id, _)| *id != USER_PROPERTY);
        }
        ensure!(
            before == after,
            "the other properties of the CONNACK are changed"
        );
        Ok(())
    }

    /// The keep alive of the CONNECT that the broker got, in seconds.
    pub(crate) fn keep_alive(&self) -> u16 {
        self.keep_alive
    }

    /// Whether the broker was told to forget what it kept.
    pub(crate) fn begins_anew(&self) -> bool {
        self.begins_anew
    }

    /// Whether the broker has a will.
    pub(crate) fn has_will(&self) -> bool {
        let connect = self.connect.as_ref();
        connect.is_some_and(|(connect, _)| connect.will.is_some())
    }

    /// Whether the client's CONNECT was understood.
    pub(crate) fn is_heard(&self) -> bool {
        self.connect.is_some()
    }

    fn is_admitted(&self, asks: &Asks) -> bool {
        self.is_allowed(self.connect_ticket, asks)
            && (!self.has_will() || self.is_allowed(self.will_ticket, asks))
    }

    fn is_allowed(&self, ticket: Option<Ticket>, asks: &Asks) -> bool {
        let outcome = ticket.and_then(|ticket| asks.outcome(ticket));
        matches!(outcome, Some(Verdict::Allow(_)))
    }

    fn client_id(&self, connect: &Connect) -> String {
        match connect.client_id.as_str() {
            "" => SPARE_CLIENT_ID.to_owned(),
            id => id.to_owned(),
        }
    }
}

/// Session Present, code and properties.
fn connack(bytes: &[u8]) -> Result<((bool, u8), Properties), Fault> {
    match packet::read(Version::V5, bytes) {
        Some(Packet::Connack {
            session_present,
            code,
            properties,
        }) => Ok(((session_present, code), properties)),
        other => Err(format!("{other:?} where a CONNACK is expected")),
    }
}

/// What the operator bounds in a CONNECT.
fn bound(connect: &mut Connect, version: Version, limits: &Limits) {
    const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    const WILL_DELAY_INTERVAL: u8 = 0x18;
    const MAXIMUM_PACKET_SIZE: u8 = 0x27;

    let most = limits.max_session_expiry;
    if version.is_v3() {
        connect.flags |= if most == 0 { CLEAN } else { 0 };
        return;
    }
    connect.keep_alive = bounded(connect.keep_alive, limits.max_keep_alive);
    if number(&connect.properties, SESSION_EXPIRY_INTERVAL).is_some_and(|asked| asked > most) {
        for (id, value) in &mut connect.properties {
            if *id == SESSION_EXPIRY_INTERVAL {
                *value = most.to_be_bytes().to_vec();
            }
        }
    }
    // The broker drops what the gate can't carry.
    let most = limits.max_downlink_packet_size as u32;
    let value = most.to_be_bytes().to_vec();
    let mut properties = connect.properties.iter_mut();
    match properties.find(|(id, _)| *id == MAXIMUM_PACKET_SIZE) {
        _ if !limits.announce_downlink_size => {}
        None => connect.properties.push((MAXIMUM_PACKET_SIZE, value)),
        Some((_, asked)) if *asked > value => *asked = value,
        Some(_) => {}
    }
    // A will does not outlast a session that outlasts its connection.
    let session = number(&connect.properties, SESSION_EXPIRY_INTERVAL);
    let session = session.filter(|seconds| *seconds > 0);
    let most = session.unwrap_or(u32::MAX).min(limits.max_will_delay);
    let will = connect
        .will
        .iter_mut()
        .flat_map(|(properties, ..)| properties);
    for (_, value) in will.filter(|(id, _)| *id == WILL_DELAY_INTERVAL) {
        let delay = <[u8; 4]>::try_from(value.as_slice()).map_or(0, u32::from_be_bytes);
        *value = delay.min(most).to_be_bytes().to_vec();
    }
}

/// MQTT 3.1 lets a string be missing that its flag announces; the broker gets a packet that agrees with
/// itself.
fn as_announced(connect: &mut Connect) {
    const USERNAME: u8 = 1 << 7;
    const PASSWORD: u8 = 1 << 6;

    for (flag, is_there) in [
        (USERNAME, connect.username.is_some()),
        (PASSWORD, connect.password.is_some()),
    ] {
        if !is_there {
            connect.flags &= !flag;
        }
    }
}

fn bounded(seconds: u16, most: u16) -> u16 {
    if most > 0 && (seconds == 0 || seconds > most) {
        most
    } else {
        seconds
    }
}

/// The value of a property that is a number.
fn number(properties: &Properties, id: u8) -> Option<u32> {
    let value = packet::property(properties, id)?;
    Some(
        value
            .iter()
            .fold(0, |all, byte| all << 8 | u32::from(*byte)),
    )
}
