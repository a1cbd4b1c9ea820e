//! Packets of the broker: passed on as they are, but for what the gate has to complete or keep.

use crate::{
    close::CloseReason,
    frame::{Frame, PacketType},
    gatekeeper::{Context, Phase},
    keepalive::Owner,
    question::{QoS, Version},
    reason::ReasonCode,
    violation::Violation,
    wire::{RawProperties, ack, disconnect, suback},
};

use super::{End, Live};

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
            PacketType::Pubrel | PacketType::Pubcomp => {
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
                disconnect::read(&frame, self.version).map_err(broker_fault)?;
                cx.actions.write_client(frame.into_canonical());
                return Err(CloseReason::BrokerDisconnect.into());
            }
            _ => {
                return Err(broker_fault(Violation::protocol(
                    "packet that this broker may not send now",
                    "MQTT-2.1.2",
                )));
            }
        }
        Ok(())
    }

    /// An acknowledgement of the broker, and those of the gate that waited behind it.
    fn pass_ack(&mut self, qos: QoS, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let ack = ack::read(&frame, self.version).map_err(broker_fault)?;
        cx.actions.write_client(frame.into_canonical());
        self.acks.passed(qos, ack.packet_id, cx.actions);
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
        if suback.codes.len() != plan.forwarded() {
            return Err(broker_fault(Violation::protocol(
                "SUBACK with another number of codes than filters",
                "MQTT-3.8.4-6",
            )));
        }
        if let Some(namespace) = &mut self.namespace {
            namespace.subscribed(suback.packet_id, &suback.codes);
        }
        if plan.forwarded() == plan.slots.len() {
            cx.actions.write_client(frame.into_canonical());
            return Ok(());
        }
        let mut granted = suback.codes.iter().copied();
        let codes: Vec<u8> = plan
            .slots
            .into_iter()
            .filter_map(|slot| match slot {
                Some(refused) => Some(self.suback_code(refused)),
                None => granted.next(),
            })
            .collect();
        let encode = |properties: &RawProperties| {
            suback::encode(self.version, suback.packet_id, properties, &codes).map_err(|_| {
                broker_fault(Violation::too_large(
                    "SUBACK beyond all bounds",
                    "MQTT-3.2.2-15",
                ))
            })
        };
        let mut bytes = encode(&suback.raw_properties)?;
        if bytes.len() > self.client_takes {
            bytes = encode(&RawProperties::default())?;
        }
        cx.actions.write_client(bytes);
        Ok(())
    }

    fn suback_code(&self, refused: ReasonCode) -> u8 {
        match self.version {
            Version::V31 | Version::V311 => 0x80,
            Version::V5 => refused.get(),
        }
    }
}

pub(super) fn broker_fault(violation: Violation) -> End {
    CloseReason::BrokerViolation(violation).into()
}
