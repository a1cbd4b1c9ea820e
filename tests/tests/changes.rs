//! What a service may change on the way, if the operator permits it: byte by byte, what the broker
//! sees of it. Without permission, or if the result would not be MQTT, a yes with a change is no yes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "changes/connect.rs"]
mod connect;
#[path = "changes/illegal.rs"]
mod illegal;
#[path = "changes/misplaced.rs"]
mod misplaced;
#[path = "changes/mount.rs"]
mod mount;
#[path = "changes/publish.rs"]
mod publish;
#[path = "changes/subscribe.rs"]
mod subscribe;
#[path = "changes/will.rs"]
mod will;

use tidegate_tests::{
    Topology,
    service::{Answer, Hook},
    topology::Plan,
};

/// The keys of `authz.permit`.
const KEYS: [&str; 12] = [
    "publish_topic",
    "publish_payload",
    "publish_retain",
    "publish_user_properties",
    "broker_client_id",
    "broker_username",
    "broker_password",
    "drop_will",
    "force_clean_start",
    "session_expiry",
    "subscribe_qos",
    "subscribe_filter",
];

/// Permits all changes but one, or but none. `subscribe_filter` needs a mount, and is left alone.
fn all_but(forbidden: &str) -> Topology {
    all_but_on(Topology::scripted(), forbidden)
}

fn all_but_on(plan: Plan, forbidden: &str) -> Topology {
    let keys = KEYS.iter().filter(|key| **key != "subscribe_filter");
    keys.fold(plan, |plan, key| {
        plan.set(&format!("authz.permit.{key}"), *key != forbidden)
    })
    .start()
}

/// From now on, one hook answers so, and the others allow.
fn answer(topology: &Topology, hook: Hook, answer: impl Into<Answer>) {
    let answer = answer.into();
    topology
        .service()
        .answer_hook(hook, move |_| answer.clone());
}
