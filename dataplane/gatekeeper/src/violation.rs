//! What a peer did that MQTT does not allow.

use crate::reason::ReasonCode;

/// A breach of the protocol, found in bytes that somebody sent. It ends the connection: there is no
/// way to tell where the next packet begins or what the sender believes ([MQTT-4.13.1-1]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} [{clause}]")]
pub struct Violation {
    /// The reason code for a DISCONNECT, or for a CONNACK before there was one. MQTT 3.1.1 has no
    /// place for it and closes.
    pub code: ReasonCode,
    /// What is wrong, for a log. It never quotes the packet.
    pub what: &'static str,
    /// The statement that was violated: of MQTT 5.0, unless it begins with `3.1.1:`. A section
    /// (`§`) where the standard has no numbered statement.
    pub clause: &'static str,
}

impl Violation {
    /// A violation with another code than the two usual ones.
    #[must_use]
    pub const fn new(code: ReasonCode, what: &'static str, clause: &'static str) -> Self {
        Self { code, what, clause }
    }

    /// The bytes cannot be read as a packet: 0x81.
    #[must_use]
    pub const fn malformed(what: &'static str, clause: &'static str) -> Self {
        Self::new(ReasonCode::MALFORMED_PACKET, what, clause)
    }

    /// The packet can be read, but its sender may not say that: 0x82.
    #[must_use]
    pub const fn protocol(what: &'static str, clause: &'static str) -> Self {
        Self::new(ReasonCode::PROTOCOL_ERROR, what, clause)
    }

    /// The packet is larger than the receiver said it accepts: 0x95.
    #[must_use]
    pub const fn too_large(what: &'static str, clause: &'static str) -> Self {
        Self::new(ReasonCode::PACKET_TOO_LARGE, what, clause)
    }

    /// The packet is legal, but holds more of something than the gate is willing to look at: 0x97.
    #[must_use]
    pub const fn quota(what: &'static str, clause: &'static str) -> Self {
        Self::new(ReasonCode::QUOTA_EXCEEDED, what, clause)
    }
}
