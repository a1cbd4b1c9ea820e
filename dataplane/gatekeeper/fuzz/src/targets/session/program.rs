//! The meaning of the bytes of an input.

use std::time::Duration;

use gatekeeper::{Deadlines, Limits, OnDenied, OnDeniedV3, OnFailed, Resume, Rules, Side, Version};

use super::{peers, service::Allowed};
use crate::write;

/// What is there before anything happens.
///
/// | byte | |
/// |---|---|
/// | 0 | version (bits 0, 1), session expiry (2, 3), will (4) and its delay (5), aliases for the client (6), live at once (7) |
/// | 1 | what denials and failures do, one bit each |
/// | 2 | packets of the window (bits 0–2), its bytes (3–5), UTF-8 check (6), resume (7) |
/// | 3 | topic aliases (0, 1), packet size (2, 3), Receive Maximum (4, 5), filters (6, 7) |
/// | 4 | CONNECT: keep alive (0, 1), will (2), no identifier (3), clean (4), no explanations (5), packet size (6, 7) |
/// | 5 | CONNACK: packet size (0, 1), keep alive (2, 3), aliases (4), session (5), Receive Maximum (6), QoS (7) |
/// | 6 | deadlines of milliseconds (bit 0), bounds of keep alive (1), session (2), subscriptions (3), wildcards (4), will delay (5); more of the CONNACK (6, 7) |
/// | 7 | what comes with every allow of a CONNECT: see [`service::Allowed`] |
pub(super) struct Setup {
    pub(super) version: Version,
    pub(super) starts_live: bool,
    pub(super) rules: Rules,
    pub(super) allowed: Allowed,
    connect: [u8; 2],
    connack: [u8; 2],
}

impl Setup {
    pub(super) fn read(data: &[u8]) -> Option<(Self, Program<'_>)> {
        let (setup, rest) = data.split_first_chunk::<8>()?;
        let version = [Version::V5, Version::V5, Version::V311, Version::V31];
        let setup = Self {
            version: version[usize::from(setup[0] & 3)],
            starts_live: bit(setup[0], 7),
            rules: rules(setup),
            allowed: Allowed(setup[7]),
            connect: [setup[4], setup[0] >> 2],
            connack: [setup[5], setup[6] >> 6],
        };
        Some((setup, Program(rest)))
    }

    pub(super) fn connect(&self) -> Vec<u8> {
        peers::connect(self.version, self.connect)
    }

    pub(super) fn connack(&self) -> Vec<u8> {
        peers::connack(self.version, 0, self.connack)
    }
}

fn bit(byte: u8, index: u8) -> bool {
    byte >> index & 1 == 1
}

fn of<T: Copy, const N: usize>(byte: u8, shift: u8, choices: [T; N]) -> T {
    choices[usize::from(byte >> shift) % N]
}

#[allow(clippy::needless_update, reason = "rules become more")]
fn rules(setup: &[u8; 8]) -> Rules {
    let [_, choices, window, limits, ..] = *setup;
    let denied = [OnDenied::Reject, OnDenied::Disconnect];
    let failed = [OnFailed::Reject, OnFailed::Disconnect];
    let defaults = Limits::default();
    Rules {
        limits: Limits {
            window_packets: of(window, 0, [512, 8, 3, 2, 1, 64, 16, 4]),
            window_bytes: of(window, 3, [1 << 20, 4096, 300, 64, 1, 1 << 16, 1000, 20]),
            topic_alias_maximum: of(limits, 0, [32, 2, 0, u16::MAX]),
            max_packet_size: of(limits, 2, [1 << 20, 400, 60, 4096]),
            receive_maximum: of(limits, 4, [1024, 2, 1, u16::MAX]),
            max_filters: of(limits, 6, [64, 1, 3, 8]),
            max_user_properties: 4,
            max_keep_alive: of(setup[6], 1, [3600, 1]),
            max_session_expiry: of(setup[6], 2, [u32::MAX, 30]),
            max_subscriptions: of(setup[6], 3, [1024, 2]),
            max_filter_wildcards: of(setup[6], 4, [16, 1]),
            max_will_delay: of(setup[6], 5, [u32::MAX, 3]),
            ..defaults
        },
        deadlines: match bit(setup[6], 0) {
            false => Deadlines::default(),
            true => Deadlines {
                handshake: Duration::from_secs(1),
                connect: Duration::from_millis(500),
                publish: Duration::from_millis(100),
                subscribe: Duration::from_millis(200),
                broker_connect: Duration::from_secs(1),
                broker_ping: Duration::from_secs(1),
                linger: Duration::from_millis(80),
            },
        },
        on_publish_denied: of(choices, 0, denied),
        on_publish_denied_v3: of(choices, 1, [OnDeniedV3::AckAndDrop, OnDeniedV3::Disconnect]),
        on_subscribe_denied: of(choices, 2, denied),
        on_publish_failed: of(choices, 3, failed),
        on_subscribe_failed: of(choices, 4, failed),
        suppress_will_on: of(choices, 5, [&[][..], &["client_gone", "drain"][..]]).to_vec(),
        allow_dollar_wills: bit(choices, 6),
        pass_server_reference: bit(choices, 7),
        check_payload_format: !bit(window, 6),
        resume: of(window, 7, [Resume::Ask, Resume::ForceClean]),
        ..Rules::default()
    }
}

/// What happens.
pub(super) enum Op {
    ClientSends(Vec<u8>),
    BrokerSends(Vec<u8>),
    /// The nth packet that the broker has not answered yet.
    BrokerAnswers {
        nth: usize,
        how: u8,
    },
    /// About the nth question that is open.
    Verdict {
        nth: usize,
        says: Says,
    },
    /// About any question, or about none.
    Stray {
        nth: usize,
        offset: usize,
        says: Says,
    },
    AllowAll,
    Upstream(bool),
    Eof(Side),
    Drain,
    /// The service ends the session with this code.
    Terminate(u8),
    /// The service wants to be asked again.
    Recheck,
    Stall(Side),
    Reading(Side, bool),
    Violates(Side, u8),
    /// The driver's timer, too early or too late.
    Timeout,
    Passes(Duration),
    PassesUnnoticed(Duration),
}

/// What the service says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    /// Yes, with changes if not 0.
    Allow(u8),
    Deny {
        code: u8,
        how: u8,
    },
    Fail(u8),
    /// The allow of another kind of question.
    WrongKind,
}

impl Says {
    pub(super) const ALLOW: Self = Self::Allow(0);
}

/// The operations: a byte for what happens, and bytes for how, as many as it needs.
pub(super) struct Program<'a>(&'a [u8]);

impl Program<'_> {
    /// Missing bytes are 0.
    fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn index(&mut self) -> usize {
        self.u8().into()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.index().min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    fn side(&mut self) -> Side {
        of(self.u8(), 0, [Side::Client, Side::Broker])
    }

    /// Some milliseconds, or seconds.
    fn time(&mut self) -> Duration {
        match self.u8() {
            time @ 0..128 => Duration::from_millis(time.into()),
            time => Duration::from_millis(u64::from(time - 127) * 250),
        }
    }

    fn says(&mut self) -> Says {
        match self.u8() & 3 {
            0 => Says::Allow(self.u8()),
            1 => Says::Deny {
                code: self.u8(),
                how: self.u8(),
            },
            2 => Says::Fail(self.u8()),
            _ => Says::WrongKind,
        }
    }

    /// The next operation, if there is one.
    pub(super) fn next(&mut self, version: Version) -> Option<Op> {
        if self.0.is_empty() {
            return None;
        }
        let kind = self.u8();
        Some(match kind & 0x1F {
            0 => Op::ClientSends(self.bytes()),
            1 => Op::BrokerSends(self.bytes()),
            2 => Op::Verdict {
                nth: self.index(),
                says: Says::Allow(0),
            },
            3 => Op::Verdict {
                nth: self.index(),
                says: self.says(),
            },
            4 => Op::AllowAll,
            5 => Op::Stray {
                nth: self.index(),
                offset: self.index(),
                says: self.says(),
            },
            6 => Op::Upstream(self.u8() & 1 == 0),
            7 => Op::Eof(self.side()),
            8 => match kind >> 5 {
                0..4 => Op::Drain,
                4..6 => Op::Terminate(self.u8()),
                _ => Op::Recheck,
            },
            9 => Op::Stall(Side::Client),
            10 => Op::Reading(self.side(), self.u8() & 1 == 0),
            11 => Op::Passes(self.time()),
            12 => Op::PassesUnnoticed(self.time()),
            13 => Op::Timeout,
            14 => Op::Violates(self.side(), self.u8()),
            15 => Op::BrokerAnswers {
                nth: self.index(),
                how: 0,
            },
            16 => Op::BrokerAnswers {
                nth: self.index(),
                how: self.u8(),
            },
            17 => Op::BrokerSends(peers::connack(version, self.u8(), [self.u8(), self.u8()])),
            18 => {
                let [flags, id, payload] = [self.u8(), self.u8(), self.u8()];
                let (topic, more) = (peers::delivered(id >> 4), flags >> 4 & 7);
                let how = [flags & 0x8F, id, payload];
                Op::BrokerSends(peers::publish(version, topic, how, more))
            }
            19 => Op::BrokerSends(write::ack_code(4 + self.u8() % 4, self.id(), self.u8())),
            20 => Op::BrokerSends(write::disconnect(version, self.u8())),
            21 => Op::ClientSends(peers::connect(version, [self.u8(), self.u8()])),
            kind @ (22 | 23) => {
                let topic = peers::topic(self.u8());
                let how = [self.u8(), self.u8(), self.u8()];
                let more = if kind == 22 { 0 } else { self.u8() };
                Op::ClientSends(peers::publish(version, topic, how, more))
            }
            kind @ (24 | 25) => {
                let (id, filters) = (self.id(), self.u8());
                let options = self.u8();
                let more = if kind == 24 { 0 } else { self.u8() };
                Op::ClientSends(peers::subscribe(version, id, filters, options, more))
            }
            26 => {
                let (id, which) = (self.id(), self.u8());
                let filters = [peers::filter(which), peers::filter(which >> 4)];
                let count = 1 + usize::from(which >> 7);
                let mut packet = write::unsubscribe(version, id, &filters[..count]);
                // DUP, which only MQTT 3.1 has.
                packet[0] |= which >> 3 & 0b1000;
                Op::ClientSends(packet)
            }
            27 => Op::ClientSends(write::ack(4 + self.u8() % 4, self.id())),
            28 => Op::ClientSends(write::ack(6, self.id())),
            29 => Op::ClientSends(write::PINGREQ.to_vec()),
            30 => Op::ClientSends(write::disconnect(version, self.u8())),
            _ => Op::ClientSends(write::ack_code(4 + self.u8() % 4, self.id(), self.u8())),
        })
    }

    /// A packet identifier out of few, so that they meet.
    fn id(&mut self) -> u16 {
        u16::from(self.u8() & 0x0F)
    }
}
