//! Pauses between attempts that fail.

use std::time::Duration;

/// Share of a pause by which it is made shorter or longer, so that many who failed together do not come
/// back together.
const JITTER: f64 = 0.2;

/// Pauses that double from failure to failure.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The next attempt is as good as the first.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The pause after a failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        jittered(pause)
    }
}

/// The pause, give or take a fifth.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let mut assert_about = |seconds: u64| {
            let (pause, wanted) = (backoff.pause(), Duration::from_secs(seconds));
            assert!(wanted.mul_f64(0.8) <= pause && pause <= wanted.mul_f64(1.2));
        };
        for seconds in [1, 2, 4, 5, 5] {
            assert_about(seconds);
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(1200));
    }
}
