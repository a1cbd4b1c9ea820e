//! Connections that have not shown yet that they are of use.

use std::collections::VecDeque;

use tokio_util::sync::CancellationToken;

/// At the same time. Beyond, the oldest one goes and not the new one: else whoever opens some and says nothing would
/// keep out the data planes.
const MAX_ARRIVING: usize = 256;

/// Those that arrive, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Arrivals(VecDeque<Arriving>);

/// One of them. Dropping it says that it has arrived, or is gone.
#[derive(Debug)]
pub(super) struct Arriving {
    give_up: CancellationToken,
    done: CancellationToken,
}

impl Arrivals {
    pub(super) fn add(&mut self) -> Arriving {
        self.0.retain(|arriving| !arriving.done.is_cancelled());
        if self.0.len() >= MAX_ARRIVING
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.give_up.cancel();
        }
        let new = Arriving {
            give_up: CancellationToken::new(),
            done: CancellationToken::new(),
        };
        self.0.push_back(Arriving {
            give_up: new.give_up.clone(),
            done: new.done.clone(),
        });
        new
    }
}

impl Arriving {
    /// When others need the place.
    pub(super) async fn given_up(&self) {
        self.give_up.cancelled().await;
    }

    /// It is of use.
    pub(super) fn arrived(&self) {
        self.done.cancel();
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_silent_one_makes_room() {
        let mut arrivals = Arrivals::default();
        let mut all: Vec<_> = (0..MAX_ARRIVING).map(|_| arrivals.add()).collect();
        all[0].arrived();
        let next = arrivals.add();
        assert!(all.iter().all(|one| !one.give_up.is_cancelled()));
        let last = arrivals.add();
        assert!(all[1].give_up.is_cancelled());
        assert!(!all[2].give_up.is_cancelled() && !next.give_up.is_cancelled());
        all.clear();
        let _ = arrivals.add();
        assert_eq!(arrivals.0.len(), 3);
        drop(last);
    }
}
