//! PUBLISH from the broker.
//!
//! It is read as strictly as one of the client: what a careless publisher got past the broker must
//! not reach a client whose decoder is worse. Without a mount it then passes byte by byte.

use std::num::NonZeroU16;

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

use super::{End, Live, downlink::broker_fault, namespace::View};

impl Live {
    pub(super) fn deliver(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let mut publish = publish::read(&frame, self.version).map_err(broker_fault)?;
        let Some(namespace) = &mut self.namespace else {
            cx.actions.write_client(frame.into_canonical());
            return Ok(());
        };
        if publish.topic_alias.is_some() {
            // A name that was left out could not be looked at, so the broker was offered none.
            return Err(broker_fault(Violation::protocol(
                "Topic Alias from a broker that was offered none",
                "MQTT-3.1.2-27",
            )));
        }
        let bytes = match namespace.view(&publish) {
            View::AsSent => frame.into_canonical(),
            View::Renamed(topic, properties) => {
                publish.topic = topic;
                publish.raw_properties = properties;
                // It only gets shorter, so what the client takes need not be looked at
                // [MQTT-3.1.2-24].
                publish.encode().map_err(|_| too_large())?
            }
            View::Withheld => {
                self.withhold(&publish, cx);
                return Ok(());
            }
        };
        if let Some(id) = publish.packet_id {
            namespace.delivers(publish.qos, id);
        }
        cx.actions.write_client(bytes);
        Ok(())
    }

    /// The client has no name for it: the gate takes it instead, so that the broker does not wait.
    /// A refusal would make some brokers try again.
    fn withhold(&mut self, publish: &Publish, cx: &mut Context<'_>) {
        cx.actions.note(Event::Undeliverable);
        let (Some(namespace), Some(id)) = (&mut self.namespace, publish.packet_id) else {
            return;
        };
        namespace.withholds(publish.qos, id);
        self.acknowledge_withheld(publish.qos, cx);
    }

    /// The client has sent one of the three acknowledgements. The gate's own may have waited for it.
    pub(super) fn client_acknowledged(
        &mut self,
        kind: PacketType,
        id: NonZeroU16,
        cx: &mut Context<'_>,
    ) {
        let qos = match kind {
            PacketType::Puback => QoS::AtLeastOnce,
            PacketType::Pubrec => QoS::ExactlyOnce,
            // The order of PUBCOMP is that of PUBREL, and those are answered as they come.
            _ => return,
        };
        if let Some(namespace) = &mut self.namespace {
            namespace.acknowledged(qos, id);
            self.acknowledge_withheld(qos, cx);
        }
    }

    fn acknowledge_withheld(&mut self, qos: QoS, cx: &mut Context<'_>) {
        while let Some(namespace) = &mut self.namespace
            && let Some(id) = namespace.next_to_acknowledge(qos)
        {
            let success = ReasonCode::SUCCESS;
            let ack = reply::publish_ack(self.version, qos, id, success, None);
            self.forward(Admitted::exempt(Exempt::Acknowledgement, ack), cx);
        }
    }

    /// Answers the PUBREL of a message that the client never saw. Tells whether it was one.
    pub(super) fn completes_withheld(&mut self, ack: &Ack, cx: &mut Context<'_>) -> bool {
        let is_withheld = ack.kind == PacketType::Pubrel
            && self
                .namespace
                .as_mut()
                .is_some_and(|namespace| namespace.releases(ack.packet_id));
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
