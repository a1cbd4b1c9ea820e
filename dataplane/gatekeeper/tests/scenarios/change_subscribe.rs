//! SUBSCRIBE that the service allows with changes: a lower QoS, or a filter below the mount.

use gatekeeper::{
    Allow, ConnectAllow, Fate, OnDenied, OnFailed, QoS, ReasonCode, Rules, SubscribeChanges,
    Ticket, Verdict, Version,
};

use crate::{
    scene::{BOTH, Scene},
    write::{self, Connect},
};

const MOUNT: &str = "t/a/";

impl Scene {
    fn allows_filter(&mut self, ticket: Ticket, max_qos: Option<QoS>, filter: Option<&str>) {
        let changes = SubscribeChanges {
            max_qos,
            filter: filter.map(Into::into),
        };
        self.answers(ticket, Verdict::Allow(Allow::Subscribe(changes)));
    }
}

fn reject(rules: &mut Rules) {
    rules.on_subscribe_failed = OnFailed::Reject;
}

/// The refusal of a filter that nobody decided about.
fn failure(version: Version) -> u8 {
    match version {
        Version::V31 | Version::V311 => 0x80,
        Version::V5 => 0x83,
    }
}

/// A session with a mount, and rules under which a failure is told.
fn mounted(version: Version, connack: &[u8]) -> Scene {
    let allow = ConnectAllow {
        mount: Some(MOUNT.into()),
        ..ConnectAllow::default()
    };
    Scene::with(version, reject).connected_as(&Connect::default(), allow, false, connack)
}

/// [MQTT-3.8.4-8]: the broker grants what it is asked for, and that is what the client hears.
#[test]
fn a_lower_qos_is_what_the_broker_is_asked_for() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_sends(&write::subscribe(
            version,
            7,
            &[("a", 2), ("b", 2), ("c", 0)],
        ));
        let ticket = scene.asks_subscribe(&["a", "b", "c"]);
        scene.allows_filter(ticket, Some(QoS::AtMostOnce), None);
        scene.allows_filter(ticket.filter(1), Some(QoS::AtLeastOnce), None);
        scene.allows(ticket.filter(2));
        let lowered = [("a", 0), ("b", 1), ("c", 0)];
        scene.broker_gets(&write::subscribe(version, 7, &lowered));
        assert_eq!(scene.fate(ticket), Some(Fate::Forwarded));
        let granted = write::suback(version, 7, &[0, 1, 0]);
        scene.broker_sends(&granted);
        scene.client_gets(&granted);
    }
}

/// No Local, Retain As Published and Retain Handling are the client's.
#[test]
fn the_other_options_stay() {
    let mut scene = Scene::live(Version::V5);
    let sent = write::subscribe(Version::V5, 7, &[("a", 0b10_1110), ("b", 0b01_0101)]);
    scene.client_sends(&sent);
    let ticket = scene.asks_subscribe(&["a", "b"]);
    scene.allows_filter(ticket, Some(QoS::AtLeastOnce), None);
    scene.allows_filter(ticket.filter(1), Some(QoS::AtLeastOnce), None);
    let lowered = [("a", 0b10_1101), ("b", 0b01_0101)];
    scene.broker_gets(&write::subscribe(Version::V5, 7, &lowered));
}

#[test]
fn the_qos_that_was_asked_for_is_no_change() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        let sent = scene.client_subscribes(7, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.allows_filter(ticket, Some(QoS::AtLeastOnce), None);
        scene.broker_gets(&sent);
    }
}

/// A failure, and so as configured: told, or the end.
#[test]
fn an_illegal_change_is_a_failure_of_its_filter() {
    let changes = [
        (Some(QoS::ExactlyOnce), None),
        // Without a mount no filter can be mapped back.
        (None, Some("b")),
        (None, Some("own")),
        (None, Some("")),
        (None, Some("#")),
        (None, Some("a\0")),
    ];
    for version in BOTH {
        for (max_qos, filter) in changes {
            let mut scene = Scene::live_with(version, reject);
            scene.client_subscribes(7, &["own", "other"]);
            let ticket = scene.asks_subscribe(&["own", "other"]);
            scene.allows_filter(ticket, max_qos, filter);
            scene.allows(ticket.filter(1));
            scene.broker_gets(&write::subscribe(version, 7, &[("other", 1)]));
            assert_eq!(scene.fate(ticket), Some(Fate::ForwardedInPart));
            scene.broker_sends(&write::suback(version, 7, &[1]));
            scene.client_gets(&write::suback(version, 7, &[failure(version), 1]));

            let mut scene = Scene::live(version);
            scene.client_subscribes(7, &["own"]);
            let ticket = scene.asks_subscribe(&["own"]);
            scene.allows_filter(ticket, max_qos, filter);
            scene.closes_with("subscribe_undecided", 0x83);
        }
    }
}

/// [MQTT-4.8.2-2]: the share stays in front.
#[test]
fn a_filter_goes_below_the_mount() {
    for version in BOTH {
        let mut scene = mounted(version, &[]);
        scene.client_sends(&write::subscribe(
            version,
            7,
            &[("x/#", 1), ("$share/g/x", 2), ("shared/+", 1)],
        ));
        let ticket = scene.asks_subscribe(&["x/#", "x", "shared/+"]);
        scene.allows_filter(ticket, None, Some("t/a/x/#"));
        let lower = Some(QoS::AtMostOnce);
        scene.allows_filter(ticket.filter(1), lower, Some("t/a/x"));
        scene.allows(ticket.filter(2));
        scene.broker_gets(&write::subscribe(
            version,
            7,
            &[("t/a/x/#", 1), ("$share/g/t/a/x", 0), ("shared/+", 1)],
        ));
        assert_eq!(scene.fate(ticket), Some(Fate::Forwarded));
        let granted = write::suback(version, 7, &[1, 0, 0x80]);
        scene.broker_sends(&granted);
        scene.client_gets(&granted);
    }
}

#[test]
fn a_filter_goes_nowhere_else_and_must_not_reach_in_from_outside() {
    for version in BOTH {
        for (own, filter) in [
            ("x", Some("t/a/y")),
            ("x", Some("t/b/x")),
            ("x", Some("t/a/x/#")),
            ("x", Some("x")),
            ("x", Some("")),
            ("#", None),
            ("+/a/x", None),
            ("t/a", None),
            ("t/a/x", None),
            ("$share/g/t/#", None),
        ] {
            let mut scene = mounted(version, &[]);
            scene.client_subscribes(7, &[own]);
            let ticket = scene.asks_about_subscribe(|_| {});
            scene.allows_filter(ticket, None, filter);
            scene.client_gets(&write::suback(version, 7, &[failure(version)]));
            let code = ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR;
            assert_eq!(scene.fate(ticket), Some(Fate::Refused(code)));
        }
    }
}

/// [MQTT-4.7.3-3], and as deep as the operator allows.
#[test]
fn a_filter_that_is_none_below_the_mount_is_not_sent() {
    let deep = format!("x{}", "/x".repeat(199));
    let long = "x".repeat(65_535);
    for version in BOTH {
        for own in [&deep, &long] {
            let mut scene = mounted(version, &[]);
            scene.client_subscribes(7, &[own]);
            let ticket = scene.asks_subscribe(&[own]);
            scene.allows_filter(ticket, None, Some(&format!("{MOUNT}{own}")));
            scene.client_gets(&write::suback(version, 7, &[failure(version)]));
        }
    }
}

/// [MQTT-3.8.4-3] [MQTT-3.9.3-1]: two entries stay two entries.
#[test]
fn filters_that_become_the_same_have_an_answer_each() {
    for version in BOTH {
        let mut scene = mounted(version, &[]);
        scene.client_sends(&write::subscribe(version, 7, &[("x", 2), ("x", 1)]));
        let ticket = scene.asks_subscribe(&["x", "x"]);
        scene.allows_filter(ticket, Some(QoS::AtMostOnce), Some("t/a/x"));
        scene.allows_filter(ticket.filter(1), None, Some("t/a/x"));
        let both = [("t/a/x", 0), ("t/a/x", 1)];
        scene.broker_gets(&write::subscribe(version, 7, &both));
        let granted = write::suback(version, 7, &[0, 1]);
        scene.broker_sends(&granted);
        scene.client_gets(&granted);
    }
}

/// [MQTT-3.2.2-15]: all that were to go are denied, each in its place; the others stay what they were.
#[test]
fn filters_that_are_too_large_together_are_denied() {
    let most = [0x27, 0, 0, 0, 20];
    let mut scene = mounted(Version::V5, &most);
    scene.client_subscribes(7, &["x", "y", "z"]);
    let ticket = scene.asks_subscribe(&["x", "y", "z"]);
    scene.allows_filter(ticket, None, Some("t/a/x"));
    scene.denies(ticket.filter(1));
    scene.allows_filter(ticket.filter(2), None, Some("t/a/z"));
    scene.client_gets(&write::suback(Version::V5, 7, &[0x97, 0x87, 0x97]));

    let allow = ConnectAllow {
        mount: Some(MOUNT.into()),
        ..ConnectAllow::default()
    };
    let mut scene = Scene::with(Version::V5, |rules| {
        rules.on_subscribe_denied = OnDenied::Disconnect;
    })
    .connected_as(&Connect::default(), allow, false, &most);
    scene.client_subscribes(7, &["x", "z"]);
    let ticket = scene.asks_subscribe(&["x", "z"]);
    scene.allows_filter(ticket, None, Some("t/a/x"));
    scene.allows_filter(ticket.filter(1), None, Some("t/a/z"));
    scene.closes_with("subscribe_denied", 0x95);
}
