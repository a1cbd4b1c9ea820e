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

const DELIVERED: [&str; 16] = [
    "down",
    "t/a/x",
    "t/a",
    "t/a/",
    "t/b/x",
    "m/x",
    "m//",
    "m",
    "t/a/a",
    "alice/x",
    "t/a/$SYS/x",
    "",
    "$SYS/x",
    "t",
    "t/a/t/a/x",
    "a+",
];

/// What the broker delivers.
pub(super) fn delivered(which: u8) -> &'static str {
    DELIVERED[usize::from(which) % DELIVERED.len()]
}

pub(super) fn filter(which: u8) -> &'static str {
    FILTERS[usize::from(which) % FILTERS.len()]
}

/// See the table of [`Setup`](super::program::Setup), byte 4, and byte 0 from bit 2 on.
pub(super) fn connect(version: Version, [how, more]: [u8; 2]) -> Vec<u8> {
    let mut properties = Vec::new();
    let size: u32 = [0, 20, 100, 1000][usize::from(how >> 6)];
    if size > 0 {
        properties.push(0x27);
        properties.extend(size.to_be_bytes());
    }
    if how & 0x20 != 0 {
        properties.extend([0x17, 0]);
    }
    let expiry: [&[u8]; 4] = [
        &[],
        &[0x11, 0, 0, 0, 0],
        &[0x11, 0, 0, 0, 60],
        &[0x11, 0xFF, 0xFF, 0xFF, 0xFF],
    ];
    properties.extend(expiry[usize::from(more & 3)]);
    let mut will_properties = Vec::new();
    if more & 8 != 0 {
        will_properties.extend([0x18, 0, 0, 0, 9]);
        will_properties.extend(b"\x08\0\x05reply\x26\0\x01k\0\x01v\x01\x01");
    }
    if more & 0x10 != 0 {
        properties.extend([0x22, 0, 5, 0x19, 1, 0x21, 0, 2]);
    }
    let empty_will = more & 0x0C == 0x0C;
    Connect {
        client_id: if how & 8 == 0 { "client" } else { "" }.to_owned(),
        clean: how & 0x10 == 0,
        keep_alive: [0, 1, 2, 60][usize::from(how & 3)],
        will: (how & 4 != 0).then(|| ("alice/gone".to_owned(), more >> 2 & 1, true)),
        will_properties,
        will_payload: if empty_will { &b""[..] } else { b"gone" }.to_vec(),
        username: Some("alice".to_owned()),
        password: Some("secret".to_owned()),
        properties,
        announced: 0,
    }
    .write(version)
}

/// See the table of [`Setup`](super::program::Setup), byte 5, and the last bits of byte 6.
pub(super) fn connack(version: Version, code: u8, [how, more]: [u8; 2]) -> Vec<u8> {
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
    properties.extend(match more & 3 {
        0 => &b""[..],
        1 => b"\x25\0\x28\0\x29\0\x2A\0",
        2 => b"\x1A\0\x05t/a/r\x1C\0\x05other\x12\0\x05given\x26\0\x01k\0\x01v",
        _ => b"\x11\0\0\0\x14\x1A\0\x01r\x1F\0\x03why\x29\x01\x2A\0",
    });
    write::connack(version, how & 0x20 != 0, code, &properties)
}

/// The first byte: QoS (bits 0, 1), RETAIN (2), DUP (3), alias (4, 5), message expiry (6), size (7).
/// The second is the packet identifier, the third the payload. `more`: user properties (bits 0–2),
/// Payload Format Indicator (3, 4), Response Topic (5, 6), Content Type (7).
pub(super) fn publish(version: Version, topic: &str, how: [u8; 3], more: u8) -> Vec<u8> {
    let [flags, id, payload] = how;
    let mut properties = Vec::new();
    let alias = flags >> 4 & 3;
    if alias > 0 {
        properties.extend([0x23, 0, alias]);
    }
    if flags & 0x40 != 0 {
        properties.extend([0x02, 0, 0, 0, payload & 3]);
    }
    for _ in 0..more & 7 {
        properties.extend(b"\x26\0\x01k\0\x01v");
    }
    let mut byte = b'p';
    match more >> 3 & 3 {
        0 => {}
        3 => {
            properties.extend([0x01, 1]);
            byte = 0xFF;
        }
        format => properties.extend([0x01, format - 1]),
    }
    let response: [&[u8]; 4] = [b"", b"r", b"t/a/r", b"t/a"];
    if let response @ [_, ..] = response[usize::from(more >> 5 & 3)] {
        properties.push(0x08);
        properties.extend(write::text(response));
    }
    if more & 0x80 != 0 {
        properties.extend(b"\x03\0\x04text");
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
        payload: vec![byte; usize::from(payload) / size],
    }
    .write(version)
}

/// Up to four filters, chosen by the bits of `which`, with these options. `more`: a Subscription
/// Identifier (bit 0), user properties (1–3), DUP, which only MQTT 3.1 has (4), QoS of the second
/// filter (5, 6).
pub(super) fn subscribe(version: Version, id: u16, which: u8, options: u8, more: u8) -> Vec<u8> {
    let count = usize::from(which & 3) + 1;
    let options = if is_v5(version) { options } else { options & 3 };
    let mut properties = Vec::new();
    if more & 1 != 0 {
        properties.extend([0x0B, 7]);
    }
    for _ in 0..more >> 1 & 7 {
        properties.extend(b"\x26\0\x01k\0\x01v");
    }
    let mut body = id.to_be_bytes().to_vec();
    body.extend(write::section(version, &properties));
    for index in 0..count {
        let at = usize::from(which >> 2) + index * 5;
        body.extend(write::text(FILTERS[at % FILTERS.len()]));
        body.push(if index == 1 {
            options ^ more >> 5 & 3
        } else {
            options
        });
    }
    write::packet(0x82 | more >> 1 & 0b1000, &body)
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
