//! What the broker said in its CONNACK that it does not offer, and the client was told: whoever asks
//! for it all the same is not asked about but disconnected.

use crate::{
    question::QoS,
    reason::ReasonCode,
    topic,
    violation::Violation,
    wire::{connack::Connack, publish::Publish, subscribe::Subscribe},
};

/// What may be asked of the broker. MQTT 3 has no words for less than all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    maximum_qos: QoS,
    retain: bool,
    wildcards: bool,
    subscription_identifiers: bool,
    shared_subscriptions: bool,
}

impl Offer {
    pub(super) fn new(connack: &Connack) -> Self {
        Self {
            maximum_qos: connack.maximum_qos,
            retain: connack.retain_available,
            wildcards: connack.wildcard_subscription_available,
            subscription_identifiers: connack.subscription_identifier_available,
            shared_subscriptions: connack.shared_subscription_available,
        }
    }

    pub(super) fn check_publish(&self, publish: &Publish) -> Result<(), Violation> {
        if publish.qos > self.maximum_qos {
            return Err(Violation::new(
                ReasonCode::QOS_NOT_SUPPORTED,
                "PUBLISH above Maximum QoS",
                "MQTT-3.2.2-11",
            ));
        }
        if publish.retain && !self.retain {
            return Err(Violation::new(
                ReasonCode::RETAIN_NOT_SUPPORTED,
                "RETAIN where it is not available",
                "MQTT-3.2.2-14",
            ));
        }
        Ok(())
    }

    pub(super) fn check_subscribe(&self, subscribe: &Subscribe) -> Result<(), Violation> {
        let filters = || subscribe.filters.iter().map(|filter| filter.parsed.full());
        if !self.subscription_identifiers && subscribe.subscription_identifier.is_some() {
            return Err(Violation::new(
                ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
                "Subscription Identifier where it is not available",
                "§3.2.2.3.12",
            ));
        }
        if !self.shared_subscriptions && filters().any(|filter| topic::is_share(filter)) {
            return Err(Violation::new(
                ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
                "shared subscription where it is not available",
                "§3.2.2.3.13",
            ));
        }
        if !self.wildcards && filters().any(|filter| topic::wildcards(filter) > 0) {
            return Err(Violation::new(
                ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
                "wildcard subscription where it is not available",
                "§3.2.2.3.11",
            ));
        }
        Ok(())
    }
}
