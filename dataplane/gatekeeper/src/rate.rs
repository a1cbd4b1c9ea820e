//! What a session may publish per second: back-pressure, not refusals.
//!
//! Two buckets, each of which holds what one second brings. A PUBLISH is never refused for them: it is
//! taken while both hold something, and may leave a debt; until that is paid no more is read of the
//! client. Kept as the time at which a bucket would be full again, so that nothing runs while nobody
//! publishes.

use std::time::{Duration, Instant};

use crate::verdict::SessionLimits;

/// What a bucket holds.
const BURST: Duration = Duration::from_secs(1);

const NANOS: u64 = 1_000_000_000;

/// The two buckets of one session.
#[derive(Debug)]
pub(crate) struct Rate {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// When the client may be read again.
    closed_until: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    per_second: u64,
    full_at: Instant,
}

impl Rate {
    /// `None` if there is no bound.
    pub(crate) fn new(limits: &SessionLimits, now: Instant) -> Option<Box<Self>> {
        let bucket = |per_second| Bucket {
            per_second,
            full_at: now,
        };
        let messages = limits.publish_per_second.map(|rate| rate.get().into());
        let bytes = limits.publish_bytes_per_second.map(|rate| rate.get());
        if messages.is_none() && bytes.is_none() {
            return None;
        }
        Some(Box::new(Self {
            messages: messages.map(bucket),
            bytes: bytes.map(bucket),
            closed_until: None,
        }))
    }

    /// A PUBLISH with a payload of so many bytes was read.
    pub(crate) fn take(&mut self, payload: usize, now: Instant) {
        let payload = u64::try_from(payload).unwrap_or(u64::MAX);
        // There has to be room for a whole message, and for a byte.
        let messages = self.messages.as_mut().map(|bucket| bucket.take(1, 1, now));
        let bytes = self
            .bytes
            .as_mut()
            .map(|bucket| bucket.take(payload, 1, now));
        let until = messages.max(bytes).filter(|until| *until > now);
        self.closed_until = self.closed_until.max(until);
    }

    /// Time has passed.
    pub(crate) fn refresh(&mut self, now: Instant) {
        self.closed_until.take_if(|until| *until <= now);
    }

    /// When the client may be read again; `None` if it may be now.
    pub(crate) fn closed_until(&self) -> Option<Instant> {
        self.closed_until
    }
}

impl Bucket {
    /// Takes an amount out. Yields when there will be `next` in it again.
    fn take(&mut self, amount: u64, next: u64, now: Instant) -> Instant {
        let paid = |from: Instant, amount| from.checked_add(self.time_for(amount)).unwrap_or(from);
        let full_at = paid(self.full_at.max(now), amount);
        let free_at = paid(full_at, next);
        self.full_at = full_at;
        free_at.checked_sub(BURST).unwrap_or(now)
    }

    /// How long it takes to pay for so much, rounded up. An amount is at most a packet: 256 MiB.
    fn time_for(&self, amount: u64) -> Duration {
        let nanos = amount
            .saturating_mul(NANOS)
            .div_ceil(self.per_second.max(1));
        Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "some point in time to start from"
)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;

    fn limits(messages: u32, bytes: u64) -> SessionLimits {
        SessionLimits {
            publish_per_second: NonZeroU32::new(messages),
            publish_bytes_per_second: NonZeroU64::new(bytes),
            ..SessionLimits::default()
        }
    }

    /// Messages of this size that are taken as fast as it goes, up to this time.
    fn taken(limits: SessionLimits, size: usize, time: Duration) -> u32 {
        let start = Instant::now();
        let mut rate = Rate::new(&limits, start).unwrap();
        let (mut now, mut count) = (start, 0);
        while now < start + time {
            assert_eq!(rate.closed_until(), None);
            rate.take(size, now);
            count += 1;
            if let Some(until) = rate.closed_until() {
                assert!(until > now);
                now = until;
                rate.refresh(now);
            }
        }
        count
    }

    #[test]
    fn no_bound_is_none() {
        assert!(Rate::new(&limits(0, 0), Instant::now()).is_none());
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        for rate in [1, 2, 10, 1000] {
            for seconds in [1, 5] {
                let count = taken(limits(rate, 0), 0, Duration::from_secs(seconds));
                let most = rate + rate * seconds as u32;
                assert!((most - 1..=most).contains(&count), "{rate}: {count}");
            }
        }
    }

    #[test]
    fn bytes_are_counted_and_the_stricter_bound_holds() {
        let time = Duration::from_secs(5);
        for (messages, bytes) in [(0, 1000), (1000, 1000), (10, 1_000_000)] {
            let count = taken(limits(messages, bytes), 100, time);
            assert!((58..=62).contains(&count), "{messages}, {bytes}: {count}");
        }
    }

    /// It leaves a debt.
    #[test]
    fn a_message_above_the_burst_is_taken() {
        let start = Instant::now();
        let mut rate = Rate::new(&limits(0, 10), start).unwrap();
        rate.take(30, start);
        let until = rate.closed_until().unwrap();
        assert!(until > start + Duration::from_secs(2));
        assert!(until < start + Duration::from_millis(2_200));
        rate.refresh(until);
        assert_eq!(rate.closed_until(), None);
        // Nothing above the burst is saved.
        let later = until + Duration::from_secs(1000);
        rate.take(11, later);
        assert!(rate.closed_until().is_some());
    }

    #[test]
    fn no_amount_is_too_much() {
        let start = Instant::now();
        let mut rate = Rate::new(&limits(u32::MAX, 1), start).unwrap();
        for _ in 0..10 {
            rate.take(usize::MAX, start);
        }
        assert!(rate.closed_until().is_some());
        let mut rate = Rate::new(&limits(u32::MAX, u64::MAX), start).unwrap();
        rate.take(1, start);
        assert_eq!(rate.closed_until(), None);
    }
}
