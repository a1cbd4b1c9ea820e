//! The deadline of a call, as its `grpc-timeout` header states it.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::MetadataMap;

/// The header every gRPC client with a deadline sends.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The most time kept back for the way of the answer: of a whole batch, and back to a busy data plane.
const MAX_RESERVE: Duration = Duration::from_millis(250);

/// When an answer must be on its way, if ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// No deadline.
    pub const NONE: Self = Self(None);

    /// So long from now. Beyond what the clock can count, there is none.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// The deadline of a call that has just arrived, a tenth (but at most 250 ms) early: the answer
    /// has to arrive, not only leave, before the caller stops listening. An unreadable header
    /// counts as none; the transport, which reads it too, enforces what it makes of it.
    #[must_use]
    pub fn of_call(metadata: &MetadataMap) -> Self {
        let timeout = metadata
            .get(GRPC_TIMEOUT)
            .and_then(|value| value.to_str().ok());
        match timeout.and_then(parse_timeout) {
            Some(timeout) => Self::after(timeout - (timeout / 10).min(MAX_RESERVE)),
            None => Self::NONE,
        }
    }

    /// Whether the deadline comes before `instant`.
    #[must_use]
    pub fn is_before(&self, instant: Instant) -> bool {
        self.0.is_some_and(|deadline| deadline < instant)
    }

    /// Waits for `future`, but not beyond the deadline.
    pub async fn bound<F: Future>(&self, future: F) -> Option<F::Output> {
        match self.0 {
            Some(deadline) => timeout_at(deadline, future).await.ok(),
            None => Some(future.await),
        }
    }
}

/// What the header of a call says, for the transport.
pub(crate) fn stated(headers: &HeaderMap) -> Option<Duration> {
    parse_timeout(headers.get(GRPC_TIMEOUT)?.to_str().ok()?)
}

/// `TimeoutValue TimeoutUnit` of the gRPC protocol: at most eight digits and one of `HMSmun`.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        for (text, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("2H", Some(Duration::from_secs(7_200))),
            ("1M", Some(Duration::from_secs(60))),
            ("4999999u", Some(Duration::from_micros(4_999_999))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("5", None),
            ("5s", None),
            ("-5S", None),
            ("+5S", None),
            ("123456789S", None),
            ("5\u{b5}", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_time_for_the_answer() {
        let mut metadata = MetadataMap::new();
        assert_eq!(Deadline::of_call(&metadata), Deadline::NONE);
        for (header, expected) in [("5S", 4_750), ("100m", 90), ("0m", 0)] {
            metadata.insert(GRPC_TIMEOUT, header.parse().unwrap());
            let expected = Deadline::after(Duration::from_millis(expected));
            assert_eq!(Deadline::of_call(&metadata), expected, "{header}");
        }
        metadata.insert(GRPC_TIMEOUT, "soon".parse().unwrap());
        assert_eq!(Deadline::of_call(&metadata), Deadline::NONE);
    }

    #[tokio::test(start_paused = true)]
    async fn bounds_what_waits() {
        let deadline = Deadline::after(Duration::from_millis(10));
        assert_eq!(deadline.bound(async { 1 }).await, Some(1));
        assert_eq!(deadline.bound(std::future::pending::<()>()).await, None);
        assert!(deadline.is_before(Instant::now() + Duration::from_millis(1)));
        assert!(!Deadline::NONE.is_before(Instant::now()));
    }
}
