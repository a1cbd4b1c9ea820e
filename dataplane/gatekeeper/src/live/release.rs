//! Out of the line, in order.
//!
//! What becomes of a PUBLISH is in [`publish`](super::publish), of a SUBSCRIBE in
//! [`subscribe`](super::subscribe).

use std::num::NonZeroU16;

use bytes::Bytes;

use crate::{
    action::{Admitted, Exempt, Fate},
    close::CloseReason,
    gatekeeper::Context,
    inflight::Release,
    question::QoS,
    queue::Packet,
    reason::ReasonCode,
    reply,
    verdict::{Deny, Why},
};

use super::{End, Live, outlet};

impl Live {
    /// Lets out every packet at the head of the line about which all is known.
    pub(super) fn release(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while let Some(packet) = self.queue.pop_ripe(cx.now, cx.actions) {
            match packet {
                Packet::Publish(pending) => {
                    let ticket = pending.ticket;
                    let fate = self.release_publish(pending, cx);
                    cx.actions
                        .settled(ticket, *fate.as_ref().unwrap_or(&Fate::Closed));
                    fate?;
                }
                Packet::Refused(message, code) => {
                    self.release_refused(message, code, cx)?;
                }
                Packet::Repeat(id) => self.repeat_pubrec(id, cx),
                Packet::Subscribe(pending) => {
                    let asked = !pending.answers.is_empty();
                    let ticket = pending.ticket;
                    let fate = self.release_subscribe(pending, cx);
                    if asked {
                        cx.actions
                            .settled(ticket, *fate.as_ref().unwrap_or(&Fate::Closed));
                    }
                    fate?;
                }
                Packet::Unsubscribe(unsubscribe, bytes) => {
                    self.release_unsubscribe(&unsubscribe, bytes, cx)?;
                }
                Packet::Pubrel(id, bytes) => self.release_pubrel(id, bytes, cx),
                Packet::Disconnect(bytes) => {
                    self.forward(Admitted::exempt(Exempt::Disconnect, bytes), cx);
                    return Err(CloseReason::ClientDisconnect.into());
                }
            }
        }
        Ok(())
    }

    /// Who said PUBREC answers the PUBREL. For one that belongs to nothing MQTT 5 has a code; but the
    /// broker may know it from a former connection, and MQTT 3 leaves it to the broker.
    fn release_pubrel(&mut self, id: NonZeroU16, bytes: Bytes, cx: &mut Context<'_>) {
        let forwards_unknown = self.resumed || self.version.is_v3();
        match self.inflight.release(id, forwards_unknown) {
            Release::Forward => self.forward(Admitted::exempt(Exempt::Release, bytes), cx),
            Release::Answer { code, owed } => {
                if owed {
                    self.acks.forget(id, outlet(&mut self.inflight, cx));
                }
                cx.actions
                    .write_client(reply::pubcomp(self.version, id, code));
            }
        }
    }

    /// [MQTT-4.3.3-10]
    fn repeat_pubrec(&mut self, id: NonZeroU16, cx: &mut Context<'_>) {
        match self.inflight.pubrec_code(id) {
            Some(code) => self.acknowledge(QoS::ExactlyOnce, id, code, None, cx),
            None => self.acks.repeat(id),
        }
    }
}

/// A client whose packet would fail for ever is denied, so that it does not come back in a loop.
pub(super) fn denial_of_a_permanent_failure(why: Why) -> Option<Deny> {
    why.is_permanent().then(|| Deny {
        code: (why == Why::TooLarge).then_some(ReasonCode::PACKET_TOO_LARGE),
        ..Deny::default()
    })
}
