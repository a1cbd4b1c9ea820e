//! The client of a case: it keeps the rules of MQTT, except where the case says that it does not.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use gatekeeper::Version;

use super::{
    case::{Case, First, Greeting, Hello, Op, Reused},
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, Packet},
    write::{self, Publish},
};

const FILTERS: [&str; 14] = [
    "a",
    "a/b",
    "alice/#",
    "bob/#",
    "+/x",
    "#",
    "/",
    "$share/g/alice/#",
    "$share/g/+",
    "$share/h/$share/g/a",
    "$SYS/#",
    "$queue/a",
    "$share/g/$exclusive/a",
    // A plain filter on MQTT 3.x, which the gate refuses by itself; malformed on MQTT 5.0.
    "$share/g",
];

/// An outstanding packet identifier.
#[derive(Debug)]
enum Flow {
    Publish { qos: u8, bytes: Vec<u8> },
    Release,
    Subscribe(Vec<u8>),
    Unsubscribe(Vec<u8>),
}

impl Flow {
    fn ends_with(&self, packet: &Packet) -> bool {
        matches!(
            (self, packet),
            (
                Self::Publish { qos: 1, .. },
                Packet::Ack { kind: PUBACK, .. }
            ) | (
                Self::Publish { qos: 2, .. },
                Packet::Ack {
                    kind: PUBREC,
                    code: 0x80..,
                    ..
                }
            ) | (Self::Release, Packet::Ack { kind: PUBCOMP, .. })
                | (Self::Subscribe(_), Packet::Suback { .. })
                | (Self::Unsubscribe(_), Packet::Unsuback { .. })
        )
    }
}

/// What the client knows, and whether it has done what no client may do.
#[derive(Debug)]
pub(crate) struct Client {
    version: Version,
    alias_maximum: u16,
    max_packet_size: usize,
    receive_maximum: usize,
    max_inflight: usize,
    flows: BTreeMap<u16, Flow>,
    repeated: HashSet<u16>,
    /// The last PUBLISH under each identifier.
    last: HashMap<u16, Vec<u8>>,
    aliases: HashMap<u16, String>,
    damage: Option<(usize, u8)>,
    eager: bool,
    /// Answers to deliveries that were not given yet: kind and identifier.
    owed: VecDeque<(u8, u16)>,
    /// Whether a violation may be found in what was sent.
    pub(crate) illegal: bool,
}

impl Client {
    pub(crate) fn new(case: &Case) -> Self {
        let broker_takes = match (&case.greeting, case.version) {
            (
                Greeting::Accept {
                    maximum_packet_size: Some(size),
                    ..
                },
                Version::V5,
            ) => *size as usize,
            _ => usize::MAX,
        };
        let broker_receives = match &case.greeting {
            Greeting::Accept {
                receive_maximum: Some(maximum),
                ..
            } => *maximum,
            _ => u16::MAX,
        };
        Self {
            version: case.version,
            alias_maximum: case.rules.limits.topic_alias_maximum,
            max_packet_size: case.rules.limits.max_packet_size.min(broker_takes),
            receive_maximum: case
                .rules
                .limits
                .receive_maximum
                .min(broker_receives)
                .into(),
            max_inflight: case.rules.limits.max_inflight,
            flows: BTreeMap::new(),
            last: HashMap::new(),
            repeated: HashSet::new(),
            aliases: HashMap::new(),
            damage: None,
            eager: case.hello.eager,
            owed: VecDeque::new(),
            illegal: false,
        }
    }

    /// The first packet.
    pub(crate) fn hello(&mut self, case: &Case) -> Vec<u8> {
        let hello = &case.hello;
        let mut connect = write::Connect {
            client_id: if hello.empty_id { "" } else { "client" }.to_owned(),
            clean: hello.clean,
            keep_alive: hello.keep_alive,
            will: hello.will.then(|| ("alice/gone".to_owned(), 1, true)),
            will_properties: hello.will_delay.map_or_else(Vec::new, |delay| {
                [&[0x18], delay.to_be_bytes().as_slice()].concat()
            }),
            username: Some("alice".to_owned()),
            password: Some("secret".to_owned()),
            properties: properties(hello),
            ..write::Connect::default()
        };
        self.illegal |= hello.empty_id
            && match self.version {
                Version::V31 => true,
                Version::V311 => !hello.clean,
                Version::V5 => false,
            };
        if self.version == Version::V31 {
            connect.announced = hello.missing;
        }
        match &case.first {
            First::Connect => connect.write(self.version),
            First::AuthMethod => {
                self.illegal |= self.version == Version::V5;
                connect
                    .properties
                    .extend(write::text_property(0x15, "SCRAM"));
                connect.write(self.version)
            }
            First::Level(level) => {
                self.illegal = true;
                let mut bytes = connect.write(self.version);
                // Behind the name, whose length is below 128, as that of the packet is.
                let level_at = 4 + usize::from(bytes[3]);
                // That of another version would be legal with another name only.
                let level = if *level == bytes[level_at] { 4 } else { *level };
                bytes[level_at] = level;
                bytes
            }
            First::Bytes(bytes) => {
                self.illegal = true;
                bytes.clone()
            }
            First::Silence => {
                // Whatever comes then is not a CONNECT.
                self.illegal = true;
                Vec::new()
            }
        }
    }

    /// What the client sends when this happens.
    pub(crate) fn act(&mut self, op: &Op) -> Vec<u8> {
        let bytes = match op {
            Op::Publish { .. } => self.publish(op),
            Op::Repeat(nth) => self.repeat(*nth),
            Op::Reuse { nth, what } => self.reuse(*nth, *what),
            Op::Overrun => {
                let publish = Publish {
                    topic: "a".to_owned(),
                    qos: 1,
                    id: self.free_id(),
                    ..Publish::default()
                };
                self.start(&publish)
            }
            Op::Subscribe(filters) => self.subscribe(filters),
            Op::Unsubscribe(filter) => {
                let id = self.free_id();
                let bytes = write::unsubscribe(self.version, id, &[self.filter(*filter)]);
                self.flows.insert(id, Flow::Unsubscribe(bytes.clone()));
                bytes
            }
            Op::Ping => write::PINGREQ.to_vec(),
            // One that is in use would be the real thing.
            Op::Release(id) if !self.flows.contains_key(id) => {
                self.flows.insert(*id, Flow::Release);
                write::ack(PUBREL, *id)
            }
            Op::Acknowledge(id) => write::ack(PUBACK, *id),
            Op::Answers { count, code } => self.answer(*count, *code),
            Op::Disconnect(code) => write::disconnect(self.version, *code),
            Op::Illegal(which) => {
                self.illegal = true;
                self.illegal_packet(*which)
            }
            Op::Garbage(bytes) => {
                self.illegal = true;
                bytes.clone()
            }
            Op::Damage { at, xor } => {
                self.damage = Some((*at, *xor));
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.sent(bytes)
    }

    /// What the client sends because of what it was sent.
    pub(crate) fn react(&mut self, packet: &Packet) -> Vec<u8> {
        let reply = match packet {
            Packet::Publish(publish) => match (publish.qos, publish.id) {
                (1, Some(id)) => self.owe(PUBACK, id),
                (2, Some(id)) => self.owe(PUBREC, id),
                _ => Vec::new(),
            },
            Packet::Ack {
                kind: PUBREL, id, ..
            } => self.owe(PUBCOMP, *id),
            Packet::Ack {
                kind: PUBREC,
                id,
                code,
                ..
            } if *code < 0x80 => match self.flows.get_mut(id) {
                Some(flow @ Flow::Publish { qos: 2, .. }) => {
                    *flow = Flow::Release;
                    write::ack(PUBREL, *id)
                }
                _ => Vec::new(),
            },
            Packet::Ack { id, .. } | Packet::Suback { id, .. } | Packet::Unsuback { id, .. } => {
                // The acknowledgement may be that of the first copy, and the second still come.
                let ends = self
                    .flows
                    .get(id)
                    .is_some_and(|flow| flow.ends_with(packet));
                if ends && !self.repeated.contains(id) {
                    self.flows.remove(id);
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.sent(reply)
    }

    /// An answer for the broker, now or later.
    fn owe(&mut self, kind: u8, id: u16) -> Vec<u8> {
        if self.eager {
            return write::ack(kind, id);
        }
        self.owed.push_back((kind, id));
        Vec::new()
    }

    fn answer(&mut self, count: usize, code: u8) -> Vec<u8> {
        let count = count.min(self.owed.len());
        let mut code = (self.version == Version::V5 && code > 0).then_some(code);
        self.owed
            .drain(..count)
            .flat_map(|(kind, id)| match code.take_if(|_| kind != PUBCOMP) {
                Some(code) => write::ack_code(kind, id, code),
                None => write::ack(kind, id),
            })
            .collect()
    }

    fn publish(&mut self, op: &Op) -> Vec<u8> {
        let Op::Publish {
            topic,
            qos,
            retain,
            alias,
            by_alias,
            properties,
            dup,
            expiry,
            format,
            size,
        } = op
        else {
            return Vec::new();
        };
        if *qos > 0 && !self.has_quota() {
            return Vec::new();
        }
        let mut topic = topic_of(*topic);
        let mut section = Vec::new();
        let alias =
            alias.filter(|alias| self.version == Version::V5 && *alias <= self.alias_maximum);
        if let Some(alias) = alias {
            if *by_alias && self.aliases.contains_key(&alias) {
                topic.clear();
            } else {
                self.aliases.insert(alias, topic.clone());
            }
            section.push(0x23);
            section.extend(alias.to_be_bytes());
        }
        if *properties {
            section.extend(write::text_property(0x03, "text/plain"));
            section.extend([0x26, 0, 1, b'k', 0, 1, b'v']);
        }
        if let Some(seconds) = expiry {
            section.push(0x02);
            section.extend(seconds.to_be_bytes());
        }
        let mut payload = vec![b'p'; *size];
        if let Some(is_true) = format {
            section.extend([0x01, 1]);
            payload.extend((!is_true).then_some(0xFF));
        }
        let publish = Publish {
            topic,
            qos: *qos,
            retain: *retain,
            dup: *dup && *qos > 0,
            id: if *qos > 0 { self.free_id() } else { 0 },
            properties: section,
            payload,
        };
        self.start(&publish)
    }

    /// Sends a message, which is outstanding from now on.
    fn start(&mut self, publish: &Publish) -> Vec<u8> {
        let bytes = publish.write(self.version);
        if publish.qos > 0 {
            let flow = Flow::Publish {
                qos: publish.qos,
                bytes: bytes.clone(),
            };
            self.flows.insert(publish.id, flow);
            self.last.insert(publish.id, bytes.clone());
        }
        bytes
    }

    /// Whether Receive Maximum lets another message out, or what the gate allows in its place.
    fn has_quota(&self) -> bool {
        let of_v5 = |flow: &&Flow| matches!(flow, Flow::Publish { .. } | Flow::Release);
        let of_v3 = |flow: &&Flow| matches!(flow, Flow::Publish { qos: 2, .. });
        let flows = self.flows.values();
        match self.version {
            Version::V5 => flows.filter(of_v5).count() < self.receive_maximum,
            Version::V31 | Version::V311 => flows.filter(of_v3).count() < self.max_inflight,
        }
    }

    /// Something else under an identifier in use. It is for the shadow to say whether that is wrong:
    /// the gate may know that it is free.
    fn reuse(&mut self, nth: usize, what: Reused) -> Vec<u8> {
        let Some(id) = self.flows.keys().nth(nth).copied() else {
            return Vec::new();
        };
        self.repeated.insert(id);
        let last = self.last.get(&id).cloned().unwrap_or_default();
        match what {
            Reused::Payload => extended(last),
            Reused::Copy => last,
            Reused::Release => write::ack(PUBREL, id),
            Reused::Publish(qos) => Publish {
                topic: "re/used".to_owned(),
                qos,
                id,
                ..Publish::default()
            }
            .write(self.version),
            Reused::Subscribe => write::subscribe(self.version, id, &[("re/used", 1)]),
            Reused::Unsubscribe => write::unsubscribe(self.version, id, &["re/used"]),
        }
    }

    /// On MQTT 5.0 too, where it is done after a reconnect only [MQTT-4.4.0-1]: the gate does not mind.
    fn repeat(&mut self, nth: usize) -> Vec<u8> {
        let any = self.version == Version::V31;
        let mut waiting = self.flows.iter().filter_map(|(id, flow)| match flow {
            Flow::Publish { bytes, .. } => Some((*id, bytes.clone())),
            Flow::Subscribe(bytes) | Flow::Unsubscribe(bytes) if any => Some((*id, bytes.clone())),
            Flow::Release if any => Some((*id, write::ack(PUBREL, *id))),
            _ => None,
        });
        let Some((id, bytes)) = waiting.nth(nth) else {
            return Vec::new();
        };
        self.repeated.insert(id);
        write::again(bytes)
    }

    fn subscribe(&mut self, filters: &[(u8, u8)]) -> Vec<u8> {
        let filters: Vec<(&str, u8)> = filters
            .iter()
            .map(|(filter, qos)| (self.filter(*filter), *qos))
            .collect();
        let id = self.free_id();
        let bytes = write::subscribe(self.version, id, &filters);
        self.flows.insert(id, Flow::Subscribe(bytes.clone()));
        bytes
    }

    fn filter(&self, which: u8) -> &'static str {
        let known = match self.version {
            Version::V31 | Version::V311 => FILTERS.len(),
            Version::V5 => FILTERS.len() - 1,
        };
        FILTERS[usize::from(which) % known]
    }

    /// Low numbers, so that they are used again soon.
    fn free_id(&self) -> u16 {
        (1..)
            .find(|id| !self.flows.contains_key(id))
            .expect("there are 65,535")
    }

    fn sent(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        if bytes.len() > self.max_packet_size {
            self.illegal = true;
        }
        if let Some((at, xor)) = self.damage.take() {
            self.illegal = true;
            let at = at % bytes.len();
            bytes[at] ^= xor;
        }
        bytes
    }

    fn illegal_packet(&self, which: u8) -> Vec<u8> {
        let version = self.version;
        let publish = |topic: &str, properties: &[u8]| {
            let properties = properties.to_vec();
            Publish {
                topic: topic.to_owned(),
                properties,
                ..Publish::default()
            }
            .write(version)
        };
        let beyond = (self.alias_maximum + 1).to_be_bytes();
        match which % 19 {
            // On MQTT 5.0 no first one either, for who was silent up to now: the shadow knows only
            // what the case says of the CONNECT.
            0 => write::Connect {
                properties: write::text_property(0x15, "SCRAM"),
                ..write::Connect::default()
            }
            .write(version),
            1 => write::connack(version, false, 0, &[]),
            2 => write::packet(0x36, &write::text("a")),
            3 => publish("a/+", &[]),
            4 => publish("", &[]),
            5 => publish("a", &[0x23, 0, 0]),
            6 => publish("a", &[0x23, beyond[0], beyond[1]]),
            7 => publish("", &[0x23, 0, 31]),
            8 => write::packet(0xF0, &[]),
            9 => write::subscribe(version, 7777, &[]),
            10 => write::subscribe(version, 0, &[("a", 0)]),
            11 => write::ack_code(PUBACK, 1, 0x88),
            12 => write::packet(0xE0, &[0x8B]),
            13 => vec![0xC0, 1, 0],
            14 => write::packet(0xA0, &[0, 1, 0, 1, b'a']),
            15 => write::subscribe(version, 7777, &[("a#", 0)]),
            16 => write::subscribe(version, 7777, &[("a", 0xC0)]),
            17 => write::packet(0x40, &[0, 1, 0, 0, 0]),
            _ => publish("a\0b", &[]),
        }
    }
}

/// The same PUBLISH with another byte of payload.
fn extended(packet: Vec<u8>) -> Vec<u8> {
    let Some((&first, rest)) = packet.split_first() else {
        return packet;
    };
    let digits = rest.iter().take_while(|byte| **byte >= 0x80).count();
    write::packet(first, &[&rest[digits + 1..], b"x"].concat())
}

fn topic_of(which: u8) -> String {
    match which {
        0 => "a".to_owned(),
        1 => "a/b".to_owned(),
        2 => "alice/x".to_owned(),
        3 => "/".to_owned(),
        4 => "$SYS/x".to_owned(),
        5 => "é/ü".to_owned(),
        6 => "bob/".repeat(10),
        _ => "t".repeat(120),
    }
}

fn properties(hello: &Hello) -> Vec<u8> {
    let mut section = Vec::new();
    if let Some(size) = hello.maximum_packet_size {
        section.push(0x27);
        section.extend(size.to_be_bytes());
    }
    if let Some(expiry) = hello.session_expiry {
        section.push(0x11);
        section.extend(expiry.to_be_bytes());
    }
    if let Some(maximum) = hello.receive_maximum {
        section.push(0x21);
        section.extend(maximum.to_be_bytes());
    }
    if !hello.explains {
        section.extend([0x17, 0]);
    }
    section
}
