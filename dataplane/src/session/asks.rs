//! The checks of a session that are under way.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

use gatekeeper::Ticket;

use crate::authz::{Ask, Asker, Check, Decision, Hook};

/// Checks in the order in which they were asked. Only the first is awaited: the packet that it is
/// about holds up all others anyway, and those whose answer is there already are taken in one go
/// when it goes.
#[derive(Debug)]
pub(super) struct Asks {
    asker: Asker,
    asked: VecDeque<(Ticket, Ask)>,
}

impl Asks {
    pub(super) fn new(asker: Asker) -> Self {
        Self {
            asker,
            asked: VecDeque::new(),
        }
    }

    pub(super) fn ask<H: Hook>(&mut self, ticket: Ticket, check: Check<H>) {
        self.asked.push_back((ticket, self.asker.ask(check)));
    }

    /// Gives back memory that nothing needs now.
    pub(super) fn rest(&mut self) {
        if self.asked.is_empty() {
            self.asked = VecDeque::new();
            self.asker.rest();
        }
    }

    /// Takes a check back.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        if let Ok(index) = self
            .asked
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
            && let Some((_, ask)) = self.asked.remove(index)
        {
            self.asker.cancel(ask);
        }
    }

    /// Takes all checks back: the session has ended.
    pub(super) fn leave(&mut self) {
        for (_, ask) in self.asked.drain(..) {
            self.asker.cancel(ask);
        }
        self.asker.leave();
    }

    /// All decisions that have been made, in the order of their making. The other checks stay.
    pub(super) fn take_decided(&mut self) -> Vec<(Ticket, Decision)> {
        let (asker, mut decided) = (&mut self.asker, Vec::new());
        asker.fetch();
        self.asked
            .retain_mut(|(ticket, ask)| match asker.look(ask) {
                Some(decision) => {
                    decided.push((*ticket, decision));
                    false
                }
                None => true,
            });
        decided.sort_by_key(|(_, decision): &(Ticket, Decision)| decision.decided_at);
        decided
    }

    /// The next decision. Pending for ever if nothing is under way.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Ticket, Decision)> {
        let Some((ticket, ask)) = self.asked.front_mut() else {
            self.asker.settle();
            return Poll::Pending;
        };
        let decision = ready!(self.asker.poll(ask, cx));
        let ticket = *ticket;
        self.asked.pop_front();
        Poll::Ready((ticket, decision))
    }

    /// The next decision, if it has come together with the last one.
    pub(super) fn next_decided(&mut self) -> Option<(Ticket, Decision)> {
        let (ticket, ask) = self.asked.front_mut()?;
        let decision = self.asker.look(ask)?;
        let ticket = *ticket;
        self.asked.pop_front();
        Some((ticket, decision))
    }
}

impl Drop for Asks {
    fn drop(&mut self) {
        self.leave();
    }
}
