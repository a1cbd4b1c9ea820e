//! What was allowed is asked about again: all that stands, and what is denied leaves the broker
//! once (invariants 1, 2 and 9).

use gatekeeper::{SubscribeQuestion, Ticket, Verdict};

use crate::fault::{Checked, ensure};

use super::{Shadow, table};

/// Subscriptions in question at once.
const PORTION: usize = 64;

impl Shadow {
    pub(super) fn asked_again(&mut self, first: Ticket, question: &SubscribeQuestion) -> Checked {
        for (index, asked) in question.filters.iter().enumerate() {
            let filter = match &asked.share_name {
                Some(name) => format!("$share/{name}/{}", asked.filter),
                None => asked.filter.to_string(),
            };
            let since = self.subscriptions.asked_again(&filter)?;
            self.rechecks.insert(first.filter(index), (filter, since));
        }
        ensure!(
            self.rechecks.len() <= PORTION,
            "{} subscriptions in question",
            self.rechecks.len()
        );
        Ok(())
    }

    /// A question has ended, if it is one of these.
    pub(super) fn recheck_ends(&mut self, ticket: Ticket) {
        let Some(verdict) = self.asks.outcome(ticket) else {
            return;
        };
        let Some((filter, since)) = self.rechecks.remove(&ticket) else {
            return;
        };
        if !self.subscriptions.stands(&filter, since) {
            return;
        }
        match table::filter(self.version, 0, verdict, &self.rules) {
            Ok(None) => {}
            Ok(Some(_)) => self.withdraws(filter),
            Err(end) => self.fatal = self.fatal.or(Some(end)),
        }
    }

    /// A filter is denied for good: whatever stands of it has to go.
    pub(super) fn withdraws(&mut self, filter: String) {
        if self.subscriptions.withdraw(&filter) {
            self.step.withdraws.push(filter);
        }
    }

    /// Whether somebody decided against it.
    pub(super) fn is_a_denial(verdict: Option<&Verdict>) -> bool {
        match verdict {
            Some(Verdict::Deny(_)) => true,
            Some(Verdict::Unavailable(why)) => table::permanent(*why).is_some(),
            Some(Verdict::Allow(_)) | None => false,
        }
    }

    /// The UNSUBSCRIBE packets of the gate are those that are due. A session that ends has no need of
    /// them.
    pub(super) fn check_withdrawals(&mut self, is_over: bool) -> Checked {
        let mut due = std::mem::take(&mut self.step.withdraws);
        for filter in std::mem::take(&mut self.step.withdrawn) {
            let place = due.iter().position(|due| *due == filter);
            ensure!(place.is_some(), "the gate leaves {filter} without need");
            place.map(|place| due.swap_remove(place));
        }
        ensure!(is_over || due.is_empty(), "{due:?} are not left");
        Ok(())
    }
}
