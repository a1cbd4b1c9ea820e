//! A broker that accepts everything, counts it, and keeps nothing: so cheap that it is not what is measured.
//!
//! One thread. A connection has no buffer of its own but for the beginning of a packet that isn't complete;
//! all read into the same one, in large pieces, and a piece is answered with one write.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Poll, ready},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

use super::{Split, control, is_special};
use crate::{
    clock,
    histogram::{Histogram, Sparse},
    packets::{self, Packet, Scanner, V311},
};

const READ: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// What the sink has seen so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// When, by the shared clock.
    pub(crate) at_ns: u64,
    /// PUBLISH packets.
    pub(crate) publishes: Split,
    /// One-way latencies of PUBLISH packets with a time in them.
    pub(crate) others: Sparse,
    /// Those of special clients.
    pub(crate) special: Sparse,
    /// Connections that sent what is not MQTT.
    pub(crate) garbled: u64,
}

#[derive(Debug, Default)]
struct Stats {
    publishes: [AtomicU64; 2],
    latencies: Mutex<[Histogram; 2]>,
    garbled: AtomicU64,
}

impl Stats {
    fn report(&self) -> Report {
        let latencies = self
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Report {
            at_ns: clock::now_ns(),
            publishes: Split {
                others: self.publishes[0].load(Relaxed),
                special: self.publishes[1].load(Relaxed),
            },
            others: latencies[0].to_sparse(),
            special: latencies[1].to_sparse(),
            garbled: self.garbled.load(Relaxed),
        }
    }
}

pub(super) fn run() -> anyhow::Result<()> {
    Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            let stats = Arc::new(Stats::default());
            let reported = Arc::clone(&stats);
            control::serve(&listener.local_addr()?, move |_| reported.report())?;
            loop {
                // Out of descriptors, most likely; the benchmark says how many it needs before it starts.
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(Connection::new(stream, Arc::clone(&stats)).run());
            }
        })
}

struct Connection {
    stream: TcpStream,
    stats: Arc<Stats>,
    scanner: Scanner,
    /// The beginning of a packet.
    rest: Vec<u8>,
    replies: Vec<u8>,
    group: usize,
    level: u8,
    is_over: bool,
}

impl Connection {
    fn new(stream: TcpStream, stats: Arc<Stats>) -> Self {
        Self {
            stream,
            stats,
            scanner: Scanner::new(V311),
            rest: Vec::new(),
            replies: Vec::new(),
            group: 0,
            level: V311,
            is_over: false,
        }
    }

    async fn run(mut self) {
        while !self.is_over && matches!(self.take().await, Ok(1..)) {
            if !self.replies.is_empty() {
                if self.stream.write_all(&self.replies).await.is_err() {
                    return;
                }
                self.replies.clear();
            }
        }
    }

    /// Reads once and counts what came.
    async fn take(&mut self) -> io::Result<usize> {
        poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                let kept = self.rest.len();
                if buffer.len() < kept + READ {
                    buffer.resize(kept + READ, 0);
                }
                let mut room = ReadBuf::new(&mut buffer[kept..]);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
                let read = room.filled().len();
                buffer[..kept].copy_from_slice(&self.rest);
                self.count(&buffer[..kept + read]);
                Poll::Ready(Ok(read))
            })
        })
        .await
    }

    fn count(&mut self, bytes: &[u8]) {
        let now = clock::now_ns();
        let mut publishes = 0;
        let mut stamps = Vec::new();
        let Self {
            scanner,
            replies,
            group,
            level,
            is_over,
            ..
        } = self;
        let scanned = scanner.scan(bytes, |packet| match packet {
            Packet::Publish { qos, id, sent_ns } => {
                publishes += 1;
                stamps.extend(sent_ns.filter(|at| *at > 0));
                if qos == 1 {
                    replies.extend(packets::puback(id));
                }
            }
            Packet::Connect {
                level: spoken,
                client_id,
            } => {
                *level = spoken;
                *group = usize::from(is_special(client_id));
                replies.extend(packets::connack(spoken));
            }
            Packet::Subscribe { id, filters } => {
                replies.extend(packets::suback(*level, id, filters))
            }
            Packet::Ping => replies.extend([0xd0, 0]),
            Packet::Disconnect => *is_over = true,
            Packet::PubAck { .. } | Packet::Other => {}
        });
        match scanned {
            Ok(done) => {
                self.rest.clear();
                self.rest.extend_from_slice(&bytes[done..]);
            }
            Err(packets::Garbled) => {
                self.stats.garbled.fetch_add(1, Relaxed);
                self.is_over = true;
            }
        }
        self.stats.publishes[self.group].fetch_add(publishes, Relaxed);
        if !stamps.is_empty() {
            let mut latencies = self
                .stats
                .latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for at in stamps {
                latencies[self.group].record(now.saturating_sub(at));
            }
        }
    }
}
