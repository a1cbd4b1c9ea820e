//! What the service changes in a PUBLISH or SUBSCRIBE that it allows.
//!
//! That a change is permitted was seen to before. Here it is made, and what comes of it is judged as
//! strictly as what a client sends: a change that makes something else than MQTT of the packet, or
//! something that could not be mapped back, is no allow.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    change::{self, Invalid, Original},
    frame::{Frame, Side},
    mount::Mount,
    question::Version,
    reason::ReasonCode,
    rules::Limits,
    topic::{Parsed, TopicFilter},
    verdict::{Allow, Deny, PublishChanges, SubscribeChanges, Verdict, Why},
    violation::Violation,
    wire::{
        RawProperties,
        publish::{self, Publish},
        subscribe::{Outgoing, Subscribe, Subscription},
    },
};

use super::Live;

/// Why a packet can't go out as the service wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It would not be MQTT, or mean something else.
    Illegal,
    /// No packet can be that large.
    TooLarge,
}

impl From<Invalid> for Unfit {
    fn from(_: Invalid) -> Self {
        Self::Illegal
    }
}

impl From<Violation> for Unfit {
    fn from(_: Violation) -> Self {
        Self::Illegal
    }
}

impl From<Unfit> for Verdict {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Illegal => Self::Unavailable(Why::InvalidMutation),
            Unfit::TooLarge => Self::Deny(too_large()),
        }
    }
}

/// The denial of a packet that is larger than the broker takes [MQTT-3.2.2-15].
pub(super) fn too_large() -> Deny {
    Deny {
        code: Some(ReasonCode::PACKET_TOO_LARGE),
        ..Deny::default()
    }
}

impl Live {
    /// The packet as the service wants it, and the verdict about that: what can't be made is no allow.
    pub(super) fn changed_publish(
        &self,
        verdict: Verdict,
        outgoing: Bytes,
        limits: &Limits,
    ) -> (Verdict, Bytes) {
        let Verdict::Allow(Allow::Publish(Some(changes))) = verdict else {
            return (verdict, outgoing);
        };
        match publish(&outgoing, self.version, *changes, self.mount(), limits) {
            Ok(changed) => (Verdict::Allow(Allow::PUBLISH), changed),
            Err(unfit) => (unfit.into(), outgoing),
        }
    }

    /// The filter as the service wants it, and the verdict about that.
    pub(super) fn changed_filter(
        &self,
        verdict: Verdict,
        subscription: &Subscription,
        limits: &Limits,
    ) -> (Verdict, Outgoing) {
        let changes = match verdict {
            Verdict::Allow(Allow::Subscribe(changes)) => changes,
            Verdict::Allow(_) => {
                return (Verdict::Unavailable(Why::InvalidResult), Outgoing::Omitted);
            }
            other => return (other, Outgoing::Omitted),
        };
        let outgoing = match filter(subscription, self.version, changes, self.mount(), limits) {
            Ok(outgoing) => outgoing,
            Err(unfit) => return (unfit.into(), Outgoing::Omitted),
        };
        (Verdict::Allow(Allow::SUBSCRIBE), outgoing)
    }

    /// The SUBSCRIBE for the broker: `as_sent` if nothing is left out or changed. `None` if nothing
    /// is left, or all that is left is too large together.
    pub(super) fn subscribe_for_broker(
        &self,
        subscribe: &Subscribe,
        outgoing: &[Outgoing],
        as_sent: Bytes,
    ) -> Option<Bytes> {
        if outgoing
            .iter()
            .all(|outgoing| *outgoing == Outgoing::AsSent)
        {
            return Some(as_sent);
        }
        let bytes = subscribe.encode(outgoing).ok().flatten()?;
        (bytes.len() <= self.broker_takes).then_some(bytes)
    }

    fn mount(&self) -> Option<&Mount> {
        self.namespace.as_ref().map(|namespace| namespace.mount())
    }
}

/// The PUBLISH with the changes: read again, changed, written anew, and read once more as if the
/// client had sent it. QoS, DUP, packet identifier and all other properties stay as they are.
pub(super) fn publish(
    outgoing: &Bytes,
    version: Version,
    changes: PublishChanges,
    mount: Option<&Mount>,
    limits: &Limits,
) -> Result<Bytes, Unfit> {
    let mut publish = read(outgoing, version)?;
    let original = Original {
        version,
        retain: publish.retain,
        is_empty: publish.payload.is_empty(),
    };
    change::check(&changes, original, limits)?;
    publish.raw_properties = properties(&publish, &changes, mount, limits)?;
    if let Some(topic) = changes.topic {
        publish.topic = topic;
    }
    if let Some(payload) = changes.payload {
        publish.payload = payload;
    }
    if let Some(retain) = changes.retain {
        publish.retain = retain;
    }
    let changed = publish.encode().map_err(|_| Unfit::TooLarge)?;
    read(&changed, version)?;
    Ok(changed)
}

fn read(outgoing: &Bytes, version: Version) -> Result<Publish, Violation> {
    publish::read(&Frame::of_packet(outgoing.clone(), Side::Client)?, version)
}

fn properties(
    publish: &Publish,
    changes: &PublishChanges,
    mount: Option<&Mount>,
    limits: &Limits,
) -> Result<RawProperties, Unfit> {
    let properties = change::properties(&publish.raw_properties, changes)?;
    if !changes.user_properties_to_add.is_empty() {
        change::check_user_properties(&properties, limits)?;
    }
    match (mount, &changes.topic, &publish.response_topic) {
        (Some(mount), Some(topic), Some(response)) if mount.maps(&publish.topic, topic) => {
            mount.reply_to(response, &properties).ok_or(Unfit::Illegal)
        }
        _ => Ok(properties),
    }
}

/// The filter with the changes. Its QoS may sink, and it may be put below the mount. One that stays
/// where the client sees it must not match what stands below the mount: its deliveries could not be
/// told from others.
pub(super) fn filter(
    subscription: &Subscription,
    version: Version,
    changes: SubscribeChanges,
    mount: Option<&Mount>,
    limits: &Limits,
) -> Result<Outgoing, Unfit> {
    let Parsed::Filter(own) = &subscription.parsed else {
        // Nobody was asked about it.
        return Err(Unfit::Illegal);
    };
    let qos = changes.max_qos.unwrap_or(subscription.qos);
    if qos > subscription.qos {
        return Err(Unfit::Illegal);
    }
    let filter = match (changes.filter, mount) {
        (None, Some(mount)) if mount.is_reached_by(&own.filter) => return Err(Unfit::Illegal),
        (None, _) if qos == subscription.qos => return Ok(Outgoing::AsSent),
        (None, _) => own.full.clone(),
        (Some(filter), Some(mount)) if mount.maps(&own.filter, &filter) => {
            below(mount, own, version, limits)?
        }
        (Some(_), _) => return Err(Unfit::Illegal),
    };
    Ok(Outgoing::Changed { filter, qos })
}

/// The client's filter below the mount, if that is a filter still.
fn below(
    mount: &Mount,
    own: &TopicFilter,
    version: Version,
    limits: &Limits,
) -> Result<ByteString, Unfit> {
    let full = mount.filter(own).ok_or(Unfit::Illegal)?;
    match TopicFilter::parse(full, version, limits.max_topic_levels)? {
        Parsed::Filter(filter) if filter.share_name == own.share_name => Ok(filter.full),
        _ => Err(Unfit::Illegal),
    }
}
