//! Keep alive on both legs.
//!
//! The client's silence ends the session after one and a half times the interval [MQTT-3.1.2-22],
//! but not while the gate itself has stopped reading. The broker hears a PINGREQ of the gate when
//! nothing else was sent to it for three quarters of the interval: a client whose messages are all
//! refused never pings, and the broker would take it for dead.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Timers and outstanding pings of one session.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    interval: Option<Duration>,
    patience: Duration,
    heard_client: Instant,
    reads_client: bool,
    heard_broker: Instant,
    reads_broker: bool,
    reads_broker_since: Instant,
    told_broker: Instant,
    pings: VecDeque<Ping>,
}

/// Who is waiting for a PINGRESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Client,
    Gate,
}

/// A timer that has run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing came from the client in time.
    ClientSilent,
    /// The broker did not answer a PINGREQ in time.
    BrokerSilent,
    /// The broker has to hear something.
    PingBroker,
}

#[derive(Debug)]
struct Ping {
    owner: Owner,
    sent: Instant,
}

/// The keep alive within its bound, both in seconds. 0 is none, and so longer than any.
pub(crate) fn bounded(seconds: u16, bound: u16) -> u16 {
    match (seconds, bound) {
        (_, 0) => seconds,
        (0, _) => bound,
        _ => seconds.min(bound),
    }
}

impl KeepAlive {
    /// `seconds` as in CONNECT or Server Keep Alive; 0 is off. `patience` is the time for a PINGRESP.
    pub(crate) fn new(seconds: u16, patience: Duration, now: Instant) -> Self {
        Self {
            interval: (seconds > 0).then(|| Duration::from_secs(seconds.into())),
            patience,
            heard_client: now,
            reads_client: true,
            heard_broker: now,
            reads_broker: true,
            reads_broker_since: now,
            told_broker: now,
            pings: VecDeque::new(),
        }
    }

    pub(crate) fn heard_client(&mut self, now: Instant) {
        self.heard_client = now;
    }

    /// Tells whether the gate takes packets from the client. The timer starts anew when it does so
    /// again: the client may have been speaking all the while.
    pub(crate) fn set_reads_client(&mut self, reads: bool, now: Instant) {
        if reads && !self.reads_client {
            self.heard_client = now;
        }
        self.reads_client = reads;
    }

    /// Any packet of the broker shows that it lives, though its PINGRESP may stand behind others.
    pub(crate) fn heard_broker(&mut self, now: Instant) {
        self.heard_broker = now;
    }

    /// The same for the broker: it has to wait while the client takes nothing.
    pub(crate) fn set_reads_broker(&mut self, reads: bool, now: Instant) {
        if reads && !self.reads_broker {
            self.heard_broker = now;
            self.reads_broker_since = now;
        }
        self.reads_broker = reads;
    }

    pub(crate) fn told_broker(&mut self, now: Instant) {
        self.told_broker = now;
    }

    pub(crate) fn ping_sent(&mut self, owner: Owner, now: Instant) {
        self.pings.push_back(Ping { owner, sent: now });
    }

    /// A PINGRESP came: whose is it? `None` if nobody asked.
    pub(crate) fn pong(&mut self) -> Option<Owner> {
        self.pings.pop_front().map(|ping| ping.owner)
    }

    pub(crate) fn pings_outstanding(&self) -> usize {
        self.pings.len()
    }

    /// What has run out at `now`, the gravest first.
    pub(crate) fn due(&self, now: Instant) -> Option<Due> {
        [
            (self.client_deadline(), Due::ClientSilent),
            (self.pong_deadline(), Due::BrokerSilent),
            (self.ping_time(), Due::PingBroker),
        ]
        .into_iter()
        .find_map(|(at, due)| at.filter(|at| *at <= now).map(|_| due))
    }

    /// When something runs out next.
    pub(crate) fn next(&self) -> Option<Instant> {
        [
            self.client_deadline(),
            self.pong_deadline(),
            self.ping_time(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn client_deadline(&self) -> Option<Instant> {
        let interval = self.interval.filter(|_| self.reads_client)?;
        Some(self.heard_client + interval + interval / 2)
    }

    /// When the patience with a broker ends that was asked for something at this time. While nothing is
    /// read of it, it can't be expected to have answered.
    pub(crate) fn answer_deadline(&self, asked: Instant) -> Option<Instant> {
        self.reads_broker
            .then(|| asked.max(self.reads_broker_since) + self.patience)
    }

    fn pong_deadline(&self) -> Option<Instant> {
        let ping = self.pings.front().filter(|_| self.reads_broker)?;
        Some(ping.sent.max(self.heard_broker) + self.patience)
    }

    fn ping_time(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some(self.told_broker + interval * 3 / 4)
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "some point in time to start from"
)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn broker_is_pinged_before_it_loses_patience() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(40, PATIENCE, start);
        keep_alive.heard_client(start + seconds(30));
        assert_eq!(keep_alive.due(start + seconds(29)), None);
        assert_eq!(keep_alive.due(start + seconds(30)), Some(Due::PingBroker));

        keep_alive.told_broker(start + seconds(30));
        keep_alive.ping_sent(Owner::Gate, start + seconds(30));
        assert_eq!(keep_alive.next(), Some(start + seconds(40)));
        assert_eq!(keep_alive.due(start + seconds(40)), Some(Due::BrokerSilent));
        assert_eq!(keep_alive.pong(), Some(Owner::Gate));
        assert_eq!(keep_alive.pong(), None);
    }

    #[test]
    fn silent_client_is_ended_after_one_and_a_half_intervals() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, PATIENCE, start);
        keep_alive.told_broker(start + seconds(15));
        assert_eq!(keep_alive.due(start + Duration::from_millis(14_999)), None);
        assert_eq!(keep_alive.due(start + seconds(15)), Some(Due::ClientSilent));
    }

    #[test]
    fn client_timer_rests_while_the_gate_does_not_read() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(10, PATIENCE, start);
        keep_alive.set_reads_client(false, start);
        keep_alive.told_broker(start + seconds(100));
        assert_eq!(keep_alive.due(start + seconds(100)), None);
        keep_alive.set_reads_client(true, start + seconds(100));
        assert_eq!(keep_alive.due(start + seconds(114)), Some(Due::PingBroker));
        keep_alive.told_broker(start + seconds(114));
        assert_eq!(
            keep_alive.due(start + seconds(115)),
            Some(Due::ClientSilent)
        );
    }

    #[test]
    fn a_broker_that_is_heard_or_not_read_is_not_silent() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(0, PATIENCE, start);
        keep_alive.ping_sent(Owner::Client, start);
        keep_alive.heard_broker(start + seconds(5));
        assert_eq!(keep_alive.due(start + seconds(14)), None);
        keep_alive.set_reads_broker(false, start + seconds(14));
        assert_eq!(keep_alive.next(), None);
        keep_alive.set_reads_broker(true, start + seconds(60));
        assert_eq!(keep_alive.due(start + seconds(69)), None);
        assert_eq!(keep_alive.due(start + seconds(70)), Some(Due::BrokerSilent));
    }

    #[test]
    fn none_is_longer_than_any() {
        for (seconds, bound, expected) in [
            (0, 0, 0),
            (60, 0, 60),
            (0, 30, 30),
            (60, 30, 30),
            (20, 30, 20),
            (u16::MAX, u16::MAX, u16::MAX),
        ] {
            assert_eq!(bounded(seconds, bound), expected);
        }
    }

    #[test]
    fn zero_turns_the_timers_off() {
        let start = Instant::now();
        let keep_alive = KeepAlive::new(0, PATIENCE, start);
        assert_eq!(keep_alive.next(), None);
        assert_eq!(keep_alive.due(start + seconds(100_000)), None);
    }
}
