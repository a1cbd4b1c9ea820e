//! What the service wants changed in a message or will, and whether the result is MQTT.
//!
//! Shared by PUBLISH and will. Whether the operator permits a change was seen to before; here it is
//! only asked whether a broker could be handed the outcome. What could not is [`Invalid`], and so a
//! failure ([`Why::InvalidMutation`](crate::Why::InvalidMutation)): neither the old nor the new
//! message may pass.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    question::Version,
    rules::Limits,
    topic,
    verdict::PublishChanges,
    wire::{Property, RawProperties, properties::PAYLOAD_FORMAT_INDICATOR, text},
};

/// A change that would make something that is not MQTT, or something of another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invalid;

/// The message as it came, as far as the legality of a change hangs on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) version: Version,
    pub(crate) retain: bool,
    pub(crate) is_empty: bool,
}

/// Judges all that can be judged before the message is written: [`topic()`] with its levels, the words
/// of the version, the payload with its format, and that a retained message stays stored or deleted.
pub(crate) fn check(
    changes: &PublishChanges,
    original: Original,
    limits: &Limits,
) -> Result<(), Invalid> {
    if let Some(name) = &changes.topic {
        topic(name)?;
        topic::check_levels(name, limits.max_topic_levels).map_err(|_| Invalid)?;
    }
    check_version(changes, original.version)?;
    check_payload(changes)?;
    check_deletion(changes, original)
}

/// A topic name: not empty, no wildcards, no character that no string may hold, at most 65,535 bytes
/// [MQTT-4.7.3-1] [MQTT-4.7.3-3] [MQTT-3.3.2-2] [MQTT-1.5.4-2].
pub(crate) fn topic(name: &ByteString) -> Result<(), Invalid> {
    topic::check_topic_name(name).map_err(|_| Invalid)
}

/// The properties of the changed message: user properties removed by their keys, others appended
/// [MQTT-3.3.2-17], and the Payload Format Indicator that goes with the payload. All else stays
/// byte by byte and in order.
pub(crate) fn properties(
    raw: &RawProperties,
    changes: &PublishChanges,
) -> Result<RawProperties, Invalid> {
    let added = &changes.user_properties_to_add;
    for property in added {
        string(&property.key)?;
        string(&property.value)?;
    }
    let mut more: Vec<Property> = Vec::with_capacity(1 + added.len());
    let mut dropped: &[u8] = &[];
    if changes.payload.is_some() {
        // That of the old payload says nothing about the new one.
        dropped = &[PAYLOAD_FORMAT_INDICATOR];
        let indicator = changes.payload_format_indicator;
        more.extend(indicator.map(|is_text| Property::PayloadFormatIndicator(is_text.into())));
    }
    more.extend(added.iter().cloned().map(Property::UserProperty));
    raw.without(dropped)
        .without_user_properties(&changes.user_property_keys_to_remove)
        .and(&more)
        .map_err(|_| Invalid)
}

/// A string that a packet can carry [MQTT-1.5.4-2].
pub(crate) fn string(string: &ByteString) -> Result<(), Invalid> {
    if string.len() > usize::from(u16::MAX) {
        return Err(Invalid);
    }
    text::check(string).map_err(|_| Invalid)
}

/// As many user properties as a client may send, and as large: the service may not put in what the
/// gate would not have taken.
pub(crate) fn check_user_properties(raw: &RawProperties, limits: &Limits) -> Result<(), Invalid> {
    raw.check_user_properties(limits.user_properties())
        .map_err(|_| Invalid)
}

/// User properties and the format of a payload are words of MQTT 5.
fn check_version(changes: &PublishChanges, version: Version) -> Result<(), Invalid> {
    let speaks_of_properties = changes.payload_format_indicator.is_some()
        || !changes.user_property_keys_to_remove.is_empty()
        || !changes.user_properties_to_add.is_empty();
    if version.is_v3() && speaks_of_properties {
        return Err(Invalid);
    }
    Ok(())
}

/// An indicator describes the payload that it comes with [MQTT-3.3.2-4].
fn check_payload(changes: &PublishChanges) -> Result<(), Invalid> {
    match (&changes.payload, changes.payload_format_indicator) {
        (None, Some(_)) => Err(Invalid),
        (Some(payload), Some(true)) if std::str::from_utf8(payload).is_err() => Err(Invalid),
        _ => Ok(()),
    }
}

/// A retained message without a payload deletes [MQTT-3.3.1-6]. Another payload must not make a
/// deletion of a message, nor turn a deletion into something that is stored.
fn check_deletion(changes: &PublishChanges, original: Original) -> Result<(), Invalid> {
    let retain = changes.retain.unwrap_or(original.retain);
    let was_empty = original.is_empty;
    let is_empty = changes.payload.as_ref().map_or(was_empty, Bytes::is_empty);
    let to_deletion = retain && is_empty && !was_empty;
    let to_storing = retain && !is_empty && was_empty && original.retain;
    if to_deletion || to_storing {
        return Err(Invalid);
    }
    Ok(())
}
