//! Every question ends in exactly one verdict, cancel or expiry (invariants 2 and 9).

use std::collections::{BTreeMap, HashMap};

use gatekeeper::{Ticket, Verdict, Why};

use crate::{
    fault::{Checked, ensure},
    service::Hook,
};

/// The questions of a session.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    waiting: BTreeMap<Ticket, Waiting>,
    ended: HashMap<Ticket, Verdict>,
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    hook: Hook,
    until: u64,
}

impl Asks {
    /// A question was put, under `count` tickets.
    pub(crate) fn put(&mut self, first: Ticket, count: usize, hook: Hook, until: u64) -> Checked {
        ensure!(count > 0, "a question about nothing");
        for ticket in (0..count).map(|index| first.filter(index)) {
            self.last += 1;
            ensure!(
                ticket.sequence() == self.last,
                "{ticket:?} is not the next one"
            );
            self.waiting.insert(ticket, Waiting { hook, until });
        }
        Ok(())
    }

    /// The service spoke. What counts is the first word, in time, and about the question.
    pub(crate) fn answer(&mut self, ticket: Ticket, verdict: &Verdict, now: u64) {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return;
        };
        let verdict = match verdict {
            _ if now >= waiting.until => Verdict::Unavailable(Why::Timeout),
            Verdict::Allow(allow) if !waiting.hook.fits(allow) => {
                Verdict::Unavailable(Why::InvalidResult)
            }
            verdict => verdict.clone(),
        };
        self.ended.insert(ticket, verdict);
    }

    /// The gate gave the question up.
    pub(crate) fn cancel(&mut self, ticket: Ticket, now: u64, closing: bool) -> Checked {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return Err(format!("{ticket:?} is cancelled and was not waited for"));
        };
        ensure!(
            closing || now >= waiting.until,
            "{ticket:?} is cancelled before its time"
        );
        self.ended
            .insert(ticket, Verdict::Unavailable(Why::Timeout));
        Ok(())
    }

    /// How the question ended, if it has.
    pub(crate) fn outcome(&self, ticket: Ticket) -> Option<&Verdict> {
        self.ended.get(&ticket)
    }

    /// Whether the service may still be heard about something.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}
