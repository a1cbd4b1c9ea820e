//! A bounded cache: what has not been asked for in a while goes first.
//!
//! Two generations in each of a few shards. What is put in or found is in the young one; when that is full, it
//! becomes the old one, and what was in the old one is forgotten. So everything takes constant time, and nothing is
//! kept in order.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
};

const SHARDS: usize = 16;

/// Values under numbers that have been hashed already, with a key that nobody knows.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    shards: Vec<Mutex<Shard<V>>>,
    /// Values in one generation of one shard.
    most: usize,
}

#[derive(Debug)]
struct Shard<V> {
    young: HashMap<u64, V>,
    old: HashMap<u64, V>,
}

impl<V: Clone> Cache<V> {
    /// Holds at least half of `capacity` values that are in use, and never more than `capacity`; with fewer than 32,
    /// none.
    pub(crate) fn new(capacity: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                young: HashMap::new(),
                old: HashMap::new(),
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            most: capacity / SHARDS / 2,
        }
    }

    pub(crate) fn get(&self, key: u64) -> Option<V> {
        let mut shard = self
            .shard(key)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = shard.young.get(&key) {
            return Some(value.clone());
        }
        let value = shard.old.remove(&key)?;
        shard.put(key, value.clone(), self.most);
        Some(value)
    }

    pub(crate) fn insert(&self, key: u64, value: V) {
        if let Some(shard) = self.shard(key).filter(|_| self.most > 0) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.old.remove(&key);
            shard.put(key, value, self.most);
        }
    }

    fn shard(&self, key: u64) -> Option<&Mutex<Shard<V>>> {
        // Not the bits by which a table of its own might sort them.
        let index = usize::try_from(key >> 32).ok()? % SHARDS;
        self.shards.get(index)
    }
}

impl<V> Shard<V> {
    fn put(&mut self, key: u64, value: V, most: usize) {
        if self.young.len() >= most && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All in the same shard.
    fn key(number: u64) -> u64 {
        number
    }

    #[test]
    fn keeps_what_is_in_use_and_forgets_the_rest() {
        let cache = Cache::new(4 * 2 * SHARDS);
        cache.insert(key(0), 0);
        for number in 1..100 {
            cache.insert(key(number), number);
            assert_eq!(cache.get(key(0)), Some(0), "asked for all the time");
        }
        let kept = (0..100).filter(|number| cache.get(key(*number)).is_some());
        let kept = kept.count();
        assert!((4..=8).contains(&kept), "{kept}");
    }

    #[test]
    fn the_last_value_counts() {
        let cache = Cache::new(1_000);
        cache.insert(key(1), "old");
        cache.insert(key(1), "new");
        assert_eq!(cache.get(key(1)), Some("new"));
    }

    #[test]
    fn without_room_keeps_nothing() {
        let cache = Cache::new(0);
        cache.insert(key(1), 1);
        assert_eq!(cache.get(key(1)), None);
    }
}
