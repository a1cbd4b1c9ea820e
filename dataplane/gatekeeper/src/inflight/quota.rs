//! How many identifiers a client may hold.

use crate::{question::QoS, reason::ReasonCode, violation::Violation};

/// The bounds of one session. An identifier that the broker has to free is waited for; where the
/// client has to free it, waiting would be for ever, and one too many ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Messages in all.
    messages: usize,
    /// Messages with QoS 2 whose PUBREL has not come.
    unreleased: usize,
    /// Identifiers that wait for the broker, and acknowledgements that do.
    pub(super) waiting: usize,
}

const TOO_MANY: Violation = Violation::new(
    ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
    "more unacknowledged messages than Receive Maximum",
    "MQTT-3.3.4-7",
);

const TOO_MANY_UNRELEASED: Violation = Violation::new(
    ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
    "more messages with QoS 2 that are not released than allowed",
    "3.1.1: §4.3.3",
);

impl Quota {
    /// For a client of MQTT 5, which was told its Receive Maximum. It may make use of all of that, so
    /// `max_inflight` comes on top: for what is not taken from the send quota (§4.9).
    pub(crate) fn of_v5(receive_maximum: u16, max_inflight: usize) -> Self {
        let messages = usize::from(receive_maximum);
        Self {
            messages,
            unreleased: messages,
            waiting: messages.saturating_add(max_inflight),
        }
    }

    /// For a client of MQTT 3, which has no word for such a bound.
    pub(crate) fn of_v3(max_inflight: usize) -> Self {
        Self {
            messages: usize::MAX,
            unreleased: max_inflight,
            waiting: max_inflight,
        }
    }

    /// Whether there may be one more beside so many.
    pub(super) fn check(
        &self,
        qos: QoS,
        messages: usize,
        unreleased: usize,
    ) -> Result<(), Violation> {
        if messages >= self.messages {
            return Err(TOO_MANY);
        }
        if qos == QoS::ExactlyOnce && unreleased >= self.unreleased {
            return Err(TOO_MANY_UNRELEASED);
        }
        Ok(())
    }
}
