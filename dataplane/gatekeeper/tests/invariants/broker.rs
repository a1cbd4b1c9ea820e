//! The broker of a case: it accepts anything, answers as the case says, and keeps the order of its
//! acknowledgements.

use std::collections::HashMap;

use gatekeeper::Version;

use super::{
    case::{Case, Greeting, How, Reply},
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, Packet},
    write::{self, Publish},
};

/// Clean Start, in the flags of a CONNECT.
const CLEAN: u8 = 1 << 1;

/// What the broker does later.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Send(Vec<u8>),
    Close,
}

/// What the broker knows, and whether it has done what no broker may do.
#[derive(Debug)]
pub(crate) struct Broker {
    version: Version,
    greeting: Greeting,
    replies: Vec<Reply>,
    replied: usize,
    /// When the last answer of each kind leaves.
    busy: HashMap<u8, u64>,
    next_id: u16,
    /// The last delivery with QoS above 0.
    last: Option<Vec<u8>>,
    /// Whether a violation may be found in what was sent.
    pub(crate) illegal: bool,
    /// Whether something stays without its answer.
    pub(crate) withholds: bool,
}

impl Broker {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            version: case.version,
            greeting: case.greeting.clone(),
            replies: case.replies.clone(),
            replied: 0,
            busy: HashMap::new(),
            next_id: 1,
            last: None,
            illegal: false,
            withholds: false,
        }
    }

    /// What the broker does about a packet, and when.
    pub(crate) fn receive(&mut self, packet: &Packet, now: u64) -> Option<(u64, Deed)> {
        match packet {
            Packet::Connect(connect) => self.greet(connect.flags & CLEAN != 0, now),
            Packet::Publish(publish) => match (publish.qos, publish.id) {
                (1, Some(id)) => self.acknowledge(PUBACK, id, now),
                (2, Some(id)) => self.acknowledge(PUBREC, id, now),
                _ => None,
            },
            Packet::Ack {
                kind: PUBREC,
                id,
                code: 0..0x80,
                ..
            } => {
                let version = self.version;
                self.reply(PUBREL, now, |how| match (how, version) {
                    (How::Oddly, Version::V31) => write::again(write::ack(PUBREL, *id)),
                    _ => write::ack(PUBREL, *id),
                })
            }
            Packet::Ack {
                kind: PUBREL, id, ..
            } => self.acknowledge(PUBCOMP, *id, now),
            Packet::Subscribe { id, filters, .. } => {
                let version = self.version;
                self.reply(9, now, |how| {
                    let mut codes: Vec<u8> =
                        filters.iter().map(|(_, options)| options & 3).collect();
                    match how {
                        How::Refusing => codes[0] = 0x80,
                        How::Oddly => codes[0] = 0x95,
                        How::Wrongly => codes.push(0),
                        _ => {}
                    }
                    write::suback(version, *id, &codes)
                })
            }
            Packet::Unsubscribe { id, filters } => {
                let version = self.version;
                self.reply(11, now, |how| {
                    let wrong = usize::from(matches!(how, How::Wrongly));
                    write::unsuback(version, *id, filters.len() + wrong)
                })
            }
            Packet::Pingreq => self.reply(13, now, |_| write::PINGRESP.to_vec()),
            Packet::Disconnect { .. } => Some((now, Deed::Close)),
            _ => None,
        }
    }

    /// A message for the client.
    pub(crate) fn publish(&mut self, qos: u8, size: usize) -> Vec<u8> {
        self.next_id += 1;
        let bytes = Publish {
            topic: "down/link".to_owned(),
            qos,
            id: self.next_id,
            payload: vec![b'd'; size],
            ..Publish::default()
        }
        .write(self.version);
        if qos > 0 {
            self.last = Some(bytes.clone());
        }
        bytes
    }

    /// The last of them again.
    pub(crate) fn repeat(&self) -> Vec<u8> {
        let mut bytes = self.last.clone().unwrap_or_default();
        if let Some(first) = bytes.first_mut() {
            *first |= 8;
        }
        bytes
    }

    /// A DISCONNECT, which MQTT 3.x does not know from this side.
    pub(crate) fn disconnect(&mut self) -> Vec<u8> {
        self.illegal |= self.version.is_v3();
        write::packet(0xE0, &[0x8E])
    }

    fn greet(&mut self, clean: bool, now: u64) -> Option<(u64, Deed)> {
        let v5 = self.version == Version::V5;
        let send = |bytes| Some((now, Deed::Send(bytes)));
        match self.greeting.clone() {
            Greeting::Accept {
                delay,
                maximum_packet_size,
                topic_alias_maximum,
                server_keep_alive,
                receive_maximum,
                keeps_session,
                withholds,
            } => {
                let mut section = vec![0x26, 0, 1, b'k', 0, 1, b'v'];
                if let Some(size) = maximum_packet_size {
                    section.push(0x27);
                    section.extend(size.to_be_bytes());
                }
                if let Some(maximum) = topic_alias_maximum {
                    section.push(0x22);
                    section.extend(maximum.to_be_bytes());
                }
                if let Some(seconds) = server_keep_alive {
                    section.push(0x13);
                    section.extend(seconds.to_be_bytes());
                }
                if let Some(maximum) = receive_maximum {
                    section.push(0x21);
                    section.extend(maximum.to_be_bytes());
                }
                if let Some(property) = withholds {
                    section.extend([property, 0]);
                }
                section.extend(write::text_property(0x1A, "info"));
                let present = match self.version {
                    // The byte is reserved there: it says nothing.
                    Version::V31 => keeps_session,
                    Version::V311 | Version::V5 => keeps_session && !clean,
                };
                let bytes = write::connack(self.version, present, 0, &section);
                Some((now + delay, Deed::Send(bytes)))
            }
            Greeting::Refuse(code) => {
                self.illegal |= if v5 { code < 0x80 } else { code > 5 };
                send(write::connack(self.version, false, code, &[]))
            }
            Greeting::OldShape(code) => {
                self.illegal |= if v5 { code == 0 } else { code > 5 };
                send(vec![0x20, 2, 0, code])
            }
            Greeting::Publish => {
                self.illegal = true;
                send(self.publish(0, 1))
            }
            Greeting::Close => Some((now, Deed::Close)),
            Greeting::Silence => None,
        }
    }

    fn acknowledge(&mut self, kind: u8, id: u16, now: u64) -> Option<(u64, Deed)> {
        let v5 = self.version == Version::V5;
        let code = if kind == PUBCOMP { 0x92 } else { 0x97 };
        self.reply(kind, now, |how| match how {
            How::Refusing if v5 => write::ack_code(kind, id, code),
            How::Oddly if v5 && kind != PUBCOMP => write::ack_code(kind, id, 0x95),
            How::Wrongly => write::ack_code(kind, id, 0x42),
            _ => write::ack(kind, id),
        })
    }

    /// In the order of the packets that are answered [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    fn reply(
        &mut self,
        kind: u8,
        now: u64,
        bytes: impl FnOnce(How) -> Vec<u8>,
    ) -> Option<(u64, Deed)> {
        let Reply { delay, how } = self.replies[self.replied % self.replies.len()].clone();
        self.replied += 1;
        let busy = self.busy.entry(kind).or_default();
        let at = (now + delay).max(*busy);
        *busy = at;
        match how {
            How::Never => {
                self.withholds = true;
                return None;
            }
            How::Closing => return Some((at, Deed::Close)),
            How::Wrongly => self.illegal = true,
            How::Rightly | How::Refusing | How::Oddly => {}
        }
        Some((at, Deed::Send(bytes(how))))
    }
}
