//! Topic names and topic filters (MQTT 5.0 §4.7, §4.8.2).
//!
//! Nothing is ever normalised ([MQTT-4.7.3-4]): `/a` and `a`, `a//b` and `a/b`, upper and lower
//! case, composed and decomposed characters, with and without a byte order mark are all different.

#[cfg(test)]
mod tests;

use bytestring::ByteString;

use crate::question::Version;
use crate::reason::ReasonCode;
use crate::violation::Violation;
use crate::wire::text;

const SHARE: &str = "$share";

/// Refuses what is no topic name: empty ([MQTT-4.7.3-1]), with a wildcard ([MQTT-3.3.2-2]), with a
/// character that no string may hold, or of more than 65,535 bytes ([MQTT-4.7.3-3]).
///
/// # Errors
/// 0x81.
pub fn check_topic_name(topic: &str) -> Result<(), Violation> {
    if topic.is_empty() {
        return Err(Violation::malformed("empty topic name", "MQTT-4.7.3-1"));
    }
    check_topic_name_or_empty(topic)
}

/// As [`check_topic_name`], but lets the empty name pass, which stands for a topic alias in an MQTT
/// 5.0 PUBLISH (§3.3.2.1).
///
/// # Errors
/// 0x81.
pub fn check_topic_name_or_empty(topic: &str) -> Result<(), Violation> {
    check_length(topic)?;
    text::check(topic)?;
    check_no_wildcards(topic)
}

/// As [`check_topic_name_or_empty`] for a string that a cursor has read, and so checked, already.
pub(crate) fn check_no_wildcards(topic: &str) -> Result<(), Violation> {
    if wildcards(topic) > 0 {
        return Err(Violation::malformed(
            "wildcard in a topic name",
            "MQTT-3.3.2-2",
        ));
    }
    Ok(())
}

/// How many levels a topic name or filter has.
#[must_use]
pub fn levels(topic: &str) -> usize {
    topic.bytes().filter(|&byte| byte == b'/').count() + 1
}

/// How many wildcards a topic filter has.
#[must_use]
pub fn wildcards(filter: &str) -> usize {
    filter
        .bytes()
        .filter(|byte| matches!(byte, b'+' | b'#'))
        .count()
}

/// Whether the first level of a topic name or filter is one of these, which begin with `$`: no wildcard
/// at the beginning of a filter stands for such a level ([MQTT-4.7.2-1]).
#[must_use]
pub fn begins_with(topic: &str, first_levels: &[String]) -> bool {
    topic.starts_with('$')
        && topic
            .split('/')
            .next()
            .is_some_and(|first| first_levels.iter().any(|level| level == first))
}

/// Whether it is where a bridge of Mosquitto tells the broker that it is there, the one name below `$SYS`
/// that clients publish to and that brokers take from them: `$SYS/broker/connection/<name>/state`.
#[must_use]
pub fn is_bridge_state(topic: &str) -> bool {
    topic
        .strip_prefix("$SYS/broker/connection/")
        .and_then(|rest| rest.strip_suffix("/state"))
        .is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Refuses a topic name with more than `max` levels: well formed, but not accepted.
///
/// # Errors
/// 0x90.
pub fn check_levels(topic: &str, max: usize) -> Result<(), Violation> {
    if levels(topic) <= max {
        return Ok(());
    }
    Err(Violation::new(
        ReasonCode::TOPIC_NAME_INVALID,
        "topic name has too many levels",
        "§4.7.1.1",
    ))
}

/// A well-formed topic filter that may be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFilter {
    /// As it stands in the packet, `$share/<name>/` included.
    pub full: ByteString,
    /// The share name of a shared subscription.
    pub share_name: Option<ByteString>,
    /// The filter that topics are matched with: `full` without `$share/<name>/`.
    pub filter: ByteString,
}

/// What a string in the place of a topic filter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A filter.
    Filter(TopicFilter),
    /// No breach of the protocol, but nothing that may reach a broker either: the answer is 0x80 on
    /// MQTT 3.1.1 and 0x8F on MQTT 5.0, and the connection stays.
    Refused(ByteString),
}

impl Parsed {
    /// The string as it stands in the packet.
    #[must_use]
    pub fn full(&self) -> &ByteString {
        match self {
            Self::Filter(filter) => &filter.full,
            Self::Refused(full) => full,
        }
    }
}

impl TopicFilter {
    /// Reads a topic filter.
    ///
    /// Refused, but not a violation:
    /// * more than `max_levels` levels;
    /// * on MQTT 3.1.1, what begins with the level `$share` and is no shared subscription. It would
    ///   be a plain filter there, but brokers read `$share` in all versions, each in its own way;
    /// * a shared subscription to a shared subscription: no broker should be asked what that is.
    ///
    /// # Errors
    /// 0x81, if it is empty ([MQTT-4.7.3-1]), too long ([MQTT-4.7.3-3]), holds a character that no
    /// string may hold, a misplaced wildcard ([MQTT-4.7.1-1], [MQTT-4.7.1-2]), or, on MQTT 5.0, if it
    /// is a malformed shared subscription ([MQTT-4.8.2-1], [MQTT-4.8.2-2]).
    pub fn parse(
        full: ByteString,
        version: Version,
        max_levels: usize,
    ) -> Result<Parsed, Violation> {
        check_length(&full)?;
        text::check(&full)?;
        check_wildcards(&full)?;
        if levels(&full) > max_levels {
            return Ok(Parsed::Refused(full));
        }
        match Share::of(&full) {
            Share::No => Ok(Parsed::Filter(Self {
                filter: full.clone(),
                share_name: None,
                full,
            })),
            Share::Yes { name, filter } if !is_share(filter) => Ok(Parsed::Filter(Self {
                share_name: Some(full.slice_ref(name)),
                filter: full.slice_ref(filter),
                full,
            })),
            Share::Malformed if version == Version::V5 => Err(Violation::malformed(
                "malformed shared subscription",
                "MQTT-4.8.2-1",
            )),
            Share::Yes { .. } | Share::Malformed => Ok(Parsed::Refused(full)),
        }
    }
}

enum Share<'a> {
    No,
    Yes { name: &'a str, filter: &'a str },
    Malformed,
}

impl<'a> Share<'a> {
    fn of(full: &'a str) -> Self {
        if !is_share(full) {
            return Self::No;
        }
        let mut parts = full.splitn(3, '/').skip(1);
        match (parts.next(), parts.next()) {
            (Some(name), Some(filter)) if is_share_name(name) && !filter.is_empty() => {
                Self::Yes { name, filter }
            }
            _ => Self::Malformed,
        }
    }
}

/// Whether the first level is `$share`. A lone `$share` counts: it is of no use as a filter, and
/// there are brokers that close for it.
pub(crate) fn is_share(full: &str) -> bool {
    full.strip_prefix(SHARE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// At least one character and no wildcard ([MQTT-4.8.2-1], [MQTT-4.8.2-2]).
fn is_share_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['+', '#'])
}

/// A wildcard fills its level ([MQTT-4.7.1-2]), and `#` is the last one ([MQTT-4.7.1-1]).
fn check_wildcards(filter: &str) -> Result<(), Violation> {
    if filter.is_empty() {
        return Err(Violation::malformed("empty topic filter", "MQTT-4.7.3-1"));
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(Violation::malformed(
                "misplaced # in a filter",
                "MQTT-4.7.1-1",
            ));
        }
        if level.contains('+') && level != "+" {
            return Err(Violation::malformed(
                "misplaced + in a filter",
                "MQTT-4.7.1-2",
            ));
        }
    }
    Ok(())
}

fn check_length(topic: &str) -> Result<(), Violation> {
    if topic.len() > usize::from(u16::MAX) {
        return Err(Violation::malformed(
            "topic of more than 65,535 bytes",
            "MQTT-4.7.3-3",
        ));
    }
    Ok(())
}
