//! Who made a decision: an endpoint, while it named one and the same `policy_revision`.
//!
//! Revisions are compared endpoint by endpoint: during a rolling upgrade there are two at a time.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::authz::endpoints::Address;

/// Endpoints that are remembered; names come and go.
const MAX_KNOWN: usize = 1024;

/// The revision that each endpoint named last.
#[derive(Debug, Default)]
pub(in crate::authz) struct Revisions {
    known: Mutex<Vec<Known>>,
    /// What the service calls a revision may be as long as an answer, so it is not kept itself.
    keys: RandomState,
}

#[derive(Debug)]
struct Known {
    address: Address,
    revision: u64,
    generation: Arc<AtomicU64>,
}

impl Revisions {
    /// An endpoint has answered, and named this revision.
    ///
    /// When that is another one than before, what it decided before is worth nothing any more; nor is what it
    /// decided just now, for the two answers may have come in another order than they were made.
    pub(in crate::authz) fn note(&self, address: &Address, revision: &str) -> Maker {
        let revision = self.keys.hash_one(revision);
        // Whole entries are added and removed, and the numbers are independent.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter_mut().find(|known| known.address == *address) {
            let generation = known.generation.load(Ordering::Relaxed);
            if known.revision != revision {
                known.revision = revision;
                known.generation.store(generation + 1, Ordering::Release);
            }
            return Maker {
                current: Arc::clone(&known.generation),
                generation,
            };
        }
        if known.len() == MAX_KNOWN {
            for forgotten in known.drain(..) {
                forgotten.generation.fetch_add(1, Ordering::Release);
            }
        }
        let generation = Arc::<AtomicU64>::default();
        known.push(Known {
            address: address.clone(),
            revision,
            generation: Arc::clone(&generation),
        });
        Maker {
            current: generation,
            generation: 0,
        }
    }
}

/// Who made a decision.
#[derive(Debug, Clone)]
pub(in crate::authz) struct Maker {
    current: Arc<AtomicU64>,
    generation: u64,
}

impl Maker {
    /// Whether it would decide by the same revision now, as far as is known.
    pub(in crate::authz) fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire) == self.generation
    }
}

impl PartialEq for Maker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.current, &other.current) && self.generation == other.generation
    }
}

impl Eq for Maker {}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Address {
        Address::of(&format!("http://127.0.0.1:{port}").parse().unwrap()).unwrap()
    }

    #[test]
    fn a_change_ends_what_the_same_endpoint_decided_before() {
        let revisions = Revisions::default();
        let (a, b) = (address(1), address(2));
        let old = revisions.note(&a, "1");
        let other = revisions.note(&b, "1");
        assert!(revisions.note(&a, "1").is_current() && old.is_current());
        let first = revisions.note(&a, "2");
        assert!(!old.is_current());
        assert!(
            !first.is_current(),
            "it may be an old answer that came late"
        );
        assert!(revisions.note(&a, "2").is_current());
        assert!(other.is_current());
    }

    #[test]
    fn endpoints_that_are_forgotten_have_decided_nothing() {
        let revisions = Revisions::default();
        let makers: Vec<_> = (1..=1025)
            .map(|port| revisions.note(&address(port), ""))
            .collect();
        let current = makers.iter().filter(|maker| maker.is_current()).count();
        assert_eq!(current, 1);
    }
}
