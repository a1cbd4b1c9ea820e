//! How many subscriptions the client has: the count of the gate, written down once more.

use std::collections::HashMap;

/// A filter that counts, by its whole text.
#[derive(Debug, Default)]
struct Place {
    /// When it was taken. An answer to something before is about a subscription that was left.
    since: usize,
    open: usize,
    granted: bool,
}

/// The subscriptions of a connection.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    places: HashMap<String, Place>,
    asked: usize,
}

impl Subscriptions {
    /// A place for the filter; its number is for the answer.
    pub(crate) fn ask(&mut self, filter: &str, most: usize) -> Option<usize> {
        self.asked += 1;
        if !self.places.contains_key(filter) && self.places.len() >= most {
            return None;
        }
        let since = self.asked;
        let place = self.places.entry(filter.to_owned()).or_insert(Place {
            since,
            ..Place::default()
        });
        place.open += 1;
        Some(self.asked)
    }

    /// What became of it.
    pub(crate) fn answer(&mut self, filter: &str, number: usize, granted: bool) {
        let Some(place) = self.places.get_mut(filter) else {
            return;
        };
        if number < place.since {
            return;
        }
        place.open -= 1;
        place.granted |= granted;
        if place.open == 0 && !place.granted {
            self.places.remove(filter);
        }
    }

    /// The client leaves it.
    pub(crate) fn leave(&mut self, filter: &str) {
        self.places.remove(filter);
    }
}
