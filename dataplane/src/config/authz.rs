//! The part about the authorization service.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_settings::text;

use super::{Cache, Control, Events, HookMode, OffAction, OnFailure, Permit};
use crate::authz::{Step, Target};

/// The authorization service.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authz {
    /// Where the service is: `http://host:port`, `https://host:port`, `dns:host:port` (all addresses of
    /// the name, looked up again every 30 s; `dns:host:port?tls` over TLS) or `unix:/path`.
    /// Absent, and no `endpoints` either: `http://127.0.0.1:50051`.
    pub endpoint: Option<Target>,
    /// The same for several, each with the same policy. Never both.
    pub endpoints: Vec<Target>,
    /// TLS towards those that ask for it.
    pub tls: AuthzTls,
    /// For one attempt to connect to one of them, name resolution and TLS included.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub connect_timeout: Duration,
    /// Whether endpoints are asked for their health (`grpc.health.v1`). One that says it does not serve
    /// is avoided, as long as there is another.
    pub health_check: bool,
    /// CONNECT, and its will.
    pub connect: ConnectHook,
    /// PUBLISH.
    pub publish: PublishHook,
    /// SUBSCRIBE, filter by filter.
    pub subscribe: SubscribeHook,
    /// Decisions that are used again. Off by default.
    pub cache: Cache,
    /// Has to be `true` before anything may pass that nobody decided about: the step `allow` of
    /// `on_failure`, and the modes `shadow` and `off`.
    pub acknowledge_fail_open: bool,
    /// Bytes of packets that may be held (`on_failure`), over all sessions.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub hold_bytes: usize,
    /// What the service may change on the way. Any other change makes its answer a failure.
    pub permit: Permit,
    /// Largest session state that the service may give to a session, at most 4 KiB.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_session_state: usize,
    /// Directives: sessions that the service ends, and the like.
    pub control: Control,
    /// What the service is told afterwards.
    pub events: Events,
    /// Sessions that end because nobody decided, per second and at once; the others wait, silenced, so that
    /// an outage does not become a storm of reconnects.
    pub failure_closes_per_second: u32,
    /// Checks that may wait for the service, per hook.
    pub queue_checks: usize,
    /// Bytes of checks that may wait for the service, per hook.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub queue_bytes: usize,
}

impl Default for Authz {
    fn default() -> Self {
        Self {
            endpoint: None,
            endpoints: Vec::new(),
            tls: AuthzTls::default(),
            connect_timeout: Duration::from_secs(1),
            health_check: true,
            connect: ConnectHook::default(),
            publish: PublishHook::default(),
            subscribe: SubscribeHook::default(),
            cache: Cache::default(),
            acknowledge_fail_open: false,
            hold_bytes: 32 * 1024 * 1024,
            permit: Permit::default(),
            max_session_state: 1024,
            control: Control::default(),
            events: Events::default(),
            failure_closes_per_second: 50,
            queue_checks: 10_000,
            queue_bytes: 32 * 1024 * 1024,
        }
    }
}

impl Authz {
    /// Where the service is: at least one place.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let one = self.endpoint.iter();
        let mut targets: Vec<_> = one.chain(&self.endpoints).cloned().collect();
        if targets.is_empty() {
            targets.extend("http://127.0.0.1:50051".parse::<Target>());
        }
        targets
    }
}

/// TLS towards the service. Files are PEM, and read again when they have changed: the next connection is made
/// with the new ones.
#[derive(schemars::JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthzTls {
    /// Certificates of the authorities to believe. Absent: those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate with those that lead to an authority, if the service asks for one. Needs
    /// `key`.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
    /// The name in the service's certificate, and in SNI. Absent: the host of the endpoint.
    pub server_name: Option<String>,
}

/// Decisions about CONNECT and wills.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectHook {
    /// From the packet to the decision; the will has as much again.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub deadline: Duration,
    /// A CONNECT that nobody decided about, or a will: `hold` and `reject`.
    pub on_failure: OnFailure,
    /// Longest time for which it is held after its first failure; never longer than half the keep alive, or the
    /// deadline if that is longer.
    /// Absent: as long as `deadline`.
    #[serde(with = "text::duration::option")]
    #[schemars(with = "Option<super::schema::Duration>")]
    pub hold_max: Option<Duration>,
}

impl Default for ConnectHook {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            on_failure: OnFailure(vec![Step::Reject]),
            hold_max: None,
        }
    }
}

/// Decisions about PUBLISH.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishHook {
    /// From the packet to the decision.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub deadline: Duration,
    /// A denied message, unless the service asks for something else.
    pub on_deny: OnDeny,
    /// A denied message with QoS above 0 on MQTT 3.1.1, which has no negative acknowledgement.
    pub on_deny_v3: OnDenyV3,
    /// A message that nobody decided about: steps out of `serve_stale`, `hold`, `reject` (0x83; where the
    /// protocol has no such word, close), `disconnect` (on MQTT 5 with 0x83) and `allow`. If nothing else is
    /// the last one, it is `reject`.
    pub on_failure: OnFailure,
    /// Longest time for which it is held after its first failure; never longer than half the keep alive, or the
    /// deadline if that is longer.
    /// Absent: as long as `deadline`.
    #[serde(with = "text::duration::option")]
    #[schemars(with = "Option<super::schema::Duration>")]
    pub hold_max: Option<Duration>,
    /// Whether decisions count.
    pub mode: HookMode,
    /// What becomes of it in the mode `off`.
    pub off_action: OffAction,
    /// Checks in one call, at most.
    pub max_batch: usize,
}

impl Default for PublishHook {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(1),
            on_deny: OnDeny::Reject,
            on_deny_v3: OnDenyV3::AckAndDrop,
            on_failure: OnFailure(vec![Step::Reject]),
            hold_max: None,
            mode: HookMode::Enforce,
            off_action: OffAction::Deny,
            max_batch: 256,
        }
    }
}

/// Decisions about SUBSCRIBE.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscribeHook {
    /// From the packet to the decision.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub deadline: Duration,
    /// A packet with a denied filter, unless the service asks for something else.
    pub on_deny: OnDeny,
    /// A packet that nobody decided about: steps as for PUBLISH. If nothing else is the last one, it is
    /// `disconnect`: a client that is refused hardly ever asks again.
    pub on_failure: OnFailure,
    /// Longest time for which it is held after its first failure; never longer than half the keep alive, or the
    /// deadline if that is longer.
    /// Absent: as long as `deadline`.
    #[serde(with = "text::duration::option")]
    #[schemars(with = "Option<super::schema::Duration>")]
    pub hold_max: Option<Duration>,
    /// Whether decisions count.
    pub mode: HookMode,
    /// What becomes of it in the mode `off`.
    pub off_action: OffAction,
    /// Checks in one call, at most.
    pub max_batch: usize,
}

impl Default for SubscribeHook {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(2),
            on_deny: OnDeny::Reject,
            on_failure: OnFailure(vec![Step::Disconnect]),
            hold_max: None,
            mode: HookMode::Enforce,
            off_action: OffAction::Deny,
            max_batch: 64,
        }
    }
}

/// What a denial does.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeny {
    /// Refuse the packet, keep the connection.
    Reject,
    /// Close the connection.
    Disconnect,
}

/// What a denial does to a PUBLISH with QoS above 0 on MQTT 3.1.1 [3.1.1: MQTT-3.3.5-2].
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDenyV3 {
    /// Acknowledge as a success and forward nothing.
    AckAndDrop,
    /// Close the connection.
    Disconnect,
}
