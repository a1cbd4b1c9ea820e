//! What a session tells of itself afterwards, if anybody wants to hear of it.

use std::collections::VecDeque;

use bytestring::ByteString;
use gatekeeper::{CloseReason, Fate, PublishQuestion, QoS, Ticket};
use tidegate_proto::v1::EventKind;

use crate::events::{Events, Happened, SessionField};

use super::client::Client;

/// The events of one session. Nothing is kept, and nothing is told, before the broker has accepted it.
#[derive(Debug)]
pub(super) struct Reports {
    events: Events,
    told: Option<Box<Told>>,
}

/// What is needed of a session to tell of it.
#[derive(Debug)]
struct Told {
    session: SessionField,
    /// Messages that were asked about, in order. As many as the gatekeeper lets wait.
    published: VecDeque<Published>,
}

#[derive(Debug)]
struct Published {
    ticket: Ticket,
    topic: ByteString,
    qos: QoS,
    payload_size: u32,
}

impl Reports {
    pub(super) fn new(events: &Events) -> Self {
        Self {
            events: events.clone(),
            told: None,
        }
    }

    /// The broker has accepted the session.
    pub(super) fn connected(&mut self, client: &Client) {
        if self.events.is_enabled() {
            let session = client.as_told(self.events.with_state());
            self.events.tell(&session, Happened::Connected);
            self.told = Some(Box::new(Told {
                session,
                published: VecDeque::new(),
            }));
        }
    }

    /// A message is being asked about.
    pub(super) fn asked(&mut self, ticket: Ticket, question: &PublishQuestion) {
        if let Some(told) = &mut self.told
            && self.events.wants(EventKind::Published)
        {
            told.published.push_back(Published {
                ticket,
                topic: question.topic.clone(),
                qos: question.qos,
                payload_size: u32::try_from(question.payload_size).unwrap_or(u32::MAX),
            });
        }
    }

    /// The fate of a packet is known.
    pub(super) fn settled(&mut self, ticket: Ticket, fate: Fate) {
        let Some(told) = &mut self.told else {
            return;
        };
        let published = &mut told.published;
        if let Ok(index) = published.binary_search_by_key(&ticket, |published| published.ticket)
            && let Some(published) = published.remove(index)
            && fate == Fate::Forwarded
        {
            let happened = Happened::Published {
                topic: published.topic.into_bytes(),
                qos: published.qos,
                payload_size: published.payload_size,
            };
            self.events.tell(&told.session, happened);
        }
    }

    pub(super) fn subscribed(&self, filter: ByteString, qos: QoS) {
        let filter = filter.into_bytes();
        self.tell(Happened::Subscribed { filter, qos });
    }

    pub(super) fn unsubscribed(&self, filter: ByteString) {
        let filter = filter.into_bytes();
        self.tell(Happened::Unsubscribed { filter });
    }

    /// The session has ended.
    pub(super) fn closed(&self, cause: CloseReason) {
        self.tell(Happened::Disconnected { cause });
    }

    fn tell(&self, happened: Happened) {
        if let Some(told) = &self.told {
            self.events.tell(&told.session, happened);
        }
    }
}
