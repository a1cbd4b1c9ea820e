//! The watch itself: that it goes on from where it was, and that silence is noticed.

use tidegate_proto::v1::watch_directives_response::Directive;
use tidegate_proto::v1::{InvalidateDecisions, session_selector::Selector};
use tidegate_tests::{
    Connect, Version,
    packet::Kind,
    service::{choosing, directive, heartbeat},
};

use super::{recheck, terminate, watched, watching};

#[test]
fn a_watch_that_breaks_goes_on_from_its_last_token() {
    let topology = watched();
    topology.service().push(&heartbeat("7"));
    topology.gate().metrics().wait_for(
        "tidegate_control_directives_total",
        &[("kind", "heartbeat")],
        2,
    );
    topology.service().break_watches();
    assert_eq!(topology.service().wait_for_watches(2), ["", "7"]);
}

#[test]
fn a_service_that_comes_back_is_watched_again() {
    let mut topology = watched();
    let mut alice = topology.join(Version::V5, &Connect::new("alice"));
    topology.service_mut().restart();
    assert_eq!(topology.service().wait_for_watches(2), ["", "start"]);
    topology.service().push(&terminate(
        "1",
        choosing(Selector::ClientId("alice".into())),
    ));
    alice.expect_end(0x98);
}

#[test]
fn a_silent_watch_is_stale_and_opened_anew() {
    let topology = watching().set("authz.control.silence", "1s").start();
    topology.service().wait_for_watches(2);
    topology.service().greet_watches(|_| Vec::new());
    topology
        .gate()
        .metrics()
        .wait_for("tidegate_control_watch_fresh", &[], 0);
}

/// Whoever was let in before may have been revoked since.
#[test]
fn a_lost_position_makes_everybody_connect_again() {
    let topology = watched();
    let mut alice = topology.join(Version::V5, &Connect::new("alice"));
    topology.service().greet_watches(|token| {
        assert_eq!(token, "start");
        let sessions = choosing(Selector::SelectAll(true));
        let invalidate = InvalidateDecisions { sessions };
        vec![
            directive("8", Directive::Invalidate(invalidate)),
            recheck("9", Selector::SelectAll(true)),
        ]
    });
    topology.service().break_watches();
    alice.expect_end(0x98);
    let mut bob = topology.join(Version::V5, &Connect::new("bob"));
    bob.expect_nothing_before_pong();
    assert_eq!(topology.recorder().packets(Kind::Connect).len(), 2);
}
