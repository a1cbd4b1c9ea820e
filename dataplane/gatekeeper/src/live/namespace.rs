//! What a session with a mount has to keep: which filters of this connection stand below the mount
//! at the broker and which where the client sees them.

mod subscriptions;

use std::num::NonZeroU16;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    mount::{Mount, Place},
    question::Version,
    topic::Parsed,
    violation::Violation,
    wire::{
        Property, RawProperties,
        properties::RESPONSE_TOPIC,
        publish::Publish,
        subscribe::{Outgoing, Subscribe, Subscription},
        unsuback::Unsuback,
        unsubscribe::Unsubscribe,
    },
};

use super::unsubscribe::TOO_LARGE;

use self::subscriptions::{Form, Subscriptions};

/// The client's view of the broker's topics.
#[derive(Debug)]
pub(crate) struct Namespace {
    mount: Mount,
    /// Whether the broker may hold subscriptions of an earlier connection, in whatever form.
    resumed: bool,
    subscriptions: Subscriptions,
}

/// What the client gets of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The very same bytes.
    AsSent,
    /// The packet under another topic name, with these properties.
    Renamed(ByteString, RawProperties),
    /// Nothing: it has no name that the client would know.
    Withheld,
}

impl Namespace {
    /// `None` if this can't be a mount. No filter is rewritten then.
    pub(crate) fn new(mount: ByteString, resumed: bool) -> Option<Box<Self>> {
        Some(Box::new(Self {
            mount: Mount::new(mount)?,
            resumed,
            subscriptions: Subscriptions::default(),
        }))
    }

    pub(crate) fn mount(&self) -> &Mount {
        &self.mount
    }

    /// A SUBSCRIBE is about to leave. The broker may deliver before it answers.
    pub(crate) fn subscribes(&mut self, subscribe: &Subscribe, outgoing: &[Outgoing]) {
        let filters = subscribe.filters.iter().zip(outgoing);
        let joining = filters
            .filter(|(_, outgoing)| **outgoing != Outgoing::Omitted)
            .map(|(subscription, outgoing)| {
                (subscription.parsed.full(), form(subscription, outgoing))
            });
        self.subscriptions.join(subscribe.packet_id, joining);
    }

    /// The broker's answer, one code per filter that went to it.
    pub(crate) fn subscribed(&mut self, id: NonZeroU16, codes: &[u8]) {
        self.subscriptions.joined(id, codes);
    }

    /// An UNSUBSCRIBE as the broker has to get it: each filter in the form in which it was subscribed
    /// to on this connection [MQTT-3.10.4-1], and in both if that is not known. And how many filters
    /// it has then.
    pub(crate) fn unsubscribes(
        &mut self,
        unsubscribe: &Unsubscribe,
    ) -> Result<(Bytes, usize), Violation> {
        let mut filters = Vec::with_capacity(unsubscribe.filters.len());
        let mut leaving = Vec::with_capacity(unsubscribe.filters.len());
        for own in &unsubscribe.filters {
            let below = match own {
                Parsed::Filter(filter) => self.mount.filter(filter),
                Parsed::Refused(_) => None,
            };
            let forms = match below {
                Some(_) => self.subscriptions.forms(own.full()),
                None => Form::PLAIN,
            };
            filters.extend(forms.iter().filter_map(|form| match form {
                Form::Below => below.clone(),
                Form::Plain => Some(own.full().clone()),
            }));
            leaving.push((own.full(), forms));
        }
        self.subscriptions.leave(unsubscribe.packet_id, leaving);
        let bytes = unsubscribe
            .encode_with(filters.iter().map(|filter| &**filter))
            .map_err(|_| TOO_LARGE)?;
        Ok((bytes, filters.len()))
    }

    /// Whether a subscription stands at the broker in the form in which it would go there now, and in
    /// no other.
    pub(crate) fn stands_as(&self, subscription: &Subscription, outgoing: &Outgoing) -> bool {
        let forms = self.subscriptions.forms(subscription.parsed.full());
        forms == [form(subscription, outgoing)]
    }

    /// The codes of the broker's answer as the client has to get them: one per filter of the client's
    /// packet, in its order [MQTT-3.11.3-1]. None on MQTT 3.x.
    pub(crate) fn unsubscribed(&mut self, unsuback: &Unsuback, version: Version) -> Vec<u8> {
        let codes = (!version.is_v3()).then_some(&*unsuback.codes);
        self.subscriptions.left(unsuback.packet_id, codes)
    }

    /// What the client gets of a delivery. What stands below the mount loses it, and so does the
    /// Response Topic. A name elsewhere passes if a filter where the client sees it may have asked for
    /// it. A Response Topic that the client has no name for is left out.
    pub(crate) fn view(&self, publish: &Publish) -> View {
        let topic = match self.mount.place(&publish.topic) {
            Place::Below(rest) => rest,
            Place::Outside if self.resumed || self.subscriptions.has_plain() => {
                publish.topic.clone()
            }
            Place::Root | Place::Outside => return View::Withheld,
        };
        let response = publish.response_topic.as_ref();
        let properties = match response.map(|topic| self.mount.place(topic)) {
            None | Some(Place::Outside) if topic == publish.topic => return View::AsSent,
            None | Some(Place::Outside) => Some(publish.raw_properties.clone()),
            Some(Place::Root) => Some(publish.raw_properties.without(&[RESPONSE_TOPIC])),
            Some(Place::Below(rest)) => {
                let rest = [Property::ResponseTopic(rest)];
                publish.raw_properties.with(&rest).ok()
            }
        };
        properties.map_or(View::Withheld, |properties| {
            View::Renamed(topic, properties)
        })
    }
}

/// The mount is never empty, so a filter below it is never the client's own.
fn form(subscription: &Subscription, outgoing: &Outgoing) -> Form {
    match outgoing {
        Outgoing::Changed { filter, .. } if filter != subscription.parsed.full() => Form::Below,
        _ => Form::Plain,
    }
}
