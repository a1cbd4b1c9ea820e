//! A line that can also be entered by name.
//!
//! Things leave at its head, and any of them can be found, changed or taken out by its key. A peer
//! decides how long the line gets and in which order things leave, so nothing is searched for: the
//! cost of each step grows with the logarithm of the length. What has left takes no room, even if the
//! head stays for ever.

use std::collections::{BTreeMap, BTreeSet};

/// Things in the order in which they came. Several may have the same key.
#[derive(Debug)]
pub(crate) struct Line<K, T> {
    arrived: u64,
    things: BTreeMap<u64, (K, T)>,
    places: BTreeSet<(K, u64)>,
}

impl<K, T> Default for Line<K, T> {
    fn default() -> Self {
        Self {
            arrived: 0,
            things: BTreeMap::new(),
            places: BTreeSet::new(),
        }
    }
}

impl<K: Copy + Ord, T> Line<K, T> {
    /// Puts a thing at the end.
    pub(crate) fn push(&mut self, key: K, thing: T) {
        self.arrived += 1;
        self.things.insert(self.arrived, (key, thing));
        self.places.insert((key, self.arrived));
    }

    /// The first thing with this key.
    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let (_, thing) = self.things.get(&self.place(key)?)?;
        Some(thing)
    }

    /// Puts another thing in the place of the first one with this key. Tells whether there was one.
    pub(crate) fn replace(&mut self, key: K, new_key: K, new: T) -> bool {
        let Some(place) = self.place(key) else {
            return false;
        };
        self.places.remove(&(key, place));
        self.places.insert((new_key, place));
        self.things.insert(place, (new_key, new));
        true
    }

    /// Takes the first thing with this key out.
    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let place = self.place(key)?;
        self.places.remove(&(key, place));
        let (_, thing) = self.things.remove(&place)?;
        Some(thing)
    }

    /// Takes the head out if it is one of those.
    pub(crate) fn pop_if(&mut self, is_meant: impl FnOnce(&K, &T) -> bool) -> Option<(K, T)> {
        let head = self.things.first_entry()?;
        let (key, thing) = head.get();
        if !is_meant(key, thing) {
            return None;
        }
        self.places.remove(&(*key, *head.key()));
        Some(head.remove())
    }

    /// How many things stand in the line.
    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    fn place(&self, key: K) -> Option<u64> {
        let (_, place) = self.places.range((key, 0)..=(key, u64::MAX)).next()?;
        Some(*place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(line: &mut Line<u16, u32>) -> Vec<(u16, u32)> {
        assert_eq!(line.len(), line.places.len());
        std::iter::from_fn(|| line.pop_if(|_, _| true)).collect()
    }

    #[test]
    fn things_leave_in_the_order_in_which_they_came() {
        let mut line = Line::<u16, u32>::default();
        for (key, thing) in [(3, 0), (1, 1), (3, 2), (2, 3)] {
            line.push(key, thing);
        }
        assert_eq!(line.pop_if(|_, thing| *thing == 1), None);
        assert_eq!(drain(&mut line), [(3, 0), (1, 1), (3, 2), (2, 3)]);
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn the_first_of_a_key_is_meant() {
        let mut line = Line::<u16, u32>::default();
        for (key, thing) in [(1, 0), (2, 1), (1, 2), (2, 3)] {
            line.push(key, thing);
        }
        assert_eq!(line.get(2), Some(&1));
        assert_eq!(line.remove(2), Some(1));
        assert_eq!(line.get(2), Some(&3));
        assert_eq!(line.remove(9), None);
        assert_eq!(drain(&mut line), [(1, 0), (1, 2), (2, 3)]);
    }

    #[test]
    fn what_is_replaced_keeps_its_place() {
        let mut line = Line::<u16, u32>::default();
        for (key, thing) in [(1, 0), (2, 1), (1, 2)] {
            line.push(key, thing);
        }
        assert!(line.replace(1, 5, 10));
        assert!(line.replace(1, 1, 12));
        assert!(!line.replace(9, 9, 9));
        assert_eq!(drain(&mut line), [(5, 10), (2, 1), (1, 12)]);
    }

    /// A head that stays while thousands pass behind it.
    #[test]
    fn what_has_left_takes_no_room() {
        let mut line = Line::<u16, u32>::default();
        line.push(0, 0);
        for thing in 1..100_000 {
            line.push(1, thing);
            assert_eq!(line.remove(1), Some(thing));
        }
        assert_eq!(line.len(), 1);
        assert_eq!(drain(&mut line), [(0, 0)]);
    }
}
