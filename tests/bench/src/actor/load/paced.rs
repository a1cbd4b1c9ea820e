//! QoS 0 at a fixed rate, a write for each publish, and each publish with the time of its write.

use std::{
    io::{ErrorKind, Write as _},
    net::TcpStream,
    num::NonZeroU64,
    ops::Range,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;

use super::{clients::Client, tally::Tally};
use crate::{clock, packets};

/// The generator gives up what it is behind by more than this: it would only come as a burst.
const BEHIND: u64 = 20_000_000;
/// How often a generator that has stopped looks whether there is anything to do.
const PAUSE: Duration = Duration::from_millis(50);

struct Sender {
    stream: TcpStream,
    packet: Vec<u8>,
    time: Range<usize>,
    is_special: bool,
}

/// Never returns: the thread belongs to the pace.
pub(super) fn run(clients: Vec<Client>, per_second: u32, tally: &Arc<Tally>) -> anyhow::Result<()> {
    // The timers of a thread are 50 µs late by default, which is a whole interval at 20,000 a second.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))
        .context("cannot have exact timers")?;
    let mut senders = clients
        .into_iter()
        .map(Sender::new)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let interval = 1_000_000_000 / u64::from(per_second.max(1));
    let mut due = clock::now_ns();
    let mut turn = 0;
    loop {
        if tally.is_over() {
            thread::sleep(PAUSE);
            continue;
        }
        let now = clock::now_ns();
        if now > due + BEHIND {
            let missed = (now - due) / interval;
            tally.skipped(missed);
            due += missed * interval;
        }
        if due > now {
            thread::sleep(Duration::from_nanos(due - now));
            continue;
        }
        senders[turn].send(tally);
        turn = (turn + 1) % senders.len();
        due += interval;
    }
}

impl Sender {
    fn new(client: Client) -> anyhow::Result<Self> {
        let (packet, time) = packets::publish(client.level, 0, 0, &client.topic, client.payload);
        Ok(Self {
            // Stays non-blocking.
            stream: client.stream.into_std()?,
            packet,
            time: time.context("the payload is too short to carry a time")?,
            is_special: client.is_special,
        })
    }

    fn send(&mut self, tally: &Tally) {
        let now = clock::now_ns();
        self.packet[self.time.clone()].copy_from_slice(&now.to_le_bytes());
        match self.stream.write(&self.packet) {
            Ok(written) if written == self.packet.len() => tally.sent(self.is_special, 1),
            Err(error) if error.kind() == ErrorKind::WouldBlock => tally.skipped(1),
            // Half a packet is as bad as none: what follows would not be MQTT.
            Ok(_) | Err(_) => tally.broken(),
        }
    }
}
