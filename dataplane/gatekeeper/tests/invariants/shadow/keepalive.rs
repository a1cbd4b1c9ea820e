//! Who has heard from whom, and who waits for a PINGRESP (invariant 10).

use std::{collections::VecDeque, time::Duration};

/// Both legs, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct KeepAlive {
    /// 0 is off.
    interval: u64,
    /// When the client's silence began: it spoke, or the gate began to listen.
    silent_since: u64,
    pub(crate) told_broker: u64,
    pings: VecDeque<Ping>,
}

#[derive(Debug)]
struct Ping {
    of_client: bool,
    at: u64,
}

impl KeepAlive {
    pub(crate) fn begin(&mut self, seconds: u16, now: u64) {
        self.interval = u64::from(seconds) * 1000;
        self.silent_since = now;
        self.told_broker = now;
    }

    /// The client spoke, or could not.
    pub(crate) fn not_silent(&mut self, now: u64) {
        self.silent_since = now;
    }

    pub(crate) fn ping(&mut self, of_client: bool, now: u64) {
        self.pings.push_back(Ping { of_client, at: now });
    }

    /// A PINGRESP came. Whether the client waits for it.
    pub(crate) fn pong(&mut self) -> bool {
        self.pings.pop_front().is_some_and(|ping| ping.of_client)
    }

    pub(crate) fn has_pings(&self) -> bool {
        !self.pings.is_empty()
    }

    /// Whether it is time for the gate to ping by itself.
    pub(crate) fn ping_is_due(&self, now: u64) -> bool {
        self.interval > 0 && now >= self.told_broker + self.interval * 3 / 4
    }

    /// Whether the broker was left without a word for longer than the timer can be late.
    pub(crate) fn broker_is_forgotten(&self, now: u64, lag: u64) -> bool {
        self.interval > 0 && now > self.told_broker + self.interval * 3 / 4 + lag + 1
    }

    pub(crate) fn client_is_silent(&self, now: u64) -> bool {
        self.interval > 0 && now >= self.silent_since + self.interval * 3 / 2
    }

    /// Whether a client that is that silent is still there, though the timer cannot be that late.
    pub(crate) fn client_is_forgotten(&self, now: u64, lag: u64) -> bool {
        self.interval > 0 && now > self.silent_since + self.interval * 3 / 2 + lag + 1
    }

    pub(crate) fn broker_is_silent(&self, now: u64, patience: Duration) -> bool {
        let waited = |ping: &Ping| Duration::from_millis(now.saturating_sub(ping.at)) >= patience;
        self.pings.front().is_some_and(waited)
    }
}
