//! The checks of a session that are under way.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use gatekeeper::Ticket;

use crate::authz::{AskFuture, Decision};

/// Checks in the order in which they were asked. Only the first is awaited: the packet that it is
/// about holds up all others anyway, and those whose answer is there already are taken in one go
/// when it goes.
#[derive(Debug, Default)]
pub(super) struct Asks(VecDeque<(Ticket, AskFuture)>);

impl Asks {
    pub(super) fn push(&mut self, ticket: Ticket, ask: AskFuture) {
        self.0.push_back((ticket, ask));
    }

    /// Gives back the room of checks that are decided.
    pub(super) fn rest(&mut self) {
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    /// Takes a check back.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        if let Ok(index) = self.0.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            self.0.remove(index);
        }
    }

    /// All decisions that have been made, in the order of their making. The other checks stay.
    pub(super) fn take_decided(&mut self) -> Vec<(Ticket, Decision)> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut decided = Vec::new();
        self.0
            .retain_mut(|(ticket, ask)| match Pin::new(ask).poll(&mut cx) {
                Poll::Ready(decision) => {
                    decided.push((*ticket, decision));
                    false
                }
                Poll::Pending => true,
            });
        decided.sort_by_key(|(_, decision): &(Ticket, Decision)| decision.decided_at);
        decided
    }

    /// The next decision. Pending for ever if nothing is under way.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Ticket, Decision)> {
        let Some((ticket, ask)) = self.0.front_mut() else {
            return Poll::Pending;
        };
        let decision = ready!(Pin::new(ask).poll(cx));
        let ticket = *ticket;
        self.0.pop_front();
        Poll::Ready((ticket, decision))
    }
}
