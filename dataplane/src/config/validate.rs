//! What no single value can tell: rules over several keys, and over the meaning of one.

use std::{collections::HashSet, fmt::Display, time::Duration};

use http::Uri;
use tidegate_settings::{Error, Tree};
use tidegate_telemetry::Sampler;

use super::Config;
use crate::upstream::Target;

/// Largest packet of MQTT: 268,435,455 bytes after the fixed header of 5.
const MAX_MQTT_PACKET: usize = 268_435_460;

/// More than descriptors will be had for.
const MAX_CONNECTIONS: usize = 1_000_000;

/// Checks everything that is not a matter of types.
pub(super) fn check(config: &Config, tree: &Tree) -> Result<(), Error> {
    let refuse = |key: &str, found: &dyn Display, expected: &str| {
        Err(Error::invalid(key, found, expected, tree.origin_of(key)))
    };

    if config.listeners.0.is_empty() {
        return refuse("listeners", &"none", "at least one listener");
    }
    let mut names = HashSet::new();
    for (index, listener) in config.listeners.0.iter().enumerate() {
        if listener.name.is_empty() || !names.insert(&listener.name) {
            let key = format!("listeners.{index}.name");
            return refuse(
                &key,
                &format!("{:?}", listener.name),
                "a name that no other listener has",
            );
        }
        if !(1..=MAX_CONNECTIONS).contains(&listener.max_connections) {
            let key = format!("listeners.{index}.max_connections");
            return refuse(
                &key,
                &listener.max_connections,
                &format!("1 to {MAX_CONNECTIONS}"),
            );
        }
    }
    if let Err(error) = config.broker.url.parse::<Target>() {
        return refuse("broker.url", &config.broker.url, &error.to_string());
    }
    if !is_http_endpoint(&config.authz.endpoint) {
        return refuse("authz.endpoint", &config.authz.endpoint, "http://host:port");
    }
    if let Some(endpoint) = &config.telemetry.otlp_endpoint
        && let Err(error) = tidegate_telemetry::check_endpoint(endpoint)
    {
        return refuse("telemetry.otlp_endpoint", endpoint, &error.to_string());
    }

    let limits = &config.limits;
    let positive_times: [(&str, Duration); 9] = [
        ("broker.connect_timeout", config.broker.connect_timeout),
        ("broker.ping_timeout", config.broker.ping_timeout),
        ("authz.connect_timeout", config.authz.connect_timeout),
        ("authz.connect.deadline", config.authz.connect.deadline),
        ("authz.publish.deadline", config.authz.publish.deadline),
        ("authz.subscribe.deadline", config.authz.subscribe.deadline),
        ("limits.handshake_deadline", limits.handshake_deadline),
        ("limits.write_stall", limits.write_stall),
        ("drain.timeout", config.drain.timeout),
    ];
    for (key, time) in positive_times {
        if time.is_zero() || time > Duration::from_secs(24 * 3600) {
            return refuse(key, &format!("{time:?}"), "more than 0s and at most 24h");
        }
    }

    let ranges: [(&str, usize, usize, usize); 12] = [
        (
            "limits.max_connections",
            limits.max_connections,
            1,
            MAX_CONNECTIONS,
        ),
        (
            "limits.max_undecided_per_address",
            limits.max_undecided_per_address,
            1,
            MAX_CONNECTIONS,
        ),
        (
            "limits.max_connect_size",
            limits.max_connect_size,
            64,
            MAX_MQTT_PACKET,
        ),
        (
            "limits.max_packet_size",
            limits.max_packet_size,
            64,
            limits.window_bytes,
        ),
        (
            "limits.max_downlink_packet_size",
            limits.max_downlink_packet_size,
            64,
            MAX_MQTT_PACKET,
        ),
        ("limits.window_packets", limits.window_packets, 1, 65_535),
        (
            "limits.window_bytes",
            limits.window_bytes,
            64,
            MAX_MQTT_PACKET,
        ),
        ("limits.max_filters", limits.max_filters, 1, 65_535),
        (
            "limits.max_topic_levels",
            limits.max_topic_levels,
            1,
            65_536,
        ),
        (
            "authz.queue_checks",
            config.authz.queue_checks,
            1,
            10_000_000,
        ),
        (
            "authz.max_session_state",
            config.authz.max_session_state,
            0,
            4096,
        ),
        (
            "authz.queue_bytes",
            config.authz.queue_bytes,
            64 * 1024,
            usize::MAX,
        ),
    ];
    let batches = [
        (
            "authz.publish.max_batch",
            config.authz.publish.max_batch,
            1,
            10_000,
        ),
        (
            "authz.subscribe.max_batch",
            config.authz.subscribe.max_batch,
            1,
            10_000,
        ),
    ];
    for (key, value, least, most) in ranges.into_iter().chain(batches) {
        if !(least..=most).contains(&value) {
            return refuse(key, &value, &format!("{least} to {most}"));
        }
    }

    let ratio = &config.telemetry.trace_sample_ratio;
    for (hook, value) in [
        ("connect", ratio.connect),
        ("subscribe", ratio.subscribe),
        ("publish", ratio.publish),
    ] {
        if let Err(error) = Sampler::ratio(value) {
            let key = format!("telemetry.trace_sample_ratio.{hook}");
            return refuse(&key, &value, &error.to_string());
        }
    }
    Ok(())
}

fn is_http_endpoint(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http")
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.port_u16().is_some()
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    })
}
