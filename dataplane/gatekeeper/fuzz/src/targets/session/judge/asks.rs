//! Questions and how they ended.

use std::time::Instant;

use gatekeeper::{Ticket, Verdict, Why};

use super::super::service::Hook;

/// All questions of a session; the number of a ticket is a place, from 1.
#[derive(Default)]
pub(super) struct Asks(Vec<Asked>);

struct Asked {
    ticket: Ticket,
    hook: Hook,
    until: Instant,
    end: Option<Verdict>,
}

impl Asks {
    fn place(ticket: Ticket) -> usize {
        usize::try_from(ticket.sequence()).map_or(usize::MAX, |number| number - 1)
    }

    /// Questions are numbered in order, without a gap.
    pub(super) fn put(&mut self, first: Ticket, count: usize, hook: Hook, until: Instant) {
        assert_eq!(
            Self::place(first),
            self.0.len(),
            "{first:?} is not the next"
        );
        assert!(count > 0, "a question about nothing");
        self.0.extend((0..count).map(|index| Asked {
            ticket: first.filter(index),
            hook,
            until,
            end: None,
        }));
    }

    /// The first answer in time counts, if it is one.
    pub(super) fn answer(&mut self, ticket: Ticket, verdict: &Verdict, now: Instant) {
        let Some(asked) = self.0.get_mut(Self::place(ticket)) else {
            return;
        };
        if asked.end.is_none() {
            asked.end = Some(match verdict {
                _ if now >= asked.until => Verdict::Unavailable(Why::Timeout),
                Verdict::Allow(allow) if !asked.hook.fits(allow) => {
                    Verdict::Unavailable(Why::InvalidResult)
                }
                verdict => verdict.clone(),
            });
        }
    }

    pub(super) fn cancel(&mut self, ticket: Ticket) {
        let asked = self.0.get_mut(Self::place(ticket));
        let asked = asked.expect("a question is given up that was never put");
        assert!(asked.end.is_none(), "{ticket:?} has ended before");
        asked.end = Some(Verdict::Unavailable(Why::Timeout));
    }

    /// How it ended; `None` if it has not.
    pub(super) fn outcome(&self, ticket: Ticket) -> Option<&Verdict> {
        self.0.get(Self::place(ticket))?.end.as_ref()
    }

    pub(super) fn is_allowed(&self, ticket: Ticket) -> bool {
        matches!(self.outcome(ticket), Some(Verdict::Allow(_)))
    }

    pub(super) fn open(&self) -> Vec<Ticket> {
        let open = self.0.iter().filter(|asked| asked.end.is_none());
        open.map(|asked| asked.ticket).collect()
    }
}
