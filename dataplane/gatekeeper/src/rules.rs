//! What the operator decided: limits, deadlines and the choices that the specification leaves open.

use std::time::Duration;

use crate::wire::{FilterLimits, properties::UserPropertyLimits};

/// Settings that all sessions of a listener share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Bounds on what a peer may make the gate hold.
    pub limits: Limits,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// What a denied PUBLISH does, unless the service asks for something else.
    pub on_publish_denied: OnDenied,
    /// What a denied PUBLISH does on MQTT 3.1.1, which has no negative acknowledgement
    /// [3.1.1: MQTT-3.3.5-2].
    pub on_publish_denied_v3: OnDeniedV3,
    /// What becomes of a SUBSCRIBE with a denied filter, unless the service asks for something else.
    pub on_subscribe_denied: OnDenied,
    /// What a PUBLISH does that nobody decided.
    pub on_publish_failed: OnFailed,
    /// What a SUBSCRIBE does that nobody decided.
    pub on_subscribe_failed: OnFailed,
    /// Whether a client may come back to a session that the broker kept for it.
    pub resume: Resume,
    /// Endings, as [`CloseReason::as_str`](crate::CloseReason::as_str) has them, after which the
    /// broker is told not to publish the will, though the client did not say goodbye. A deliberate
    /// deviation from [MQTT-3.1.2-8].
    pub suppress_will_on: Vec<&'static str>,
    /// Whether a will may go to a topic that begins with `$`. Brokers give such topics meanings of
    /// their own.
    pub allow_dollar_wills: bool,
    /// First levels of topics to which no client may publish. Brokers keep them for themselves, or read
    /// another topic out of what follows: `$delayed/5/a` is `a`, in five seconds. Each begins with `$`.
    /// The state of a bridge (`$SYS/broker/connection/<name>/state`) is asked about all the same.
    pub reserved_topics: Vec<String>,
    /// First levels of filters to which no client may subscribe, shared or not: to some brokers
    /// `$queue/a` is a subscription to `a`. Each begins with `$`.
    pub reserved_filters: Vec<String>,
    /// Whether a payload that is said to be UTF-8 has to be [MQTT-3.3.2-4] (0x99 if it is not).
    pub check_payload_format: bool,
    /// Whether the broker's Server Reference reaches the client. It is a private name, most often.
    pub pass_server_reference: bool,
    /// Whether [`Event::Subscribed`](crate::Event::Subscribed) and
    /// [`Event::Unsubscribed`](crate::Event::Unsubscribed) are wanted.
    pub report_subscriptions: bool,
}

/// What brokers keep for themselves.
const OWN: &[&str] = &["$SYS", "$CONTROL", "$share"];

/// What brokers read as another topic or filter, each in its own way.
const READ_AS_OTHERS: &[&str] = &["$queue", "$exclusive", "$delayed", "$oshare"];

impl Default for Rules {
    fn default() -> Self {
        let level = |level: &&str| (*level).to_owned();
        Self {
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            on_publish_denied: OnDenied::Reject,
            on_publish_denied_v3: OnDeniedV3::AckAndDrop,
            on_subscribe_denied: OnDenied::Reject,
            on_publish_failed: OnFailed::Reject,
            // A client that is told 0x80 hardly ever asks again and would stay deaf.
            on_subscribe_failed: OnFailed::Disconnect,
            resume: Resume::Ask,
            suppress_will_on: Vec::new(),
            allow_dollar_wills: false,
            reserved_topics: OWN.iter().chain(READ_AS_OTHERS).map(level).collect(),
            reserved_filters: READ_AS_OTHERS.iter().map(level).collect(),
            check_payload_format: true,
            pass_server_reference: false,
            report_subscriptions: false,
        }
    }
}

/// Bounds on what a peer may make the gate hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest CONNECT in bytes, header included.
    pub max_connect_size: usize,
    /// Largest packet from the client in bytes, header included. At most `window_bytes`.
    pub max_packet_size: usize,
    /// Largest packet from the broker in bytes, header included.
    pub max_downlink_packet_size: usize,
    /// Whether an MQTT 5 broker is told that size, if the client takes larger packets
    /// [MQTT-3.1.2-24]. Changes the CONNECT of a client that says no size.
    pub announce_downlink_size: bool,
    /// Packets of one session that may wait for their turn; a SUBSCRIBE or an UNSUBSCRIBE counts as
    /// many as it has filters.
    pub window_packets: usize,
    /// Bytes of one session that may wait for their turn.
    pub window_bytes: usize,
    /// Topic aliases that a client may hold towards the gate; 0 is none.
    pub topic_alias_maximum: u16,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub max_filters: usize,
    /// Levels of a topic name or filter.
    pub max_topic_levels: usize,
    /// Wildcards in one filter: what matching it costs grows with them.
    pub max_filter_wildcards: usize,
    /// Subscriptions of one connection.
    pub max_subscriptions: usize,
    /// Bytes of the filters of these subscriptions, which the gate keeps to ask about them again.
    pub max_subscription_bytes: usize,
    /// User properties in one packet of the client.
    pub max_user_properties: usize,
    /// Bytes of the user properties in one packet of the client.
    pub max_user_property_bytes: usize,
    /// PUBLISH packets with QoS above 0 that an MQTT 5 client may have unacknowledged; the broker's
    /// own Receive Maximum may lower it [MQTT-3.3.4-7]. Never 0.
    pub receive_maximum: u16,
    /// Packet identifiers, and acknowledgements, that may wait for the broker before no more is read
    /// of the client; an MQTT 5 client has its Receive Maximum besides. And messages with QoS 2 that a
    /// 3.x client may have without PUBREL, or the session ends. One of the former takes some 200
    /// bytes, one of the latter some 60. Never 0.
    pub max_inflight: usize,
    /// Longest keep alive of an MQTT 5 client in seconds: one that asks for more, or for none, gets
    /// this as Server Keep Alive [MQTT-3.2.2-21]. 0 is no bound. 3.x has no word for it.
    pub max_keep_alive: u16,
    /// Longest Session Expiry Interval of an MQTT 5 client in seconds; a longer one is shortened.
    pub max_session_expiry: u32,
    /// Longest Will Delay Interval in seconds; a longer one is shortened.
    pub max_will_delay: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Each of its strings may have 65,535 bytes.
            max_connect_size: 384 * 1024,
            max_packet_size: 1024 * 1024,
            max_downlink_packet_size: 16 * 1024 * 1024,
            announce_downlink_size: false,
            window_packets: 512,
            window_bytes: 1024 * 1024,
            topic_alias_maximum: 32,
            max_filters: 256,
            // Mosquitto takes 200 separators.
            max_topic_levels: 201,
            max_filter_wildcards: 64,
            max_subscriptions: 1024,
            // 64 for each, and the longest filter that there is.
            max_subscription_bytes: 64 * 1024,
            max_user_properties: 128,
            max_user_property_bytes: 192 * 1024,
            receive_maximum: 1024,
            max_inflight: 8192,
            max_keep_alive: 3600,
            max_session_expiry: u32::MAX,
            max_will_delay: u32::MAX,
        }
    }
}

impl Limits {
    /// The part that concerns filters.
    pub(crate) fn filters(&self) -> FilterLimits {
        FilterLimits {
            max_filters: self.max_filters,
            max_levels: self.max_topic_levels,
        }
    }

    /// The part that concerns user properties.
    pub(crate) fn user_properties(&self) -> UserPropertyLimits {
        UserPropertyLimits {
            max_count: self.max_user_properties,
            max_bytes: self.max_user_property_bytes,
        }
    }
}

/// How long each step may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// From accept to a complete CONNECT.
    pub handshake: Duration,
    /// For the verdict about a CONNECT, and again for the verdict about its will.
    pub connect: Duration,
    /// For the verdict about a PUBLISH.
    pub publish: Duration,
    /// For the verdict about a SUBSCRIBE.
    pub subscribe: Duration,
    /// From dialling the broker to its CONNACK.
    pub broker_connect: Duration,
    /// For a PINGRESP of the broker.
    pub broker_ping: Duration,
    /// For packets that were read before the client left or a drain began: the time in which their
    /// verdicts may still arrive.
    pub linger: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            publish: Duration::from_secs(1),
            subscribe: Duration::from_secs(2),
            broker_connect: Duration::from_secs(10),
            broker_ping: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}

/// What a denial does by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDenied {
    /// Refuse the packet, keep the connection.
    Reject,
    /// Close the connection.
    Disconnect,
}

/// What a denied PUBLISH with QoS above 0 does on MQTT 3.1.1. Both are conformant [3.1.1: MQTT-3.3.5-2].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeniedV3 {
    /// Acknowledge as a success and forward nothing, as Mosquitto does.
    AckAndDrop,
    /// Close the connection.
    Disconnect,
}

/// What becomes of a CONNECT that wants to resume a session. Its subscriptions deliver without being
/// asked about again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// The service is asked: the question about the CONNECT says that it may resume.
    Ask,
    /// Every session begins anew. What the broker had queued for the client is lost.
    ForceClean,
}

/// What an undecided packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailed {
    /// Refuse the packet in a way that the client can't take for a success. Where the protocol has
    /// no such word (a PUBLISH with QoS above 0 on MQTT 3.1.1) the connection is closed.
    Reject,
    /// Close the connection, on MQTT 5 with DISCONNECT 0x83.
    Disconnect,
}
