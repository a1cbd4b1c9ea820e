//! Packets at random, and what has to come of them.
//!
//! The topic of a packet says what the service decides about it, and when: `allow/17/3` is allowed
//! after 3 ms, and 17 makes it unique.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use tidegate_proto::v1::{FailureCode, ReasonCode};
use tidegate_tests::{
    Answer, Check, Publish, Subscribe, Unsubscribe, Version,
    packet::{Encode as _, Kind, PINGREQ},
};

/// What a client is told: kind of packet, id, codes.
pub(crate) type Step = (Kind, u16, Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Allow,
    Deny,
    Unset,
    Fail,
    Twice,
}

impl Fate {
    const ALL: [(Self, &str); 5] = [
        (Self::Allow, "allow"),
        (Self::Deny, "deny"),
        (Self::Unset, "unset"),
        (Self::Fail, "fail"),
        (Self::Twice, "twice"),
    ];

    /// Mostly decisions, and among them mostly allows.
    fn random(rng: &mut Rng, failures: bool) -> Self {
        match rng.u8(0..20) {
            0..=10 => Self::Allow,
            11..=17 => Self::Deny,
            _ if failures => rng
                .choice([Self::Unset, Self::Fail, Self::Twice])
                .expect("a choice"),
            _ => Self::Allow,
        }
    }

    fn is_failure(self) -> bool {
        !matches!(self, Self::Allow | Self::Deny)
    }

    fn topic(self, rng: &mut Rng, number: usize) -> String {
        let (_, word) = Self::ALL[self as usize];
        format!("{word}/{number}/{}", rng.u8(0..8))
    }
}

/// The service: does what the topic says.
pub(crate) fn decide(check: &Check) -> Answer {
    let mut words = check.topic().split('/');
    let answer = match words.next() {
        Some("deny") => Answer::deny(ReasonCode::NotAuthorized),
        Some("unset") => Answer::Unset,
        Some("fail") => Answer::Fail(FailureCode::Internal),
        Some("twice") => Answer::Twice,
        _ => Answer::Allow,
    };
    let delay = words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    answer.after(Duration::from_millis(delay))
}

#[derive(Debug)]
enum Sent {
    Publish {
        qos: u8,
        id: u16,
        fate: Fate,
        topic: String,
        bytes: Vec<u8>,
    },
    Subscribe {
        id: u16,
        filters: Vec<(String, u8, Fate)>,
    },
    Unsubscribe {
        id: u16,
        bytes: Vec<u8>,
    },
    Ping,
}

/// A stream of packets.
#[derive(Debug)]
pub(crate) struct Model {
    version: Version,
    sent: Vec<Sent>,
}

impl Model {
    pub(crate) fn random(rng: &mut Rng, version: Version) -> Self {
        // Before MQTT 5 a failure ends the connection, so that most runs should have none.
        let failures = version == Version::V5 || rng.u8(0..4) == 0;
        let count = rng.usize(1..80);
        let sent = (1..=count).map(|number| Sent::random(rng, version, number, failures));
        Self {
            version,
            sent: sent.collect(),
        }
    }

    /// The bytes to send.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.sent
            .iter()
            .flat_map(|sent| sent.bytes(self.version))
            .collect()
    }

    /// The packets up to the one whose failure ends the connection.
    fn served(&self) -> &[Sent] {
        let end = self
            .sent
            .iter()
            .position(|sent| sent.ends_connection(self.version));
        &self.sent[..end.unwrap_or(self.sent.len())]
    }

    pub(crate) fn ends_early(&self) -> bool {
        self.served().len() < self.sent.len()
    }

    /// What the client is told, in order, but for PINGRESP and PUBCOMP.
    pub(crate) fn told(&self) -> Vec<Step> {
        self.served()
            .iter()
            .filter_map(|sent| sent.answer(self.version))
            .collect()
    }

    /// How many PINGRESP there have to be. One behind the end may still come.
    pub(crate) fn pings(&self) -> usize {
        match self.ends_early() {
            true => 0,
            false => self
                .sent
                .iter()
                .filter(|sent| matches!(sent, Sent::Ping))
                .count(),
        }
    }

    /// What the broker sees of PUBLISH, SUBSCRIBE and UNSUBSCRIBE, byte for byte.
    pub(crate) fn admitted(&self) -> Vec<Vec<u8>> {
        self.served()
            .iter()
            .filter_map(|sent| sent.admitted(self.version))
            .collect()
    }

    /// The topics and filters in it.
    pub(crate) fn admitted_topics(&self) -> Vec<&String> {
        self.served()
            .iter()
            .flat_map(Sent::admitted_topics)
            .collect()
    }

    /// The QoS 2 messages whose release the broker sees.
    pub(crate) fn released(&self) -> BTreeSet<u16> {
        let mut ids = BTreeSet::new();
        for sent in self.served() {
            if let Sent::Publish {
                qos: 2,
                id,
                fate: Fate::Allow,
                ..
            } = sent
                && !self.ends_early()
            {
                ids.insert(*id);
            }
        }
        ids
    }
}

impl Sent {
    fn random(rng: &mut Rng, version: Version, number: usize, failures: bool) -> Self {
        let id = number as u16;
        match rng.u8(0..10) {
            0..=5 => {
                let fate = Fate::random(rng, failures);
                let (qos, topic) = (rng.u8(0..3), fate.topic(rng, number));
                let payload = vec![b'x'; rng.usize(0..300)];
                let mut publish = Publish::new(&topic, payload).qos(qos).id(id);
                if rng.bool() {
                    publish = publish.retain();
                }
                Self::Publish {
                    qos,
                    id,
                    fate,
                    bytes: publish.encode(version),
                    topic,
                }
            }
            6 | 7 => {
                let filter = |index| {
                    let fate = Fate::random(rng, failures);
                    (
                        fate.topic(rng, number * 10 + index) + "/#",
                        rng.u8(0..3),
                        fate,
                    )
                };
                let count = number % 4 + 1;
                Self::Subscribe {
                    id,
                    filters: (0..count).map(filter).collect(),
                }
            }
            8 => Self::Unsubscribe {
                id,
                bytes: Unsubscribe::new(id, &["a/#", "b"]).encode(version),
            },
            _ => Self::Ping,
        }
    }

    fn bytes(&self, version: Version) -> Vec<u8> {
        match self {
            Self::Publish { bytes, .. } | Self::Unsubscribe { bytes, .. } => bytes.clone(),
            Self::Subscribe { id, filters } => subscribe(version, *id, filters.iter()),
            Self::Ping => PINGREQ.to_vec(),
        }
    }

    /// Before MQTT 5 there is no other way to say that nobody decided about a message, and in MQTT
    /// 3.1 not about a filter either.
    fn ends_connection(&self, version: Version) -> bool {
        match self {
            Self::Publish { qos: 1.., fate, .. } => fate.is_failure() && version != Version::V5,
            Self::Subscribe { filters, .. } => {
                let failed = filters.iter().any(|(_, _, fate)| fate.is_failure());
                failed && version == Version::V31
            }
            _ => false,
        }
    }

    fn answer(&self, version: Version) -> Option<Step> {
        match self {
            Self::Publish { qos: 0, .. } | Self::Ping => None,
            Self::Publish { qos, id, fate, .. } => {
                let kind = if *qos == 1 {
                    Kind::Puback
                } else {
                    Kind::Pubrec
                };
                let code = match fate {
                    Fate::Allow => 0,
                    Fate::Deny => version.pick(0, 0x87),
                    _ => 0x83,
                };
                Some((kind, *id, vec![code]))
            }
            Self::Subscribe { id, filters } => {
                let code = |(_, qos, fate): &(String, u8, Fate)| match fate {
                    Fate::Allow => *qos,
                    // MQTT 3.1 can't say no.
                    Fate::Deny => version.pick_of_three(*qos, 0x80, 0x87),
                    _ => version.pick(0x80, 0x83),
                };
                Some((Kind::Suback, *id, filters.iter().map(code).collect()))
            }
            Self::Unsubscribe { id, .. } => {
                Some((Kind::Unsuback, *id, version.pick(vec![], vec![0, 0])))
            }
        }
    }

    fn admitted(&self, version: Version) -> Option<Vec<u8>> {
        match self {
            Self::Publish {
                fate: Fate::Allow,
                bytes,
                ..
            }
            | Self::Unsubscribe { bytes, .. } => Some(bytes.clone()),
            Self::Publish { .. } | Self::Ping => None,
            Self::Subscribe { id, filters } => {
                let allowed = || filters.iter().filter(|(_, _, fate)| *fate == Fate::Allow);
                allowed().next()?;
                Some(subscribe(version, *id, allowed()))
            }
        }
    }

    fn admitted_topics(&self) -> Vec<&String> {
        match self {
            Self::Publish {
                fate: Fate::Allow,
                topic,
                ..
            } => vec![topic],
            Self::Subscribe { filters, .. } => {
                let allowed = filters.iter().filter(|(_, _, fate)| *fate == Fate::Allow);
                allowed.map(|(filter, _, _)| filter).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn subscribe<'a>(
    version: Version,
    id: u16,
    filters: impl Iterator<Item = &'a (String, u8, Fate)>,
) -> Vec<u8> {
    let packet = filters.fold(Subscribe::new(id), |packet, (filter, qos, _)| {
        packet.filter(filter, *qos)
    });
    packet.encode(version)
}
