//! PUBLISH from the broker.
//!
//! It is read as strictly as one of the client: what a careless publisher got past the broker must
//! not reach a client whose decoder is worse. Without a mount it then passes byte by byte, in the
//! client's Receive Maximum. Its Maximum Packet Size is the broker's to keep: Mosquitto counts a PUBLISH
//! without its fixed header, and its clients live with that. Only what the gate has changed is held
//! against it.

use bytes::Bytes;

use crate::{
    action::{Admitted, Event, Exempt},
    frame::{Frame, PacketType},
    gatekeeper::Context,
    question::QoS,
    reason::ReasonCode,
    reply,
    violation::Violation,
    wire::{
        ack::Ack,
        publish::{self, Publish},
    },
};

use super::{
    End, Ending, Live,
    downlink::broker_fault,
    namespace::View,
    window::{Delivery, Turn},
};

impl Live {
    pub(super) fn deliver(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let mut publish = publish::read(&frame, self.version).map_err(broker_fault)?;
        if matches!(self.ending, Ending::AwaitingPermit(_)) {
            // As after the end: what stands may have been doubted, and nobody decided. A broker that
            // keeps the session will send again what was not acknowledged.
            return Ok(());
        }
        let Some(bytes) = self.seen(frame, &mut publish)? else {
            return self.withhold(&publish, cx);
        };
        if let Some(id) = publish.packet_id {
            self.withheld.delivers(publish.qos, id);
        }
        let delivery = Delivery {
            id: publish.packet_id,
            expiry: publish.message_expiry,
            bytes,
        };
        let max_bytes = cx.rules.limits.window_bytes;
        match self.window.offer(delivery, max_bytes, cx.now) {
            Turn::Now(bytes) => cx.actions.write_client(bytes),
            Turn::Later => {}
            // QoS 0 is no promise, and a broker may send as much of it as it likes.
            Turn::Never if publish.qos == QoS::AtMostOnce => return self.withhold(&publish, cx),
            Turn::Never => {
                return Err(broker_fault(Violation::new(
                    ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
                    "far more deliveries than the client's Receive Maximum",
                    "MQTT-3.3.4-9",
                )));
            }
        }
        Ok(())
    }

    /// The delivery as the client is to see it; `None` if the client has no name for it, or if its name
    /// makes it too large for the client [MQTT-3.1.2-25].
    fn seen(&self, frame: Frame, publish: &mut Publish) -> Result<Option<Bytes>, End> {
        let Some(namespace) = &self.namespace else {
            return Ok(Some(frame.into_canonical()));
        };
        if publish.topic_alias.is_some() {
            // A name that was left out could not be looked at, so the broker was offered none.
            return Err(broker_fault(Violation::protocol(
                "Topic Alias from a broker that was offered none",
                "MQTT-3.1.2-27",
            )));
        }
        match namespace.view(publish) {
            View::AsSent => Ok(Some(frame.into_canonical())),
            View::Renamed(topic, properties) => {
                publish.topic = topic;
                publish.raw_properties = properties;
                let bytes = publish.encode().map_err(|_| too_large())?;
                Ok((bytes.len() <= self.client_takes).then_some(bytes))
            }
            View::Withheld => Ok(None),
        }
    }

    /// The client does not get it: the gate takes it instead.
    fn withhold(&mut self, publish: &Publish, cx: &mut Context<'_>) -> Result<(), End> {
        if publish.topic_alias.is_some() && !publish.topic.is_empty() {
            // What comes under the alias later would be taken for something else.
            return Err(broker_fault(Violation::too_large(
                "PUBLISH with a new Topic Alias that does not reach the client",
                "MQTT-3.1.2-24",
            )));
        }
        cx.actions.note(Event::Undeliverable);
        if let Some(id) = publish.packet_id {
            self.withheld.withholds(publish.qos, id);
            self.acknowledge_withheld(publish.qos, cx);
        }
        Ok(())
    }

    /// The client has sent one of the three acknowledgements. What the gate has for the broker, and
    /// what it has for the client, may have waited for it.
    pub(super) fn client_acknowledged(&mut self, ack: &Ack, cx: &mut Context<'_>) {
        let qos = match ack.kind {
            PacketType::Puback => Some(QoS::AtLeastOnce),
            PacketType::Pubrec => Some(QoS::ExactlyOnce),
            // The order of PUBCOMP is that of PUBREL, and those are answered as they come.
            _ => None,
        };
        if let Some(qos) = qos {
            self.withheld.acknowledged(qos, ack.packet_id);
            self.acknowledge_withheld(qos, cx);
        }
        self.window.acknowledged(ack);
        while let Some(bytes) = self.window.next(cx.now) {
            cx.actions.write_client(bytes);
        }
    }

    fn acknowledge_withheld(&mut self, qos: QoS, cx: &mut Context<'_>) {
        while let Some(id) = self.withheld.next_to_acknowledge(qos) {
            let success = ReasonCode::SUCCESS;
            let ack = reply::publish_ack(self.version, qos, id, success, None);
            self.forward(Admitted::exempt(Exempt::Acknowledgement, ack), cx);
        }
    }

    /// Answers the PUBREL of a message that the client never saw. Tells whether it was one.
    pub(super) fn completes_withheld(&mut self, ack: &Ack, cx: &mut Context<'_>) -> bool {
        let is_withheld = ack.kind == PacketType::Pubrel && self.withheld.releases(ack.packet_id);
        if is_withheld {
            let pubcomp = reply::pubcomp(self.version, ack.packet_id, ReasonCode::SUCCESS);
            self.forward(Admitted::exempt(Exempt::Acknowledgement, pubcomp), cx);
        }
        is_withheld
    }
}

fn too_large() -> End {
    let violation = Violation::too_large("PUBLISH beyond all bounds", "MQTT-3.1.2-24");
    broker_fault(violation)
}
