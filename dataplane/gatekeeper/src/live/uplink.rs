//! Packets of the client: into the line, or past it.

use std::num::NonZeroU16;

use crate::{
    action::{Admitted, Exempt},
    frame::{Frame, PacketType},
    gatekeeper::{Context, Phase},
    keepalive::Owner,
    question::{FilterQuestion, Question, SubscribeQuestion},
    queue::{Answer, Message, Packet, PendingPublish, PendingSubscribe, publish_question},
    topic::{self, Parsed},
    violation::Violation,
    wire::{
        ack, auth, disconnect, publish,
        subscribe::{self, Subscribe},
        unsubscribe,
    },
};

use super::{End, Ending, Live};

impl Live {
    pub(crate) fn handle_client_frame(
        mut self: Box<Self>,
        frame: Frame,
        cx: &mut Context<'_>,
    ) -> Phase {
        self.keep_alive.heard_client(cx.now);
        match self.take_client_frame(frame, cx) {
            Ok(()) => self.proceed(cx),
            Err(end) => self.close(end, cx),
        }
    }

    fn take_client_frame(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        if !matches!(self.ending, Ending::Open) {
            // Nothing follows a DISCONNECT [MQTT-3.14.4-1].
            return Ok(());
        }
        let frame = frame.unpinned();
        match frame.kind() {
            PacketType::Publish => self.take_publish(frame, cx),
            PacketType::Subscribe => self.take_subscribe(frame, cx),
            PacketType::Unsubscribe => self.take_unsubscribe(frame, cx),
            PacketType::Pubrel => {
                let id = self.read_ack(&frame)?;
                let packet = Packet::Pubrel(id, frame.into_canonical());
                self.stand_in_line(packet, cx);
                Ok(())
            }
            // The client's answers to what the broker sent do not wait for decisions about what the
            // client sends: the broker's flow control hangs on them.
            PacketType::Puback | PacketType::Pubrec | PacketType::Pubcomp => {
                let (kind, id) = (frame.kind(), self.read_ack(&frame)?);
                let bytes = frame.into_canonical();
                self.forward(Admitted::exempt(Exempt::Acknowledgement, bytes), cx);
                self.client_acknowledged(kind, id, cx);
                Ok(())
            }
            // Passed on, so that the PINGRESP proves the whole way.
            PacketType::Pingreq => {
                frame.check_minimal(self.version)?;
                self.ping(Owner::Client, cx);
                Ok(())
            }
            PacketType::Disconnect => self.take_disconnect(frame, cx),
            PacketType::Connect => {
                Err(Violation::protocol("second CONNECT", "MQTT-3.1.0-2").into())
            }
            PacketType::Auth => Err(self.refuse_auth(&frame).into()),
            PacketType::Connack
            | PacketType::Suback
            | PacketType::Unsuback
            | PacketType::Pingresp => {
                Err(Violation::protocol("packet that only a server sends", "MQTT-2.1.2").into())
            }
        }
    }

    fn take_publish(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let publish = publish::read(&frame, self.version)?;
        let name = self.aliases.resolve(&publish.topic, publish.topic_alias)?;
        topic::check_levels(&name, cx.rules.limits.max_topic_levels)?;
        let outgoing = if publish.topic_alias.is_none() {
            frame.into_canonical()
        } else {
            publish
                .encode_with_topic(&name)
                .map_err(|_| Violation::too_large("packet with its alias resolved", "§3.3.2.3.4"))?
        };
        let question = Question::Publish(publish_question(&publish, name));
        let ticket = cx.tickets.ask(question, cx.actions);
        let pending = PendingPublish {
            ticket,
            message: Message {
                qos: publish.qos,
                dup: publish.dup,
                id: publish.packet_id,
            },
            outgoing,
            answer: Answer::Pending(cx.now + cx.rules.deadlines.publish),
        };
        self.queue.push(ticket, Packet::Publish(pending));
        Ok(())
    }

    fn take_subscribe(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let subscribe = subscribe::read(&frame, self.version, cx.rules.limits.filters())?;
        let outgoing = frame.into_canonical();
        let question = subscribe_question(&subscribe);
        let count = question.filters.len();
        let ticket = if count == 0 {
            cx.tickets.peek()
        } else {
            cx.tickets.ask(Question::Subscribe(question), cx.actions)
        };
        let until = cx.now + cx.rules.deadlines.subscribe;
        let pending = PendingSubscribe {
            ticket,
            subscribe,
            outgoing,
            answers: vec![Answer::Pending(until); count],
        };
        self.queue.push(ticket, Packet::Subscribe(pending));
        Ok(())
    }

    fn take_unsubscribe(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        unsubscribe::read(&frame, self.version, cx.rules.limits.filters())?;
        self.stand_in_line(Packet::Unsubscribe(frame.into_canonical()), cx);
        Ok(())
    }

    fn take_disconnect(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let goodbye = disconnect::read(&frame, self.version)?;
        if goodbye.session_expiry.is_some_and(|expiry| expiry > 0) && !self.keeps_session {
            return Err(Violation::protocol(
                "DISCONNECT raises the session expiry interval from 0",
                "MQTT-3.14.2-2",
            )
            .into());
        }
        self.stand_in_line(Packet::Disconnect(frame.into_canonical()), cx);
        self.ending = Ending::Leaving;
        Ok(())
    }

    fn read_ack(&self, frame: &Frame) -> Result<NonZeroU16, Violation> {
        ack::read(frame, self.version).map(|ack| ack.packet_id)
    }

    fn refuse_auth(&self, frame: &Frame) -> Violation {
        match auth::read(frame, self.version) {
            Err(violation) => violation,
            Ok(_) => Violation::protocol("AUTH without an authentication method", "MQTT-4.12.0-7"),
        }
    }

    /// Lets a packet wait for its turn that nobody is asked about.
    fn stand_in_line(&mut self, packet: Packet, cx: &Context<'_>) {
        self.queue.push(cx.tickets.peek(), packet);
    }
}

/// One question per filter that is left to the service.
fn subscribe_question(subscribe: &Subscribe) -> SubscribeQuestion {
    let filters = subscribe
        .filters
        .iter()
        .filter_map(|subscription| match &subscription.parsed {
            Parsed::Filter(filter) => Some(FilterQuestion {
                filter: filter.filter.clone(),
                share_name: filter.share_name.clone(),
                qos: subscription.qos,
                no_local: subscription.no_local,
                retain_as_published: subscription.retain_as_published,
                retain_handling: subscription.retain_handling,
            }),
            Parsed::Refused(_) => None,
        })
        .collect();
    SubscribeQuestion {
        filters,
        user_properties: subscribe.user_properties.clone(),
    }
}
