//! PUBLISH from the broker.
//!
//! It is read as strictly as one of the client: what a careless publisher got past the broker must
//! not reach a client whose decoder is worse. Without a mount it then passes byte by byte.

use crate::{
    action::{Admitted, Event, Exempt},
    frame::{Frame, PacketType},
    gatekeeper::Context,
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
            // A new message under the identifier of one that the broker never released.
            namespace.release(id);
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
        namespace.withhold(publish.qos, id);
        let success = ReasonCode::SUCCESS;
        let ack = reply::publish_ack(self.version, publish.qos, id, success, None);
        self.forward(Admitted::exempt(Exempt::Acknowledgement, ack), cx);
    }

    /// Answers the PUBREL of a message that the client never saw. Tells whether it was one.
    pub(super) fn completes_withheld(&mut self, ack: &Ack, cx: &mut Context<'_>) -> bool {
        let is_withheld = ack.kind == PacketType::Pubrel
            && self
                .namespace
                .as_mut()
                .is_some_and(|namespace| namespace.release(ack.packet_id));
        if is_withheld {
            let pubcomp = reply::pubcomp(self.version, ack.packet_id);
            self.forward(Admitted::exempt(Exempt::Acknowledgement, pubcomp), cx);
        }
        is_withheld
    }
}

fn too_large() -> End {
    let violation = Violation::too_large("PUBLISH beyond all bounds", "MQTT-3.1.2-24");
    broker_fault(violation)
}
