//! Those who travel alone: sessions in bad standing, in batches of their own.

use std::collections::VecDeque;

use super::{filling::Filling, flow::Flow};
use crate::authz::{
    hook::Hook,
    seat::{ById, SeatId},
};

/// Their lines, and whose turn it is.
pub(super) struct Apart<H> {
    flows: ById<SeatId, Flow<H>>,
    turns: VecDeque<SeatId>,
}

impl<H: Hook> Apart<H> {
    pub(super) fn new() -> Self {
        Self {
            flows: ById::default(),
            turns: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    pub(super) fn get_mut(&mut self, id: SeatId) -> Option<&mut Flow<H>> {
        self.flows.get_mut(&id)
    }

    pub(super) fn put(&mut self, id: SeatId, flow: Flow<H>) {
        self.flows.insert(id, flow);
        self.turns.push_back(id);
    }

    /// Takes checks of one session that has no call under way. Yields those who need not travel alone any
    /// more.
    pub(super) fn take(
        &mut self,
        filling: &mut Filling<'_, H>,
        is_flying: impl Fn(SeatId) -> bool,
    ) -> Vec<Flow<H>> {
        let mut back = Vec::new();
        for _ in 0..self.turns.len() {
            let Some(id) = self.turns.pop_front() else {
                break;
            };
            if is_flying(id) {
                self.turns.push_back(id);
                continue;
            }
            let Some(mut flow) = self.flows.remove(&id) else {
                continue;
            };
            if !flow.seat.standing(H::KIND).is_apart() {
                back.push(flow);
                continue;
            }
            flow.drain(usize::MAX, filling);
            if !flow.items.is_empty() {
                self.put(id, flow);
            }
            if !filling.batch.is_empty() {
                break;
            }
        }
        back
    }

    /// All lines, which it has no more.
    pub(super) fn empty(&mut self) -> impl Iterator<Item = Flow<H>> + use<H> {
        self.turns.clear();
        std::mem::take(&mut self.flows).into_values()
    }
}
