//! The part about what the service may change on the way.

use serde::{Deserialize, Serialize};

use crate::authz::Mutations;

/// What the service may change on the way: by default, what keeps users apart or only narrows. A change that is not
/// permitted makes its allow a failure.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permit {
    /// The client identifier towards the broker. It keeps users out of each other's sessions. By default `true`.
    pub broker_client_id: bool,
    /// The user name towards the broker.
    pub broker_username: bool,
    /// The password towards the broker.
    pub broker_password: bool,
    /// Connecting without the client's will.
    pub drop_will: bool,
    /// Connecting with Clean Start (Clean Session), whatever the client asked for.
    pub force_clean_start: bool,
    /// A shorter Session Expiry Interval.
    pub session_expiry: bool,
    /// The topic of a message or will.
    pub publish_topic: bool,
    /// The payload of a message or will, with its Payload Format Indicator.
    pub publish_payload: bool,
    /// The RETAIN flag of a message or will.
    pub publish_retain: bool,
    /// The user properties of a message or will.
    pub publish_user_properties: bool,
    /// A lower QoS of a subscription, as any broker may grant. By default `true`.
    pub subscribe_qos: bool,
    /// The topic filter of a subscription, to the same filter below the listener's `mount`.
    pub subscribe_filter: bool,
}

impl Default for Permit {
    fn default() -> Self {
        Self {
            broker_client_id: true,
            broker_username: false,
            broker_password: false,
            drop_will: false,
            force_clean_start: false,
            session_expiry: false,
            publish_topic: false,
            publish_payload: false,
            publish_retain: false,
            publish_user_properties: false,
            subscribe_qos: true,
            subscribe_filter: false,
        }
    }
}

impl From<&Permit> for Mutations {
    fn from(permit: &Permit) -> Self {
        // Every field by name: a key that is forgotten here would permit nothing.
        let Permit {
            broker_client_id,
            broker_username,
            broker_password,
            drop_will,
            force_clean_start,
            session_expiry,
            publish_topic,
            publish_payload,
            publish_retain,
            publish_user_properties,
            subscribe_qos,
            subscribe_filter,
        } = *permit;
        Self {
            broker_client_id,
            broker_username,
            broker_password,
            drop_will,
            force_clean_start,
            session_expiry,
            publish_topic,
            publish_payload,
            publish_retain,
            publish_user_properties,
            subscribe_qos,
            subscribe_filter,
        }
    }
}
