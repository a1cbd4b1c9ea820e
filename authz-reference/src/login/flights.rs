//! Equal questions at the same time: one is worked on, the others wait for its answer.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};

use super::believed::Question;
use crate::{deadline::Deadline, hashing::Busy};

type Answer = Shared<BoxFuture<'static, Result<bool, Busy>>>;
type Waiting = WeakShared<BoxFuture<'static, Result<bool, Busy>>>;

/// Above that, those that everybody has left are looked for.
const MANY: usize = 1_024;

/// What is being worked on.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Question, Waiting>>);

impl Flights {
    /// The answer, from whoever is at it already, or by `verify`. All who wait may go away but one: the work goes on.
    pub(super) async fn join<F>(
        &self,
        question: Question,
        deadline: Deadline,
        verify: impl Fn() -> F,
    ) -> Result<bool, Busy>
    where
        F: Future<Output = Result<bool, Busy>> + Send + 'static,
    {
        let (answer, first) = self.enter(question, &verify);
        let answered = deadline.bound(answer).await.ok_or(Busy::Late)?;
        if first {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            flights.remove(&question);
        }
        match answered {
            // Theirs came first; ours may be later.
            Err(Busy::Late) if !first => verify().await,
            answered => answered,
        }
    }

    fn enter<F>(&self, question: Question, verify: impl Fn() -> F) -> (Answer, bool)
    where
        F: Future<Output = Result<bool, Busy>> + Send + 'static,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = flights.get(&question).and_then(WeakShared::upgrade) {
            return (answer, false);
        }
        if flights.len() >= MANY {
            flights.retain(|_, waiting| waiting.upgrade().is_some());
        }
        let answer = verify().boxed().shared();
        if let Some(waiting) = answer.downgrade() {
            flights.insert(question, waiting);
        }
        (answer, true)
    }
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flights")
    }
}
