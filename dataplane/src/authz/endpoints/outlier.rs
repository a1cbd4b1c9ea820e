//! Endpoints that fail call after call are left alone for a while.
//!
//! Only what a client cannot cause counts: a broken connection, a deadline, a sign of overload. A denial
//! is an answer, and a status such as `INTERNAL` may be about one check.

use std::time::Duration;

use tokio::time::Instant;

/// Failed calls in a row that make an outlier.
const FAILURES: u32 = 5;
/// Time of the first ejection; the n-th lasts n times as long.
const EJECTION: Duration = Duration::from_secs(30);
/// Longest ejection.
const MAX_EJECTION: Duration = Duration::from_secs(300);

/// What a call says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::authz) enum Sign {
    /// It answers.
    Good,
    /// It failed, by itself or for its load.
    Bad,
    /// Nothing: the failure may be the check's.
    None,
}

/// The record of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Record {
    failures: u32,
    ejections: u32,
    until: Option<Instant>,
}

impl Record {
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Notes a call; `true`: the endpoint is one to eject.
    pub(super) fn note(&mut self, sign: Sign) -> bool {
        match sign {
            Sign::Good => self.failures = 0,
            Sign::Bad => self.failures = self.failures.saturating_add(1),
            Sign::None => {}
        }
        self.failures >= FAILURES
    }

    /// Ejects it. A time of good conduct as long as an ejection makes one forgotten.
    pub(super) fn eject(&mut self, now: Instant) -> Duration {
        if let Some(until) = self.until {
            let quiet = now.saturating_duration_since(until).as_secs() / EJECTION.as_secs();
            let forgotten = u32::try_from(quiet).unwrap_or(u32::MAX);
            self.ejections = self.ejections.saturating_sub(forgotten);
        }
        self.ejections += 1;
        self.failures = 0;
        let time = (EJECTION * self.ejections).min(MAX_EJECTION);
        self.ejections = self.ejections.min(MAX_EJECTION.as_secs() as u32 / 30);
        self.until = Some(now + time);
        time
    }
}

/// Whether one more of `all` may be ejected: never more than half.
pub(super) fn may_eject(ejected: usize, all: usize) -> bool {
    (ejected + 1) * 2 <= all
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_make_an_outlier() {
        let mut record = Record::default();
        let signs = [Sign::Bad, Sign::Bad, Sign::Bad, Sign::Bad, Sign::Good];
        assert!(!signs.into_iter().any(|sign| record.note(sign)));
        assert!(!signs[..4].iter().any(|sign| record.note(*sign)));
        assert!(!record.note(Sign::None), "says nothing");
        assert!(record.note(Sign::Bad));
    }

    #[tokio::test(start_paused = true)]
    async fn ejections_grow_and_are_forgotten() {
        let mut record = Record::default();
        for seconds in [30, 60, 90] {
            let time = record.eject(Instant::now());
            assert_eq!(time, Duration::from_secs(seconds));
            assert!(record.is_ejected(Instant::now()));
            advance(time).await;
            assert!(!record.is_ejected(Instant::now()));
        }
        advance(Duration::from_secs(60)).await;
        assert_eq!(record.eject(Instant::now()), Duration::from_secs(60));
        for _ in 0..20 {
            record.eject(Instant::now());
        }
        let longest = record.eject(Instant::now());
        assert_eq!(longest, Duration::from_secs(300));
    }

    #[test]
    fn half_of_them_stay() {
        let most = |all| (0..all).filter(|ejected| may_eject(*ejected, all)).count();
        assert_eq!([1, 2, 3, 4, 5].map(most), [0, 1, 1, 2, 2]);
    }
}
