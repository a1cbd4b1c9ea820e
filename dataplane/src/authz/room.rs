//! Room in the queue of a lane, by count and by bytes.
//!
//! Two marks: at the bound a check is refused; at three quarters of it the lane is crowded and sessions
//! stop reading, so that what they have read already still fits.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

/// The bounds of a queue and how far they are used.
#[derive(Debug)]
pub(super) struct Room {
    checks: Level,
    bytes: Level,
    /// Wakes one session that waits for room; it wakes the next one if there is still room.
    eased: Notify,
}

/// A place in the queue. Gives it back when it is dropped, wherever that happens.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// An empty queue.
    pub(super) fn new(max_checks: usize, max_bytes: usize) -> Self {
        Self {
            checks: Level::new(max_checks),
            bytes: Level::new(max_bytes),
            eased: Notify::new(),
        }
    }

    /// Takes a place for a check of this size. `None`: the queue is full.
    pub(super) fn enter(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        if !self.checks.raise(1) {
            return None;
        }
        // From here on a place of no bytes gives back what was taken, wakes and all.
        let mut place = Place {
            room: Arc::clone(self),
            bytes: 0,
        };
        if !self.bytes.raise(bytes) {
            return None;
        }
        place.bytes = bytes;
        Some(place)
    }

    /// Whether sessions should stop reading.
    pub(super) fn is_crowded(&self) -> bool {
        self.checks.is_high() || self.bytes.is_high()
    }

    /// Waits until sessions may read. Cancel safe.
    pub(super) async fn eased(&self) {
        let mut has_waited = false;
        loop {
            let mut eased = pin!(self.eased.notified());
            // Registered before the look at the levels, or a change between the two would be missed.
            eased.as_mut().enable();
            if !self.is_crowded() {
                break;
            }
            has_waited = true;
            eased.await;
        }
        if has_waited {
            self.eased.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let checks_eased = self.room.checks.lower(1);
        let bytes_eased = self.room.bytes.lower(self.bytes);
        if checks_eased || bytes_eased {
            self.room.eased.notify_one();
        }
    }
}

/// One bounded quantity.
#[derive(Debug)]
struct Level {
    max: usize,
    now: AtomicUsize,
}

impl Level {
    fn new(max: usize) -> Self {
        Self {
            max,
            now: AtomicUsize::new(0),
        }
    }

    /// Adds, unless that would pass the bound.
    fn raise(&self, by: usize) -> bool {
        self.now
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                now.checked_add(by).filter(|sum| *sum <= self.max)
            })
            .is_ok()
    }

    /// Subtracts. True if that is what brought it below the mark.
    fn lower(&self, by: usize) -> bool {
        let before = self.now.fetch_sub(by, Ordering::AcqRel);
        before >= self.mark() && before - by < self.mark()
    }

    fn is_high(&self) -> bool {
        self.now.load(Ordering::Acquire) >= self.mark()
    }

    fn mark(&self) -> usize {
        self.max - self.max / 4
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    fn enter(room: &Arc<Room>, places: usize, bytes: usize) -> Vec<Place> {
        (0..places).map_while(|_| room.enter(bytes)).collect()
    }

    #[test]
    fn bounded_by_count_and_by_bytes() {
        let room = Arc::new(Room::new(8, 1000));
        assert_eq!(enter(&room, 20, 1).len(), 8);
        assert_eq!(enter(&room, 20, 300).len(), 3);
        // Everything was given back.
        assert!(room.enter(1000).is_some());
        assert!(room.enter(1001).is_none());
        assert_eq!(enter(&room, 20, 0).len(), 8);
    }

    #[test]
    fn waiters_wake_one_another_while_there_is_room() {
        let room = Arc::new(Room::new(8, 1000));
        let mut places = enter(&room, 6, 1);
        let mut first = task::spawn(room.eased());
        let mut second = task::spawn(room.eased());
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        places.pop();
        assert!(first.is_woken());
        assert!(!second.is_woken());
        assert_ready!(first.poll());
        assert!(second.is_woken());
        assert_ready!(second.poll());
    }

    #[test]
    fn a_waiter_that_gives_up_wakes_the_next() {
        let room = Arc::new(Room::new(8, 1000));
        let mut places = enter(&room, 6, 1);
        let mut first = task::spawn(room.eased());
        let mut second = task::spawn(room.eased());
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        places.pop();
        drop(first);
        assert!(second.is_woken());
    }
}
