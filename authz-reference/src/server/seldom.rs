//! Log lines that a peer can cause, at most one a second.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(1);

/// Says when the next line may be written.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Whether it is time for a line, and how many were left out before it.
    pub(super) fn turn(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < EVERY) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_told_later() {
        let seldom = Seldom::default();
        let turns = [seldom.turn(), seldom.turn(), seldom.turn()];
        assert_eq!(turns, [Some(0), None, None]);
        tokio::time::advance(EVERY).await;
        assert_eq!(seldom.turn(), Some(2));
    }
}
