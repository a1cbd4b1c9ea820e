//! Why a CONNECT cannot be asked about.

use crate::question::Version;
use crate::violation::Violation;

/// What is wrong with a CONNECT. The connection is closed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The protocol name is not that of MQTT ([MQTT-3.1.2-1]). There is no answer.
    #[error("the protocol name is not MQTT [MQTT-3.1.2-1]")]
    NotMqtt,
    /// MQTT, but no version that is spoken here ([MQTT-3.1.2-2]). The answer is a CONNACK in a form
    /// that the client can read: 0x84 for levels from 5 to 0x7F, `20 02 00 01` for all others.
    #[error("protocol level {level:#04x} is not supported [MQTT-3.1.2-2]")]
    UnsupportedVersion {
        /// The protocol level. 0x80 and above are bridges.
        level: u8,
    },
    /// An empty client identifier on MQTT 3.1, which has none, or on MQTT 3.1.1 with a session to be
    /// kept. The answer is a CONNACK with return code 0x02 ([3.1.1: MQTT-3.1.3-8]).
    #[error(
        "an empty client identifier needs MQTT 3.1.1 and a clean session [3.1.1: MQTT-3.1.3-8]"
    )]
    EmptyClientId,
    /// The packet violates the protocol. The answer is a CONNACK on MQTT 5.0, and none otherwise.
    #[error("{violation}")]
    Violation {
        /// The version, if the packet came that far.
        version: Option<Version>,
        /// What is wrong.
        violation: Violation,
    },
}
