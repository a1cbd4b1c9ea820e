//! Packets of the client: into the line, or past it.

use std::num::NonZeroU16;

use crate::{
    action::{Admitted, Exempt},
    frame::{Frame, PacketType},
    gatekeeper::{Context, Phase},
    inflight::Request,
    keepalive::Owner,
    question::Version,
    queue::Packet,
    violation::Violation,
    wire::{
        RawProperties,
        ack::{self, Ack},
        auth, unsubscribe,
    },
};

use super::{End, Ending, Live, withdraw::report_unsubscribed};

impl Live {
    pub(crate) fn handle_client_frame(
        mut self: Box<Self>,
        frame: Frame,
        cx: &mut Context<'_>,
    ) -> Phase {
        self.keep_alive.heard_client(cx.now);
        match self.take_client_frame(frame, cx) {
            Ok(()) => self.proceed(cx),
            Err(end) => self.end(end, cx),
        }
    }

    pub(super) fn take_client_frame(
        &mut self,
        frame: Frame,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        if !matches!(self.ending, Ending::Open) {
            // Nothing follows a DISCONNECT [MQTT-3.14.4-1].
            return Ok(());
        }
        let frame = frame.shelved(&mut self.shelf, self.queue.bytes());
        match frame.kind() {
            PacketType::Publish => self.take_publish(frame, cx),
            PacketType::Subscribe => self.take_subscribe(frame, cx),
            PacketType::Unsubscribe => self.take_unsubscribe(frame, cx),
            PacketType::Pubrel => {
                let id = self.read_ack(&frame, cx)?.packet_id;
                self.inflight.releasing(id);
                self.stand_in_line(Packet::Pubrel(id, frame.into_canonical()), cx);
                Ok(())
            }
            // The client's answers to what the broker sent do not wait for decisions about what the
            // client sends: the broker's flow control hangs on them.
            PacketType::Puback | PacketType::Pubrec | PacketType::Pubcomp => {
                let ack = self.read_ack(&frame, cx)?;
                let bytes = if ack.corrected {
                    ack.encode()
                } else {
                    frame.into_canonical()
                };
                self.forward(Admitted::exempt(Exempt::Acknowledgement, bytes), cx);
                self.client_acknowledged(&ack, cx);
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
                Err(Violation::protocol("packet that only a server sends", "§2.1.2").into())
            }
        }
    }

    fn take_unsubscribe(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let unsubscribe = unsubscribe::read(&frame, self.version, cx.rules.limits.filters())?;
        check_user_properties(&unsubscribe.raw_properties, cx)?;
        let id = unsubscribe.packet_id;
        if self.has_to_wait(id) {
            return self.set_aside(frame);
        }
        if self.is_sent_again(&frame, id, Request::Unsubscribe) {
            return Ok(());
        }
        self.inflight.request(id, Request::Unsubscribe)?;
        for filter in &unsubscribe.filters {
            if self.subscriptions.leave(filter.full()) {
                report_unsubscribed(filter.full().clone(), cx);
            }
        }
        let outgoing = frame.into_canonical();
        self.stand_in_line(Packet::Unsubscribe(unsubscribe, outgoing), cx);
        Ok(())
    }

    fn take_disconnect(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let goodbye = self.goodbye(frame, cx)?;
        self.stand_in_line(Packet::Disconnect(goodbye), cx);
        self.ending = Ending::Leaving;
        Ok(())
    }

    fn read_ack(&self, frame: &Frame, cx: &Context<'_>) -> Result<Ack, Violation> {
        let ack = ack::read(frame, self.version)?;
        check_user_properties(&ack.raw_properties, cx)?;
        Ok(ack)
    }

    /// MQTT 3.1 lets a client send a SUBSCRIBE or an UNSUBSCRIBE again, with DUP. The answer to the
    /// first one is under way, and answers both.
    pub(super) fn is_sent_again(&self, frame: &Frame, id: NonZeroU16, request: Request) -> bool {
        const DUP: u8 = 0b1000;

        self.version == Version::V31
            && frame.flags() & DUP != 0
            && self.inflight.is_request(id, request)
    }

    fn refuse_auth(&self, frame: &Frame) -> Violation {
        match auth::read(frame, self.version) {
            Err(violation) => violation,
            Ok(_) => Violation::protocol("AUTH without an authentication method", "MQTT-4.12.0-7"),
        }
    }

    /// Lets a packet wait for its turn that nobody is asked about.
    pub(super) fn stand_in_line(&mut self, packet: Packet, cx: &Context<'_>) {
        self.queue.push(cx.tickets.peek(), packet);
    }
}

/// Only MQTT 5 has any.
pub(super) fn check_user_properties(
    properties: &RawProperties,
    cx: &Context<'_>,
) -> Result<(), Violation> {
    properties.check_user_properties(cx.rules.limits.user_properties())
}
