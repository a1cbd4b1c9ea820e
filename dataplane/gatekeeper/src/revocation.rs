//! The end of a session that the service wants, and how it is told.

use bytestring::ByteString;

use crate::{
    reason::{Origin, Place, ReasonCode, Sender},
    reply::Refusal,
};

/// Why a session has to end, in the words of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revocation {
    code: ReasonCode,
    reason_string: Option<ByteString>,
}

impl Default for Revocation {
    fn default() -> Self {
        Self::new(ReasonCode::ADMINISTRATIVE_ACTION, None)
    }
}

impl Revocation {
    /// A code that is no refusal would tell the client that all is well.
    pub(crate) fn new(code: ReasonCode, reason_string: Option<ByteString>) -> Self {
        let code = match code.is_refusal() {
            true => code,
            false => ReasonCode::ADMINISTRATIVE_ACTION,
        };
        Self {
            code,
            reason_string,
        }
    }

    /// The code of a DISCONNECT, and what explains it if that is wanted.
    pub(crate) fn into_disconnect(self, explains: bool) -> (ReasonCode, Option<ByteString>) {
        let code = match self.code.is_legal(Place::Disconnect, Sender::Server) {
            true => self.code,
            false => ReasonCode::ADMINISTRATIVE_ACTION,
        };
        (code, self.reason_string.filter(|_| explains))
    }

    /// The CONNACK of a session that never began: a denial, for somebody decided.
    pub(crate) fn into_refusal(self, explains: bool) -> Refusal {
        Refusal {
            code: self.code,
            origin: Origin::Denial,
            reason_string: self.reason_string.filter(|_| explains),
            server_reference: None,
        }
    }
}
