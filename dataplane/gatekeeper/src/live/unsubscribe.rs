//! UNSUBSCRIBE and UNSUBACK. No permission may block leaving [MQTT-3.10.4-1]; a session with a mount
//! leaves what it subscribed to, under the name that it has at the broker.

use bytes::Bytes;

use crate::{
    action::{Admitted, Exempt},
    frame::Frame,
    gatekeeper::Context,
    inflight::Request,
    violation::Violation,
    wire::{unsuback, unsubscribe::Unsubscribe},
};

use super::{End, Live, downlink::broker_fault};

/// An UNSUBSCRIBE that grew below the mount.
pub(super) const TOO_LARGE: Violation = Violation::too_large(
    "UNSUBSCRIBE with its filters below the mount",
    "MQTT-3.2.2-15",
);

impl Live {
    pub(super) fn release_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe,
        outgoing: Bytes,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let (bytes, filters) = match &mut self.namespace {
            None => (outgoing, unsubscribe.filters.len()),
            Some(namespace) => namespace.unsubscribes(unsubscribe)?,
        };
        if bytes.len() > self.broker_takes {
            // Nothing was left, and MQTT 3.x could only be told that it was.
            return Err(TOO_LARGE.into());
        }
        self.unsubscribes.insert(unsubscribe.packet_id, filters);
        self.forward(Admitted::exempt(Exempt::Unsubscribe, bytes), cx);
        Ok(())
    }

    pub(super) fn complete_unsuback(
        &mut self,
        frame: Frame,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let unsuback = unsuback::read(&frame, self.version).map_err(broker_fault)?;
        let Some(filters) = self.unsubscribes.remove(&unsuback.packet_id) else {
            return Err(broker_fault(Violation::protocol(
                "UNSUBACK for no UNSUBSCRIBE",
                "MQTT-3.10.4-4",
            )));
        };
        if !self.version.is_v3() && unsuback.codes.len() != filters {
            return Err(broker_fault(Violation::protocol(
                "UNSUBACK with another number of codes than filters",
                "MQTT-3.11.3-1",
            )));
        }
        let codes = match &mut self.namespace {
            None => unsuback.codes.to_vec(),
            Some(namespace) => namespace.unsubscribed(&unsuback, self.version),
        };
        let id = unsuback.packet_id;
        if self.inflight.is_request(id, Request::Withdraw) {
            return self.withdrawn(id, &codes, cx);
        }
        self.inflight.request_answered(id, Request::Unsubscribe);
        let bytes = if codes == unsuback.codes && !unsuback.corrected {
            frame.into_canonical()
        } else {
            unsuback::encode_v5(id, &unsuback.raw_properties, &codes).map_err(|_| {
                let place = "MQTT-3.1.2-24";
                broker_fault(Violation::too_large("UNSUBACK beyond all bounds", place))
            })?
        };
        cx.actions.write_client(bytes);
        Ok(())
    }
}
