//! The W3C `traceparent` header: `00-<trace id>-<span id>-<flags>`, lower-case hex.

use opentelemetry::{SpanId, TraceFlags, TraceId, trace::SpanContext};
use std::fmt;

/// Whether the sender of this `traceparent` samples its trace; `None` if the text is no valid
/// `traceparent`.
#[must_use]
pub fn remote_sampled(traceparent: &str) -> Option<bool> {
    Traceparent::parse(traceparent).map(|parent| parent.sampled)
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traceparent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) sampled: bool,
}

impl Traceparent {
    /// Reads version 00 and, as far as the specification fixes them, later versions.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = TraceId::from(hex(parts.next()?, 32)?);
        let span_id = SpanId::from(u64::try_from(hex(parts.next()?, 16)?).ok()?);
        let flags = hex(parts.next()?, 2)?;

        // Only later versions may carry more, and ff never is one.
        let overlong = version == 0 && parts.next().is_some();
        let invalid_id = trace_id == TraceId::INVALID || span_id == SpanId::INVALID;
        if version == 0xff || overlong || invalid_id {
            return None;
        }
        Some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }

    /// What to send with an unsampled call: ids that nobody keeps, and the flag that says so.
    pub(crate) fn unsampled() -> Self {
        Self {
            trace_id: TraceId::from(fastrand::u128(1..)),
            span_id: SpanId::from(fastrand::u64(1..)),
            sampled: false,
        }
    }

    pub(crate) fn trace_flags(self) -> TraceFlags {
        TraceFlags::default().with_sampled(self.sampled)
    }
}

impl From<&SpanContext> for Traceparent {
    fn from(context: &SpanContext) -> Self {
        Self {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
            sampled: context.is_sampled(),
        }
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id) = (self.trace_id, self.span_id);
        write!(f, "00-{trace_id}-{span_id}-0{}", u8::from(self.sampled))
    }
}

/// Exactly `digits` lower-case hex digits. The standard parsers would take signs and capitals.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let clean =
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    clean.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_survives_the_round_trip() {
        let parent = Traceparent::parse(SAMPLED).unwrap();
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), SAMPLED);
    }

    #[test]
    fn only_the_lowest_flag_means_sampled() {
        let with_flags = |flags: &str| format!("{}{flags}", &SAMPLED[..53]);
        assert_eq!(remote_sampled(&with_flags("00")), Some(false));
        assert_eq!(remote_sampled(&with_flags("01")), Some(true));
        assert_eq!(remote_sampled(&with_flags("fe")), Some(false));
        assert_eq!(remote_sampled(&with_flags("ff")), Some(true));
    }

    #[test]
    fn later_versions_may_be_longer_and_version_00_may_not() {
        let later = format!("01{}-extra-field", &SAMPLED[2..]);
        assert_eq!(remote_sampled(&later), Some(true));
        assert_eq!(remote_sampled(&format!("{SAMPLED}-extra")), None);
        assert_eq!(remote_sampled(&format!("{SAMPLED}-")), None);
    }

    #[test]
    fn rubbish_is_refused() {
        for text in [
            "",
            "00",
            "rubbish",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319ca-b7ad6b716920333-01",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert_eq!(remote_sampled(text), None, "{text}");
        }
    }

    #[test]
    fn an_unsampled_call_says_so() {
        let text = Traceparent::unsampled().to_string();
        assert_eq!(remote_sampled(&text), Some(false), "{text}");
    }
}
