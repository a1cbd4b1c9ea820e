//! How far a message has come.

use crate::{question::QoS, reason::ReasonCode};

use super::Release;

/// A PUBLISH with QoS 1. A client of MQTT 3 may repeat it on the same connection, and every copy is
/// decided about, forwarded and acknowledged for itself.
#[derive(Debug)]
pub(super) struct Once {
    fingerprint: u64,
    /// Acknowledgements that have not gone out.
    pub(super) owed: u32,
}

impl Once {
    pub(super) fn new(fingerprint: u64) -> Self {
        Self {
            fingerprint,
            owed: 1,
        }
    }

    /// Whether a PUBLISH is something else than this one once more.
    pub(super) fn is_another(&self, qos: QoS, fingerprint: u64) -> bool {
        qos != QoS::AtLeastOnce || fingerprint != self.fingerprint
    }

    /// A PUBACK goes out. Tells whether it was the last one.
    pub(super) fn acknowledged(&mut self) -> bool {
        self.owed = self.owed.saturating_sub(1);
        self.owed == 0
    }
}

/// A PUBLISH with QoS 2.
#[derive(Debug)]
pub(super) struct Twice {
    fingerprint: u64,
    /// PUBREC packets that have not gone out: one, and one for each copy.
    pub(super) owed: u32,
    /// Whether the client has sent its PUBREL. What follows is another message.
    pub(super) released: bool,
    pub(super) stage: Stage,
}

/// Where a message with QoS 2 stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits in the line.
    Deciding,
    /// Forwarded; the broker's PUBREC is awaited.
    AtBroker,
    /// There was a PUBREC, and the PUBREL will be the broker's.
    Received,
    /// The PUBREL was forwarded; the broker's PUBCOMP is awaited.
    Releasing {
        /// False if the client did not wait for the PUBREC.
        received: bool,
    },
    /// The PUBREC was the gate's, and the broker knows nothing: the PUBREL will be the gate's too.
    Owned,
    /// A PUBREC with this code ends it [MQTT-4.3.3-4].
    Refused(ReasonCode),
    /// It will be refused with this code, once the broker has answered the gate's PUBREL for the copy
    /// that it may hold.
    Purging(ReasonCode),
}

impl Stage {
    /// The code of its PUBREC, if it is known.
    pub(super) fn pubrec_code(self) -> Option<ReasonCode> {
        match self {
            Self::Received | Self::Releasing { received: true } | Self::Owned => {
                Some(ReasonCode::SUCCESS)
            }
            Self::Refused(code) | Self::Purging(code) => Some(code),
            Self::Deciding | Self::AtBroker | Self::Releasing { received: false } => None,
        }
    }
}

impl Twice {
    pub(super) fn new(fingerprint: u64) -> Self {
        Self {
            fingerprint,
            owed: 1,
            released: false,
            stage: Stage::Deciding,
        }
    }

    /// Whether a PUBLISH is this one once more.
    pub(super) fn is_repeated_by(&self, qos: QoS, fingerprint: u64) -> bool {
        qos == QoS::ExactlyOnce && fingerprint == self.fingerprint && !self.released
    }

    pub(super) fn begin_release(&mut self, received: bool) -> Release {
        self.stage = Stage::Releasing { received };
        Release::Forward
    }

    /// The broker's PUBREC came. Tells whether it was awaited.
    pub(super) fn received(&mut self, code: ReasonCode) -> bool {
        self.stage = match self.stage {
            Stage::AtBroker | Stage::Releasing { received: false } if code.is_refusal() => {
                Stage::Refused(code)
            }
            Stage::AtBroker => Stage::Received,
            Stage::Releasing { received: false } => Stage::Releasing { received: true },
            _ => return false,
        };
        self.owed = self.owed.saturating_sub(1);
        true
    }

    /// Whether nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Refused(_)) && self.owed == 0
    }
}
