//! MQTT packets as a test sees them: read leniently, written exactly as told, right or wrong.
//!
//! This is on purpose not the code of the gate, and hardly any code at all: a second opinion.

mod ack;
mod connect;
mod properties;
mod read;
mod wire;
mod write;

pub use ack::{Ack, Connack, Disconnect, ack, disconnect, suback};
pub use connect::Connect;
pub use properties::{Property, property};
pub use read::Packet;
pub use wire::{split_frame, string, variable_length};
pub use write::{Encode, Publish, Subscribe, Unsubscribe, frame};

/// MQTT version of a connection; the number is the protocol level of CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.
    V31 = 3,
    /// MQTT 3.1.1.
    V311 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];

    /// The value for the version at hand, mostly a return or reason code.
    #[must_use]
    pub fn pick<T>(self, v3: T, v5: T) -> T {
        match self {
            Self::V31 | Self::V311 => v3,
            Self::V5 => v5,
        }
    }

    /// The value for the version at hand, where MQTT 3.1 differs from 3.1.1.
    #[must_use]
    pub fn pick_of_three<T>(self, v31: T, v311: T, v5: T) -> T {
        match self {
            Self::V31 => v31,
            Self::V311 => v311,
            Self::V5 => v5,
        }
    }

    /// The version as the Mosquitto clients name it.
    #[must_use]
    pub fn flag(self) -> &'static str {
        self.pick_of_three("mqttv31", "mqttv311", "mqttv5")
    }

    /// The name that the protocol has in CONNECT.
    #[must_use]
    pub fn protocol_name(self) -> &'static str {
        self.pick_of_three("MQIsdp", "MQTT", "MQTT")
    }
}

/// Packet type.
#[allow(missing_docs, reason = "the names are the standard's")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Reserved = 0,
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl Kind {
    /// In the order of their numbers.
    const ALL: [Self; 16] = [
        Self::Reserved,
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];
}

/// PINGREQ.
pub const PINGREQ: [u8; 2] = [0xC0, 0x00];
/// PINGRESP.
pub const PINGRESP: [u8; 2] = [0xD0, 0x00];
