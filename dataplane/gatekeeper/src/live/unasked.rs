//! What is refused although nobody was asked. Each is noted, as no decision tells of it.

use crate::{
    action::{Event, Fate},
    gatekeeper::Context,
    queue::{Message, Packet},
    reason::ReasonCode,
    rules::{Limits, Rules},
    subscriptions::{Bounds, Reservation},
    topic::{self, Parsed},
    unasked::Unasked,
    verdict::{Deny, DenyAction},
    wire::publish::Publish,
};

use super::{End, Live};

/// Why nobody is asked about a PUBLISH to this topic. The service would judge a topic that the broker
/// reads as another, or a payload that is not what it is said to be [MQTT-3.3.2-4].
pub(super) fn refusal_of_publish(publish: &Publish, name: &str, rules: &Rules) -> Option<Unasked> {
    if topic::begins_with(name, &rules.reserved_topics) && !topic::is_bridge_state(name) {
        Some(Unasked::ReservedTopic)
    } else if topic::levels(name) > rules.limits.max_topic_levels {
        Some(Unasked::TopicLevels)
    } else if rules.check_payload_format && !publish.has_true_format() {
        Some(Unasked::PayloadFormat)
    } else {
        None
    }
}

impl Live {
    /// The refusal waits for its turn. There is no acknowledgement of QoS 0 to say it in.
    pub(super) fn refuse_unasked(
        &mut self,
        message: Message,
        unasked: Unasked,
        cx: &mut Context<'_>,
    ) {
        cx.actions.note(Event::Unasked(unasked));
        if message.id.is_some() {
            self.stand_in_line(Packet::Refused(message, unasked.code()), cx);
        }
    }

    /// As a denial that keeps the connection, as far as the client's version has words for one.
    pub(super) fn release_refused(
        &mut self,
        message: Message,
        code: ReasonCode,
        cx: &mut Context<'_>,
    ) -> Result<Fate, End> {
        let deny = Deny {
            code: Some(code),
            action: DenyAction::Reject,
            ..Deny::default()
        };
        self.deny_publish(message, deny, cx)
    }

    /// A place among the subscriptions, or the code of a filter that nobody is asked about.
    pub(super) fn place_of_filter(
        &mut self,
        parsed: &Parsed,
        cx: &mut Context<'_>,
    ) -> Result<Reservation, ReasonCode> {
        self.reserve(parsed, cx.rules).map_err(|unasked| {
            cx.actions.note(Event::Unasked(unasked));
            unasked.code()
        })
    }

    fn bounds(&self, limits: &Limits) -> Bounds {
        Bounds {
            filters: limits.max_subscriptions.min(self.max_subscriptions),
            bytes: limits.max_subscription_bytes,
        }
    }

    fn reserve(&mut self, parsed: &Parsed, rules: &Rules) -> Result<Reservation, Unasked> {
        let limits: &Limits = &rules.limits;
        let Parsed::Filter(filter) = parsed else {
            return Err(Unasked::Filter);
        };
        // Of a shared subscription it is the filter that brokers match with.
        if topic::begins_with(&filter.filter, &rules.reserved_filters) {
            return Err(Unasked::ReservedFilter);
        }
        if topic::wildcards(&filter.full) > limits.max_filter_wildcards {
            return Err(Unasked::Filter);
        }
        self.subscriptions
            .reserve(&filter.full, self.bounds(limits))
            .ok_or(Unasked::Subscriptions)
    }
}
