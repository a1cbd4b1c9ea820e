//! Where the topics of a session begin at the broker.
//!
//! A client with the mount `t/a/` that says `x` means `t/a/x`. The service puts the mount in front of
//! topics and filters, where the permission to do so can be judged; the gate takes it from what the
//! broker delivers. Only this one form of a rewritten filter is taken: any other could not be
//! inverted, least of all in a session that outlives the connection on which it was made.

#[cfg(test)]
mod tests;

use bytestring::ByteString;

use crate::{
    topic::{self, TopicFilter},
    wire::{Property, RawProperties, properties::RESPONSE_INFORMATION},
};

/// A mount that [`check`] has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount(ByteString);

/// Where a topic name of the broker stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Below the mount; what is left of it, and that is something.
    Below(ByteString),
    /// The mount itself, with or without its `/`: the client has no name for it.
    Root,
    /// Elsewhere.
    Outside,
}

/// Whether this can be a mount: the beginning of a topic name, up to and with a `/`. One that begins
/// with `$` is none: what brokers keep there for themselves is no place for clients.
pub(crate) fn check(mount: &str) -> bool {
    mount.ends_with('/') && !mount.starts_with('$') && topic::check_topic_name(mount).is_ok()
}

/// The properties of the broker's CONNACK with the Response Information as the client has to see it:
/// without the mount. What is not below it would be the beginning of a name that means something else
/// to the client, and is left out (MQTT 5.0 §3.2.2.3.15).
pub(crate) fn strip_response_information(mount: &str, properties: &RawProperties) -> RawProperties {
    let Some(information) = properties.text(RESPONSE_INFORMATION) else {
        return properties.clone();
    };
    let rest = information
        .strip_prefix(mount)
        .filter(|rest| !rest.is_empty());
    let stripped = rest.and_then(|rest| {
        let rest = Property::ResponseInformation(information.slice_ref(rest));
        properties.with(&[rest]).ok()
    });
    stripped.unwrap_or_else(|| properties.without(&[RESPONSE_INFORMATION]))
}

impl Mount {
    pub(crate) fn new(mount: ByteString) -> Option<Self> {
        check(&mount).then_some(Self(mount))
    }

    /// Whether `name` is the client's `own` name, or filter without its share, below the mount.
    pub(crate) fn maps(&self, own: &str, name: &str) -> bool {
        name.strip_prefix(&*self.0) == Some(own)
    }

    /// The client's topic name as the broker has to see it. `None` if no packet can carry it.
    pub(crate) fn topic(&self, own: &str) -> Option<ByteString> {
        join(&[&self.0, own])
    }

    /// The client's filter as the broker has to see it; the share is the same. `None` if no packet
    /// can carry it.
    pub(crate) fn filter(&self, own: &TopicFilter) -> Option<ByteString> {
        let share = own.full.strip_suffix(&*own.filter)?;
        join(&[share, &self.0, &own.filter])
    }

    /// The properties of a message that goes below the mount, with its Response Topic there as well:
    /// who answers at the broker does not know of the mount, and the answer has to find the client.
    /// `None` if no packet can carry it.
    pub(crate) fn reply_to(
        &self,
        response_topic: &str,
        properties: &RawProperties,
    ) -> Option<RawProperties> {
        let response = Property::ResponseTopic(self.topic(response_topic)?);
        properties.with(&[response]).ok()
    }

    /// Where a topic name stands.
    pub(crate) fn place(&self, topic: &ByteString) -> Place {
        match topic.strip_prefix(&*self.0) {
            Some("") => Place::Root,
            Some(rest) => Place::Below(topic.slice_ref(rest)),
            // `t/a/#` matches `t/a` too [MQTT-4.7.1-1].
            None if **topic == *self.root() => Place::Root,
            None => Place::Outside,
        }
    }

    /// Whether a filter at the broker, without its share, matches anything that stands below the
    /// mount, or its root. Deliveries for it could not be told from those for filters below the mount.
    pub(crate) fn is_reached_by(&self, filter: &str) -> bool {
        let mut levels = filter.split('/');
        for level in self.root().split('/') {
            match levels.next() {
                Some("#") => return true,
                Some("+") => {}
                Some(own) if own == level => {}
                _ => return false,
            }
        }
        true
    }

    /// The mount without its `/`.
    fn root(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or_default()
    }
}

fn join(parts: &[&str]) -> Option<ByteString> {
    let joined = parts.concat();
    (joined.len() <= usize::from(u16::MAX)).then(|| joined.into())
}
