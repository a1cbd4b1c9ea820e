//! The line of one session.

use std::{collections::VecDeque, sync::Arc};

use super::filling::Filling;
use crate::authz::{
    failure::Cause,
    item::Item,
    room::Room,
    seat::{Account, Seat},
};

/// Its checks, in their order.
pub(super) struct Flow<H> {
    pub(super) seat: Arc<Seat>,
    /// As of its first check: the account of a session may change.
    pub(super) account: Account,
    pub(super) items: VecDeque<Item<H>>,
    /// Of this turn.
    pub(super) taken: usize,
    /// Whether its account has to wait for its calls.
    pub(super) is_parked: bool,
}

impl<H> Flow<H> {
    pub(super) fn new(seat: &Arc<Seat>, items: VecDeque<Item<H>>) -> Self {
        Self {
            seat: Arc::clone(seat),
            account: seat.account(),
            items,
            taken: 0,
            is_parked: false,
        }
    }

    /// Puts a check at its end, if there is room for it. Yields its bytes.
    pub(super) fn push(&mut self, item: Item<H>, room: &mut Room) -> Result<usize, Cause> {
        let item = weighed(item, self.account, room)?;
        let bytes = item.bytes;
        self.items.push_back(item);
        Ok(bytes)
    }

    /// Takes as many as the batch has room for. Yields how many left, and their bytes.
    pub(super) fn drain(&mut self, most: usize, filling: &mut Filling<'_, H>) -> (usize, usize) {
        let (mut checks, mut bytes) = (0, 0);
        while checks < most
            && let Some(item) = self.items.front()
            && let Some(how) = filling.how(item, &self.seat)
            && let Some(item) = self.items.pop_front()
        {
            checks += 1;
            bytes += item.bytes;
            filling.put(&self.seat, self.account, item, how);
        }
        (checks, bytes)
    }

    /// The bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.items.iter().map(|item| item.bytes).sum()
    }
}

/// Takes room for a check.
pub(super) fn weighed<H>(
    mut item: Item<H>,
    account: Account,
    room: &mut Room,
) -> Result<Item<H>, Cause> {
    item.weight = room
        .enter(account, item.message.own_len())
        .ok_or(Cause::QueueFull)?;
    Ok(item)
}
