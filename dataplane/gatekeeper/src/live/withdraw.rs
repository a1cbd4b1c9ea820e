//! What stands at the broker and is no longer allowed: the gate sends an UNSUBSCRIBE of its own and
//! keeps the UNSUBACK for itself.
//!
//! Its packet identifiers come out of the one space that client and gate share towards the broker
//! [MQTT-2.2.1-2]. Nothing of the client's is numbered anew: a packet under an identifier that the gate
//! uses waits, and what is behind it is not read.

use std::{num::NonZeroU16, time::Instant};

use bytestring::ByteString;

use crate::{
    action::{Admitted, Event, Exempt},
    frame::Frame,
    gatekeeper::Context,
    inflight::Request,
    reason::ReasonCode,
    revocation::Revocation,
    subscriptions::Withdrawn,
    topic::TopicFilter,
    wire::{RawProperties, unsubscribe::Unsubscribe},
};

use super::{End, Live};

/// The UNSUBSCRIBE packets of the gate that the broker has not answered.
#[derive(Debug, Default)]
pub(super) struct Withdrawals {
    /// In the order in which they left.
    sent: Vec<(NonZeroU16, Instant)>,
    /// A packet of the client under an identifier that one of them has.
    set_aside: Option<Box<Frame>>,
}

impl Withdrawals {
    /// Whether the broker has answered all of them.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Whether a packet of the client waits for one of them.
    pub(super) fn hold_up_the_client(&self) -> bool {
        self.set_aside.is_some()
    }
}

impl Live {
    /// Leaves a filter in the place of the client. Who can't be made to leave is ended.
    pub(super) fn withdraw(
        &mut self,
        withdrawn: Withdrawn,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let Withdrawn { filter, granted } = withdrawn;
        let filter = ByteString::from(String::from(filter));
        if granted {
            report_unsubscribed(filter.clone(), cx);
        }
        let max_levels = cx.rules.limits.max_topic_levels;
        let parsed =
            TopicFilter::parse(filter.clone(), self.version, max_levels).map_err(|_| unable())?;
        let packet_id = self
            .inflight
            .request_own(Request::Withdraw)
            .ok_or_else(unable)?;
        let unsubscribe = Unsubscribe {
            version: self.version,
            packet_id,
            filters: vec![parsed],
            raw_properties: RawProperties::default(),
        };
        let (bytes, filters) = match &mut self.namespace {
            None => {
                let bytes = unsubscribe.encode_with([&*filter]);
                (bytes.map_err(|_| unable())?, 1)
            }
            Some(namespace) => namespace.unsubscribes(&unsubscribe).map_err(|_| unable())?,
        };
        if bytes.len() > self.broker_takes {
            return Err(unable());
        }
        self.unsubscribes.insert(packet_id, filters);
        self.withdrawals.sent.push((packet_id, cx.now));
        self.forward(Admitted::exempt(Exempt::Withdraw, bytes), cx);
        Ok(())
    }

    /// The broker has answered one. The client's packet that waited for the identifier is taken now.
    pub(super) fn withdrawn(
        &mut self,
        id: NonZeroU16,
        codes: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        self.inflight.request_answered(id, Request::Withdraw);
        self.withdrawals.sent.retain(|(sent, _)| *sent != id);
        if codes.iter().any(|code| ReasonCode::new(*code).is_refusal()) {
            return Err(unable());
        }
        match self.withdrawals.set_aside.take() {
            Some(frame) => self.take_client_frame(*frame, cx),
            None => Ok(()),
        }
    }

    /// When a broker that does not answer has to be given up: it may deliver still.
    pub(super) fn withdrawal_deadline(&self) -> Option<Instant> {
        let (_, sent) = self.withdrawals.sent.first()?;
        self.keep_alive.answer_deadline(*sent)
    }

    /// Whether the gate uses the identifier of a client's packet.
    pub(super) fn has_to_wait(&self, id: NonZeroU16) -> bool {
        self.inflight.is_request(id, Request::Withdraw)
    }

    /// Lets a packet of the client wait for its identifier.
    pub(super) fn set_aside(&mut self, frame: Frame) -> Result<(), End> {
        self.withdrawals.set_aside = Some(Box::new(frame));
        Ok(())
    }
}

/// Tells of a subscription that is left, if that is wanted.
pub(super) fn report_unsubscribed(filter: ByteString, cx: &mut Context<'_>) {
    if cx.rules.report_subscriptions {
        cx.actions.note(Event::Unsubscribed { filter });
    }
}

/// What is no longer allowed can't be left alone.
fn unable() -> End {
    End::revoked(Revocation::default(), false)
}
