//! A batch that is being filled: checks leave their lines, into it or because they are too late.

use std::{sync::Arc, task::Waker, time::Duration};

use tokio::time::Instant;

use crate::authz::{
    batch::Batch,
    item::Item,
    room::Room,
    seat::{Account, Seat},
};

/// A batch, and the room that its checks leave.
pub(super) struct Filling<'a, H> {
    pub(super) batch: &'a mut Batch<H>,
    pub(super) room: &'a mut Room,
    /// What has less time left fails.
    pub(super) margin: Duration,
    pub(super) now: Instant,
    pub(super) left: &'a mut Left<H>,
}

/// How a check leaves its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    Travels,
    Expires,
}

impl<H> Filling<'_, H> {
    /// How a check leaves now. `None`: it stays, there is no room for it in the batch.
    pub(super) fn how(&self, item: &Item<H>, seat: &Seat) -> Option<Leaves> {
        if item.is_stale(self.margin, self.now, seat) {
            Some(Leaves::Expires)
        } else {
            self.batch.has_room_for(item).then_some(Leaves::Travels)
        }
    }

    /// It has left its line.
    pub(super) fn put(&mut self, seat: &Arc<Seat>, account: Account, item: Item<H>, how: Leaves) {
        self.room.leave(account, item.weight, &mut self.left.wakers);
        match how {
            Leaves::Travels => self.batch.push(seat, item),
            Leaves::Expires => self.left.expired.push((Arc::clone(seat), item)),
        }
    }
}

/// What is to be done when the lock is released.
pub(super) struct Left<H> {
    pub(super) wakers: Vec<Waker>,
    pub(super) expired: Vec<(Arc<Seat>, Item<H>)>,
}

impl<H> Default for Left<H> {
    fn default() -> Self {
        Self {
            wakers: Vec::new(),
            expired: Vec::new(),
        }
    }
}

impl<H> Left<H> {
    pub(super) fn settle(self, now: Instant) {
        for (seat, mut item) in self.expired {
            item.expire(now, &seat);
        }
        self.wakers.into_iter().for_each(Waker::wake);
    }
}
