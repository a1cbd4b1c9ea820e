//! What is new in a configuration, and what of it can be taken while the gate runs.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_settings::Error;

use crate::config::{Config, Listener};

/// Keys that hold from the next session on, or at once. A `*` is one segment, a `.` at the end all below. What is
/// not here needs a restart: a key that somebody forgets to think about is refused, not ignored.
const LIVE: [&str; 46] = [
    "listeners.*.tls.",
    "listeners.*.websocket.",
    "listeners.*.proxy_protocol.",
    "listeners.*.resume",
    "listeners.*.mount",
    "listeners.*.attributes.",
    "broker.",
    "will.",
    "authz.",
    "limits.handshake_deadline",
    "limits.max_connect_size",
    "limits.max_packet_size",
    "limits.max_downlink_packet_size",
    "limits.announce_downlink_size",
    "limits.window_packets",
    "limits.window_bytes",
    "limits.topic_alias_maximum",
    "limits.max_filters",
    "limits.max_topic_levels",
    "limits.max_filter_wildcards",
    "limits.max_subscriptions",
    "limits.max_subscription_bytes",
    "limits.max_user_properties",
    "limits.max_user_property_bytes",
    "limits.receive_maximum",
    "limits.max_inflight",
    "limits.max_keep_alive",
    "limits.max_session_expiry",
    "limits.check_payload_format",
    "limits.packet_deadline",
    "limits.write_stall",
    "telemetry.trace_sample_ratio.",
    "telemetry.retroactive_spans_per_second",
    "log.filter",
    "log.allows",
    "drain.",
    // Spelt out where a table may be empty: then it is a key itself.
    "listeners.*.attributes",
    "listeners.*.tls",
    "listeners.*.websocket",
    "listeners.*.websocket.origins",
    "listeners.*.websocket.headers",
    "listeners.*.proxy_protocol.trusted",
    "broker.reserved_topics",
    "broker.reserved_filters",
    "will.suppress_on",
    "authz.endpoints",
];

/// Exceptions to them.
const FIXED: [&str; 3] = [
    "authz.control.",
    "authz.events.",
    "authz.failure_closes_per_second",
];

/// Exceptions while directives are watched for or events are told: they go the same way.
const SHARED_WITH_COMPANIONS: [&str; 6] = [
    "authz.endpoint",
    "authz.endpoints",
    "authz.endpoints.",
    "authz.tls.",
    "authz.connect_timeout",
    "authz.health_check",
];

/// The keys that differ.
///
/// # Errors
///
/// A configuration that cannot be shown: a fault of the program.
pub(super) fn changed(old: &Config, new: &Config) -> Result<Vec<String>, Error> {
    let (old, new) = (flat(old)?, flat(new)?);
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let differs = |key: &&String| old.get(*key) != new.get(*key);
    let mut changed: Vec<_> = new.keys().filter(differs).chain(gone).cloned().collect();
    changed.sort();
    Ok(changed)
}

/// Whether a running gate can take a change of this key to that configuration.
pub(super) fn is_live(key: &str, new: &Config) -> bool {
    let is_in = |list: &[&str]| list.iter().any(|pattern| matches(pattern, key));
    let has_companions = new.authz.control.enabled || new.authz.events.enabled;
    is_in(&LIVE) && !is_in(&FIXED) && !(has_companions && is_in(&SHARED_WITH_COMPANIONS))
}

/// Whether the way to the service has to be built anew. Files that it names are read again by those who dial.
pub(super) fn has_new_pipeline(old: &Config, new: &Config) -> bool {
    old.authz != new.authz
        || old.log.allows != new.log.allows
        || old.telemetry.retroactive_spans_per_second != new.telemetry.retroactive_spans_per_second
}

/// Whether the door of a listener has to be built anew.
pub(super) fn has_new_door(old: &Listener, new: &Listener) -> bool {
    old.tls != new.tls || old.websocket != new.websocket || old.proxy_protocol != new.proxy_protocol
}

/// Whether the way to the broker has to be built anew.
pub(super) fn has_new_way(old: &Config, new: &Config) -> bool {
    old.broker.url != new.broker.url
        || old.broker.tls != new.broker.tls
        || old.broker.proxy_protocol != new.broker.proxy_protocol
        || old.broker.connect_timeout != new.broker.connect_timeout
        || old.limits.max_downlink_packet_size != new.limits.max_downlink_packet_size
}

fn matches(pattern: &str, key: &str) -> bool {
    let (pattern, has_rest) = match pattern.strip_suffix('.') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut segments = key.split('.');
    let begins = pattern.split('.').all(|wanted| {
        let segment = segments.next();
        segment.is_some_and(|segment| wanted == "*" || wanted == segment)
    });
    begins && segments.next().is_some() == has_rest
}

fn flat(config: &Config) -> Result<BTreeMap<String, Value>, Error> {
    let value = serde_json::to_value(config).map_err(|error| Error::Show(error.to_string()))?;
    let mut keys = BTreeMap::new();
    flatten(String::new(), value, &mut keys);
    Ok(keys)
}

fn flatten(key: String, value: Value, keys: &mut BTreeMap<String, Value>) {
    let below = |name: &str| match key.is_empty() {
        true => name.to_owned(),
        false => format!("{key}.{name}"),
    };
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                flatten(below(&name), value, keys);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (index, value) in elements.into_iter().enumerate() {
                flatten(below(&index.to_string()), value, keys);
            }
        }
        other => {
            keys.insert(key, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Listener;

    #[test]
    fn changes_are_found_by_their_keys() {
        let old = Config::default();
        let mut new = Config::default();
        assert_eq!(changed(&old, &new).unwrap(), Vec::<String>::new());
        new.log.filter = "debug".to_owned();
        new.broker.reserved_topics.clear();
        new.listeners.0.push(Listener::default());
        new.listeners.0[0]
            .attributes
            .insert("a".to_owned(), "b".to_owned());
        let keys = changed(&old, &new).unwrap();
        for key in [
            "log.filter",
            "broker.reserved_topics",
            "listeners.1.bind",
            "listeners.0.attributes.a",
        ] {
            assert!(keys.iter().any(|it| it == key), "{key} in {keys:?}");
        }
    }

    #[test]
    fn what_was_made_once_stays() {
        let config = Config::default();
        for key in [
            "log.filter",
            "authz.publish.on_failure.0",
            "authz.publish.deadline",
            "authz.permit.publish_topic",
            "authz.endpoint",
            "authz.endpoints.0",
            "broker.url",
            "broker.reserved_topics",
            "broker.reserved_topics.3",
            "listeners.0.tls.certificates.1.cert",
            "listeners.0.websocket.origins.0",
            "listeners.0.proxy_protocol.trusted",
            "limits.max_packet_size",
            "listeners.7.mount",
            "listeners.0.attributes",
            "listeners.0.attributes.a.b",
            "drain.delay",
        ] {
            assert!(is_live(key, &config), "{key}");
        }
        for key in [
            "listeners.0.bind",
            "listeners.1.name",
            "listeners.0.max_connections",
            "limits.max_connections",
            "limits.something_new",
            "authz.control.enabled",
            "authz.events.kinds.0",
            "authz.failure_closes_per_second",
            "probes.bind",
            "admin.bind",
            "log.format",
            "instance.id",
        ] {
            assert!(!is_live(key, &config), "{key}");
        }
        let mut watched = Config::default();
        watched.authz.control.enabled = true;
        assert!(!is_live("authz.endpoint", &watched));
        assert!(!is_live("authz.tls.ca", &watched));
        assert!(is_live("authz.publish.deadline", &watched));
    }

    #[test]
    fn the_pipeline_is_kept_if_nothing_of_it_changes() {
        let old = Config::default();
        let mut new = Config::default();
        new.log.filter = "debug".to_owned();
        new.limits.write_stall = Duration::from_secs(1);
        assert!(!has_new_pipeline(&old, &new));
        new.authz.publish.deadline = Duration::from_secs(9);
        assert!(has_new_pipeline(&old, &new));
    }

    #[test]
    fn the_way_to_the_broker_is_kept_if_nothing_of_it_changes() {
        let old = Config::default();
        let mut new = Config::default();
        new.log.filter = "debug".to_owned();
        new.broker.reserved_topics.clear();
        assert!(!has_new_way(&old, &new));
        new.broker.tls.ca = Some("other.pem".into());
        assert!(has_new_way(&old, &new));
    }
}
