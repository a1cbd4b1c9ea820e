//! What the service wants of sessions that it has let in, and what it is told about them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "control/budgets.rs"]
mod budgets;
#[path = "control/directives.rs"]
mod directives;
#[path = "control/events.rs"]
mod events;
#[path = "control/quotas.rs"]
mod quotas;
#[path = "control/watch.rs"]
mod watch;

use tidegate_proto::v1::{
    RecheckSubscriptions, SessionSelector, TerminateSessions, WatchDirectivesResponse,
    session_selector::Selector, watch_directives_response::Directive,
};
use tidegate_tests::{
    Topology,
    service::{choosing, directive},
    topology::Plan,
};

/// A gate that watches for directives, before the scripted service.
fn watching() -> Plan {
    Topology::scripted()
        .set("authz.control.enabled", true)
        .set("metrics.bind", "127.0.0.1:0")
}

/// As [`watching`], and the watch is open.
fn watched() -> Topology {
    let topology = watching().start();
    topology
        .gate()
        .metrics()
        .wait_for("tidegate_control_watch_connected", &[], 1);
    topology
}

fn terminate(token: &str, sessions: Option<SessionSelector>) -> WatchDirectivesResponse {
    let terminate = TerminateSessions {
        sessions,
        ..TerminateSessions::default()
    };
    directive(token, Directive::Terminate(terminate))
}

fn recheck(token: &str, selector: Selector) -> WatchDirectivesResponse {
    let sessions = choosing(selector);
    directive(token, Directive::Recheck(RecheckSubscriptions { sessions }))
}
