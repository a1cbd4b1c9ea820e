//! What an allow grants besides the yes: who the client is, and changes on the way.
//!
//! A change that is not permitted, or plainly not MQTT, makes the allow a failure. What takes the
//! packet to tell (its version, its size, the result as a whole) is left to the gatekeeper.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::{Duration, Instant, SystemTime},
};

use bytestring::ByteString;
use gatekeeper::{Allow, PublishChanges, QoS, Secret, SubscribeChanges, UserProperty, topic};
use tidegate_proto::v1;

use crate::authz::{decision::Identity, failure::Cause};

use super::{Rules, is_mqtt_string};

/// Longest principal in bytes.
const MAX_PRINCIPAL: usize = 1024;

/// Longest binary data of MQTT in bytes.
const MAX_BINARY: usize = 65_535;

/// More than a timer or an instant could hold means the same.
const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What an allow of CONNECT grants.
pub(in crate::authz) fn grant_connect(
    allow: v1::ConnectAllow,
    rules: &Rules,
) -> Result<(Allow, Option<Identity>), Cause> {
    // Every field by name: one that is added to the contract has to be decided upon here.
    let v1::ConnectAllow {
        principal,
        session_state,
        expires_at,
        broker_client_id,
        broker_username,
        broker_password,
        drop_will,
        max_session_expiry_seconds,
        force_clean_start,
        limits,
    } = allow;
    let permitted = &rules.mutations;
    #[rustfmt::skip]
    refuse_unpermitted(&[
        (broker_client_id.is_some(), permitted.broker_client_id, "broker_client_id"),
        (broker_username.is_some(), permitted.broker_username, "broker_username"),
        (broker_password.is_some(), permitted.broker_password, "broker_password"),
        (drop_will, permitted.drop_will, "drop_will"),
        (max_session_expiry_seconds.is_some(), permitted.session_expiry, "max_session_expiry_seconds"),
        (force_clean_start, permitted.force_clean_start, "force_clean_start"),
    ])?;
    let client_id_fits = |id: &String| !id.is_empty() && is_mqtt_string(id);
    #[rustfmt::skip]
    refuse_invalid(&[
        (broker_client_id.as_ref().is_none_or(client_id_fits), "broker_client_id"),
        (broker_username.as_deref().is_none_or(is_mqtt_string), "broker_username"),
        (broker_password.as_ref().is_none_or(|secret| secret.len() <= MAX_BINARY), "broker_password"),
    ])?;
    if principal.len() > MAX_PRINCIPAL {
        return Err(Cause::InvalidAllow("principal is longer than 1024 bytes"));
    }
    if session_state.len() > rules.max_session_state {
        return Err(Cause::InvalidAllow("session_state is too large"));
    }
    let allow = gatekeeper::ConnectAllow {
        broker_client_id: broker_client_id.map(ByteString::from),
        broker_username: broker_username.map(ByteString::from),
        broker_password: broker_password.map(Secret::new),
        drop_will,
        force_clean_start,
        max_session_expiry: max_session_expiry_seconds,
        // The listener's, not the service's; known when it is known who this is.
        mount: None,
        expires_at: expires_at.map(expiry).transpose()?,
        limits: limits.map(narrowed).unwrap_or_default(),
    };
    let identity = Identity {
        principal,
        session_state,
    };
    Ok((Allow::Connect(Box::new(allow)), Some(identity)))
}

/// Quotas need no permission: they only narrow what the operator allows.
fn narrowed(limits: v1::SessionLimits) -> gatekeeper::SessionLimits {
    let v1::SessionLimits {
        publish_per_second,
        publish_bytes_per_second,
        max_subscriptions,
        max_packet_size,
    } = limits;
    // Zero: no opinion.
    gatekeeper::SessionLimits {
        publish_per_second: NonZeroU32::new(publish_per_second),
        publish_bytes_per_second: NonZeroU64::new(publish_bytes_per_second),
        max_subscriptions: NonZeroU32::new(max_subscriptions),
        max_packet_size: NonZeroU32::new(max_packet_size),
    }
}

/// What an allow of PUBLISH, or of a will, grants.
pub(in crate::authz) fn grant_publish(
    allow: v1::PublishAllow,
    rules: &Rules,
) -> Result<(Allow, Option<Identity>), Cause> {
    // The way of most allows.
    if allow == v1::PublishAllow::default() {
        return Ok((Allow::PUBLISH, None));
    }
    let v1::PublishAllow {
        topic,
        payload,
        retain,
        user_property_keys_to_remove: removed,
        user_properties_to_add: added,
        payload_format_indicator: indicator,
    } = allow;
    let permitted = &rules.mutations;
    let properties = permitted.publish_user_properties;
    #[rustfmt::skip]
    refuse_unpermitted(&[
        (topic.is_some(), permitted.publish_topic, "topic"),
        (payload.is_some(), permitted.publish_payload, "payload"),
        (indicator.is_some(), permitted.publish_payload, "payload_format_indicator"),
        (retain.is_some(), permitted.publish_retain, "retain"),
        (!removed.is_empty(), properties, "user_property_keys_to_remove"),
        (!added.is_empty(), properties, "user_properties_to_add"),
    ])?;
    let added_fit = added
        .iter()
        .all(|property| is_mqtt_string(&property.key) && is_mqtt_string(&property.value));
    // It describes the payload that comes with it, and no other.
    let indicator_fits = indicator.is_none_or(|value| value <= 1 && payload.is_some());
    #[rustfmt::skip]
    refuse_invalid(&[
        (topic.as_deref().is_none_or(|topic| topic::check_topic_name(topic).is_ok()), "topic"),
        (indicator_fits, "payload_format_indicator"),
        (removed.iter().all(|key| is_mqtt_string(key)), "user_property_keys_to_remove"),
        (added_fit, "user_properties_to_add"),
    ])?;
    let changes = PublishChanges {
        topic: topic.map(ByteString::from),
        payload,
        payload_format_indicator: indicator.map(|value| value == 1),
        retain,
        user_property_keys_to_remove: removed.into_iter().map(ByteString::from).collect(),
        user_properties_to_add: added.into_iter().map(user_property).collect(),
    };
    Ok((Allow::Publish(Some(Box::new(changes))), None))
}

/// What an allow of one filter grants.
pub(in crate::authz) fn grant_subscribe(
    allow: v1::SubscribeAllow,
    rules: &Rules,
) -> Result<(Allow, Option<Identity>), Cause> {
    let v1::SubscribeAllow {
        max_qos,
        topic_filter: filter,
    } = allow;
    let permitted = &rules.mutations;
    refuse_unpermitted(&[
        (max_qos.is_some(), permitted.subscribe_qos, "max_qos"),
        (filter.is_some(), permitted.subscribe_filter, "topic_filter"),
    ])?;
    let max_qos = max_qos
        .map(|bits| {
            u8::try_from(bits)
                .ok()
                .and_then(QoS::from_bits)
                .ok_or(Cause::MutationInvalid("max_qos"))
        })
        .transpose()?;
    let filter_fits = |filter: &String| !filter.is_empty() && is_mqtt_string(filter);
    refuse_invalid(&[(filter.as_ref().is_none_or(filter_fits), "topic_filter")])?;
    let changes = SubscribeChanges {
        max_qos,
        filter: filter.map(ByteString::from),
    };
    Ok((Allow::Subscribe(changes), None))
}

/// Fails at the first field that is set and not permitted.
fn refuse_unpermitted(fields: &[(bool, bool, &'static str)]) -> Result<(), Cause> {
    match fields.iter().find(|(is_set, may, _)| *is_set && !may) {
        Some((_, _, field)) => Err(Cause::MutationNotPermitted(field)),
        None => Ok(()),
    }
}

/// Fails at the first field that does not fit.
fn refuse_invalid(fields: &[(bool, &'static str)]) -> Result<(), Cause> {
    match fields.iter().find(|(fits, _)| !fits) {
        Some((_, field)) => Err(Cause::MutationInvalid(field)),
        None => Ok(()),
    }
}

fn user_property(property: v1::UserProperty) -> UserProperty {
    UserProperty {
        key: property.key.into(),
        value: property.value.into(),
    }
}

/// A time of day as a time of our own clock.
fn expiry(at: prost_types::Timestamp) -> Result<Instant, Cause> {
    let invalid = Cause::InvalidAllow("expires_at is not a time");
    let at = SystemTime::try_from(at).map_err(|_| invalid)?;
    let left = at
        .duration_since(SystemTime::now())
        .map_err(|_| Cause::InvalidAllow("expires_at is in the past"))?;
    // An instant holds some centuries only, and a timestamp reaches to the year 9999.
    Ok(Instant::now() + left.min(A_CENTURY))
}

#[cfg(test)]
mod tests;
