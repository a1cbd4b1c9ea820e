//! Bounds on connections: per address, and in time.
//!
//! Connections that nobody has decided about cost a descriptor and, soon, a check; one address must not take
//! all there are. Once a CONNECT is allowed its connection no longer counts there: a whole fleet may live
//! behind one address.

mod connect_rate;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

pub(crate) use self::connect_rate::ConnectRate;

/// Connections of one kind, by address.
#[derive(Debug, Clone)]
pub(crate) struct PerAddress {
    limit: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    address: IpAddr,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl PerAddress {
    /// At most `limit` for one address.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            counts: Arc::default(),
        }
    }

    /// Counts one more, unless there are too many.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Entry> {
        let address = subscriber(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Entry {
            address,
            counts: Arc::clone(&self.counts),
        })
    }
}

/// What one subscriber of a network has: an IPv4 address, also through an IPv6 socket, or a /64.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// How many connections a listener accepts in a time: a bucket of tokens, which one second fills.
#[derive(Debug)]
pub(crate) struct AcceptRate {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

impl AcceptRate {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            per_second,
            tokens: per_second,
            filled_at: now,
        }
    }

    /// How long to wait before the next connection may be accepted. `None`: not at all.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second);
        let missing = 1.0 - self.tokens;
        // Timers count in milliseconds; one that is asked for nothing would not wait at all.
        (missing > 0.0).then(|| {
            Duration::from_secs_f64(missing / self.per_second).max(Duration::from_millis(1))
        })
    }

    /// A connection was accepted.
    pub(crate) fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_bounded_and_forgotten() {
        let undecided = PerAddress::new(2);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        let first = undecided.enter(one).unwrap();
        let _second = undecided.enter(mapped).unwrap();
        assert!(undecided.enter(one).is_none());
        let third = undecided.enter(other).unwrap();
        drop(first);
        assert!(undecided.enter(one).is_some());
        drop(third);
        let of_a_64: Vec<_> = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
            .map(|address| undecided.enter(address.parse().unwrap()))
            .into();
        assert!(of_a_64[1].is_some() && of_a_64[2].is_none());
        drop(of_a_64);
        assert_eq!(undecided.counts.lock().unwrap().len(), 1);
    }
    #[test]
    fn a_second_brings_its_connections() {
        let mut now = Instant::now();
        let mut rate = AcceptRate::new(4, now);
        for _ in 0..4 {
            assert_eq!(rate.wait(now), None);
            rate.take();
        }
        assert_eq!(rate.wait(now), Some(Duration::from_millis(250)));
        now += Duration::from_millis(250);
        assert_eq!(rate.wait(now), None);
        rate.take();
        assert!(rate.wait(now).is_some());
        // What nobody took is not kept for longer than a second.
        now += Duration::from_secs(60);
        for _ in 0..4 {
            assert_eq!(rate.wait(now), None);
            rate.take();
        }
        assert!(rate.wait(now).is_some());
    }
}
