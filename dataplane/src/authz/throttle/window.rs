//! What became of the checks of one hook in the last half minute.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How far back it goes, and in which steps.
const SPAN: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_secs(1);
/// Fewer signs of overload than this mean nothing.
const MIN_SIGNS: u64 = 10;
const MAX_PROBABILITY: f64 = 0.9;
/// One check in this time always passes.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// A time without any decision that counts as an outage.
const OUTAGE: Duration = Duration::from_secs(1);
/// Signs of overload that are older are no reason to refuse checks of another hook.
const RECENT: Duration = Duration::from_secs(2);

/// Sums over the last half minute.
#[derive(Debug, Default)]
pub(super) struct Window {
    steps: VecDeque<(Instant, Sums)>,
    sums: Sums,
    decided_at: Option<Instant>,
    overloaded_at: Option<Instant>,
    passed_at: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    decided: u64,
    overloaded: u64,
    refused: u64,
}

impl Window {
    /// The service decided so many checks; `true`: that is the end of an outage, and the past is forgotten.
    pub(super) fn decided(&mut self, checks: usize, at: Instant) -> bool {
        let before = self.decided_at.replace(at);
        let was_out = before.is_none_or(|before| at.saturating_duration_since(before) >= OUTAGE);
        let is_over = was_out && self.sums.overloaded > 0;
        if is_over {
            *self = Self {
                decided_at: Some(at),
                ..Self::default()
            };
        }
        self.step(at).decided += checks as u64;
        self.sums.decided += checks as u64;
        is_over
    }

    /// The service has too much to do.
    pub(super) fn overloaded(&mut self, at: Instant) {
        self.overloaded_at = Some(at);
        self.step(at).overloaded += 1;
        self.sums.overloaded += 1;
    }

    /// A check was refused.
    pub(super) fn refused(&mut self, at: Instant) {
        self.step(at).refused += 1;
        self.sums.refused += 1;
    }

    /// A check was let through.
    pub(super) fn passed(&mut self, at: Instant) {
        self.passed_at = Some(at);
    }

    /// Whether it is time to let one through, whatever the probability.
    pub(super) fn may_probe(&self, now: Instant) -> bool {
        self.passed_at
            .is_none_or(|at| now.saturating_duration_since(at) >= PROBE_INTERVAL)
    }

    /// The probability with which a check is to be refused.
    pub(super) fn probability(&mut self, k: f64, now: Instant) -> f64 {
        self.forget(now);
        if self.sums.overloaded < MIN_SIGNS {
            return 0.0;
        }
        let requests = (self.sums.decided + self.sums.overloaded + self.sums.refused) as f64;
        let excess = requests - k * self.sums.decided as f64;
        (excess / (requests + 1.0)).clamp(0.0, MAX_PROBABILITY)
    }

    /// Whether there was a sign of overload just now.
    pub(super) fn is_recent(&self, now: Instant) -> bool {
        self.overloaded_at
            .is_some_and(|at| now.saturating_duration_since(at) < RECENT)
    }

    /// Whether there is no sign of overload left.
    pub(super) fn is_calm(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.sums.overloaded == 0
    }

    /// The sums of the current step. What comes late counts as of now.
    fn step(&mut self, at: Instant) -> &mut Sums {
        let is_over = |(start, _): &(Instant, Sums)| at.saturating_duration_since(*start) >= STEP;
        if self.steps.back().is_none_or(is_over) {
            self.forget(at);
            self.steps.push_back((at, Sums::default()));
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last].1
    }

    fn forget(&mut self, now: Instant) {
        while let Some((start, sums)) = self.steps.front()
            && now.saturating_duration_since(*start) >= SPAN
        {
            self.sums.decided -= sums.decided;
            self.sums.overloaded -= sums.overloaded;
            self.sums.refused -= sums.refused;
            self.steps.pop_front();
        }
    }
}
