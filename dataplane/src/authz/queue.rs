//! What waits in a lane: one line for each session, taken in turns.
//!
//! A session that was quiet goes first, for one turn; those that always have more take turns of
//! [`TURN`] checks. So a few checks of one session do not wait behind the thousands of others, and
//! a session that has thousands is answered in bursts, which cost it one wake and one write. A session that
//! empties its line early keeps its place among the busy, so that many small ones can't starve a large one.
//! Sessions in bad standing have batches of their own.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    aloft::Aloft,
    batch::{Batch, Seats},
    counters::Roomy,
    failure::Cause,
    hook::Hook,
    item::Item,
    mailbox::Ending,
    room::Room,
    seat::{Account, ById, Seat, SeatId},
};

/// Checks of one session that are taken before it is the next one's turn.
const TURN: usize = 32;

/// Empty lines that are kept: about a megabyte of them.
const SPARE: usize = 64;

/// Checks that may wait in any case, however slow the service is.
const LEAST: usize = 256;

/// In which order sessions have their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Fair turns.
    Turns,
    /// The last to come goes first, and who has waited this long is refused. For sessions with one
    /// check: who has waited for long has given up, and serving it would make the others wait as long.
    NewestFirst(Duration),
}

/// The queue of a lane, between its sessions and its task.
pub(super) struct Queue<H: Hook> {
    state: Mutex<State<H>>,
    /// Whether it is worth asking who has to wait.
    is_crowded: AtomicBool,
}

struct State<H: Hook> {
    order: Order,
    room: Room,
    /// Checks that have waited longer mean that the room is too large.
    patience: Duration,
    flows: ById<SeatId, Flow<H>>,
    /// Lines of sessions that left, for those that come: under load they come and go with every burst.
    spare: Vec<VecDeque<Item<H>>>,
    /// Those that were quiet until now.
    fresh: VecDeque<SeatId>,
    /// Those that take turns. Some may have nothing any more.
    busy: VecDeque<SeatId>,
    /// Those that travel alone.
    apart: VecDeque<SeatId>,
    /// Checks of those that travel together.
    together: usize,
    /// Bytes that they add to requests.
    bytes: usize,
    sleeper: Option<Sleeper>,
    /// Whether something came that may leave beside the rest, and the task was not told.
    has_news: bool,
    /// Whose calls are in flight, where each check is one.
    aloft: Aloft,
    is_closed: bool,
}

/// The line of one session.
struct Flow<H: Hook> {
    seat: Arc<Seat>,
    account: Account,
    items: VecDeque<Item<H>>,
    ring: Ring,
    /// Of this turn.
    taken: usize,
}

/// The lane's task, and what is worth waking it for.
struct Sleeper {
    waker: Waker,
    items: usize,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    Fresh,
    Busy,
    Apart,
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
                order,
                room: Room::new(max_checks, max_bytes),
                patience,
                flows: ById::default(),
                spare: Vec::new(),
                fresh: VecDeque::new(),
                busy: VecDeque::new(),
                apart: VecDeque::new(),
                together: 0,
                bytes: 0,
                sleeper: None,
                has_news: false,
                aloft: Aloft::new(),
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
        let flows = {
            let mut state = self.lock();
            state.is_closed = true;
            let flows = std::mem::take(&mut state.flows);
            for ring in [Ring::Fresh, Ring::Busy, Ring::Apart] {
                state.ring(ring).clear();
            }
            (state.together, state.bytes) = (0, 0);
            for flow in flows.values() {
                for item in &flow.items {
                    state.room.leave(flow.account, item.weight, &mut wakers);
                }
            }
            flows
        };
        for flow in flows.into_values() {
            for mut item in flow.items {
                item.answer(Ending::failed(Cause::Lost), &flow.seat);
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until there are so many checks to take, or so many bytes. False: the queue is closed, and
    /// nothing is left. Something new for a session that travels alone ends the wait, too.
    pub(super) fn poll_arrival(&self, items: usize, bytes: usize, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        // Where not everybody may leave, their number says nothing: each arrival is news.
        let is_enough = state.order == Order::Turns
            && (state.together >= items.max(1) || (state.together > 0 && state.bytes >= bytes));
        if std::mem::take(&mut state.has_news) || is_enough {
            return Poll::Ready(true);
        }
        if state.is_closed && state.together == 0 && state.apart.is_empty() {
            return Poll::Ready(false);
        }
        state.sleeper = Some(Sleeper {
            waker: cx.waker().clone(),
            items,
            bytes,
        });
        Poll::Pending
    }

    /// What the next batch could have, sessions that travel alone excepted, when there may be so many calls.
    pub(super) fn waiting(&self, calls: usize) -> Option<Waiting> {
        let mut state = self.lock();
        state.aloft.set_most(calls);
        let first = state.fresh.iter().chain(&state.busy);
        let since = first
            .filter_map(|id| state.flows.get(id))
            .filter(|flow| state.order == Order::Turns || state.aloft.may_depart(flow.account))
            .filter_map(|flow| flow.items.front())
            .map(|item| item.queued_at)
            .next()?;
        Some(Waiting {
            items: state.together,
            bytes: state.bytes,
            since,
        })
    }

    /// Whether somebody travels alone, and has something to send.
    pub(super) fn has_apart(&self) -> bool {
        !self.lock().apart.is_empty()
    }

    /// When somebody is to be refused who has waited for too long.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let state = self.lock();
        let Order::NewestFirst(limit) = state.order else {
            return None;
        };
        let oldest = state.flows.get(state.fresh.back()?)?.items.front()?;
        Some(oldest.queued_at + limit)
    }

    /// Refuses who has waited for too long.
    pub(super) fn refuse_old(&self, now: Instant) {
        let mut left = Left::default();
        self.lock().refuse_old(&mut left, now);
        left.settle(now);
    }

    /// Fills the batch with what has at least `margin` left; the rest fails.
    pub(super) fn take(&self, batch: &mut Batch<H>, margin: Duration, now: Instant) {
        let mut left = Left::default();
        {
            let mut state = self.lock();
            state.take(batch, margin, now, &mut left);
            self.note_room(&state);
        }
        left.settle(now);
    }

    /// Fills the batch with checks of one session that travels alone, unless `is_flying`.
    pub(super) fn take_apart(
        &self,
        batch: &mut Batch<H>,
        margin: Duration,
        now: Instant,
        is_flying: impl Fn(SeatId) -> bool,
    ) {
        let mut left = Left::default();
        {
            let mut state = self.lock();
            state.take_apart(batch, margin, now, is_flying, &mut left);
            self.note_room(&state);
        }
        left.settle(now);
    }

    /// A call has come back.
    pub(super) fn landed(&self, seats: &Seats) {
        let mut state = self.lock();
        if state.order == Order::Turns {
            return;
        }
        for (seat, _) in seats {
            state.aloft.lands(seat.id());
        }
    }

    /// A call is lost, and nobody knows whose it was.
    pub(super) fn lost(&self) {
        self.lock().aloft.forget();
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

    fn note_room(&self, state: &State<H>) {
        self.is_crowded
            .store(state.room.is_crowded(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be done when the lock is released.
struct Left<H: Hook> {
    wakers: Vec<Waker>,
    expired: Vec<(Arc<Seat>, Item<H>)>,
}

impl<H: Hook> Default for Left<H> {
    fn default() -> Self {
        Self {
            wakers: Vec::new(),
            expired: Vec::new(),
        }
    }
}

impl<H: Hook> Left<H> {
    fn settle(self, now: Instant) {
        for (seat, mut item) in self.expired {
            item.expire(now, &seat);
        }
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

impl<H: Hook> State<H> {
    fn push(&mut self, seat: &Arc<Seat>, mut item: Item<H>) -> Result<Option<Waker>, Cause> {
        if self.is_closed {
            return Err(Cause::Lost);
        }
        let id = seat.id();
        let account = match self.flows.get(&id) {
            Some(flow) => flow.account,
            None => seat.account(),
        };
        if self.order != Order::Turns && self.room.must_wait(account) {
            // Nobody can be told to wait: there is no room for those who have too much of it.
            return Err(Cause::QueueFull);
        }
        item.weight = self
            .room
            .enter(account, item.message.own_len())
            .ok_or(Cause::QueueFull)?;
        let bytes = item.bytes;
        let flow = self.flows.entry(id).or_insert_with(|| {
            let ring = match seat.standing(H::KIND).is_apart() {
                true => Ring::Apart,
                false => Ring::Fresh,
            };
            match (ring, self.order) {
                (Ring::Apart, _) => self.apart.push_back(id),
                (_, Order::NewestFirst(_)) => self.fresh.push_front(id),
                (_, Order::Turns) => self.fresh.push_back(id),
            }
            Flow {
                account,
                seat: Arc::clone(seat),
                items: self.spare.pop().unwrap_or_default(),
                ring,
                taken: 0,
            }
        });
        let is_apart = flow.ring == Ring::Apart;
        flow.items.push_back(item);
        if !is_apart {
            self.together += 1;
            self.bytes += bytes;
        }
        let is_news = is_apart || self.order != Order::Turns;
        self.has_news |= is_news;
        let (items, bytes) = (self.together, self.bytes);
        let sleeper = self
            .sleeper
            .take_if(|sleeper| is_news || items >= sleeper.items || bytes >= sleeper.bytes);
        Ok(sleeper.map(|sleeper| sleeper.waker))
    }

    fn take(&mut self, batch: &mut Batch<H>, margin: Duration, now: Instant, left: &mut Left<H>) {
        self.fill(batch, margin, now, left);
        let longest = batch.longest_wait(now);
        let too_long = longest > self.patience || !left.expired.is_empty();
        self.room.waited(too_long, LEAST);
    }

    fn fill(&mut self, batch: &mut Batch<H>, margin: Duration, now: Instant, left: &mut Left<H>) {
        batch.expect(self.together);
        loop {
            let Some((ring, at, id)) = self.next_in_turn() else {
                return;
            };
            let Some(flow) = self.flows.get_mut(&id) else {
                self.ring(ring).remove(at);
                continue;
            };
            while flow.taken < TURN
                && let Some(item) = flow.items.front()
                && let is_stale = item.is_stale(margin, now, &flow.seat)
                && (is_stale || batch.has_room_for(item))
                && let Some(item) = flow.items.pop_front()
            {
                flow.taken += 1;
                self.together -= 1;
                self.bytes -= item.bytes;
                self.room.leave(flow.account, item.weight, &mut left.wakers);
                match is_stale {
                    true => left.expired.push((Arc::clone(&flow.seat), item)),
                    false => {
                        if self.order != Order::Turns {
                            self.aloft.departs(id, flow.account);
                        }
                        batch.push(&flow.seat, item);
                    }
                }
            }
            let is_empty = flow.items.is_empty();
            if !is_empty && flow.taken < TURN {
                // The batch is full, or its next check is too large for the rest of it.
                return;
            }
            flow.taken = 0;
            let goes_apart = flow.seat.standing(H::KIND).is_apart();
            let leaves = is_empty && (ring == Ring::Busy || self.order != Order::Turns);
            self.ring(ring).remove(at);
            match (leaves, goes_apart && !is_empty) {
                (true, _) => self.retire(id),
                (false, true) => self.move_apart(id),
                (false, false) => {
                    if let Some(flow) = self.flows.get_mut(&id) {
                        flow.ring = Ring::Busy;
                    }
                    self.busy.push_back(id);
                }
            }
            if batch.is_full() {
                return;
            }
        }
    }

    /// Whose turn it is, and where it stands.
    fn next_in_turn(&self) -> Option<(Ring, usize, SeatId)> {
        let may_leave = |id: &SeatId| {
            let flow = self.flows.get(id);
            flow.is_none_or(|flow| self.aloft.may_depart(flow.account))
        };
        let fresh = match self.order {
            Order::Turns => (!self.fresh.is_empty()).then_some(0),
            Order::NewestFirst(_) => self.fresh.iter().position(may_leave),
        };
        match fresh {
            Some(at) => Some((Ring::Fresh, at, *self.fresh.get(at)?)),
            None => Some((Ring::Busy, 0, *self.busy.front()?)),
        }
    }

    /// A session has nothing more. Its line is kept, unless it is a long one or there are enough.
    fn retire(&mut self, id: SeatId) {
        if let Some(flow) = self.flows.remove(&id)
            && flow.items.capacity() <= 2 * TURN
            && self.spare.len() < SPARE
        {
            self.spare.push(flow.items);
        }
    }

    fn move_apart(&mut self, id: SeatId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.ring = Ring::Apart;
            self.together -= flow.items.len();
            self.bytes -= flow.items.iter().map(|item| item.bytes).sum::<usize>();
            self.apart.push_back(id);
            self.has_news = true;
        }
    }

    fn take_apart(
        &mut self,
        batch: &mut Batch<H>,
        margin: Duration,
        now: Instant,
        is_flying: impl Fn(SeatId) -> bool,
        left: &mut Left<H>,
    ) {
        for _ in 0..self.apart.len() {
            let Some(id) = self.apart.pop_front() else {
                return;
            };
            if is_flying(id) {
                self.apart.push_back(id);
                continue;
            }
            let Some(flow) = self.flows.get_mut(&id) else {
                continue;
            };
            while let Some(item) = flow.items.front()
                && let is_stale = item.is_stale(margin, now, &flow.seat)
                && (is_stale || batch.has_room_for(item))
                && let Some(item) = flow.items.pop_front()
            {
                self.room.leave(flow.account, item.weight, &mut left.wakers);
                match is_stale {
                    true => left.expired.push((Arc::clone(&flow.seat), item)),
                    false => batch.push(&flow.seat, item),
                }
            }
            match flow.items.is_empty() {
                // It comes back to the others, if it may, with the next check.
                true => drop(self.flows.remove(&id)),
                false => self.apart.push_back(id),
            }
            if !batch.is_empty() {
                return;
            }
        }
    }

    /// Refuses those who have waited too long to be served before the deadline of anybody.
    fn refuse_old(&mut self, left: &mut Left<H>, now: Instant) {
        let Order::NewestFirst(limit) = self.order else {
            return;
        };
        while let Some(id) = self.fresh.back().copied() {
            let flow = self.flows.get(&id);
            let item = flow.and_then(|flow| flow.items.front());
            if item.is_some_and(|item| item.queued_at + limit > now) {
                return;
            }
            self.fresh.pop_back();
            if let Some(flow) = self.flows.remove(&id) {
                for item in flow.items {
                    self.together -= 1;
                    self.bytes -= item.bytes;
                    self.room.leave(flow.account, item.weight, &mut left.wakers);
                    left.expired.push((Arc::clone(&flow.seat), item));
                }
            }
        }
    }

    fn ring(&mut self, ring: Ring) -> &mut VecDeque<SeatId> {
        match ring {
            Ring::Fresh => &mut self.fresh,
            Ring::Busy => &mut self.busy,
            Ring::Apart => &mut self.apart,
        }
    }
}

impl<H: Hook> std::fmt::Debug for Queue<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Queue")
            .field("hook", &H::KIND)
            .field("checks", &state.together)
            .field("room", &state.room)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
