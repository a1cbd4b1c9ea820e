//! The list of sessions, a page at a time, for an administrator.

use std::{collections::BinaryHeap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Registry, Selector, lock};
use crate::{authz::Who, session::Origin};

/// Where and when a session came in.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    listener: Arc<str>,
    peer: SocketAddr,
    at: Instant,
}

impl Arrival {
    pub(in crate::session) fn of(origin: &Origin) -> Self {
        Self {
            listener: Arc::clone(&origin.listener),
            peer: origin.peer,
            at: Instant::now(),
        }
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Its place in the list; later sessions have higher ones.
    pub(crate) number: u64,
    pub(crate) who: Arc<Who>,
    pub(crate) listener: Arc<str>,
    pub(crate) peer: SocketAddr,
    /// Since it came in.
    pub(crate) age: Duration,
}

impl Registry {
    /// At most `limit` of the sessions that are meant, in the order in which they came, from the first behind
    /// the number `after` on.
    pub(crate) fn list(
        &self,
        selector: &Selector,
        after: Option<u64>,
        limit: usize,
    ) -> Vec<Listed> {
        let hash = self.hash_of(selector);
        let is_behind = |number: u64| after.is_none_or(|after| number > after);
        // The lowest numbers, the highest of them on top.
        let mut numbers = BinaryHeap::with_capacity(limit + 1);
        for shard in &self.shards {
            for (number, entry) in lock(shard).iter() {
                let is_meant =
                    || entry.names.may_be(selector, hash) && selector.is(&lock(&entry.slot.who));
                if is_behind(*number) && is_meant() {
                    numbers.push(*number);
                    if numbers.len() > limit {
                        numbers.pop();
                    }
                }
            }
        }
        let numbers = numbers.into_sorted_vec().into_iter();
        numbers.filter_map(|number| self.listed(number)).collect()
    }

    /// None: it is gone.
    fn listed(&self, number: u64) -> Option<Listed> {
        let shard = self.shard(number);
        let slot = &shard.get(&number)?.slot;
        let arrival = slot.arrival.as_ref()?;
        Some(Listed {
            number,
            who: Arc::clone(&lock(&slot.who)),
            listener: Arc::clone(&arrival.listener),
            peer: arrival.peer,
            age: arrival.at.elapsed(),
        })
    }
}
