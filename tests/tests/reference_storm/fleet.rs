//! Clients that come all at once, and come again until they are in.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use futures_util::future::join_all;
use tidegate_tests::{Connect, Version, background, packet::Encode as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net,
    time::{Instant, sleep, timeout},
};

/// Of everybody.
pub(super) const PASSWORD: &str = "rain-canary-71c3";

/// Longer than the gate lets anybody wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// After that something is stuck.
const AT_MOST: Duration = Duration::from_secs(480);
/// The first pause of a client that was not served; they double, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// One of so many more tries a wrong password, once.
const WRONG: usize = 50;

/// The clients, each with an address and a user of its own.
pub(super) struct Fleet {
    gate: SocketAddr,
    clients: usize,
}

/// What they heard.
#[derive(Debug, Default)]
pub(super) struct Storm {
    pub(super) let_in: usize,
    /// Told "server unavailable" or "busy", and came again.
    pub(super) busy: usize,
    /// Closed before any CONNACK, or never answered.
    pub(super) closed: usize,
    /// Told that the right password is wrong, or not authorized.
    pub(super) told_wrong: usize,
    /// Let in with a wrong password.
    pub(super) wrong_let_in: usize,
    /// Any other code.
    pub(super) otherwise: BTreeMap<u8, usize>,
    /// When each was in.
    times: Vec<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    In,
    Busy,
    Wrong,
    Closed,
    Otherwise(u8),
}

/// The name of a client's user.
pub(super) fn name(client: usize) -> String {
    format!("rain{client}")
}

impl Fleet {
    pub(super) fn new(gate: SocketAddr, clients: usize) -> Self {
        Self { gate, clients }
    }

    /// Whether anybody can be said to be right or wrong.
    pub(super) fn is_known(&self, user: &str) -> bool {
        let connect = Connect::new(user).login(user, "x").encode(Version::V5);
        let mut stream = TcpStream::connect(self.gate).unwrap();
        stream.write_all(&connect).unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        head[3] == 0x86
    }

    /// Has them all come at once, and go when all are in.
    pub(super) fn storm(&self) -> Storm {
        background::block_on(async {
            let begun = Instant::now();
            let right = (0..self.clients).map(|client| self.insist(client, begun));
            let wrong = (0..self.clients / WRONG).map(|client| self.try_wrong(client));
            let (right, wrong) = tokio::join!(join_all(right), join_all(wrong));
            let mut storm = Storm::default();
            let mut connections = Vec::new();
            for (tries, connection) in right {
                tries.iter().for_each(|heard| storm.count(*heard));
                if let Some((stream, at)) = connection {
                    storm.times.push(at);
                    connections.push(stream);
                }
            }
            storm.wrong_let_in = wrong.iter().filter(|heard| **heard == Heard::In).count();
            storm.times.sort();
            storm
        })
    }

    /// Comes until it is in.
    async fn insist(
        &self,
        client: usize,
        begun: Instant,
    ) -> (Vec<Heard>, Option<(net::TcpStream, Duration)>) {
        let version = if client.is_multiple_of(2) {
            Version::V5
        } else {
            Version::V311
        };
        let mut tries = Vec::new();
        let mut pause = PAUSE;
        while begun.elapsed() < AT_MOST {
            let (heard, stream) = self.attempt(client, version, PASSWORD).await;
            tries.push(heard);
            match heard {
                Heard::In => return (tries, stream.map(|stream| (stream, begun.elapsed()))),
                Heard::Busy | Heard::Closed => {
                    sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Heard::Wrong | Heard::Otherwise(_) => break,
            }
        }
        (tries, None)
    }

    async fn try_wrong(&self, client: usize) -> Heard {
        let (heard, _) = self.attempt(client, Version::V5, "wrong").await;
        heard
    }

    async fn attempt(
        &self,
        client: usize,
        version: Version,
        password: &str,
    ) -> (Heard, Option<net::TcpStream>) {
        let connect = Connect::new(format!("{}-{}", name(client), password.len()))
            .login(&name(client), password)
            .encode(version);
        let answered = timeout(PATIENCE, exchange(self.gate, address(client), &connect)).await;
        match answered {
            Ok(Ok((stream, code))) => (Heard::code(version, code), Some(stream)),
            // Too many come at once even for TCP, whose own retries take long.
            Ok(Err(_)) | Err(_) => (Heard::Closed, None),
        }
    }
}

/// A real fleet does not live behind one address, of which only some may be undecided at once.
fn address(client: usize) -> Ipv4Addr {
    let [.., high, low] = u32::try_from(client).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

async fn exchange(
    gate: SocketAddr,
    source: Ipv4Addr,
    connect: &[u8],
) -> io::Result<(net::TcpStream, u8)> {
    let socket = net::TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let mut stream = socket.connect(gate).await?;
    stream.write_all(connect).await?;
    // Head, length, flags, code; what follows are properties.
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    Ok((stream, head[3]))
}

impl Heard {
    fn code(version: Version, code: u8) -> Self {
        match (version, code) {
            (_, 0) => Self::In,
            (Version::V5, 0x88 | 0x89) | (Version::V31 | Version::V311, 3) => Self::Busy,
            (Version::V5, 0x86 | 0x87 | 0x8C) | (Version::V31 | Version::V311, 4 | 5) => {
                Self::Wrong
            }
            (_, code) => Self::Otherwise(code),
        }
    }
}

impl Storm {
    fn count(&mut self, heard: Heard) {
        match heard {
            Heard::In => self.let_in += 1,
            Heard::Busy => self.busy += 1,
            Heard::Closed => self.closed += 1,
            Heard::Wrong => self.told_wrong += 1,
            Heard::Otherwise(code) => *self.otherwise.entry(code).or_default() += 1,
        }
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |share: usize| {
            let last = self.times.len().saturating_sub(1);
            self.times
                .get(last * share / 100)
                .copied()
                .unwrap_or_default()
        };
        write!(
            f,
            "half in after {:.2?}, 90 % after {:.2?}, all after {:.2?}; told to come again {}, closed {}",
            at(50),
            at(90),
            at(100),
            self.busy,
            self.closed,
        )
    }
}
