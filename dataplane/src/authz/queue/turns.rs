//! One line for each session, taken in turns.
//!
//! A session that was quiet goes first, for one turn; those that always have more take turns of
//! [`TURN`] checks. So a few checks of one session do not wait behind the thousands of others, and
//! a session that has thousands is answered in bursts, which cost it one wake and one write. A session that
//! empties its line early keeps its place among the busy, so that many small ones can't starve a large one.
//!
//! While a quarter of the calls that there may be are in flight, which quick services never see, who has
//! [its share](Aloft) of the rest, or whose account has, is parked until some of them come back.

use std::{collections::VecDeque, sync::Arc};

use super::{Waiting, apart::Apart, filling::Filling, flow::Flow};
use crate::authz::{
    aloft::{Aloft, OF_ACCOUNT, OF_SESSION},
    batch::Seats,
    failure::Cause,
    hook::Hook,
    item::Item,
    room::Room,
    seat::{Account, ById, Seat, SeatId},
};

/// Checks of one session that are taken before it is the next one's turn.
pub(super) const TURN: usize = 32;

/// Empty lines that are kept: about a megabyte of them.
const SPARE: usize = 64;

/// One in so many of the calls that there may be: whose they are makes no difference.
const ANYBODYS: usize = 4;

/// Lines of sessions in fair turns.
pub(super) struct Turns<H> {
    flows: ById<SeatId, Flow<H>>,
    /// Lines of sessions that left, for those that come: under load they come and go with every burst.
    spare: Vec<VecDeque<Item<H>>>,
    /// Those that were quiet until now.
    fresh: VecDeque<SeatId>,
    /// Those that take turns. Some may have nothing any more.
    busy: VecDeque<SeatId>,
    /// Those that wait for calls of their account.
    parked: ById<Account, Vec<SeatId>>,
    /// Those that wait for their own.
    parked_alone: Vec<SeatId>,
    apart: Apart<H>,
    /// Checks of those that may travel, and together.
    together: usize,
    /// Bytes that they add to requests.
    bytes: usize,
    /// Whose calls are in flight, as far as it is counted.
    accounts: Aloft<Account>,
    sessions: Aloft<SeatId>,
    is_counting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    Fresh,
    Busy,
}

impl<H: Hook> Turns<H> {
    pub(super) fn new() -> Self {
        Self {
            flows: ById::default(),
            spare: Vec::new(),
            fresh: VecDeque::new(),
            busy: VecDeque::new(),
            parked: ById::default(),
            parked_alone: Vec::new(),
            apart: Apart::new(),
            together: 0,
            bytes: 0,
            accounts: Aloft::new(OF_ACCOUNT),
            sessions: Aloft::new(OF_SESSION),
            is_counting: false,
        }
    }

    /// Checks that may travel together.
    pub(super) fn together(&self) -> usize {
        self.together
    }

    /// Bytes that they add to requests.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.together == 0
            && self.apart.is_empty()
            && self.parked.is_empty()
            && self.parked_alone.is_empty()
    }

    /// Whether somebody travels alone, and has something to send.
    pub(super) fn has_apart(&self) -> bool {
        !self.apart.is_empty()
    }

    /// Puts a check at the end of its session's line. Tells whether it may leave beside the rest.
    pub(super) fn push(
        &mut self,
        seat: &Arc<Seat>,
        item: Item<H>,
        room: &mut Room,
    ) -> Result<bool, Cause> {
        let id = seat.id();
        if let Some(flow) = self.flows.get_mut(&id) {
            let bytes = flow.push(item, room)?;
            if !flow.is_parked {
                self.together += 1;
                self.bytes += bytes;
            }
            return Ok(false);
        }
        if let Some(flow) = self.apart.get_mut(id) {
            flow.push(item, room)?;
            return Ok(true);
        }
        let mut flow = Flow::new(seat, self.spare.pop().unwrap_or_default());
        let bytes = flow.push(item, room)?;
        if seat.standing(H::KIND).is_apart() {
            self.apart.put(id, flow);
            return Ok(true);
        }
        self.together += 1;
        self.bytes += bytes;
        self.flows.insert(id, flow);
        self.fresh.push_back(id);
        Ok(false)
    }

    /// What the next batch could have.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let first = self.fresh.iter().chain(&self.busy);
        let since = first
            .filter_map(|id| self.flows.get(id))
            .filter_map(|flow| flow.items.front())
            .map(|item| item.queued_at)
            .next()?;
        Some(Waiting {
            items: self.together,
            bytes: self.bytes,
            since,
        })
    }

    /// There may be so many calls, and are so many.
    pub(super) fn set_calls(&mut self, most: usize, in_flight: usize) {
        let free = most.saturating_sub(in_flight);
        self.accounts.set_free(free);
        self.sessions.set_free(free);
        self.is_counting = in_flight >= most / ANYBODYS;
        if !self.parked.is_empty() || !self.parked_alone.is_empty() {
            self.unpark();
        }
    }

    /// Fills the batch in turns.
    pub(super) fn take(&mut self, filling: &mut Filling<'_, H>) {
        self.fill(filling);
        if self.is_counting && !filling.batch.is_empty() {
            let accounts = filling.batch.accounts().iter();
            self.accounts.departs(accounts.copied());
            let seats = filling.batch.seats().iter();
            self.sessions.departs(seats.map(|(seat, _)| seat.id()));
        }
    }

    fn fill(&mut self, filling: &mut Filling<'_, H>) {
        filling.batch.expect(self.together);
        while let Some((ring, id)) = self.next() {
            let Some(flow) = self.flows.get_mut(&id) else {
                self.ring(ring).pop_front();
                continue;
            };
            if self.is_counting && !flow.items.is_empty() {
                if !self.accounts.may_depart(flow.account) || !self.sessions.may_depart(id) {
                    self.ring(ring).pop_front();
                    self.park(id);
                    continue;
                }
                filling.batch.count_for(flow.account);
            }
            let (checks, bytes) = flow.drain(TURN - flow.taken, filling);
            self.together -= checks;
            self.bytes -= bytes;
            flow.taken += checks;
            let is_empty = flow.items.is_empty();
            if !is_empty && flow.taken < TURN {
                // The batch is full, or its next check is too large for the rest of it.
                return;
            }
            flow.taken = 0;
            let goes_apart = !is_empty && flow.seat.standing(H::KIND).is_apart();
            self.ring(ring).pop_front();
            match ring {
                _ if goes_apart => self.set_apart(id),
                Ring::Busy if is_empty => self.retire(id),
                Ring::Fresh | Ring::Busy => self.busy.push_back(id),
            }
            if filling.batch.is_full() {
                return;
            }
        }
    }

    /// Takes checks of one session that travels alone, unless `is_flying`.
    pub(super) fn take_apart(
        &mut self,
        filling: &mut Filling<'_, H>,
        is_flying: impl Fn(SeatId) -> bool,
    ) {
        for flow in self.apart.take(filling, is_flying) {
            let id = flow.seat.id();
            self.together += flow.items.len();
            self.bytes += flow.bytes();
            self.flows.insert(id, flow);
            self.busy.push_back(id);
        }
    }

    /// A call with checks of these sessions has come back that counted for these accounts.
    pub(super) fn landed(&mut self, seats: &Seats, accounts: &[Account]) {
        if !accounts.is_empty() {
            self.accounts.lands(accounts.iter().copied());
            self.sessions.lands(seats.iter().map(|(seat, _)| seat.id()));
        }
    }

    /// A call is lost, and nobody knows whose it was.
    pub(super) fn lost(&mut self) {
        self.accounts.forget();
        self.sessions.forget();
    }

    /// All lines, which it has no more.
    pub(super) fn empty(&mut self) -> impl Iterator<Item = Flow<H>> + use<H> {
        for ring in [Ring::Fresh, Ring::Busy] {
            self.ring(ring).clear();
        }
        self.parked.clear();
        self.parked_alone.clear();
        (self.together, self.bytes) = (0, 0);
        let apart = self.apart.empty();
        std::mem::take(&mut self.flows).into_values().chain(apart)
    }

    /// Whose turn it is.
    fn next(&self) -> Option<(Ring, SeatId)> {
        match self.fresh.front() {
            Some(id) => Some((Ring::Fresh, *id)),
            None => Some((Ring::Busy, *self.busy.front()?)),
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

    fn set_apart(&mut self, id: SeatId) {
        if let Some(flow) = self.flows.remove(&id) {
            self.together -= flow.items.len();
            self.bytes -= flow.bytes();
            self.apart.put(id, flow);
        }
    }

    fn park(&mut self, id: SeatId) {
        let Some(flow) = self.flows.get_mut(&id) else {
            return;
        };
        flow.is_parked = true;
        flow.taken = 0;
        self.together -= flow.items.len();
        self.bytes -= flow.bytes();
        match self.accounts.may_depart(flow.account) {
            true => self.parked_alone.push(id),
            false => self.parked.entry(flow.account).or_default().push(id),
        }
    }

    fn unpark(&mut self) {
        let (accounts, sessions) = (&self.accounts, &self.sessions);
        let is_free = !self.is_counting;
        let of_accounts = self
            .parked
            .extract_if(|account, _| is_free || accounts.may_depart(*account));
        let alone = self
            .parked_alone
            .extract_if(.., |id| is_free || sessions.may_depart(*id));
        for id in of_accounts.flat_map(|(_, ids)| ids).chain(alone) {
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.is_parked = false;
                self.together += flow.items.len();
                self.bytes += flow.bytes();
                self.busy.push_back(id);
            }
        }
    }

    fn ring(&mut self, ring: Ring) -> &mut VecDeque<SeatId> {
        match ring {
            Ring::Fresh => &mut self.fresh,
            Ring::Busy => &mut self.busy,
        }
    }
}
