//! What client and broker say when they speak MQTT.

use gatekeeper::Version;

use super::is_v5;
use crate::{
    packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet},
    write::{self, Connect, Publish},
};

const TOPICS: [&str; 8] = ["a", "", "a/b", "alice/x", "/", "$SYS/x", "é/ü", "a/+"];

const FILTERS: [&str; 12] = [
    "a",
    "#",
    "a/b",
    "alice/#",
    "+/x",
    "/",
    "$share/g/alice/#",
    "$share/g/+",
    "$share/h/$share/g/a",
    "$SYS/#",
    "$share/g",
    "a#",
];

pub(super) fn topic(which: u8) -> &'static str {
    TOPICS[usize::from(which) % TOPICS.len()]
}

pub(super) fn filter(which: u8) -> &'static str {
    FILTERS[usize::from(which) % FILTERS.len()]
}

/// See the table of [`Setup`](super::program::Setup), byte 4.
pub(super) fn connect(version: Version, how: u8) -> Vec<u8> {
    let mut properties = Vec::new();
    let size: u32 = [0, 20, 100, 1000][usize::from(how >> 6)];
    if size > 0 {
        properties.push(0x27);
        properties.extend(size.to_be_bytes());
    }
    if how & 0x20 != 0 {
        properties.extend([0x17, 0]);
    }
    Connect {
        client_id: if how & 8 == 0 { "client" } else { "" }.to_owned(),
        clean: how & 0x10 == 0,
        keep_alive: [0, 1, 2, 60][usize::from(how & 3)],
        will: (how & 4 != 0).then(|| ("alice/gone".to_owned(), 1, true)),
        username: Some("alice".to_owned()),
        password: Some("secret".to_owned()),
        properties,
        ..Connect::default()
    }
    .write(version)
}

/// See the table of [`Setup`](super::program::Setup), byte 5.
pub(super) fn connack(version: Version, code: u8, how: u8) -> Vec<u8> {
    let mut properties = Vec::new();
    let size: u32 = [0, 20, 60, 1000][usize::from(how & 3)];
    if size > 0 {
        properties.push(0x27);
        properties.extend(size.to_be_bytes());
    }
    let keep_alive: u8 = [0, 1, 2, 60][usize::from(how >> 2 & 3)];
    if keep_alive > 0 {
        properties.extend([0x13, 0, keep_alive]);
    }
    for (bit, property) in [
        (0x10, &[0x22, 0, 7][..]),
        (0x40, &[0x21, 0, 2]),
        (0x80, &[0x24, 0]),
    ] {
        if how & bit != 0 {
            properties.extend(property);
        }
    }
    write::connack(version, how & 0x20 != 0, code, &properties)
}

/// The first byte: QoS (bits 0, 1), RETAIN (2), DUP (3), alias (4, 5), message expiry (6), size (7).
/// The second is the packet identifier, the third the payload.
pub(super) fn publish(version: Version, topic: &str, how: [u8; 3]) -> Vec<u8> {
    let [flags, id, payload] = how;
    let mut properties = Vec::new();
    let alias = flags >> 4 & 3;
    if alias > 0 {
        properties.extend([0x23, 0, alias]);
    }
    if flags & 0x40 != 0 {
        properties.extend([0x02, 0, 0, 0, payload & 3]);
    }
    let qos = flags & 3;
    let size = if flags & 0x80 == 0 { 8 } else { 2 };
    Publish {
        topic: topic.to_owned(),
        qos,
        retain: flags & 4 != 0,
        dup: flags & 8 != 0,
        id: u16::from(id & 0x0F),
        properties,
        payload: vec![b'p'; usize::from(payload) / size],
    }
    .write(version)
}

/// Up to four filters of two bits each... chosen by the bits of `which`, with these options.
pub(super) fn subscribe(version: Version, id: u16, which: u8, options: u8) -> Vec<u8> {
    let count = usize::from(which & 3) + 1;
    let options = if is_v5(version) { options } else { options & 3 };
    let filters: Vec<(&str, u8)> = (0..count)
        .map(|index| {
            let at = usize::from(which >> 2) + index * 5;
            (FILTERS[at % FILTERS.len()], options)
        })
        .collect();
    write::subscribe(version, id, &filters)
}

/// The broker: it remembers what it has to answer.
pub(super) struct Broker {
    version: Version,
    unanswered: Vec<Packet>,
}

impl Broker {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            unanswered: Vec::new(),
        }
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let packet = packet::read(self.version, bytes);
        let wanted = packet.filter(|packet| match packet {
            Packet::Publish(publish) => publish.qos > 0,
            Packet::Ack { kind, .. } => matches!(*kind, PUBREC | PUBREL),
            Packet::Subscribe { .. } | Packet::Unsubscribe { .. } | Packet::Pingreq => true,
            _ => false,
        });
        self.unanswered.extend(wanted);
    }

    /// An answer to the nth of them; right if `how` is 0.
    pub(super) fn answer(&mut self, nth: usize, how: u8) -> Vec<u8> {
        if self.unanswered.is_empty() {
            return Vec::new();
        }
        let packet = self.unanswered.remove(nth % self.unanswered.len());
        let ack = |kind, id| match how {
            0 => write::ack(kind, id),
            code => write::ack_code(kind, id, code),
        };
        match packet {
            Packet::Publish(publish) => {
                let kind = if publish.qos == 1 { PUBACK } else { PUBREC };
                ack(kind, publish.id.unwrap_or_default())
            }
            Packet::Ack {
                kind: PUBREC, id, ..
            } => ack(PUBREL, id),
            Packet::Ack { id, .. } => ack(PUBCOMP, id),
            Packet::Subscribe { id, filters, .. } => {
                let mut codes: Vec<u8> = filters.iter().map(|(_, options)| options & 3).collect();
                match how {
                    0 => {}
                    1..0x80 => codes.push(0),
                    code => codes[0] = code,
                }
                write::suback(self.version, id, &codes)
            }
            Packet::Unsubscribe { id, filters } => write::unsuback(self.version, id, filters.len()),
            _ => write::PINGRESP.to_vec(),
        }
    }
}
