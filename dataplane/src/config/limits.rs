//! The part about how much peers may make the gate hold and do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_settings::text;

/// Bounds on what peers may make the gate hold.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// From accept to a complete CONNECT: PROXY protocol, TLS and WebSocket included.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub handshake_deadline: Duration,
    /// Connections at once, over all listeners. Fewer if there are not two descriptors for each, and 128 more; the log
    /// says so at start.
    pub max_connections: usize,
    /// Connections of one address at once; of IPv6, one /64. A whole fleet may live behind one address.
    pub max_connections_per_address: usize,
    /// Connections of one address whose CONNECT is not decided yet.
    pub max_undecided_per_address: usize,
    /// Connections of one address per second; of IPv6, one /64. One more is closed at once, before TLS; behind the
    /// PROXY protocol when its header is read. Absent: no bound.
    pub connect_rate_per_address: Option<u32>,
    /// Connections of one address that may come at once, after a pause. Absent: those of a second.
    pub connect_burst_per_address: Option<u32>,
    /// Largest CONNECT.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_connect_size: usize,
    /// Largest packet of a client; at most `window_bytes`.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_packet_size: usize,
    /// Largest packet of the broker. A larger one ends the session, unless the broker knows the limit.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_downlink_packet_size: usize,
    /// Whether an MQTT 5 broker is told that limit in the CONNECT: then it drops what is larger. MQTT 3.x
    /// has no word for it.
    pub announce_downlink_size: bool,
    /// Packets of one session that may wait for their decisions.
    pub window_packets: usize,
    /// Bytes of one session that may wait for their decisions.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub window_bytes: usize,
    /// Topic aliases that a client may set; 0 is none.
    pub topic_alias_maximum: u16,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub max_filters: usize,
    /// Levels of a topic name or filter.
    pub max_topic_levels: usize,
    /// Wildcards in one filter.
    pub max_filter_wildcards: usize,
    /// Subscriptions of one connection.
    pub max_subscriptions: usize,
    /// Bytes of the filters of these subscriptions: the gate remembers them, to ask about them again.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_subscription_bytes: usize,
    /// User properties in one packet of a client.
    pub max_user_properties: usize,
    /// Bytes of the user properties in one packet of a client.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_user_property_bytes: usize,
    /// PUBLISH packets with QoS above 0 that an MQTT 5 client may have unacknowledged, 1 to 65535.
    pub receive_maximum: u16,
    /// Messages that may wait for the broker's acknowledgement before no more is read of the client,
    /// beside `receive_maximum` on MQTT 5; and messages with QoS 2 that an MQTT 3 client may have without
    /// PUBREL, 1 to 65535. With more of those it is disconnected.
    pub max_inflight: usize,
    /// Longest keep alive in whole seconds, at most 65535s: an MQTT 5 client that asks for more, or for
    /// none, gets this one. `"0s"`: no bound. MQTT 3.1.1 has no word for it.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub max_keep_alive: Duration,
    /// Longest Session Expiry Interval in whole seconds; a longer one is shortened. `"none"`: no bound.
    /// With `"0s"` sessions end with their connections, on MQTT 3.1.1 too.
    #[serde(with = "text::duration::or_none")]
    #[schemars(with = "super::schema::DurationOrNone")]
    pub max_session_expiry: Option<Duration>,
    /// Whether a payload that is said to be UTF-8 has to be.
    pub check_payload_format: bool,
    /// From the first byte of a client's packet to its last, and one second more for each 64 KiB that
    /// the packet announces. The CONNECT has `handshake_deadline`.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub packet_deadline: Duration,
    /// How long a peer may take nothing of what is written to it.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub write_stall: Duration,
}

impl Limits {
    /// How often one address may connect: per second, and at once. `None`: no bound.
    pub(crate) fn connect_rate(&self) -> Option<(u32, u32)> {
        let rate = self.connect_rate_per_address?;
        Some((rate, self.connect_burst_per_address.unwrap_or(rate)))
    }
}

impl Default for Limits {
    fn default() -> Self {
        let gate = gatekeeper::Limits::default();
        Self {
            handshake_deadline: Duration::from_secs(10),
            max_connections: 10_000,
            max_connections_per_address: 10_000,
            max_undecided_per_address: 256,
            connect_rate_per_address: None,
            connect_burst_per_address: None,
            max_connect_size: gate.max_connect_size,
            max_packet_size: gate.max_packet_size,
            max_downlink_packet_size: gate.max_downlink_packet_size,
            announce_downlink_size: gate.announce_downlink_size,
            window_packets: gate.window_packets,
            window_bytes: gate.window_bytes,
            topic_alias_maximum: gate.topic_alias_maximum,
            max_filters: gate.max_filters,
            max_topic_levels: gate.max_topic_levels,
            max_filter_wildcards: gate.max_filter_wildcards,
            max_subscriptions: gate.max_subscriptions,
            max_subscription_bytes: gate.max_subscription_bytes,
            max_user_properties: gate.max_user_properties,
            max_user_property_bytes: gate.max_user_property_bytes,
            receive_maximum: gate.receive_maximum,
            max_inflight: gate.max_inflight,
            max_keep_alive: Duration::from_secs(gate.max_keep_alive.into()),
            max_session_expiry: None,
            check_payload_format: true,
            packet_deadline: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
        }
    }
}
