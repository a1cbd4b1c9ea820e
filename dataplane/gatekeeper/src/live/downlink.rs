//! Packets of the broker: passed on as they are, but for what the gate has to complete or keep.

use crate::{
    action::Event,
    close::CloseReason,
    frame::{Frame, PacketType},
    gatekeeper::{Context, Phase},
    inflight::{Completion, Request},
    keepalive::Owner,
    question::{QoS, Version},
    reply,
    violation::Violation,
    wire::{RawProperties, ack, disconnect, suback},
};

use super::{End, Live, outlet};

impl Live {
    pub(crate) fn handle_broker_frame(
        mut self: Box<Self>,
        frame: Frame,
        cx: &mut Context<'_>,
    ) -> Phase {
        self.keep_alive.heard_broker(cx.now);
        match self.take_broker_frame(frame, cx) {
            Ok(()) => self.proceed(cx),
            Err(end) => self.close(end, cx),
        }
    }

    fn take_broker_frame(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        match frame.kind() {
            PacketType::Publish => self.deliver(frame, cx)?,
            PacketType::Puback => self.pass_ack(QoS::AtLeastOnce, frame, cx)?,
            PacketType::Pubrec => self.pass_ack(QoS::ExactlyOnce, frame, cx)?,
            PacketType::Pubcomp => self.take_pubcomp(frame, cx)?,
            PacketType::Pubrel => {
                let ack = ack::read(&frame, self.version).map_err(broker_fault)?;
                if !self.completes_withheld(&ack, cx) {
                    cx.actions.write_client(frame.into_canonical());
                }
            }
            PacketType::Suback => self.complete_suback(frame, cx)?,
            PacketType::Unsuback => self.complete_unsuback(frame, cx)?,
            PacketType::Pingresp => {
                frame.check_minimal(self.version).map_err(broker_fault)?;
                if self.keep_alive.pong() == Some(Owner::Client) {
                    cx.actions.write_client(frame.into_canonical());
                }
            }
            PacketType::Disconnect if self.version == Version::V5 => {
                let goodbye = disconnect::read(&frame, self.version).map_err(broker_fault)?;
                let passed = goodbye.for_client(cx.rules.pass_server_reference);
                cx.actions
                    .write_client(passed.unwrap_or_else(|| frame.into_canonical()));
                return Err(CloseReason::BrokerDisconnect.into());
            }
            _ => {
                return Err(broker_fault(Violation::protocol(
                    "packet that this broker may not send now",
                    "§2.1.2",
                )));
            }
        }
        Ok(())
    }

    /// An acknowledgement of the broker, and those of the gate that waited behind it.
    fn pass_ack(&mut self, qos: QoS, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let ack = ack::read(&frame, self.version).map_err(broker_fault)?;
        let id = ack.packet_id;
        let bytes = if ack.corrected {
            ack.encode()
        } else {
            frame.into_canonical()
        };
        cx.actions.write_client(bytes);
        match qos {
            QoS::ExactlyOnce if self.inflight.pubrec(id, ack.code) => {
                let again = reply::publish_ack(self.version, qos, id, ack.code, None);
                self.acks.known(id, &again);
            }
            QoS::ExactlyOnce => {}
            QoS::AtLeastOnce | QoS::AtMostOnce => self.inflight.puback(id),
        }
        self.acks.passed(qos, id, outlet(&mut self.inflight, cx));
        Ok(())
    }

    fn take_pubcomp(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let id = ack::read(&frame, self.version)
            .map_err(broker_fault)?
            .packet_id;
        match self.inflight.pubcomp(id) {
            Completion::Pass { owed } => {
                cx.actions.write_client(frame.into_canonical());
                if owed {
                    self.acks.forget(id, outlet(&mut self.inflight, cx));
                }
            }
            // Whatever its code: the broker holds nothing now. The client never sent a PUBREL.
            Completion::Purged => self.acks.purged(id, outlet(&mut self.inflight, cx)),
        }
        Ok(())
    }

    /// One code per filter of the client's packet, in its order: the broker's where the filter went
    /// to it, the gate's where it did not [MQTT-3.9.3-1].
    fn complete_suback(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let suback = suback::read(&frame, self.version).map_err(broker_fault)?;
        let Some(plan) = self.subscribes.remove(&suback.packet_id) else {
            return Err(broker_fault(Violation::protocol(
                "SUBACK for no SUBSCRIBE",
                "MQTT-3.8.4-2",
            )));
        };
        if suback.codes.len() != plan.forwarded.len() {
            return Err(broker_fault(Violation::protocol(
                "SUBACK with another number of codes than filters",
                "MQTT-3.8.4-6",
            )));
        }
        self.inflight
            .request_answered(suback.packet_id, Request::Subscribe);
        for (reserved, code) in plan.forwarded.iter().zip(&suback.codes) {
            let granted = QoS::from_bits(*code);
            let filter = self.subscriptions.answered(*reserved, granted);
            if let (true, Some(filter), Some(qos)) =
                (cx.rules.report_subscriptions, filter, granted)
            {
                let filter = filter.into();
                cx.actions.note(Event::Subscribed { filter, qos });
            }
        }
        if let Some(namespace) = &mut self.namespace {
            namespace.subscribed(suback.packet_id, &suback.codes);
        }
        let codes = plan.merge(self.version, &suback.codes);
        if codes == suback.codes && !suback.corrected {
            cx.actions.write_client(frame.into_canonical());
            return Ok(());
        }
        let encode = |properties: &RawProperties| {
            suback::encode(self.version, suback.packet_id, properties, &codes).map_err(|_| {
                broker_fault(Violation::too_large("SUBACK beyond all bounds", "§2.1.4"))
            })
        };
        let mut bytes = encode(&suback.raw_properties)?;
        if bytes.len() > self.client_takes {
            bytes = encode(&RawProperties::default())?;
        }
        cx.actions.write_client(bytes);
        Ok(())
    }
}

pub(super) fn broker_fault(violation: Violation) -> End {
    CloseReason::BrokerViolation(violation).into()
}
