//! How many subscriptions the client has, and which stand at the broker: the count of the gate,
//! written down once more.

use std::collections::HashMap;

use crate::fault::{Checked, ensure};

/// A filter that counts, by its whole text.
#[derive(Debug, Default)]
struct Place {
    /// When it was taken. An answer to something before is about a subscription that was left.
    since: usize,
    open: usize,
    at_broker: usize,
    /// The last that went to the broker.
    forwarded: usize,
    /// Up to here nothing counts that the broker says.
    void: usize,
    granted: bool,
    /// Whether it has to be asked about again.
    doubted: bool,
}

impl Place {
    fn stands(&self) -> bool {
        self.granted || self.at_broker > 0 && self.forwarded > self.void
    }
}

/// The subscriptions of a connection.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    places: HashMap<String, Place>,
    asked: usize,
}

impl Subscriptions {
    /// A place for the filter; its number is for the answer.
    pub(crate) fn ask(&mut self, filter: &str, most: usize, most_bytes: usize) -> Option<usize> {
        self.asked += 1;
        let bytes: usize = self.places.keys().map(String::len).sum();
        let is_new = !self.places.contains_key(filter);
        if is_new && (self.places.len() >= most || bytes + filter.len() > most_bytes) {
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

    /// It went to the broker.
    pub(crate) fn forwarded(&mut self, filter: &str, number: usize) {
        self.change(filter, number, |place| {
            place.at_broker += 1;
            place.forwarded = number;
        });
    }

    /// It did not.
    pub(crate) fn refused(&mut self, filter: &str, number: usize) {
        self.change(filter, number, |place| place.open -= 1);
    }

    /// What the broker said.
    pub(crate) fn answer(&mut self, filter: &str, number: usize, granted: bool) {
        self.change(filter, number, |place| {
            place.open -= 1;
            place.at_broker -= 1;
            place.granted |= granted && place.void < number;
        });
    }

    /// The client leaves it.
    pub(crate) fn leave(&mut self, filter: &str) {
        self.places.remove(filter);
    }

    /// All is to be asked about again.
    pub(crate) fn doubt(&mut self) {
        for place in self.places.values_mut() {
            place.doubted = true;
        }
    }

    /// It is asked about again. Tells since when it is there.
    pub(crate) fn asked_again(&mut self, filter: &str) -> Result<usize, String> {
        match self.places.get_mut(filter) {
            Some(place) if place.doubted && place.stands() => {
                place.doubted = false;
                Ok(place.since)
            }
            other => Err(format!("{filter} is asked about again: {other:?}")),
        }
    }

    /// Whether it stands, as it did then.
    pub(crate) fn stands(&self, filter: &str, since: usize) -> bool {
        let place = self.places.get(filter);
        place.is_some_and(|place| place.since == since && place.stands())
    }

    /// It is to stand no longer. Tells whether it stood.
    pub(crate) fn withdraw(&mut self, filter: &str) -> bool {
        let Some(place) = self.places.get_mut(filter) else {
            return false;
        };
        let stood = place.stands();
        if stood {
            place.void = place.forwarded;
            place.granted = false;
            place.doubted = false;
        }
        self.tidy(filter);
        stood
    }

    /// Nothing that stands was forgotten.
    pub(crate) fn check_doubts(&self) -> Checked {
        let forgotten = |(_, place): &(&String, &Place)| place.doubted && place.stands();
        let forgotten = self.places.iter().find(forgotten);
        ensure!(
            forgotten.is_none(),
            "{forgotten:?} is not asked about again"
        );
        Ok(())
    }

    fn change(&mut self, filter: &str, number: usize, change: impl FnOnce(&mut Place)) {
        let place = self.places.get_mut(filter);
        if let Some(place) = place.filter(|place| number >= place.since) {
            change(place);
        }
        self.tidy(filter);
    }

    fn tidy(&mut self, filter: &str) {
        let over = |place: &Place| place.open == 0 && !place.granted;
        if self.places.get(filter).is_some_and(over) {
            self.places.remove(filter);
        }
    }
}
