//! A bound on connections per address that nobody has decided about yet.
//!
//! They cost a descriptor and, soon, a check; one address must not take all there are. Once a
//! CONNECT is allowed its connection no longer counts: a whole fleet may live behind one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// The undecided connections by address.
#[derive(Debug, Clone)]
pub(crate) struct Undecided {
    limit: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One undecided connection; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    address: IpAddr,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Undecided {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_bounded_and_forgotten() {
        let undecided = Undecided::new(2);
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
}
