//! What waits in a lane, and how much of it may.
//!
//! The order in which checks leave is the business of a [`Line`]; the queue is the lock around it, tells who
//! has to wait for [room](Room), and wakes the lane's task when it is worth it.

mod apart;
mod filling;
mod flow;
mod newest;
mod turns;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use self::{
    filling::{Filling, Left},
    newest::Newest,
    turns::Turns,
};
use super::{
    batch::{Batch, Seats},
    counters::Roomy,
    failure::Cause,
    hook::Hook,
    item::Item,
    mailbox::Ending,
    room::Room,
    seat::{Account, Seat, SeatId},
};

/// Checks that may wait in any case, however slow the service is.
const LEAST: usize = 256;

/// In which order sessions have their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Fair turns.
    Turns,
    /// The last to come goes first, and who has waited this long is refused.
    NewestFirst(Duration),
}

/// The queue of a lane, between its sessions and its task.
pub(super) struct Queue<H: Hook> {
    state: Mutex<State<H>>,
    /// Whether it is worth asking who has to wait.
    is_crowded: AtomicBool,
}

struct State<H: Hook> {
    line: Line<H>,
    room: Room,
    /// Checks that have waited longer mean that the room is too large.
    patience: Duration,
    sleeper: Option<Sleeper>,
    /// Whether something came that may leave beside the rest, and the task was not told.
    has_news: bool,
    is_closed: bool,
}

/// Checks in the order in which they leave.
enum Line<H: Hook> {
    Turns(Turns<H>),
    NewestFirst(Newest<H>),
}

/// The lane's task, and what is worth waking it for.
struct Sleeper {
    waker: Waker,
    items: usize,
    bytes: usize,
}

/// What waits for a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// Checks.
    pub(super) items: usize,
    /// Bytes of a request.
    pub(super) bytes: usize,
    /// Since when the first of them has been waiting.
    pub(super) since: Instant,
}

impl<H: Hook> Roomy for Queue<H> {
    fn remaining(&self) -> usize {
        self.lock().room.remaining()
    }
}

impl<H: Hook> Queue<H> {
    /// An empty queue with so much room, or less if checks wait longer in it than `patience`.
    pub(super) fn new(
        order: Order,
        max_checks: usize,
        max_bytes: usize,
        patience: Duration,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                line: match order {
                    Order::Turns => Line::Turns(Turns::new()),
                    Order::NewestFirst(limit) => Line::NewestFirst(Newest::new(limit)),
                },
                room: Room::new(max_checks, max_bytes),
                patience,
                sleeper: None,
                has_news: false,
                is_closed: false,
            }),
            is_crowded: AtomicBool::new(false),
        }
    }

    /// Puts a check at the end of its session's line.
    pub(super) fn push(&self, seat: &Arc<Seat>, item: Item<H>) -> Result<(), Cause> {
        let waker = {
            let mut state = self.lock();
            let waker = state.push(seat, item)?;
            self.note_room(&state);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Nothing more can be put in; what is there can be taken.
    pub(super) fn close(&self) {
        let sleeper = {
            let mut state = self.lock();
            state.is_closed = true;
            state.sleeper.take()
        };
        if let Some(sleeper) = sleeper {
            sleeper.waker.wake();
        }
    }

    /// Drops all that waits, and lets nothing more in.
    pub(super) fn abandon(&self) {
        let mut wakers = Vec::new();
        let items = {
            let mut state = self.lock();
            state.is_closed = true;
            let items = state.line.empty();
            for (_, account, item) in &items {
                state.room.leave(*account, item.weight, &mut wakers);
            }
            items
        };
        for (seat, _, mut item) in items {
            item.answer(Ending::failed(Cause::Lost), &seat);
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until there are so many checks to take, or so many bytes. False: the queue is closed, and
    /// nothing is left. Something new that may leave beside the rest ends the wait, too.
    pub(super) fn poll_arrival(&self, items: usize, bytes: usize, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if std::mem::take(&mut state.has_news) || state.line.has(items.max(1), bytes) {
            return Poll::Ready(true);
        }
        if state.is_closed && state.line.is_empty() {
            return Poll::Ready(false);
        }
        state.sleeper = Some(Sleeper {
            waker: cx.waker().clone(),
            items: items.max(1),
            bytes,
        });
        Poll::Pending
    }

    /// What the next batch could have, sessions that travel alone excepted, when there may be so many calls
    /// and are so many.
    pub(super) fn waiting(&self, most: usize, in_flight: usize) -> Option<Waiting> {
        match &mut self.lock().line {
            Line::Turns(turns) => {
                turns.set_calls(most, in_flight);
                turns.waiting()
            }
            Line::NewestFirst(newest) => {
                newest.set_calls(most, in_flight);
                newest.waiting()
            }
        }
    }

    /// Whether somebody travels alone, and has something to send.
    pub(super) fn has_apart(&self) -> bool {
        match &self.lock().line {
            Line::Turns(turns) => turns.has_apart(),
            Line::NewestFirst(_) => false,
        }
    }

    /// When somebody is to be refused who has waited for too long.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        match &self.lock().line {
            Line::Turns(_) => None,
            Line::NewestFirst(newest) => newest.next_expiry(),
        }
    }

    /// Refuses who has waited for too long.
    pub(super) fn refuse_old(&self, now: Instant) {
        let mut left = Left::default();
        {
            let mut state = self.lock();
            let State { line, room, .. } = &mut *state;
            if let Line::NewestFirst(newest) = line {
                newest.refuse_old(room, &mut left, now);
                self.note_room(&state);
            }
        }
        left.settle(now);
    }

    /// Fills the batch with what has at least `margin` left; the rest fails.
    pub(super) fn take(&self, batch: &mut Batch<H>, margin: Duration, now: Instant) {
        self.fill(batch, margin, now, |line, patience, filling| {
            match line {
                Line::Turns(turns) => turns.take(filling),
                Line::NewestFirst(newest) => newest.take(filling),
            }
            let longest = filling.batch.longest_wait(now);
            let too_long = longest > patience || !filling.left.expired.is_empty();
            filling.room.waited(too_long, LEAST);
        });
    }

    /// Fills the batch with checks of one session that travels alone, unless `is_flying`.
    pub(super) fn take_apart(
        &self,
        batch: &mut Batch<H>,
        margin: Duration,
        now: Instant,
        is_flying: impl Fn(SeatId) -> bool,
    ) {
        self.fill(batch, margin, now, |line, _, filling| {
            if let Line::Turns(turns) = line {
                turns.take_apart(filling, is_flying);
            }
        });
    }

    /// A call with checks of these sessions has come back that counted for these accounts.
    pub(super) fn landed(&self, seats: &Seats, accounts: &[Account]) {
        match &mut self.lock().line {
            Line::Turns(turns) => turns.landed(seats, accounts),
            Line::NewestFirst(newest) => newest.landed(accounts),
        }
    }

    /// A call is lost, and nobody knows whose it was.
    pub(super) fn lost(&self) {
        match &mut self.lock().line {
            Line::Turns(turns) => turns.lost(),
            Line::NewestFirst(newest) => newest.lost(),
        }
    }

    /// Whether sessions like this one should stop reading.
    pub(super) fn must_wait(&self, seat: &Seat) -> bool {
        self.is_crowded.load(Ordering::Relaxed) && self.lock().room.must_wait(seat.account())
    }

    /// Waits until the session may go on reading.
    pub(super) fn poll_room(&self, seat: &Seat, cx: &Context<'_>) -> Poll<()> {
        let mut wakers = Vec::new();
        {
            let mut state = self.lock();
            if state.room.must_wait(seat.account()) {
                state.room.wait(seat, cx.waker());
                return Poll::Pending;
            }
            state.room.pass(seat, &mut wakers);
        }
        wakers.into_iter().for_each(Waker::wake);
        Poll::Ready(())
    }

    /// The session no longer waits.
    pub(super) fn leave(&self, seat: &Seat) {
        let mut wakers = Vec::new();
        self.lock().room.pass(seat, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn fill(
        &self,
        batch: &mut Batch<H>,
        margin: Duration,
        now: Instant,
        fill: impl FnOnce(&mut Line<H>, Duration, &mut Filling<'_, H>),
    ) {
        let mut left = Left::default();
        {
            let mut state = self.lock();
            let State {
                line,
                room,
                patience,
                ..
            } = &mut *state;
            let mut filling = Filling {
                batch,
                room,
                margin,
                now,
                left: &mut left,
            };
            fill(line, *patience, &mut filling);
            self.note_room(&state);
        }
        left.settle(now);
    }

    fn note_room(&self, state: &State<H>) {
        self.is_crowded
            .store(state.room.is_crowded(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Hook> State<H> {
    fn push(&mut self, seat: &Arc<Seat>, item: Item<H>) -> Result<Option<Waker>, Cause> {
        if self.is_closed {
            return Err(Cause::Lost);
        }
        let is_news = match &mut self.line {
            Line::Turns(turns) => turns.push(seat, item, &mut self.room)?,
            Line::NewestFirst(newest) => {
                newest.push(seat, item, &mut self.room)?;
                // Where not everybody may leave, their number says nothing: each arrival is news.
                true
            }
        };
        self.has_news |= is_news;
        let line = &self.line;
        let sleeper = self
            .sleeper
            .take_if(|sleeper| is_news || line.has(sleeper.items, sleeper.bytes));
        Ok(sleeper.map(|sleeper| sleeper.waker))
    }
}

impl<H: Hook> Line<H> {
    /// Whether there are so many checks to take together, or so many bytes.
    fn has(&self, items: usize, bytes: usize) -> bool {
        match self {
            Self::Turns(turns) => {
                let together = turns.together();
                together >= items || (together > 0 && turns.bytes() >= bytes)
            }
            Self::NewestFirst(_) => false,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Turns(turns) => turns.is_empty(),
            Self::NewestFirst(newest) => newest.len() == 0,
        }
    }

    /// All that is there, which it has no more.
    fn empty(&mut self) -> Vec<(Arc<Seat>, Account, Item<H>)> {
        match self {
            Self::Turns(turns) => turns
                .empty()
                .flat_map(|flow| {
                    let (seat, account) = (flow.seat, flow.account);
                    let items = flow.items.into_iter();
                    items.map(move |item| (Arc::clone(&seat), account, item))
                })
                .collect(),
            Self::NewestFirst(newest) => newest.empty().collect(),
        }
    }

    /// Checks that may travel.
    fn len(&self) -> usize {
        match self {
            Self::Turns(turns) => turns.together(),
            Self::NewestFirst(newest) => newest.len(),
        }
    }
}

impl<H: Hook> std::fmt::Debug for Queue<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Queue")
            .field("hook", &H::KIND)
            .field("checks", &state.line.len())
            .field("room", &state.room)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
