//! What the gatekeeper gets to know of the configuration.

use std::time::Duration;

use gatekeeper::{CloseReason, Deadlines, Limits, OnDenied, OnDeniedV3, OnFailed, Rules};

use super::authz::failure;
use crate::{
    authz::{HookKind, Step},
    config::{Config, EventKind, Listener, OnDeny, OnDenyV3, Resume},
};

/// The rules for clients of one listener.
pub(super) fn rules(config: &Config, listener: &Listener) -> Rules {
    // Every field by name: one that is added has to be decided upon here.
    Rules {
        limits: limits(config),
        deadlines: deadlines(config),
        on_publish_denied: denied(config.authz.publish.on_deny),
        on_publish_denied_v3: match config.authz.publish.on_deny_v3 {
            OnDenyV3::AckAndDrop => OnDeniedV3::AckAndDrop,
            OnDenyV3::Disconnect => OnDeniedV3::Disconnect,
        },
        on_subscribe_denied: denied(config.authz.subscribe.on_deny),
        on_publish_failed: failed(config, HookKind::Publish),
        on_subscribe_failed: failed(config, HookKind::Subscribe),
        resume: match listener.resume {
            Resume::Ask => gatekeeper::Resume::Ask,
            Resume::ForceClean => gatekeeper::Resume::ForceClean,
        },
        suppress_will_on: CloseReason::NAMES
            .into_iter()
            .filter(|reason| config.will.suppress_on.iter().any(|word| word == reason))
            .collect(),
        allow_dollar_wills: config.will.dollar_topics,
        reserved_topics: config.broker.reserved_topics.clone(),
        reserved_filters: config.broker.reserved_filters.clone(),
        check_payload_format: config.limits.check_payload_format,
        pass_server_reference: config.broker.pass_server_reference,
        report_subscriptions: reports_subscriptions(config),
    }
}

/// Whether anybody hears of subscriptions.
fn reports_subscriptions(config: &Config) -> bool {
    let events = &config.authz.events;
    let is_of_subscriptions =
        |kind: &EventKind| matches!(kind, EventKind::Subscribed | EventKind::Unsubscribed);
    events.enabled && events.kinds.iter().any(is_of_subscriptions)
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        max_connect_size: limits.max_connect_size,
        max_packet_size: limits.max_packet_size,
        max_downlink_packet_size: limits.max_downlink_packet_size,
        announce_downlink_size: limits.announce_downlink_size,
        window_packets: limits.window_packets,
        window_bytes: limits.window_bytes,
        topic_alias_maximum: limits.topic_alias_maximum,
        max_filters: limits.max_filters,
        max_topic_levels: limits.max_topic_levels,
        max_filter_wildcards: limits.max_filter_wildcards,
        max_subscriptions: limits.max_subscriptions,
        max_subscription_bytes: limits.max_subscription_bytes,
        max_user_properties: limits.max_user_properties,
        max_user_property_bytes: limits.max_user_property_bytes,
        receive_maximum: limits.receive_maximum,
        max_inflight: limits.max_inflight,
        // 0 is no bound, here as there.
        max_keep_alive: u16::try_from(limits.max_keep_alive.as_secs()).unwrap_or(u16::MAX),
        max_session_expiry: seconds(limits.max_session_expiry),
        max_will_delay: seconds(config.will.max_delay),
    }
}

fn deadlines(config: &Config) -> Deadlines {
    Deadlines {
        handshake: config.limits.handshake_deadline,
        connect: patience(config, HookKind::Connect, config.authz.connect.deadline),
        publish: patience(config, HookKind::Publish, config.authz.publish.deadline),
        subscribe: patience(config, HookKind::Subscribe, config.authz.subscribe.deadline),
        broker_connect: config.broker.connect_timeout,
        broker_ping: config.broker.ping_timeout,
        ..Deadlines::default()
    }
}

/// An interval of MQTT, whose greatest number means without end.
fn seconds(bound: Option<Duration>) -> u32 {
    bound.map_or(u32::MAX, |bound| {
        u32::try_from(bound.as_secs()).unwrap_or(u32::MAX)
    })
}

fn denied(choice: OnDeny) -> OnDenied {
    match choice {
        OnDeny::Reject => OnDenied::Reject,
        OnDeny::Disconnect => OnDenied::Disconnect,
    }
}

fn failed(config: &Config, hook: HookKind) -> OnFailed {
    match failure(&config.authz, hook).steps.last() {
        Some(Step::Disconnect) => OnFailed::Disconnect,
        _ => OnFailed::Reject,
    }
}

/// How long a packet may wait for its decision, the time for which it is held included.
fn patience(config: &Config, hook: HookKind, deadline: Duration) -> Duration {
    deadline + failure(&config.authz, hook).hold()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnFailure;

    #[test]
    fn the_defaults_are_the_gatekeepers() {
        let config = Config::default();
        let rules = rules(&config, &config.listeners.0[0]);
        assert_eq!(rules, Rules::default());
    }

    #[test]
    fn a_packet_that_is_held_has_more_time() {
        let mut config = Config::default();
        config.authz.publish.on_failure = OnFailure(vec![Step::Hold, Step::Disconnect]);
        config.authz.publish.hold_max = Some(Duration::from_secs(3));
        config.authz.subscribe.on_failure = OnFailure(vec![Step::Hold]);
        config.authz.connect.hold_max = Some(Duration::from_secs(60));
        config.authz.connect.on_failure = OnFailure(vec![Step::Reject]);
        let rules = rules(&config, &config.listeners.0[0]);
        assert_eq!(rules.deadlines.publish, Duration::from_secs(4));
        assert_eq!(rules.deadlines.subscribe, Duration::from_secs(4));
        assert_eq!(rules.deadlines.connect, Duration::from_secs(5));
        assert_eq!(rules.on_publish_failed, OnFailed::Disconnect);
        assert_eq!(rules.on_subscribe_failed, OnFailed::Disconnect);
    }

    #[test]
    fn what_is_configured_is_what_holds() {
        let mut config = Config::default();
        config.limits.max_keep_alive = Duration::from_secs(60);
        config.limits.max_session_expiry = Some(Duration::from_secs(3600));
        config.limits.max_subscriptions = 7;
        config.limits.max_subscription_bytes = 700;
        config.authz.events.enabled = true;
        config.limits.check_payload_format = false;
        config.will.max_delay = Some(Duration::ZERO);
        config.will.suppress_on = vec!["expired".to_owned(), "drain".to_owned()];
        config.will.dollar_topics = true;
        config.broker.pass_server_reference = true;
        config.broker.reserved_topics = vec!["$SYS".to_owned()];
        config.broker.reserved_filters = Vec::new();
        let strict = Listener {
            resume: Resume::ForceClean,
            ..Listener::default()
        };
        let expected = Rules {
            limits: Limits {
                max_keep_alive: 60,
                max_session_expiry: 3600,
                max_will_delay: 0,
                max_subscriptions: 7,
                max_subscription_bytes: 700,
                ..Limits::default()
            },
            resume: gatekeeper::Resume::ForceClean,
            suppress_will_on: vec!["expired", "drain"],
            allow_dollar_wills: true,
            reserved_topics: vec!["$SYS".to_owned()],
            reserved_filters: Vec::new(),
            check_payload_format: false,
            pass_server_reference: true,
            report_subscriptions: true,
            ..Rules::default()
        };
        assert_eq!(rules(&config, &strict), expected);
    }
}
