//! A bound on connections per address that nobody has decided about yet.
//!
//! They cost a descriptor and, soon, a check; one address must not take all there are. Once a
//! CONNECT is allowed its connection no longer counts: a whole fleet may live behind one address.

use std::{
    collections::HashMap,
    net::IpAddr,
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
        // An IPv4 client is the same one through an IPv6 socket.
        let address = address.to_canonical();
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
        assert_eq!(undecided.counts.lock().unwrap().len(), 1);
    }
}
