//! Numbers and times that are too small or too large.

use std::{ops::RangeInclusive, time::Duration};

use tidegate_settings::{Error, text};

use super::{Checks, MAX_CONNECTIONS};

/// Largest packet of MQTT: 268,435,455 bytes after the fixed header of 5.
const MAX_MQTT_PACKET: usize = 268_435_460;

/// Largest number in two bytes of MQTT.
const MAX_TWO_BYTES: usize = 65_535;

/// Longest interval of MQTT that has an end, in seconds.
const MAX_INTERVAL: u64 = u32::MAX as u64 - 1;

/// Longest wait that makes sense.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

impl Checks<'_> {
    /// Times: waits, and intervals that go into packets.
    pub(super) fn times(&self) -> Result<(), Error> {
        let config = self.config;
        let limits = &config.limits;
        let waits: [(&str, Duration); 10] = [
            ("broker.connect_timeout", config.broker.connect_timeout),
            ("broker.ping_timeout", config.broker.ping_timeout),
            ("authz.connect_timeout", config.authz.connect_timeout),
            ("authz.connect.deadline", config.authz.connect.deadline),
            ("authz.publish.deadline", config.authz.publish.deadline),
            ("authz.subscribe.deadline", config.authz.subscribe.deadline),
            ("limits.handshake_deadline", limits.handshake_deadline),
            ("limits.packet_deadline", limits.packet_deadline),
            ("limits.write_stall", limits.write_stall),
            ("drain.timeout", config.drain.timeout),
        ];
        for (key, time) in waits {
            if time.is_zero() || time > A_DAY {
                return self.refuse(key, &format!("{time:?}"), "more than 0s and at most 24h");
            }
        }
        let silence = config.authz.control.silence;
        if silence < Duration::from_secs(1) || silence > Duration::from_secs(3600) {
            let found = text::duration::format(silence);
            return self.refuse("authz.control.silence", &found, "1s to 1h");
        }
        let intervals: [(&str, Option<Duration>, u64); 3] = [
            (
                "limits.max_keep_alive",
                Some(limits.max_keep_alive),
                MAX_TWO_BYTES as u64,
            ),
            (
                "limits.max_session_expiry",
                limits.max_session_expiry,
                MAX_INTERVAL,
            ),
            ("will.max_delay", config.will.max_delay, MAX_INTERVAL),
        ];
        for (key, time, most) in intervals {
            let fits = |time: Duration| time.subsec_nanos() == 0 && time.as_secs() <= most;
            if let Some(time) = time.filter(|time| !fits(*time)) {
                let found = text::duration::format(time);
                return self.refuse(key, &found, &format!("whole seconds, at most {most}s"));
            }
        }
        Ok(())
    }

    /// How often an address may come.
    pub(super) fn connect_rate(&self) -> Result<(), Error> {
        let limits = &self.config.limits;
        let (rate, burst) = (
            limits.connect_rate_per_address,
            limits.connect_burst_per_address,
        );
        for (key, value) in [
            ("connect_rate_per_address", rate),
            ("connect_burst_per_address", burst),
        ] {
            if let Some(value) = value
                && !(1..=1_000_000).contains(&value)
            {
                return self.refuse(&format!("limits.{key}"), &value, "1 to 1000000");
            }
        }
        if rate.is_none() && burst.is_some() {
            let expected = "`limits.connect_rate_per_address`, too";
            return self.refuse("limits.connect_burst_per_address", &"it alone", expected);
        }
        Ok(())
    }

    /// Numbers.
    #[rustfmt::skip]
    pub(super) fn ranges(&self) -> Result<(), Error> {
        let limits = &self.config.limits;
        let authz = &self.config.authz;
        let packet_size = 64..=MAX_MQTT_PACKET;
        let ranges: [(&str, usize, RangeInclusive<usize>); 30] = [
            ("limits.max_connections", limits.max_connections, 1..=MAX_CONNECTIONS),
            ("limits.max_connections_per_address", limits.max_connections_per_address, 1..=MAX_CONNECTIONS),
            ("limits.max_undecided_per_address", limits.max_undecided_per_address, 1..=MAX_CONNECTIONS),
            ("limits.max_connect_size", limits.max_connect_size, packet_size.clone()),
            ("limits.max_packet_size", limits.max_packet_size, 64..=limits.window_bytes),
            ("limits.max_downlink_packet_size", limits.max_downlink_packet_size, packet_size.clone()),
            ("limits.window_packets", limits.window_packets, 1..=MAX_TWO_BYTES),
            ("limits.window_bytes", limits.window_bytes, packet_size),
            ("limits.max_filters", limits.max_filters, 1..=MAX_TWO_BYTES),
            ("limits.max_topic_levels", limits.max_topic_levels, 1..=65_536),
            ("limits.max_filter_wildcards", limits.max_filter_wildcards, 0..=MAX_TWO_BYTES),
            ("limits.max_subscriptions", limits.max_subscriptions, 1..=100_000),
            ("limits.max_subscription_bytes", limits.max_subscription_bytes, 1024..=1024 * 1024 * 1024),
            ("limits.max_user_properties", limits.max_user_properties, 0..=MAX_TWO_BYTES),
            ("limits.max_user_property_bytes", limits.max_user_property_bytes, 0..=MAX_MQTT_PACKET),
            ("limits.receive_maximum", limits.receive_maximum.into(), 1..=MAX_TWO_BYTES),
            ("limits.max_inflight", limits.max_inflight, 1..=MAX_TWO_BYTES),
            ("authz.failure_closes_per_second", per_second(authz.failure_closes_per_second), 1..=1_000_000),
            ("authz.control.terminations_per_second", per_second(authz.control.terminations_per_second), 1..=1_000_000),
            ("authz.events.queue_events", authz.events.queue_events, 1..=10_000_000),
            ("authz.events.queue_bytes", authz.events.queue_bytes, 64 * 1024..=usize::MAX),
            ("authz.queue_checks", authz.queue_checks, 1..=10_000_000),
            ("authz.max_session_state", authz.max_session_state, 0..=4096),
            ("authz.queue_bytes", authz.queue_bytes, 64 * 1024..=usize::MAX),
            ("authz.hold_bytes", authz.hold_bytes, 0..=usize::MAX),
            ("authz.cache.max_entries_per_session", authz.cache.max_entries_per_session, 1..=100_000),
            ("authz.cache.max_bytes", authz.cache.max_bytes, 64 * 1024..=usize::MAX),
            ("telemetry.retroactive_spans_per_second", self.config.telemetry.retroactive_spans_per_second as usize, 0..=1000),
            ("authz.publish.max_batch", authz.publish.max_batch, 1..=10_000),
            ("authz.subscribe.max_batch", authz.subscribe.max_batch, 1..=10_000),
        ];
        for (key, value, range) in ranges {
            if !range.contains(&value) {
                let expected = format!("{} to {}", range.start(), range.end());
                return self.refuse(key, &value, &expected);
            }
        }
        Ok(())
    }
}

fn per_second(rate: u32) -> usize {
    usize::try_from(rate).unwrap_or(usize::MAX)
}
