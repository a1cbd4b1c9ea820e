//! Which directives have been carried out, in their order.
//!
//! Whoever has something to do for a directive holds a [`Carrying`]. One that holds several keeps the
//! oldest: a directive counts as carried out only after all that came before it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use crate::events::Events;

/// Directives that wait for their sessions. Of more, the oldest are not told of.
const MAX_WAITING: usize = 1024;

/// The directives that are not carried out.
#[derive(Debug, Clone, Default)]
pub(super) struct Applied(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    events: Events,
}

#[derive(Debug, Default)]
struct State {
    /// How many hold a directive of this number.
    held: BTreeMap<u64, usize>,
    /// Numbers and resume tokens, in their order.
    waiting: VecDeque<(u64, String)>,
}

/// Something that is to be done for a directive. It is done, or will never be, when this is dropped.
#[derive(Debug)]
pub(crate) struct Carrying {
    epoch: u64,
    applied: Applied,
}

impl Applied {
    /// Tells of what is carried out.
    pub(super) fn new(events: Events) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            events,
        }))
    }

    /// A directive came. It is carried out when this, and all copies of it, are dropped.
    pub(super) fn begin(&self, epoch: u64, resume_token: String) -> Carrying {
        let lost = self.with(|state| {
            // At once: whoever lets go of an older one meanwhile looks for holders.
            *state.held.entry(epoch).or_insert(0) += 1;
            state.waiting.push_back((epoch, resume_token));
            (state.waiting.len() > MAX_WAITING).then(|| state.waiting.pop_front())
        });
        if lost.is_some() {
            self.0.events.lost_one();
        }
        self.carrying(epoch)
    }

    fn hold(&self, epoch: u64) -> Carrying {
        self.with(|state| *state.held.entry(epoch).or_insert(0) += 1);
        self.carrying(epoch)
    }

    fn carrying(&self, epoch: u64) -> Carrying {
        Carrying {
            epoch,
            applied: self.clone(),
        }
    }

    fn let_go(&self, epoch: u64) {
        self.with(|state| {
            if let Some(count) = state.held.get_mut(&epoch) {
                *count -= 1;
                if *count == 0 {
                    state.held.remove(&epoch);
                }
            }
            let oldest = state.held.keys().next().copied().unwrap_or(u64::MAX);
            // Under the lock, so that they are told in order.
            while state
                .waiting
                .front()
                .is_some_and(|(epoch, _)| *epoch < oldest)
                && let Some((_, token)) = state.waiting.pop_front()
            {
                self.0.events.directive_applied(token);
            }
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Counts that are off at worst tell of a directive too late, or never.
        let state = self.0.state.lock();
        change(&mut state.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Carrying {
    /// Adds `more` to what is held. What has become one too many comes back.
    pub(crate) fn merge(held: &mut Option<Self>, more: Option<Self>) -> Option<Self> {
        match (&*held, &more) {
            (Some(old), Some(new)) if old.epoch <= new.epoch => more,
            (_, Some(_)) => std::mem::replace(held, more),
            (_, None) => None,
        }
    }
}

impl Clone for Carrying {
    fn clone(&self) -> Self {
        self.applied.hold(self.epoch)
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        self.applied.let_go(self.epoch);
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proto::v1::EventKind;

    use super::*;

    /// It is a matter of two threads: seen to fail within a few hundred rounds when it can.
    #[test]
    fn a_directive_that_begins_is_not_told_of_when_an_older_one_ends() {
        let events = Events::keeping(&[EventKind::DirectiveApplied]);
        let applied = Applied::new(events.clone());
        for round in 0..2000 {
            let older = applied.begin(2 * round, "older".to_owned());
            let newer = std::thread::scope(|scope| {
                let ending = scope.spawn(|| drop(older));
                let newer = applied.begin(2 * round + 1, "newer".to_owned());
                ending.join().unwrap();
                newer
            });
            assert_eq!(events.take_tokens(), ["older"], "{round}");
            drop(newer);
            assert_eq!(events.take_tokens(), ["newer"]);
        }
    }
}
