//! The numbers under which questions are asked.

use bytestring::ByteString;

use crate::{
    action::Actions,
    question::{PublishQuestion, Question, Ticket},
    wire::publish::Publish,
};

/// Hands out the tickets of a session.
#[derive(Debug)]
pub(crate) struct Tickets {
    next: Ticket,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Self { next: Ticket(1) }
    }

    /// The ticket that comes next, without taking it.
    pub(crate) fn peek(&self) -> Ticket {
        self.next
    }

    /// Asks a question under as many tickets as it needs.
    pub(crate) fn ask(&mut self, question: Question, actions: &mut Actions) -> Ticket {
        let first = self.next;
        let count = match &question {
            Question::Subscribe(subscribe) => subscribe.filters.len(),
            Question::Connect(_) | Question::Will(_) | Question::Publish(_) => 1,
        };
        self.next = first.filter(count);
        actions.ask(first, question);
        first
    }
}

/// The question about a PUBLISH, with the topic that it means.
pub(crate) fn publish_question(publish: &Publish, topic: ByteString) -> PublishQuestion {
    PublishQuestion {
        topic,
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        payload_size: publish.payload.len(),
        content_type: publish.content_type.clone(),
        response_topic: publish.response_topic.clone(),
        user_properties: publish.user_properties.clone(),
    }
}
