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

    #[cfg(test)]
    pub(super) fn testing() -> Self {
        Self {
            listener: "mqtt".into(),
            peer: ([127, 0, 0, 1], 1).into(),
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
    /// the number `after` on; and the number behind which there may be more.
    pub(crate) fn list(
        &self,
        selector: &Selector,
        after: Option<u64>,
        limit: usize,
    ) -> (Vec<Listed>, Option<u64>) {
        self.listed(&self.numbers(selector, after, limit), limit)
    }

    /// The numbers of those that are there now.
    pub(super) fn numbers(
        &self,
        selector: &Selector,
        after: Option<u64>,
        limit: usize,
    ) -> Vec<u64> {
        let hash = self.hash_of(selector);
        let is_behind = |number: u64| after.is_none_or(|after| number > after);
        // The lowest numbers, the highest of them on top.
        let mut numbers = BinaryHeap::with_capacity(limit + 1);
        for shard in &self.shards {
            for (number, entry) in lock(shard).iter() {
                let is_too_high = || {
                    let highest = numbers.peek().filter(|_| numbers.len() == limit);
                    highest.is_some_and(|highest| number > highest)
                };
                let is_meant =
                    || entry.names.may_be(selector, hash) && selector.is(&lock(&entry.slot.who));
                if is_behind(*number) && !is_too_high() && is_meant() {
                    numbers.push(*number);
                    if numbers.len() > limit {
                        numbers.pop();
                    }
                }
            }
        }
        numbers.into_sorted_vec()
    }

    /// What is known of them. Some may have gone meanwhile: a page with holes is not the last one.
    pub(super) fn listed(&self, numbers: &[u64], limit: usize) -> (Vec<Listed>, Option<u64>) {
        let next = numbers.last().filter(|_| numbers.len() == limit);
        let listed = numbers.iter().filter_map(|number| self.one(*number));
        (listed.collect(), next.copied())
    }

    /// None: it is gone.
    fn one(&self, number: u64) -> Option<Listed> {
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
