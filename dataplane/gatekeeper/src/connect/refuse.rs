//! How a session ends before its CONNACK: in the client's own terms, if they are known.

use bytes::Bytes;

use super::Hello;
use crate::{
    action::Fate,
    close::CloseReason,
    gatekeeper::{Context, Phase},
    question::Version,
    reason::{Origin, ReasonCode},
    reply::{self, Refusal},
    revocation::Revocation,
    verdict::{Deny, Why},
    wire::{connack, connect::ConnectError},
};

/// Ends a session before its CONNACK, in the client's own terms if its CONNECT is known.
pub(crate) fn abort(phase: Phase, reason: CloseReason, cx: &mut Context<'_>) -> Phase {
    match phase {
        Phase::AwaitConnect(_) => close_unheard(reason, cx),
        Phase::Live(live) => live.close(reason.into(), cx),
        Phase::Closed => Phase::Closed,
        phase => match let_go(phase, reason, cx) {
            Some(hello) => abort_heard(&hello, reason, cx),
            None => Phase::Closed,
        },
    }
}

/// Ends a session because the service wants it, one of many: a live one in its turn.
pub(crate) fn revoke_in_turn(phase: Phase, revocation: Revocation, cx: &mut Context<'_>) -> Phase {
    match phase {
        Phase::Live(live) => live.revoke_in_turn(revocation, cx),
        phase => revoke(phase, revocation, cx),
    }
}

/// Ends a session because the service wants it.
pub(crate) fn revoke(phase: Phase, revocation: Revocation, cx: &mut Context<'_>) -> Phase {
    const REASON: CloseReason = CloseReason::Revoked;

    match phase {
        Phase::AwaitConnect(_) => close_unheard(REASON, cx),
        Phase::Live(live) => live.revoke(revocation, cx),
        Phase::Closed => Phase::Closed,
        phase => match let_go(phase, REASON, cx) {
            Some(hello) => {
                let explains = hello.connect.properties.request_problem_information;
                let refusal = revocation.into_refusal(explains);
                refusal.send(hello.recipient(), REASON, cx)
            }
            None => Phase::Closed,
        },
    }
}

/// Gives up what was being done for a CONNECT. `None` if there was nothing.
fn let_go(phase: Phase, reason: CloseReason, cx: &mut Context<'_>) -> Option<Hello> {
    match phase {
        Phase::Deciding(deciding) => {
            cx.actions.cancel(deciding.ticket);
            cx.actions.settled(deciding.ticket, Fate::Closed);
            Some(deciding.hello)
        }
        Phase::Dialling(dialling) => Some(dialling.hello),
        Phase::AwaitConnack(waiting) => {
            let sent = &waiting.admission.outgoing;
            if sent.will.is_some() && reason.suppresses_will(cx.rules) {
                cx.actions
                    .write_broker(reply::will_suppression(sent.version));
            }
            Some(waiting.hello)
        }
        Phase::AwaitConnect(_) | Phase::Live(_) | Phase::Closed => None,
    }
}

/// Closes without a word: before a CONNECT there is no form in which to answer.
pub(crate) fn close_unheard(reason: CloseReason, cx: &mut Context<'_>) -> Phase {
    cx.actions.close(reason);
    Phase::Closed
}

/// Ends a session whose CONNECT is known, for a cause that is not the service's.
pub(super) fn abort_heard(hello: &Hello, reason: CloseReason, cx: &mut Context<'_>) -> Phase {
    let code = match reason {
        CloseReason::ClientGone | CloseReason::WebSocketViolation(_) => {
            return close_unheard(reason, cx);
        }
        CloseReason::ClientViolation(violation) => violation.code,
        _ => ReasonCode::SERVER_UNAVAILABLE,
    };
    Refusal::failure(code).send(hello.recipient(), reason, cx)
}

/// Ends a session that nobody decided about: a failure, never heard as a denial.
pub(super) fn undecided(
    hello: &Hello,
    why: Why,
    reason: fn(Why) -> CloseReason,
    cx: &mut Context<'_>,
) -> Phase {
    let refusal = if why.is_permanent() {
        Refusal::denial(Deny::default())
    } else if why.is_overload() {
        Refusal::failure(ReasonCode::SERVER_BUSY)
    } else {
        Refusal::failure(ReasonCode::SERVER_UNAVAILABLE)
    };
    refusal.send(hello.recipient(), reason(why), cx)
}

/// Answers a CONNECT that could not be read.
pub(super) fn refuse_unread(error: ConnectError, cx: &mut Context<'_>) -> Phase {
    match error {
        ConnectError::NotMqtt => close_unheard(CloseReason::NotMqtt, cx),
        ConnectError::UnsupportedVersion { level } => {
            // In the form that the client can read; bridges set the highest bit [MQTT-3.1.2-2].
            let shape = match level {
                5..0x80 => Version::V5,
                _ => Version::V311,
            };
            Refusal::failure(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION).send(
                Recipient::unknown(shape),
                CloseReason::UnsupportedVersion,
                cx,
            )
        }
        ConnectError::EmptyClientId => Refusal::failure(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID)
            .send(
                Recipient::unknown(Version::V311),
                CloseReason::ClientIdentifierRejected,
                cx,
            ),
        ConnectError::Violation { version, violation } => {
            let reason = CloseReason::ClientViolation(violation);
            match version {
                Some(version) => {
                    Refusal::failure(violation.code).send(Recipient::unknown(version), reason, cx)
                }
                None => close_unheard(reason, cx),
            }
        }
    }
}

/// Whom a CONNACK is written for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipient {
    pub(super) version: Version,
    /// Maximum Packet Size, if it has one [MQTT-3.1.2-24].
    pub(super) takes: Option<u32>,
}

impl Recipient {
    /// Of whom no more is known than this.
    fn unknown(version: Version) -> Self {
        Self {
            version,
            takes: None,
        }
    }

    /// The largest packet that it takes.
    pub(super) fn limit(self) -> usize {
        self.takes.map_or(usize::MAX, |size| size as usize)
    }
}

impl Refusal {
    /// Sends the CONNACK, if there is one with this code in the client's version and of a size that
    /// it takes, and closes.
    pub(super) fn send(self, to: Recipient, reason: CloseReason, cx: &mut Context<'_>) -> Phase {
        let connack = match to.version {
            Version::V31 | Version::V311 => self.connack_v3(),
            Version::V5 => self.connack_v5(to.limit()),
        };
        if let Some(connack) = connack {
            cx.actions.write_client(connack);
        }
        cx.actions.close(reason);
        Phase::Closed
    }

    fn connack_v3(&self) -> Option<Bytes> {
        let code = match self.origin {
            // Whatever the code: who is denied is told so.
            Origin::Denial => self
                .code
                .for_connack_v3(Origin::Denial)
                .or_else(|| ReasonCode::NOT_AUTHORIZED.for_connack_v3(Origin::Denial)),
            Origin::Failure => self.code.for_connack_v3(Origin::Failure),
        };
        code.map(|code| connack::encode_v3(false, code))
    }

    /// What only explains is left out if there is no room for it [MQTT-3.2.2-19]; where to go instead
    /// is the last to go.
    fn connack_v5(&self, limit: usize) -> Option<Bytes> {
        let (why, instead) = (
            self.reason_string.as_deref(),
            self.server_reference.as_deref(),
        );
        [(why, instead), (None, instead), (None, None)]
            .into_iter()
            .map(|(why, instead)| connack::encode_refusal_v5(self.code.for_connack(), why, instead))
            .find(|connack| connack.len() <= limit)
    }
}
