//! How a session ends.

use bytestring::ByteString;

use crate::{
    action::Fate,
    close::CloseReason,
    gatekeeper::{Context, Phase},
    question::Version,
    reason::ReasonCode,
    reply,
    revocation::Revocation,
    verdict::Deny,
    violation::Violation,
    wire::disconnect,
};

use super::{Ending, Live};

/// What ends a session, and what an MQTT 5 client is told.
#[derive(Debug)]
pub(crate) struct End {
    reason: CloseReason,
    /// `None`: the code that goes with the reason.
    code: Option<ReasonCode>,
    reason_string: Option<ByteString>,
    server_reference: Option<ByteString>,
}

impl End {
    /// The service ends the session.
    pub(super) fn revoked(revocation: Revocation, explains: bool) -> Self {
        let (code, reason_string) = revocation.into_disconnect(explains);
        Self {
            reason: CloseReason::Revoked,
            code: Some(code),
            reason_string,
            server_reference: None,
        }
    }

    /// The policy says that this packet ends the session.
    pub(super) fn denied(reason: CloseReason, deny: Deny) -> Self {
        Self {
            reason,
            code: deny.code.map(ReasonCode::for_disconnect),
            reason_string: deny.reason_string,
            server_reference: deny.server_reference,
        }
    }
}

impl From<CloseReason> for End {
    fn from(reason: CloseReason) -> Self {
        Self {
            reason,
            code: None,
            reason_string: None,
            server_reference: None,
        }
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        CloseReason::ClientViolation(violation).into()
    }
}

impl Live {
    /// Ends the session because the service wants it.
    pub(crate) fn revoke(self: Box<Self>, revocation: Revocation, cx: &mut Context<'_>) -> Phase {
        let end = End::revoked(revocation, self.explains);
        self.close(end, cx)
    }

    /// Ends the session because the service wants it, one of many. Whoever waits for a permit already has
    /// nothing to lose, and waits on.
    pub(crate) fn revoke_in_turn(
        self: Box<Self>,
        revocation: Revocation,
        cx: &mut Context<'_>,
    ) -> Phase {
        let end = End::revoked(revocation, self.explains);
        match self.ending {
            Ending::Open => self.await_permit(end, cx),
            Ending::AwaitingPermit(_) => Phase::Live(self),
            Ending::Leaving | Ending::Lingering { .. } => self.close(end, cx),
        }
    }

    /// Ends the session, or asks for the permit that such an end needs. Somebody who leaves anyway is
    /// not made to come back, and needs none.
    pub(super) fn end(self: Box<Self>, end: End, cx: &mut Context<'_>) -> Phase {
        match end.reason.needs_permit() && matches!(self.ending, Ending::Open) {
            true => self.await_permit(end, cx),
            false => self.close(end, cx),
        }
    }

    fn await_permit(mut self: Box<Self>, end: End, cx: &mut Context<'_>) -> Phase {
        self.give_up(cx);
        cx.actions.failure_close(end.reason);
        self.ending = Ending::AwaitingPermit(Box::new(end));
        self.note_reading(&cx.rules.limits, cx.now);
        Phase::Live(self)
    }

    /// The end that was waited for may come now.
    pub(crate) fn handle_permit(mut self: Box<Self>, cx: &mut Context<'_>) -> Phase {
        match std::mem::replace(&mut self.ending, Ending::Open) {
            Ending::AwaitingPermit(end) => self.close(*end, cx),
            ending => {
                self.ending = ending;
                Phase::Live(self)
            }
        }
    }

    /// Nothing of what waits will be released.
    fn give_up(&mut self, cx: &mut Context<'_>) {
        for ticket in self.queue.abandon(cx.actions) {
            cx.actions.settled(ticket, Fate::Closed);
        }
        self.abandon_recheck(cx);
    }

    /// Ends the session now. The broker leg is closed without a DISCONNECT, so that the broker
    /// publishes the will [MQTT-3.1.2-8], unless the client's own DISCONNECT has gone before, or the
    /// operator wants no will after such an ending.
    pub(crate) fn close(mut self: Box<Self>, end: End, cx: &mut Context<'_>) -> Phase {
        self.give_up(cx);
        if self.has_will && end.reason.suppresses_will(cx.rules) {
            cx.actions
                .write_broker(reply::will_suppression(self.version));
        }
        let code = end.code.or_else(|| end.reason.disconnect_code());
        if let (Version::V5, Some(code)) = (self.version, code) {
            cx.actions.write_client(self.farewell(code, &end));
        }
        cx.actions.close(end.reason);
        Phase::Closed
    }

    /// What only explains is left out if the client has no room for it [MQTT-3.14.2-3].
    fn farewell(&self, code: ReasonCode, end: &End) -> bytes::Bytes {
        let (why, instead) = (
            end.reason_string.as_deref(),
            end.server_reference.as_deref(),
        );
        [(why, instead), (None, instead)]
            .into_iter()
            .map(|(why, instead)| disconnect::encode_v5(code, why, instead))
            .find(|packet| packet.len() <= self.client_takes)
            .unwrap_or_else(|| disconnect::encode_v5(code, None, None))
    }
}
