//! A line that can also be entered by name.
//!
//! Things leave at its head, and any of them can be found, changed or taken out by its key. Nearly always it
//! is the head that is meant, which costs nothing. But a peer decides how long the line gets and in which
//! order things leave, so nothing is ever searched for: as soon as another than the head is meant there
//! is an index, until the line is empty again, and each step costs the logarithm of the length. What has left
//! takes no room for long, even if the head stays for ever.

use std::collections::{BTreeSet, VecDeque};

/// Empty places that are not worth closing up.
const FEW: usize = 32;

/// Things in the order in which they came. Several may have the same key.
#[derive(Debug)]
pub(crate) struct Line<K, T> {
    /// The number of the first place.
    first: u64,
    /// The head is never empty.
    places: VecDeque<Option<(K, T)>>,
    things: usize,
    /// Keys with the numbers of their places, if somebody has asked for another than the head.
    index: Option<BTreeSet<(K, u64)>>,
}

impl<K, T> Default for Line<K, T> {
    fn default() -> Self {
        Self {
            first: 0,
            places: VecDeque::new(),
            things: 0,
            index: None,
        }
    }
}

impl<K: Copy + Ord, T> Line<K, T> {
    /// Puts a thing at the end.
    pub(crate) fn push(&mut self, key: K, thing: T) {
        let place = self.first + self.places.len() as u64;
        if let Some(index) = &mut self.index {
            index.insert((key, place));
        }
        self.places.push_back(Some((key, thing)));
        self.things += 1;
    }

    /// The first thing with this key.
    pub(crate) fn get(&mut self, key: K) -> Option<&T> {
        let at = self.find(key)?;
        let (_, thing) = self.places.get(at)?.as_ref()?;
        Some(thing)
    }

    /// Puts another thing in the place of the first one with this key. Tells whether there was one.
    pub(crate) fn replace(&mut self, key: K, new_key: K, new: T) -> bool {
        let Some(at) = self.find(key) else {
            return false;
        };
        let number = self.first + at as u64;
        if let Some(index) = &mut self.index {
            index.remove(&(key, number));
            index.insert((new_key, number));
        }
        if let Some(place) = self.places.get_mut(at) {
            *place = Some((new_key, new));
        }
        true
    }

    /// Takes the first thing with this key out.
    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let at = self.find(key)?;
        let (_, thing) = self.take(at)?;
        Some(thing)
    }

    /// Takes the head out if it is one of those.
    pub(crate) fn pop_if(&mut self, is_meant: impl FnOnce(&K, &T) -> bool) -> Option<(K, T)> {
        let (key, thing) = self.places.front()?.as_ref()?;
        if !is_meant(key, thing) {
            return None;
        }
        self.take(0)
    }

    /// How many things stand in the line.
    pub(crate) fn len(&self) -> usize {
        self.things
    }

    /// Gives back the room of things that have left.
    pub(crate) fn rest(&mut self) {
        if self.things == 0 {
            *self = Self::default();
        }
    }

    fn find(&mut self, key: K) -> Option<usize> {
        let (head, _) = self.places.front()?.as_ref()?;
        if *head == key {
            return Some(0);
        }
        let (first, places) = (self.first, &self.places);
        let index = self.index.get_or_insert_with(|| index(first, places));
        let (_, number) = index.range((key, 0)..=(key, u64::MAX)).next()?;
        usize::try_from(number - first).ok()
    }

    fn take(&mut self, at: usize) -> Option<(K, T)> {
        let taken = self.places.get_mut(at)?.take()?;
        self.things -= 1;
        if let Some(index) = &mut self.index {
            index.remove(&(taken.0, self.first + at as u64));
        }
        if self.things == 0 {
            self.first += self.places.len() as u64;
            self.places.clear();
            self.index = None;
        }
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        if self.places.len() > 2 * self.things + FEW {
            self.places.retain(Option::is_some);
            self.index = Some(index(self.first, &self.places));
        }
        Some(taken)
    }
}

fn index<K: Copy + Ord, T>(first: u64, places: &VecDeque<Option<(K, T)>>) -> BTreeSet<(K, u64)> {
    let things = places.iter().zip(first..);
    things
        .filter_map(|(place, number)| place.as_ref().map(|(key, _)| (*key, number)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(line: &mut Line<u16, u32>) -> Vec<(u16, u32)> {
        assert!(line.places.len() <= 2 * line.len() + FEW + 1);
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

    proptest::proptest! {
        /// It does what a list would do that is searched from its head.
        #[test]
        fn it_is_a_list(steps in proptest::collection::vec((0..5_u8, 0..6_u16, 0..6_u16), 0..200)) {
            let (mut line, mut list) = (Line::<u16, usize>::default(), Vec::new());
            for (thing, (step, key, new_key)) in steps.into_iter().enumerate() {
                let at = list.iter().position(|(found, _)| *found == key);
                match step {
                    0 | 1 => {
                        line.push(key, thing);
                        list.push((key, thing));
                    }
                    2 => assert_eq!(line.remove(key), at.map(|at| list.remove(at).1)),
                    3 => {
                        assert_eq!(line.replace(key, new_key, thing), at.is_some());
                        if let Some(at) = at {
                            list[at] = (new_key, thing);
                        }
                    }
                    _ => {
                        assert_eq!(line.get(key).copied(), at.map(|at| list[at].1));
                        let head = line.pop_if(|head, _| *head == key);
                        assert_eq!(head, (at == Some(0)).then(|| list.remove(0)));
                    }
                }
                assert_eq!(line.len(), list.len());
            }
            assert_eq!(std::iter::from_fn(|| line.pop_if(|_, _| true)).collect::<Vec<_>>(), list);
        }
    }
}
