//! What a refusal becomes in a packet that may not carry its code.
//!
//! The standard is silent here. The principle: "come back later, or elsewhere" stays that, and "no"
//! stays "no", so that a failure is never heard as a denial. Three groups need no line of their own:
//! codes that only the gate or a broker comes up with and that have no counterpart become 0x80,
//! successes and bytes that are no reason code at all become 0x87. Nothing maps to a success.

use super::ReasonCode;

/// Whether somebody decided, or nobody could.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The authorization service said no.
    Denial,
    /// Nobody decided, or the gate or the broker failed.
    Failure,
}

impl ReasonCode {
    /// The code for the CONNACK of a refusal.
    #[must_use]
    pub const fn for_connack(self) -> Self {
        match self.get() {
            0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F => self,
            0x8B => Self::SERVER_UNAVAILABLE,
            0x96 => Self::QUOTA_EXCEEDED,
            0x8D | 0x8E | 0x91..=0x94 => Self::UNSPECIFIED_ERROR,
            _ => Self::NOT_AUTHORIZED,
        }
    }

    /// The return code for the CONNACK of a refusal on MQTT 3.1.1, `None` to close without one
    /// ([3.1.1: MQTT-3.2.2-6]).
    #[must_use]
    pub const fn for_connack_v3(self, origin: Origin) -> Option<u8> {
        const UNSUPPORTED_VERSION: u8 = 0x01;
        const IDENTIFIER_REJECTED: u8 = 0x02;
        const SERVER_UNAVAILABLE: u8 = 0x03;
        const BAD_CREDENTIALS: u8 = 0x04;
        const NOT_AUTHORIZED: u8 = 0x05;

        match (self.get(), origin) {
            (0x81 | 0x82, _) => None,
            (0x84, _) => Some(UNSUPPORTED_VERSION),
            (0x85, _) => Some(IDENTIFIER_REJECTED),
            (0x86, _) => Some(BAD_CREDENTIALS),
            (0x88 | 0x89 | 0x8B | 0x96 | 0x97 | 0x9C | 0x9D | 0x9F, _) => Some(SERVER_UNAVAILABLE),
            (0x87 | 0x8A | 0x8C | 0x8F | 0x90 | 0x98..=0x9B | 0x9E | 0xA0..=0xA2, _) => {
                Some(NOT_AUTHORIZED)
            }
            // Too large for the gate: the client learns nothing from being told to come back.
            (0x95, Origin::Failure) => None,
            (_, Origin::Denial) => Some(NOT_AUTHORIZED),
            (_, Origin::Failure) => Some(SERVER_UNAVAILABLE),
        }
    }

    /// The code for the PUBACK or PUBREC of a refusal. 0x10 is never made: the gate does not know
    /// the subscribers.
    #[must_use]
    pub const fn for_publish_ack(self) -> Self {
        match self.get() {
            0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99 => self,
            0x8F => Self::TOPIC_NAME_INVALID,
            0x89 | 0x95 | 0x96 | 0x9F => Self::QUOTA_EXCEEDED,
            0x9A..=0x9D => Self::IMPLEMENTATION_SPECIFIC_ERROR,
            0x81 | 0x82 | 0x84 | 0x88 | 0x8B | 0x8D | 0x8E | 0x92..=0x94 => Self::UNSPECIFIED_ERROR,
            _ => Self::NOT_AUTHORIZED,
        }
    }

    /// The code for a refused filter in a SUBACK. On MQTT 3.1.1 there is only 0x80.
    #[must_use]
    pub const fn for_suback(self) -> Self {
        match self.get() {
            0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2 => self,
            0x90 => Self::TOPIC_FILTER_INVALID,
            0x89 | 0x95 | 0x96 | 0x9F => Self::QUOTA_EXCEEDED,
            0x99..=0x9D => Self::IMPLEMENTATION_SPECIFIC_ERROR,
            0x81 | 0x82 | 0x84 | 0x88 | 0x8B | 0x8D | 0x8E | 0x92..=0x94 => Self::UNSPECIFIED_ERROR,
            _ => Self::NOT_AUTHORIZED,
        }
    }

    /// The code for the DISCONNECT that a server sends. Never the code of an orderly end: whoever
    /// is told 0x00 believes that nothing happened.
    #[must_use]
    pub const fn for_disconnect(self) -> Self {
        match self.get() {
            0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2 => self,
            0x84 => Self::UNSPECIFIED_ERROR,
            0x88 => Self::SERVER_BUSY,
            0x91 | 0x92 => Self::PROTOCOL_ERROR,
            _ => Self::NOT_AUTHORIZED,
        }
    }

    /// What the return code of a CONNACK in the shape of MQTT 3.1.1 means. Brokers answer an MQTT 5
    /// CONNECT with one if they do not speak that version.
    #[must_use]
    pub const fn from_connack_v3(return_code: u8) -> Self {
        match return_code {
            0x00 => Self::SUCCESS,
            0x01 => Self::UNSUPPORTED_PROTOCOL_VERSION,
            0x02 => Self::CLIENT_IDENTIFIER_NOT_VALID,
            0x03 => Self::SERVER_UNAVAILABLE,
            0x04 => Self::BAD_USER_NAME_OR_PASSWORD,
            0x05 => Self::NOT_AUTHORIZED,
            _ => Self::UNSPECIFIED_ERROR,
        }
    }
}
