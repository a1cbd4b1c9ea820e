//! The subscriptions of a connection: how many there are, and which stand at the broker.
//!
//! Counted in the order of the packets: a filter counts from its SUBSCRIBE on, is given back when it
//! is refused, and an UNSUBSCRIBE makes room at once. The text of each is kept, so that the service
//! can be asked about it again; the key is a keyed fingerprint, 64 bits that nobody outside can aim
//! at.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
};

use crate::question::QoS;

/// The subscriptions of one connection, distinct by the whole text of their filters.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// Boxed, as most of a small table is empty.
    held: HashMap<Key, Box<Held>>,
    /// Of all filters that are held.
    bytes: usize,
    made: Serial,
    /// What is to be asked about again, if it is there still.
    doubtful: VecDeque<Key>,
    hasher: RandomState,
}

/// The fingerprint of a filter.
type Key = u64;

/// Numbers reservations in the order in which they were made.
type Serial = u64;

/// One filter.
#[derive(Debug)]
struct Held {
    filter: Box<str>,
    /// The reservation that made it. Those before belong to one that was left since.
    since: Serial,
    /// The last reservation that went to the broker.
    forwarded: Serial,
    /// Reservations up to this one grant nothing: what they asked for was taken back.
    void: Serial,
    /// Reservations that came to no end.
    pending: u32,
    /// Of these, the ones that the broker has to answer.
    at_broker: u32,
    /// Of the last one that went to the broker.
    options: Options,
    granted: bool,
    /// Whether it is to be asked about again when it stands.
    doubtful: bool,
}

/// What a subscription asks for beside its filter (§3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) retain_handling: u8,
}

/// How much one connection may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) filters: usize,
    pub(crate) bytes: usize,
}

/// A place for one filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    key: Key,
    serial: Serial,
}

/// A subscription that stood when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    key: Key,
    since: Serial,
    pub(crate) filter: Box<str>,
    pub(crate) options: Options,
}

/// A subscription that is to stand no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withdrawn {
    pub(crate) filter: Box<str>,
    /// Whether the broker had granted it.
    pub(crate) granted: bool,
}

impl Reservation {
    /// Whether both are about one filter.
    pub(crate) fn is_about_the_filter_of(self, other: Self) -> bool {
        self.key == other.key
    }
}

impl Held {
    /// Whether the broker has it, or may have it by now.
    fn stands(&self) -> bool {
        self.granted || (self.at_broker > 0 && self.forwarded > self.void)
    }

    /// Whether it holds no place any more.
    fn is_over(&self) -> bool {
        self.pending == 0 && !self.granted
    }

    /// What stands is taken back. What the broker has not answered yet grants nothing.
    fn withdraw(&mut self) -> Option<Withdrawn> {
        if !self.stands() {
            return None;
        }
        self.void = self.forwarded;
        self.doubtful = false;
        Some(Withdrawn {
            filter: self.filter.clone(),
            granted: std::mem::take(&mut self.granted),
        })
    }
}

impl Subscriptions {
    /// Takes a place for a filter; `None` if there is none left.
    pub(crate) fn reserve(&mut self, filter: &str, bounds: Bounds) -> Option<Reservation> {
        let key = self.key(filter);
        self.made += 1;
        let serial = self.made;
        if let Some(held) = self.held.get_mut(&key) {
            held.pending = held.pending.saturating_add(1);
            return Some(Reservation { key, serial });
        }
        let bytes = self.bytes + filter.len();
        if self.held.len() >= bounds.filters || bytes > bounds.bytes {
            return None;
        }
        self.bytes = bytes;
        let held = Held {
            filter: filter.into(),
            since: serial,
            forwarded: 0,
            void: 0,
            pending: 1,
            at_broker: 0,
            options: Options::default(),
            granted: false,
            doubtful: false,
        };
        self.held.insert(key, Box::new(held));
        Some(Reservation { key, serial })
    }

    /// The filter does not go to the broker. An older subscription to it stays.
    pub(crate) fn decline(&mut self, reservation: Reservation) {
        if let Some(held) = self.of(reservation) {
            held.pending = held.pending.saturating_sub(1);
        }
        self.tidy(reservation.key);
    }

    /// The same, and an older subscription to the filter, if there is one, is to stand no longer.
    pub(crate) fn deny(&mut self, reservation: Reservation) -> Option<Withdrawn> {
        let held = self.of(reservation)?;
        held.pending = held.pending.saturating_sub(1);
        let withdrawn = held.withdraw();
        self.tidy(reservation.key);
        withdrawn
    }

    /// The filter goes to the broker.
    pub(crate) fn forward(&mut self, reservation: Reservation, options: Options) {
        let Some(held) = self.of(reservation) else {
            return;
        };
        held.forwarded = reservation.serial;
        held.at_broker = held.at_broker.saturating_add(1);
        held.options = options;
        if held.doubtful {
            self.doubtful.push_back(reservation.key);
        }
    }

    /// The broker has answered: with the QoS that it granted, or with a refusal. Yields the filter if
    /// there is a subscription by it now.
    pub(crate) fn answered(
        &mut self,
        reservation: Reservation,
        granted: Option<QoS>,
    ) -> Option<&str> {
        let key = reservation.key;
        let held = self.of(reservation)?;
        held.pending = held.pending.saturating_sub(1);
        held.at_broker = held.at_broker.saturating_sub(1);
        let Some(qos) = granted.filter(|_| held.void < reservation.serial) else {
            self.tidy(key);
            return None;
        };
        held.granted = true;
        held.options.qos = qos;
        Some(&self.held.get(&key)?.filter)
    }

    /// The client leaves the filter. Tells whether the broker had granted it.
    pub(crate) fn leave(&mut self, filter: &str) -> bool {
        let key = self.key(filter);
        self.forget(key).is_some_and(|held| held.granted)
    }

    /// All that stands is to be asked about again, and what is being decided about when it stands.
    pub(crate) fn doubt(&mut self) {
        self.doubtful.clear();
        for (key, held) in &mut self.held {
            held.doubtful = true;
            if held.stands() {
                self.doubtful.push_back(*key);
            }
        }
    }

    /// Whether something may have to be asked about again.
    pub(crate) fn has_doubts(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// What is to be asked about next, at most so many. They are not yielded again.
    pub(crate) fn next_doubtful(&mut self, most: usize) -> Vec<Standing> {
        let mut next = Vec::new();
        while next.len() < most
            && let Some(key) = self.doubtful.pop_front()
        {
            let held = self.held.get_mut(&key);
            if let Some(held) = held.filter(|held| held.doubtful && held.stands()) {
                held.doubtful = false;
                next.push(Standing {
                    key,
                    since: held.since,
                    filter: held.filter.clone(),
                    options: held.options,
                });
            }
        }
        next
    }

    /// It is to stand no longer. `None` if it was left already.
    pub(crate) fn withdraw(&mut self, standing: &Standing) -> Option<Withdrawn> {
        let key = standing.key;
        let held = self.held.get_mut(&key)?;
        let withdrawn = match held.since == standing.since {
            true => held.withdraw(),
            false => None,
        };
        self.tidy(key);
        withdrawn
    }

    /// Whether it stands still.
    pub(crate) fn stands(&self, standing: &Standing) -> bool {
        self.held
            .get(&standing.key)
            .is_some_and(|held| held.since == standing.since && held.stands())
    }

    fn of(&mut self, reservation: Reservation) -> Option<&mut Held> {
        self.held
            .get_mut(&reservation.key)
            .filter(|held| held.since <= reservation.serial)
            .map(|held| &mut **held)
    }

    fn tidy(&mut self, key: Key) {
        if self.held.get(&key).is_some_and(|held| held.is_over()) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: Key) -> Option<Box<Held>> {
        let held = self.held.remove(&key)?;
        self.bytes -= held.filter.len();
        Some(held)
    }

    fn key(&self, filter: &str) -> Key {
        self.hasher.hash_one(filter)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: 0,
        }
    }
}
