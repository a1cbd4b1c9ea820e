//! What a packet is, and what it does, as the table has it.

use crate::reason::ReasonCode;

/// What a PUBLISH is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// One to be decided about.
    Message,
    /// QoS 2, sent before and not released yet: neither service nor broker see it again
    /// [MQTT-4.3.3-10].
    Repeat,
}

/// What a PUBREL does whose turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// It is the broker's.
    Forward,
    /// The gate answers with a PUBCOMP.
    Answer {
        code: ReasonCode,
        /// PUBREC packets for it still stand in their line, and came to nothing.
        owed: bool,
    },
}

/// What a PUBCOMP of the broker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    /// The client gets it.
    Pass {
        /// PUBREC packets for it still stand in their line, and came to nothing.
        owed: bool,
    },
    /// It answers the gate's own PUBREL.
    Purged,
}
