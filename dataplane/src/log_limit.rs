//! A token bucket for log lines, so that an outage is told and not repeated by every packet.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Lets some lines through per second and counts the others.
#[derive(Debug)]
pub(crate) struct LogLimit {
    per_second: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Option<Instant>,
    suppressed: u64,
}

impl LogLimit {
    /// At most this many lines per second, with a burst of one second.
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            bucket: Mutex::new(Bucket {
                tokens: per_second,
                filled_at: None,
                suppressed: 0,
            }),
        }
    }

    /// `Some` if a line may be written, with the number of lines left out before it.
    pub(crate) fn permit(&self) -> Option<u64> {
        // A counter is never half changed: a poisoned lock is as good as any.
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(filled_at) = bucket.filled_at.replace(now) {
            let refill = now.duration_since(filled_at).as_secs_f64() * self.per_second;
            bucket.tokens = (bucket.tokens + refill).min(self.per_second);
        }
        if bucket.tokens < 1.0 {
            bucket.suppressed += 1;
            return None;
        }
        bucket.tokens -= 1.0;
        Some(std::mem::take(&mut bucket.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_beyond_the_rate_are_counted() {
        let limit = LogLimit::new(2);
        assert_eq!(limit.permit(), Some(0));
        assert_eq!(limit.permit(), Some(0));
        assert_eq!(limit.permit(), None);
        assert_eq!(limit.permit(), None);
        advance(Duration::from_millis(500)).await;
        assert_eq!(limit.permit(), Some(2));
        assert_eq!(limit.permit(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_silence() {
        let limit = LogLimit::new(0);
        advance(Duration::from_secs(3600)).await;
        assert_eq!(limit.permit(), None);
    }
}
